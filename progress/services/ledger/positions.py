"""The last positions of ledgers, and who is behind them."""

from collections.abc import Collection
from datetime import datetime

from django.db.models import F, Max, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce

from players.models import PlayerProfile
from progress.models import InteractionLog


def head(player_id: int) -> int:
    """Return the last position of the player's ledger; 0 without rows. One query."""
    rows = InteractionLog.objects.filter(player_id=player_id)
    return rows.aggregate(head=Max("seq"))["head"] or 0


def heads(since: datetime | None) -> dict[int, int]:
    """Return the last position of each player with rows received since a time.

    Args:
        since: None: of all players with rows.
    """
    rows = InteractionLog.objects.all()
    if since is not None:
        rows = rows.filter(received_at__gte=since)
    return dict(
        rows.order_by().values_list("player_id").annotate(head=Max("seq")).iterator()
    )


def heads_of(
    player_ids: Collection[int], received_before: datetime | None = None
) -> dict[int, int]:
    """Return the last position of these players; those without rows are left out.

    Args:
        received_before: leave out rows received since this time.
    """
    rows = InteractionLog.objects.filter(player_id__in=player_ids).order_by()
    if received_before is not None:
        rows = rows.filter(received_at__lt=received_before)
    return dict(rows.values_list("player_id").annotate(head=Max("seq")))


def wallets_behind(since: datetime | None) -> list[tuple[int, int]]:
    """Return the players whose `PlayerWallet` is behind. One query.

    See `players.services.wallet.Ledger`.
    """
    if since is None:
        # A player without rows has a wallet, too.
        last = InteractionLog.objects.filter(player=OuterRef("pk")).order_by("-seq")
        players = PlayerProfile.objects.filter(erased_at=None).order_by("pk")
        head = Coalesce(Subquery(last.values("seq")[:1]), 0)
        return list(players.values_list("pk", head))
    rows = InteractionLog.objects.filter(
        Q(player__wallet=None) | Q(player__wallet__seq__lt=F("seq")),
        player__erased_at=None,
        received_at__gte=since,
    )
    return list(
        rows.values_list("player_id").annotate(head=Max("seq")).order_by("player_id")
    )
