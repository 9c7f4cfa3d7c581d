"""Reading rows, archived or not."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from django.db.models import Count, F, Field, Q, QuerySet
from django.db.models.functions import TruncHour

from progress.models import ArchivedInteraction, InteractionLog, InteractionType


def whole(build: Callable[[Any], Any]) -> Any:
    """Return a query of the ledger and its archive: one statement, with the rows of both.

    Args:
        build: makes the query from the rows of one table, without an order; its rows are
            values. A group that has rows in both tables is returned twice.
    """
    rows, archived = (
        build(model.objects.order_by())
        for model in (InteractionLog, ArchivedInteraction)
    )
    return rows.union(archived, all=True)


def event(player_id: int, event_id: str) -> InteractionLog | None:
    """Return the row that the player's event recorded, archived or not. One query."""
    names = [field.attname for field in fields()]
    for row in whole(
        lambda rows: rows.filter(player_id=player_id, event_id=event_id).values_list(
            *names
        )
    ):
        return InteractionLog(**dict(zip(names, row, strict=True)))
    return None


def last_rows(
    player_id: int, *, before: int | None, count: int
) -> list[InteractionLog]:
    """Return the last rows, archived or not, the newest first. Two queries.

    Args:
        before: those before this position; None: the last ones of all.
    """
    condition = Q(player_id=player_id)
    if before is not None:
        condition &= Q(seq__lt=before)
    names = [field.attname for field in fields()]
    rows = list(InteractionLog.objects.filter(condition).order_by("-seq")[:count])
    older = ArchivedInteraction.objects.filter(condition).order_by("-seq")
    rows += [
        InteractionLog(**dict(zip(names, row, strict=True)))
        for row in older.values_list(*names)[:count]
    ]
    # A row that moved in between is found twice.
    found = {row.seq: row for row in rows}
    return [found[seq] for seq in sorted(found, reverse=True)][:count]


def completions_per_hour(
    *, since: datetime, players: QuerySet[Any] | None
) -> dict[datetime, int]:
    """Return how many lessons were completed in each hour. One query.

    See `players.services.wallet.Ledger`.
    """
    rows = InteractionLog.objects.filter(
        type=InteractionType.LESSON_COMPLETED, received_at__gte=since
    )
    if players is not None:
        # An expression without an index: the rows are found by their time, never by
        # the players, whose whole ledgers would be read.
        rows = rows.annotate(owner=F("player_id") + 0)
        rows = rows.filter(owner__in=players.values("pk"))
    # UTC hours need no time zone tables, which MariaDB has only if loaded.
    hours = rows.annotate(hour=TruncHour("received_at", tzinfo=UTC)).order_by()
    return dict(hours.values_list("hour").annotate(count=Count("pk")))


def fields() -> "list[Field[Any, Any]]":
    return [
        field for field in InteractionLog._meta.concrete_fields if not field.primary_key
    ]
