"""Reading the ledger, and adding rows; see docs/architecture.md, "Ledger".

Rows are only added (`progress.models.InteractionLog`). Each is committed before Redis's
projections are updated. A missing projection is rebuilt with the functions here.
"""

import hashlib
from collections.abc import Collection
from datetime import date, datetime
from functools import partial
from typing import Any

import structlog
from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.models import Max, Min, Sum
from django.utils.translation import gettext as _

from players.services.wallet import CurrentStreak, WalletState
from progress import bitmap, store, streak
from progress.bitmap import SubjectProgress
from progress.errors import InvalidCorrectionError
from progress.models import InteractionLog, InteractionType, ReviewRating
from progress.services import calendar
from progress.streak import Streak
from progress.xp import MAX_HEARTS

log = structlog.get_logger(__name__)

_DEADLOCK = 1213
_DEADLOCK_RETRIES = 2


def wallet_of(player_id: int) -> WalletState:
    """Return the player's wallet, computed from ledger and ratings. Two queries."""
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
    # Answering reviews is playing, but earns nothing.
    ratings = ReviewRating.objects.filter(player_id=player_id).order_by("-position")
    played += ratings.values_list("received_at", flat=True)[:1]
    return WalletState(
        total_xp=max(0, sum(int(xp) for _kind, _day, _first, xp, _last in rows)),
        current_streak=held.days,
        last_success_date=held.last,
        last_played_at=max(played, default=None),
    )


def streak_at(state: WalletState, now: datetime) -> CurrentStreak:
    """Return the wallet's streak at that aware time (`progress.streak`)."""
    held = streak.as_of(
        Streak(state.current_streak, state.last_success_date), calendar.day_of(now)
    )
    too_late = streak.first_day_too_late(held)
    return CurrentStreak(
        days=held.days,
        ends_at=None if too_late is None else calendar.beginning_of(too_late),
    )


def subject_of(player_id: int, subject_id: str) -> SubjectProgress:
    """Return the player's progress in a subject from the ledger. One query."""
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
    """Return whether a first completion was paid, and the best hearts. One query.

    By the lesson, not its bit: in another subject a moved lesson has a new bit without
    progress, but its first completion and its records are paid once.
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
    """Return the hash of a client's key that the ledger stores."""
    return hashlib.sha256(idempotency_key.encode()).hexdigest()


def first_with_key(player_id: int, idempotency_key: str) -> InteractionLog | None:
    """Return the row that the player's request with that key recorded. One query."""
    return InteractionLog.objects.filter(
        player_id=player_id, idempotency_key=key_hash(idempotency_key)
    ).first()


def has_key(player_id: int, key_hash: str) -> bool:
    """Return whether a row has that hash of an idempotency key. One query."""
    rows = InteractionLog.objects.filter(player_id=player_id)
    return bool(rows.filter(idempotency_key=key_hash).exists())


def completed_of(player_id: int, lesson_ids: Collection[str]) -> set[str]:
    """Return those of the lessons that the player has completed. One query."""
    rows = InteractionLog.objects.filter(player_id=player_id)
    return set(rows.filter(first_of__in=lesson_ids).values_list("first_of", flat=True))


def connect() -> None:
    """Check that the database answers, before Redis is changed.

    No statement if the connection is known to be good.

    Raises:
        DatabaseError: it does not answer.
    """
    connection.close_if_health_check_failed()
    connection.ensure_connection()


def append(row: InteractionLog) -> None:
    """Commit one row. One statement.

    Raises:
        IntegrityError: a row with the same idempotency key, first completion or record
            exists, or a batch of ratings with this key.
        RuntimeError: a transaction is open. Its rollback would remove the row after
            Redis was updated.
    """
    for _retry in range(_DEADLOCK_RETRIES):
        try:
            _insert(row)
        except OperationalError as error:
            # MariaDB ends one of several concurrent inserts of a key as a deadlock.
            if error.args[:1] != (_DEADLOCK,):
                raise
        else:
            return
    _insert(row)


def _insert(row: InteractionLog) -> None:
    if connection.in_atomic_block:
        with transaction.atomic(durable=True):
            _insert_unless_key_of_ratings(row)
    else:
        _insert_unless_key_of_ratings(row)


def _insert_unless_key_of_ratings(row: InteractionLog) -> None:
    """Insert the row, and look for its key in the log of ratings, in one statement."""
    fields: list[Any] = [
        field for field in InteractionLog._meta.concrete_fields if not field.primary_key
    ]
    quote = connection.ops.quote_name
    statement = (
        f"INSERT INTO {quote(InteractionLog._meta.db_table)} "  # noqa: S608 - own names
        f"({', '.join(quote(field.column) for field in fields)}) "
        f"SELECT {', '.join(['%s'] * len(fields))} FROM (SELECT 1) AS one "
        f"WHERE NOT EXISTS (SELECT 1 FROM {quote(ReviewRating._meta.db_table)} "
        "WHERE player_id = %s AND idempotency_key = %s)"
    )
    values = [
        field.get_db_prep_save(getattr(row, field.attname), connection)
        for field in fields
    ]
    with connection.cursor() as cursor:
        cursor.execute(statement, [*values, row.player_id, row.idempotency_key])
        if not cursor.rowcount:
            raise IntegrityError("a batch of ratings has this key")


def add_correction(
    *, player_id: int, xp: int, reason: str, actor_id: int, now: datetime
) -> WalletState:
    """Record XP that a member of staff gives, or (negative) takes away.

    Part of the caller's transaction, which holds the lock on the player. After the
    commit the wallet in Redis is deleted; after a crash in between, its mark expires
    with it. The next reader rebuilds it.

    Returns:
        The wallet with the correction.

    Raises:
        InvalidCorrectionError: ``xp`` is 0, the reason is empty, or more XP is taken
            than the player has.
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
