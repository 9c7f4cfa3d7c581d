"""Reading the ledger, and adding rows; see docs/architecture.md, "Ledger".

Rows are only added (`progress.models.InteractionLog`). Their positions are 1, 2, 3 … for
each player: a row is inserted at the position after the state that it was decided on,
and the database refuses it if another row is there. Every read takes the last position
first and reads no later rows, so its result is the state at that position.
"""

import hashlib
import secrets
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from django.db import (
    IntegrityError,
    InterfaceError,
    OperationalError,
    connection,
    transaction,
)
from django.db.models import Field, Max, Min, Q, Sum

from core.db import is_connection_lost, is_duplicate_error, is_foreign_key_error
from players.player_state import SubjectProgress, WalletState
from progress import bitmap, streak
from progress.models import InteractionLog, InteractionType

_DEADLOCK = 1213
_DEADLOCK_RETRIES = 2


class PositionTakenError(Exception):
    """A row with this position, event id or first completion exists."""


class PlayerDeletedError(Exception):
    """The player has been deleted."""


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


def wallet_of(player_id: int) -> WalletState:
    """Return the player's wallet, computed from the ledger. Two queries."""
    return wallets_of([player_id])[player_id]


def wallets_of(player_ids: Sequence[int]) -> dict[int, WalletState]:
    """Return the wallets of these players, computed from the ledger. Two queries."""
    ledger = InteractionLog.objects.filter(player_id__in=player_ids).order_by()
    seqs = dict(ledger.values_list("player_id").annotate(head=Max("seq")))
    of_player: dict[int, list[_Sum]] = {player_id: [] for player_id in player_ids}
    if seqs:
        rows = (
            ledger.filter(_up_to(seqs))
            .values_list("player_id", "type", "day")
            .annotate(first=Min("seq"), xp=Sum("xp"), last=Max("occurred_at"))
        )
        for player_id, *row in rows:
            of_player[player_id].append(_Sum(*row))
    return {
        player_id: _wallet(seqs.get(player_id, 0), sums)
        for player_id, sums in of_player.items()
    }


class _Sum(NamedTuple):
    """A player's rows of one type on one day."""

    type: str
    day: date | None
    first: int
    xp: int
    last: datetime


def _up_to(seqs: Mapping[int, int]) -> Q:
    """Return the condition for each player's rows up to a position."""
    condition = Q()
    for player_id, seq in seqs.items():
        condition |= Q(player_id=player_id, seq__lte=seq)
    return condition


def _wallet(seq: int, sums: Sequence[_Sum]) -> WalletState:
    successes = sorted(
        (found.first, found.day)
        for found in sums
        if found.type == InteractionType.LESSON_COMPLETED and found.day is not None
    )
    current = streak.of_days(day for _first, day in successes)
    played = [found.last for found in sums if found.day is not None]
    return WalletState(
        seq=seq,
        total_xp=max(0, sum(int(found.xp) for found in sums)),
        current_streak=current.days,
        last_success_date=current.last,
        last_played_at=max(played, default=None),
    )


def subject_of(player_id: int, subject_id: str, seq: int) -> SubjectProgress:
    """Return the player's progress in a subject at a position. One query."""
    return subjects_of([(player_id, subject_id, seq)])[player_id, subject_id]


def subjects_of(
    wanted: Sequence[tuple[int, str, int]],
) -> dict[tuple[int, str], SubjectProgress]:
    """Return the progress of players in subjects, each at a position. One query.

    Args:
        wanted: player, subject and position of each.
    """
    lessons: dict[tuple[int, str], dict[int, int]] = {one[:2]: {} for one in wanted}
    earned = dict.fromkeys(lessons, 0)
    condition = Q()
    for player_id, subject_id, seq in wanted:
        condition |= Q(player_id=player_id, seq__lte=seq, subject_id=subject_id)
    rows = (
        InteractionLog.objects.filter(condition, type=InteractionType.LESSON_COMPLETED)
        .order_by()
        .values_list("player_id", "subject_id", "bit_index")
        .annotate(best=Max("best_hearts"), earned=Sum("xp"))
    )
    for player_id, subject_id, bit, best, xp in rows if wanted else ():
        earned[player_id, subject_id] += int(xp)
        if bit is not None:
            lessons[player_id, subject_id][bit] = best
    return {key: bitmap.pack(best, xp=earned[key]) for key, best in lessons.items()}


