"""Versions of a player's sign-in state and access, and their copies in Redis.

A transaction that changes the rows calls `changing` first. It raises the version on the
player's row, so that two changes of one player wait for each other, and then sends
readers to the database (`players.records`). After the commit readers may keep copies
again. If the process stops in between, readers use the database for
`records.TOMBSTONE_MS`.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial

import structlog
from django.db import transaction
from django.db.models import F, QuerySet
from django.utils.translation import gettext as _

from players import records
from players.errors import StoreAwayError
from players.models import PlayerProfile
from players.records import StoreUnavailableError

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Versioned:
    """A part of a player's state that Redis has a versioned copy of."""

    column: str
    block: Callable[[Mapping[int, int]], None]
    unblock: Callable[[Mapping[int, int]], None]


SIGN_IN = Versioned("sign_in_version", records.block_sign_in, records.unblock_sign_in)
ACCESS = Versioned("access_version", records.block_access, records.unblock_access)


def changing(
    part: Versioned, player_ids: Collection[int], *, revokes: bool = True
) -> None:
    """Announce that the current transaction changes this part of the players' state.

    Two queries. Many players are locked in the order of their numbers.

    Args:
        revokes: whether the change may take something away. If not, it goes on while
            Redis does not answer, and the old copy is used until it expires.

    Raises:
        StoreAwayError: Redis does not answer. The caller's transaction must roll back,
            because Redis would return the old state once it answers again.
    """
    if not player_ids:
        return
    with transaction.atomic(savepoint=False):
        # Not through the manager, which announces changes of the row.
        rows: QuerySet[PlayerProfile] = QuerySet(PlayerProfile).filter(
            pk__in=player_ids
        )
        if len(player_ids) > 1:
            list(rows.order_by("pk").select_for_update().values_list("pk"))
        rows.update(**{part.column: F(part.column) + 1})
        versions = dict(rows.values_list("pk", part.column))
    if not versions:
        return
    try:
        part.block(versions)
    except StoreUnavailableError as error:
        log.error("copies_not_blocked", part=part.column, error=type(error).__name__)
        if not revokes:
            return
        raise StoreAwayError(
            _("This cannot be changed right now. Please try again in a moment.")
        ) from error
    transaction.on_commit(partial(_unblock, part, versions))


def _unblock(part: Versioned, versions: Mapping[int, int]) -> None:
    try:
        part.unblock(versions)
    except StoreUnavailableError as error:
        # The tombstones stay: readers use the database until they expire.
        log.warning("copies_not_unblocked", error=type(error).__name__)
