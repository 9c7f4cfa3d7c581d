"""The truth of XP and progress: reading it, and adding to it.

Rows are only ever added (`progress.models.InteractionLog`), each committed before
anything else learns of it. Redis holds projections of this and asks here when it has
lost them.
"""

import hashlib
from collections.abc import Sequence
from datetime import date, datetime
from functools import partial

import structlog
from django.db import OperationalError, connection, transaction
from django.db.models import Max, Min, Sum
from django.utils.translation import gettext as _

from players.services.wallet import CurrentStreak, WalletState
from progress import bitmap, store, streak
from progress.bitmap import SubjectProgress
from progress.errors import InvalidCorrectionError
from progress.models import InteractionLog, InteractionType
from progress.services import calendar
from progress.streak import Streak
from progress.xp import MAX_HEARTS

log = structlog.get_logger(__name__)

_DEADLOCK = 1213
_DEADLOCK_RETRIES = 2


def wallet_of(player_id: int) -> WalletState:
    """The player's wallet as the ledger has it. One query."""
    rows = list(
        InteractionLog.objects.filter(player_id=player_id)
        .order_by()
        .values_list("type", "day")
        .annotate(first=Min("pk"), xp=Sum("xp"), last=Max("created_at"))
    )
    successes: list[tuple[int, date]] = sorted(
        (first, day)
        for kind, day, first, _xp, _last in rows
        if kind == InteractionType.LESSON_COMPLETED and day is not None
    )
    held = streak.of_days(day for _first, day in successes)
    played = [last for _kind, day, _first, _xp, last in rows if day is not None]
    return WalletState(
        total_xp=max(0, sum(int(xp) for _kind, _day, _first, xp, _last in rows)),
        current_streak=held.days,
        last_success_date=held.last,
        last_played_at=max(played, default=None),
    )


def streak_at(state: WalletState, now: datetime) -> CurrentStreak:
    """The wallet's streak as it stands at that aware time (`progress.streak`)."""
    held = streak.as_of(
        Streak(state.current_streak, state.last_success_date), calendar.day_of(now)
    )
    too_late = streak.first_day_too_late(held)
    return CurrentStreak(
        days=held.days,
        ends_at=None if too_late is None else calendar.beginning_of(too_late),
    )


def subject_of(player_id: int, subject_id: str) -> SubjectProgress:
    """The player's progress in a subject as the ledger has it. One query."""
    rows = list(
        InteractionLog.objects.filter(
            player_id=player_id,
            subject_id=subject_id,
            type=InteractionType.LESSON_COMPLETED,
        )
        .order_by()
        .values_list("bit_index")
        .annotate(best=Max("hearts"), earned=Sum("xp"))
    )
    return bitmap.pack(
        {bit: best for bit, best, _xp in rows if bit is not None},
        xp=sum(int(earned) for _bit, _best, earned in rows),
    )


def lesson_history(player_id: int, lesson_id: str) -> tuple[bool, int]:
    """Whether a first completion was ever paid, and the best hearts. One query.

    By the lesson itself, not its bit: a lesson that moved to another subject starts
    there anew, but its first completion and its records are paid once.
    """
    records = [f"{lesson_id}:{hearts}" for hearts in range(1, MAX_HEARTS + 1)]
    rows = InteractionLog.objects.filter(player_id=player_id)
    paid = (
        rows.filter(first_of=lesson_id) | rows.filter(record_of__in=records)
    ).values_list("first_of", "hearts")
    found = list(paid)
    return (
        any(first is not None for first, _hearts in found),
        max((hearts or 0 for _first, hearts in found), default=0),
    )


def key_hash(idempotency_key: str) -> str:
    """What the ledger keeps of a client's key."""
    return hashlib.sha256(idempotency_key.encode()).hexdigest()


def first_with_key(player_id: int, idempotency_key: str) -> InteractionLog | None:
    """What the player's request with that key recorded, if one did. One query."""
    return InteractionLog.objects.filter(
        player_id=player_id, idempotency_key=key_hash(idempotency_key)
    ).first()


def connect() -> None:
    """Make sure that the database answers, before anything is touched.

    No statement when the connection is known to be good.

    Raises:
        DatabaseError: it does not answer.
    """
    connection.close_if_health_check_failed()
    connection.ensure_connection()


def append(row: InteractionLog) -> None:
    """Commit one row. One statement.

    Raises:
        IntegrityError: it was recorded before: the same idempotency key, or the same
            first completion or record.
        RuntimeError: a transaction is open. Its rollback would take the row back
            after Redis has followed it.
    """
    for _retry in range(_DEADLOCK_RETRIES):
        try:
            _insert(row)
        except OperationalError as error:
            # MariaDB refuses one of several rows that race for a key.
            if error.args[:1] != (_DEADLOCK,):
                raise
        else:
            return
    _insert(row)


def _insert(row: InteractionLog) -> None:
    if connection.in_atomic_block:
        with transaction.atomic(durable=True):
            row.save()
    else:
        row.save()


def append_all(rows: Sequence[InteractionLog]) -> None:
    """Add rows in the caller's transaction. One statement per thousand.

    Raises:
        IntegrityError: an idempotency key was used before.
    """
    InteractionLog.objects.bulk_create(rows, batch_size=1000)


def add_correction(
    *, player_id: int, xp: int, reason: str, actor_id: int, now: datetime
) -> WalletState:
    """Enter XP that a member of staff gives, or (negative) takes back.

    Part of the caller's transaction, which holds the player's row locked; Redis
    follows after the commit, and by itself when nobody is left to tell it.

    Returns:
        The wallet with it.

    Raises:
        InvalidCorrectionError: nothing to correct, no reason, or more XP taken than
            there is.
        StoreUnavailableError: Redis does not answer; nothing was recorded.
    """
    if not xp:
        raise InvalidCorrectionError(_("Write how much XP to give."))
    if not reason.strip():
        raise InvalidCorrectionError(_("Write why the XP is corrected."))
    total = wallet_of(player_id).total_xp
    if total + xp < 0:
        raise InvalidCorrectionError(
            _("The player has %(total)d XP: you cannot take %(taken)d.")
            % {"total": total, "taken": -xp}
        )
    mark = store.begin(player_id, "").mark
    InteractionLog(
        player_id=player_id,
        type=InteractionType.XP_CORRECTED,
        reference_id="wallet",
        xp=xp,
        data={"reason": reason.strip(), "actor_id": actor_id},
        created_at=now,
    ).save()
    transaction.on_commit(partial(_drop_wallet, mark))
    return wallet_of(player_id)


def _drop_wallet(mark: store.WriteTicket) -> None:
    try:
        store.discard(mark)
    except store.StoreUnavailableError as error:
        log.warning(
            "projection_not_updated",
            player=mark.player_id,
            error=type(error).__name__,
        )