def lesson_history(player_id: int, lesson_id: str) -> tuple[bool, int]:
    """Return whether a first completion was paid, and the best hearts. One query.

    By the lesson, not its bit: in another subject a moved lesson has a new bit without
    progress, but its first completion and its records are paid once.
    """
    rows = InteractionLog.objects.filter(
        player_id=player_id,
        reference_id=lesson_id,
        type=InteractionType.LESSON_COMPLETED,
    )
    best: int | None = rows.aggregate(best=Max("best_hearts"))["best"]
    return best is not None, best or 0


def client_event(idempotency_key: str) -> str:
    """Return the event id of a request with the client's key."""
    return hashlib.sha256(idempotency_key.encode()).hexdigest()


def server_event() -> str:
    """Return the event id of a request without a key."""
    return secrets.token_hex(32)


def completed_of(player_id: int, lesson_ids: Collection[str]) -> set[str]:
    """Return those of the lessons that the player has completed. One query."""
    rows = InteractionLog.objects.filter(player_id=player_id)
    return set(rows.filter(first_of__in=lesson_ids).values_list("first_of", flat=True))


def event(player_id: int, event_id: str) -> InteractionLog | None:
    """Return the row that the player's event recorded. One query."""
    return InteractionLog.objects.filter(player_id=player_id, event_id=event_id).first()


# --- Adding rows ------------------------------------------------------------


def append(row: InteractionLog) -> None:
    """Commit one row at its position. One statement.

    When the connection breaks during the commit, the row is looked up by its event id.

    Raises:
        PositionTakenError: another row has its position, event id or first completion.
        PlayerDeletedError: the player has been deleted.
        OperationalError, InterfaceError: the database is away. The row may be
            committed only if the look-up failed, too.
        RuntimeError: a transaction is open. Its rollback would remove the row after
            Redis was updated.
    """
    for attempt in range(_DEADLOCK_RETRIES + 1):
        try:
            if connection.in_atomic_block:
                with transaction.atomic(durable=True):
                    _insert(row)
            else:
                _insert(row)
        except IntegrityError as error:
            raise _conflict(error) from error
        except (OperationalError, InterfaceError) as error:
            if is_connection_lost(error):
                connection.close()
                if event(row.player_id, row.event_id) is None:
                    raise
                return
            # MariaDB ends one of several concurrent inserts of a key as a deadlock.
            if error.args[:1] != (_DEADLOCK,) or attempt == _DEADLOCK_RETRIES:
                raise
        else:
            return


def append_in_transaction(row: InteractionLog) -> None:
    """Add one row at its position, as part of the caller's transaction.

    Raises:
        PositionTakenError, PlayerDeletedError: see `append`; the caller's transaction
            is still usable.
    """
    try:
        with transaction.atomic():
            _insert(row)
    except IntegrityError as error:
        raise _conflict(error) from error


def _conflict(error: IntegrityError) -> Exception:
    if is_duplicate_error(error):
        return PositionTakenError()
    if is_foreign_key_error(error):
        return PlayerDeletedError()
    return error


def _insert(row: InteractionLog) -> None:
    """Insert with one statement: half the cost of ``Model.save``."""
    values = [
        field.get_db_prep_save(getattr(row, field.attname), connection)
        for field in _columns()
    ]
    with connection.cursor() as cursor:
        cursor.execute(_statement(connection.vendor), values)


@lru_cache(maxsize=1)
def _columns() -> "list[Field[Any, Any]]":
    return [
        field for field in InteractionLog._meta.concrete_fields if not field.primary_key
    ]


@lru_cache(maxsize=4)
def _statement(_vendor: str) -> str:
    quote = connection.ops.quote_name
    names = ", ".join(quote(field.column or "") for field in _columns())
    marks = ", ".join(["%s"] * len(_columns()))
    table = quote(InteractionLog._meta.db_table)
    return f"INSERT INTO {table} ({names}) VALUES ({marks})"  # noqa: S608 - own names
