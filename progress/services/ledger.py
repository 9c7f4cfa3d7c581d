"""Reading the ledger, and adding rows; see docs/architecture.md, "Ledger".

Rows are only added (`progress.models.InteractionLog`). Their positions are 1, 2, 3 … for
each player: a row is inserted at the position after the state that it was decided on,
and the database refuses it if another row is there. Every read is one statement, or
takes the last position first and reads no later rows, so its result is the state at one
position.

The rows of closed seasons are in a table of their own (`progress.services.seasons`). The
last row of a player never is. Sums of the archived rows are in baselines; what needs the
rows themselves reads both tables (`whole`).
"""

import hashlib
import secrets
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from types import NoneType
from typing import Any, NamedTuple

import orjson
from django.db import (
    IntegrityError,
    InterfaceError,
    OperationalError,
    connection,
    transaction,
)
from django.db.models import (
    Count,
    F,
    Field,
    IntegerField,
    Max,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
    Value,
)
from django.db.models.functions import Coalesce, TruncHour

from core.db import (
    is_connection_lost,
    is_duplicate_error,
    is_foreign_key_error,
    is_null_error,
)
from players.models import PlayerProfile
from players.player_state import LastPlayed, SubjectProgress, WalletState
from progress import bitmap, streak
from progress.models import (
    PROGRESS_TYPES,
    ArchivedInteraction,
    BaselineSubject,
    Interaction,
    InteractionLog,
    InteractionType,
)

_DEADLOCKS = ((1213,), (1467,))
"""MariaDB's errors for a deadlock; the second is one on the lock of AUTO_INCREMENT."""
_DEADLOCK_RETRIES = 2


class PositionTakenError(Exception):
    """A row with this position, event id or first completion exists."""


class PlayerDeletedError(Exception):
    """The player has been deleted."""


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


def wallet_of(player_id: int) -> WalletState:
    """Return the player's wallet, computed from the ledger. One query."""
    return wallets_of([player_id])[player_id]


def wallets_of(player_ids: Sequence[int]) -> dict[int, WalletState]:
    """Return the wallets of these players, computed from the ledger. One query."""
    wallets = dict.fromkeys(player_ids, WalletState())
    if not wallets:
        return wallets
    for player_id, days in _days(wallets):
        wallets[player_id] = _wallet(days)
    return wallets


# One row for each player and day; the rows without a day are corrections of XP. Texts
# and integers, because conversions of times and decimals take longer than the query.
_DAYS = """
SELECT player_id, CAST(day AS CHAR), COUNT(CASE WHEN type = %s THEN 1 END), MAX(seq),
  CAST(SUM(xp) AS SIGNED),
  CAST(MAX(CASE WHEN type NOT IN (%s, %s, %s, %s) THEN occurred_at END) AS CHAR),
  CAST(SUM(freezes) AS SIGNED),
  CAST(SUM(CASE WHEN type IN (%s, %s) THEN -freezes ELSE 0 END) AS SIGNED),
  CAST(SUM(CASE WHEN type = %s THEN freezes ELSE 0 END) AS SIGNED),
  CAST(MAX(last_day) AS CHAR)
FROM {table} WHERE player_id IN ({players}) GROUP BY player_id, day
"""
# All days of the archived rows, in one text (`archived_days`); a count of -1 marks it.
_BASELINES = """
UNION ALL SELECT player_id, CAST(days AS CHAR), -1, seq, 0, NULL, 0, 0, 0, NULL
FROM progress_baseline WHERE player_id IN ({players})
"""
_TYPES = (
    InteractionType.LESSON_COMPLETED,
    # Nothing was played.
    *(InteractionType.STREAK_PAUSED, InteractionType.FREEZE_GIVEN),
    *(InteractionType.FREEZE_SPENT, InteractionType.FREEZE_RETURNED),
    *(InteractionType.FREEZE_SPENT, InteractionType.FREEZE_RETURNED),
    InteractionType.FREEZE_GIVEN,
)


class _Day(NamedTuple):
    """The sums of a player's rows of one day; ``day`` is None for those without one.

    ``frozen`` is 1 on a day whose freeze was spent and not given back; ``off_until`` is
    the last of the days off that begin with it.
    """

    player_id: int
    day: str | None
    completions: int
    last: int
    xp: int
    played: str | None
    freezes: int
    frozen: int
    given: int
    off_until: str | None

    def plus(self, other: "_Day") -> "_Day":
        """Return the sums of both parts of the day's rows."""
        return _Day(
            self.player_id,
            self.day,
            self.completions + other.completions,
            max(self.last, other.last),
            self.xp + other.xp,
            max(self.played or "", other.played or "") or None,
            self.freezes + other.freezes,
            self.frozen + other.frozen,
            self.given + other.given,
            max(self.off_until or "", other.off_until or "") or None,
        )


def _days(player_ids: Collection[int]) -> Iterator[tuple[int, list[_Day]]]:
    """Yield the days of each of these players who has rows. One query."""
    for player_id, days in _grouped_days(player_ids, _DAYS + _BASELINES):
        if days[0].completions >= 0:
            yield player_id, days
            continue
        whole: dict[str | None, _Day] = {}
        for one in [*_unpacked_days(days[0]), *days[1:]]:
            whole[one.day] = whole[one.day].plus(one) if one.day in whole else one
        yield player_id, list(whole.values())


def _grouped_days(
    player_ids: Collection[int], statement: str, table: str = "progress_interactionlog"
) -> Iterator[tuple[int, list[_Day]]]:
    # Not parameters: to quote them takes as long as the rest.
    numbers = ", ".join(map(str, map(int, player_ids)))
    with connection.cursor() as cursor:
        cursor.execute(
            statement.format(table=table, players=numbers) + "ORDER BY 1, 3", _TYPES
        )
        for player_id, days in groupby(cursor.fetchall(), itemgetter(0)):
            yield player_id, [_Day(*row) for row in days]


def archived_days(player_ids: Collection[int]) -> dict[int, tuple[int, str]]:
    """Return the last position of the archived rows of players, and their days as JSON.

    One query. A player without archived rows is left out.

    The JSON has a list of the values of each `_Day` without the player and without
    zeros at the end. The first one has the sums that are not about a day.
    """
    return {
        player_id: (max(one.last for one in days), _packed_days(days))
        for player_id, days in _grouped_days(
            player_ids, _DAYS, ArchivedInteraction._meta.db_table
        )
    }


def _packed_days(days: Sequence[_Day]) -> str:
    own = sorted((one for one in days if one.day), key=lambda one: one.day or "")
    xp, freezes = sum(one.xp for one in days), sum(one.freezes for one in days)
    played = max((one.played for one in own if one.played), default=None)
    packed = []
    for number, one in enumerate(own or days[:1]):
        sums = (0, 0, None, 0) if number else (0, xp, played, freezes)
        values = [one.day, min(one.completions, 1), *sums, *one[7:]]
        while not values[-1] and len(values) > 1:
            values.pop()
        packed.append(values)
    return orjson.dumps(packed).decode()


def _unpacked_days(baseline: _Day) -> Iterator[_Day]:
    zeros = (None, 0, 0, 0, None, 0, 0, 0, None)
    for number, values in enumerate(orjson.loads(baseline.day or "[]")):
        one = _Day(baseline.player_id, *values, *zeros[len(values) :])
        yield one._replace(last=baseline.last) if number == 0 else one


def _wallet(days: Collection[_Day]) -> WalletState:
    history = _history(days)
    freezes = max(0, sum(one.freezes for one in days))
    current = streak.of_history(history, freezes)
    played = max((one.played or "" for one in days if one.day), default="")
    return WalletState(
        seq=max(one.last for one in days),
        total_xp=max(0, sum(one.xp for one in days)),
        current_streak=current.days,
        last_success_date=current.last,
        last_played_at=datetime.fromisoformat(f"{played}+00:00") if played else None,
        freezes=freezes,
        frozen_days=streak.shown(history.frozen, current.last),
    )


def streak_history(player_id: int) -> streak.History:
    """Return what is recorded of the player's streak. One query."""
    for _player, days in _days([player_id]):
        return _history(days)
    return streak.History()


def _history(days: Collection[_Day]) -> streak.History:
    successes: set[date] = set()
    frozen: set[date] = set()
    off: set[date] = set()
    given: dict[date, int] = {}
    for one in days:
        if one.day is None:
            continue
        day = date.fromisoformat(one.day)
        if one.completions:
            successes.add(day)
        if one.frozen > 0:
            frozen.add(day)
        if one.given:
            given[day] = one.given
        if one.off_until is not None:
            off.update(streak.days_of(day, date.fromisoformat(one.off_until)))
    return streak.History(successes, frozen, off, given)


def subjects_of_player(
    player_id: int, subject_ids: Collection[str], seq: int
) -> dict[str, SubjectProgress]:
    """Return the player's progress in each subject at a position. One query, or none."""
    if not subject_ids:
        return {}
    found = _subjects(Q(player_id=player_id, seq__lte=seq, subject_id__in=subject_ids))
    nothing = 0, SubjectProgress()
    return {one: found.get((player_id, one), nothing)[1] for one in subject_ids}


def subjects_at(
    positions: Mapping[tuple[int, str], int],
) -> dict[tuple[int, str], SubjectProgress]:
    """Return the progress of players in subjects, each at a position. One query.

    For many subjects, `subjects_of` is much faster.

    Args:
        positions: by player and subject.
    """
    found = dict.fromkeys(positions, SubjectProgress())
    if not found:
        return found
    condition = Q()
    for (player_id, subject_id), seq in positions.items():
        condition |= Q(player_id=player_id, seq__lte=seq, subject_id=subject_id)
    rows = _subjects(condition)
    return found | {key: progress for key, (_last, progress) in rows.items()}


def subjects_of(
    wanted: Collection[tuple[int, str]],
) -> dict[tuple[int, str], tuple[int, SubjectProgress]]:
    """Return the progress of players in subjects, as it is now. One query, or none.

    Args:
        wanted: player and subject of each.

    Returns:
        The position of the last row of `PROGRESS_TYPES`, and the progress with it. A
        subject without such rows is left out.
    """
    if not wanted:
        return {}
    # More than is wanted, when players differ in their subjects: a condition for each
    # pair takes longer.
    found = _subjects(
        Q(
            player_id__in={player_id for player_id, _subject in wanted},
            subject_id__in={subject_id for _player, subject_id in wanted},
        )
    )
    return {key: one for key, one in found.items() if key in wanted and one[0]}


def _subjects(condition: Q) -> dict[tuple[int, str], tuple[int, SubjectProgress]]:
    """Return the progress, and the last completion's position; 0: only failures.

    Of the rows and the baselines with this condition. One query.
    """
    nothing = Value(None, output_field=IntegerField())
    baselines = (
        BaselineSubject.objects.filter(condition)
        .order_by()
        .values_list(
            *("player_id", "subject_id", "last_played_bit", "xp", "seq", "last_seq"),
            *("last_played_at", nothing, nothing, nothing),
            *("progress_bitmap", "hearts"),
        )
    )
    found = _unpacked_subjects(
        _grouped(InteractionLog, condition).union(baselines, all=True)
    )
    return {key: (one.seq, one.progress) for key, one in found.items()}


class ArchivedSubject(NamedTuple):
    """A player's progress in a subject from rows, and the positions of the last ones.

    ``seq`` is that of the last row of `PROGRESS_TYPES`, 0 without one; ``last_seq`` that
    of any type.
    """

    seq: int
    last_seq: int
    progress: SubjectProgress


def archived_subjects(
    player_ids: Collection[int],
) -> dict[tuple[int, str], ArchivedSubject]:
    """Return the progress of the archived rows of these players. One query."""
    return _unpacked_subjects(
        _grouped(ArchivedInteraction, Q(player_id__in=player_ids))
    )


def subject_heads(
    condition: Q, received_before: datetime | None = None
) -> dict[tuple[int, str], tuple[int, int | None]]:
    """Return the position of the last row of `PROGRESS_TYPES` in each subject.

    One query.

    Args:
        condition: on ``player_id``.

    Returns:
        By player and subject: the position, and that of the last row received before
        the time; None without one. Archived rows count as received before it.
    """
    settled = Q(received_at__lt=received_before) if received_before else Q(pk__in=[])
    rows = InteractionLog.objects.filter(condition, type__in=PROGRESS_TYPES)
    baselines = BaselineSubject.objects.filter(condition, seq__gt=0).order_by()
    none = Value(None, output_field=IntegerField())
    archived = F("seq") if received_before else none
    found: dict[tuple[int, str], tuple[int, int | None]] = {}
    for player_id, subject_id, last, before in (
        rows.order_by()
        .values_list("player_id", "subject_id")
        .annotate(last=Max("seq"), before=Max("seq", filter=settled))
        .union(
            baselines.values_list("player_id", "subject_id", "seq", archived), all=True
        )
    ):
        key = player_id, subject_id
        one, other = found.get(key, (0, None))
        positions = [at for at in (before, other) if at is not None]
        found[key] = max(last, one), max(positions, default=None)
    return found


def _grouped(model: type[Interaction], condition: Q) -> Any:
    """Return the rows by progress bit; the last two columns are those of a baseline."""
    types = (*PROGRESS_TYPES, InteractionType.LESSON_FAILED)
    return (
        model.objects.filter(condition, type__in=types)
        .order_by()
        .values_list("player_id", "subject_id", "bit_index")
        .annotate(
            earned=Sum("xp"),
            last=Max("seq", filter=Q(type__in=PROGRESS_TYPES)),
            last_row=Max("seq"),
            at=Max("occurred_at", filter=Q(type__in=_ATTEMPTS)),
            **best_hearts(),
            base_bitmap=Value(""),
            base_hearts=Value(""),
        )
    )


class _Subject:
    """The sums of one subject's rows and baseline."""

    def __init__(self) -> None:
        self.seq = self.last_seq = self.xp = 0
        self.base: dict[int, int] = {}
        self.best: dict[int, int | None] = {}
        self.played: LastPlayed | None = None

    def found(self) -> ArchivedSubject:
        best = self.base | self.best
        return ArchivedSubject(
            self.seq,
            self.last_seq,
            bitmap.pack(
                {bit: most for bit, most in best.items() if most is not None},
                xp=self.xp,
                last_played=self.played,
            ),
        )

    def add_hearts(self, bit: int, hearts: Sequence[int | None]) -> None:
        """Add the aggregates of `best_hearts` of rows that are not archived."""
        last_reset = hearts[-1]
        now = hearts_now(*hearts)
        if last_reset is not None:
            # What was before the reset does not count.
            self.best[bit] = now
        elif now is not None:
            self.best[bit] = max(now, self.base.get(bit, 0))


def _unpacked_subjects(
    rows: Iterable[tuple[Any, ...]],
) -> dict[tuple[int, str], ArchivedSubject]:
    found: dict[tuple[int, str], _Subject] = defaultdict(_Subject)
    # Baselines first.
    for player_id, subject_id, bit, xp, last, last_row, at, *values in sorted(
        rows, key=itemgetter(-2), reverse=True
    ):
        *hearts, base_bitmap, base_hearts = values
        one = found[player_id, subject_id]
        one.xp += int(xp)
        one.seq, one.last_seq = max(one.seq, last or 0), max(one.last_seq, last_row)
        one.base |= bitmap.unpack(base_bitmap, base_hearts)
        if bit is None:
            continue
        if at is not None:
            attempt = LastPlayed(at, bit)
            one.played = max(one.played or attempt, attempt)
        one.add_hearts(bit, hearts)
    return {key: one.found() for key, one in found.items()}


_ATTEMPTS = (InteractionType.LESSON_COMPLETED, InteractionType.LESSON_FAILED)
_HEARTS = 8
"""More than the most hearts."""


def best_hearts() -> dict[str, Any]:
    """Return the aggregates that `hearts_now` takes, of rows of one progress bit."""
    is_reset = Q(type=InteractionType.LESSON_RESET)
    is_pass = Q(
        type__in=(InteractionType.LESSON_COMPLETED, InteractionType.LESSON_GRANTED)
    )
    return {
        "most": Max("best_hearts"),
        # The position of the last row that passed the lesson, and its best hearts.
        "last_pass": Max(F("seq") * _HEARTS + F("best_hearts"), filter=is_pass),
        "last_reset": Max("seq", filter=is_reset),
    }


def hearts_now(
    most: int | None, last_pass: int | None, last_reset: int | None
) -> int | None:
    """Return the best hearts on a progress bit; None: it is not set.

    Best hearts never fall, unless the lesson is reset. After a reset, those of the last
    row that passed the lesson count.
    """
    if last_pass is None:
        return None
    if last_reset is None:
        return most
    seq, hearts = divmod(last_pass, _HEARTS)
    return hearts if seq > last_reset else None


def subjects_after(player_id: int, seq: int) -> set[str]:
    """Return the subjects of the rows after a position. One query."""
    rows = InteractionLog.objects.filter(player_id=player_id, seq__gt=seq).order_by()
    archived = BaselineSubject.objects.filter(player_id=player_id, last_seq__gt=seq)
    found = rows.values_list("subject_id").union(archived.values_list("subject_id"))
    return {subject_id for (subject_id,) in found}


def lesson_histories(
    player_id: int, lesson_ids: Collection[str]
) -> dict[str, tuple[bool, int]]:
    """Return whether a first completion was paid, and the most hearts. One query.

    Of the player's own completions, also those before a reset.

    By the lesson, not its bit: in another subject a moved lesson has a new bit without
    progress, but its first completion and its records are paid once. A lesson that was
    never completed is left out.
    """
    found: dict[str, tuple[bool, int]] = {}
    for lesson_id, most in whole(
        lambda rows: (
            rows.filter(
                player_id=player_id,
                reference_id__in=lesson_ids,
                type=InteractionType.LESSON_COMPLETED,
            )
            .values_list("reference_id")
            .annotate(Max("best_hearts"))
        )
    ):
        found[lesson_id] = True, max(most or 0, found.get(lesson_id, (True, 0))[1])
    return found


@dataclass(frozen=True, slots=True)
class Paid:
    """What was paid of some lessons: first completions, and repeats by lesson and day.

    A repeat is a completion that is neither the lesson's first nor a record.
    """

    firsts: frozenset[str]
    repeats: Counter[tuple[str, date]]


def paid_of(
    player_id: int, lesson_ids: Collection[str], days: Collection[date]
) -> Paid:
    """Return the first completions of lessons, and their repeats on days. One query."""
    columns = ("reference_id", "day", "first_of", "data")
    completed = Q(player_id=player_id, type=InteractionType.LESSON_COMPLETED)
    repeated = Q(day__in=days, reference_id__in=lesson_ids, first_of=None, xp__gt=0)
    # Parts, because each has its index.
    parts = [
        model.objects.order_by().filter(completed, condition).values_list(*columns)
        for model in (InteractionLog, ArchivedInteraction)
        for condition in (Q(first_of__in=lesson_ids), repeated)
    ]
    found = list(parts[0].union(*parts[1:], all=True))
    return Paid(
        frozenset(first_of for _lesson, _day, first_of, _data in found if first_of),
        Counter(
            (lesson_id, day)
            for lesson_id, day, first_of, data in found
            if first_of is None and not data["answer"]["is_new_record"]
        ),
    )


def client_event(idempotency_key: str) -> str:
    """Return the event id of a request with the client's key."""
    return hashlib.sha256(idempotency_key.encode()).hexdigest()


def server_event() -> str:
    """Return the event id of a request without a key."""
    return secrets.token_hex(32)


def completed_of(player_id: int, lesson_ids: Collection[str]) -> set[str]:
    """Return those of the lessons that the player has completed. One query."""
    rows = whole(
        lambda rows: rows.filter(
            player_id=player_id, first_of__in=lesson_ids
        ).values_list("first_of")
    )
    return {lesson_id for (lesson_id,) in rows}


def event(player_id: int, event_id: str) -> InteractionLog | None:
    """Return the row that the player's event recorded, archived or not. One query."""
    names = [field.attname for field in _fields()]
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
    names = [field.attname for field in _fields()]
    rows = list(InteractionLog.objects.filter(condition).order_by("-seq")[:count])
    older = ArchivedInteraction.objects.filter(condition).order_by("-seq")
    rows += [
        InteractionLog(**dict(zip(names, row, strict=True)))
        for row in older.values_list(*names)[:count]
    ]
    # A row that moved in between is found twice.
    found = {row.seq: row for row in rows}
    return [found[seq] for seq in sorted(found, reverse=True)][:count]


# --- Adding rows ------------------------------------------------------------


def append(rows: Sequence[InteractionLog]) -> None:
    """Commit rows at their positions, all or none. One statement.

    When the connection breaks during the commit, the rows are looked up by the first
    one's event id.

    Raises:
        PositionTakenError: another row has a position, event id or first completion.
        PlayerDeletedError: the player has been deleted.
        OperationalError, InterfaceError: the database is away. The rows may be
            committed only if the look-up failed, too.
        RuntimeError: a transaction is open. Its rollback would remove the rows after
            Redis was updated.
    """
    for attempt in range(_DEADLOCK_RETRIES + 1):
        try:
            if connection.in_atomic_block:
                with transaction.atomic(durable=True):
                    insert(rows)
            else:
                insert(rows)
        except IntegrityError as error:
            raise conflict(error) from error
        except (OperationalError, InterfaceError) as error:
            if is_connection_lost(error):
                connection.close()
                if event(rows[0].player_id, rows[0].event_id) is None:
                    raise
                return
            # MariaDB ends one of several concurrent inserts of a key as a deadlock.
            if error.args[:1] not in _DEADLOCKS or attempt == _DEADLOCK_RETRIES:
                raise
        else:
            return


def append_in_transaction(rows: Sequence[InteractionLog]) -> None:
    """Add rows at their positions, as part of the caller's transaction.

    Raises:
        PositionTakenError, PlayerDeletedError: see `append`; the caller's transaction
            is still usable.
    """
    try:
        with transaction.atomic():
            insert(rows)
    except IntegrityError as error:
        raise conflict(error) from error


def conflict(error: IntegrityError) -> Exception:
    """Return what an insert's error means: another request was first, or no player."""
    is_archived = is_null_error(error) and "event_id" in str(error)
    if is_duplicate_error(error) or is_archived:
        return PositionTakenError()
    if is_foreign_key_error(error):
        return PlayerDeletedError()
    return error


def insert(rows: Sequence[InteractionLog]) -> None:
    """Insert rows of one player with one statement: half the cost of ``Model.save``.

    The constraints of the table do not know archived rows. So the statement looks for
    the events and first completions in the archive, and gives the first row no event id
    if it finds one. ``INSERT … SELECT`` would lock the table's next key against all
    other writers on MariaDB.

    Raises:
        IntegrityError: see `conflict`.
    """
    into, marks, guarded, archive = _statement(connection.vendor)
    values = _values(rows)
    known: list[Any] = []
    conditions = []
    for name in ("event_id", "first_of"):
        own = [one for row in rows if (one := getattr(row, name)) is not None]
        if own:
            conditions.append(
                f"EXISTS (SELECT 1 FROM {archive} "  # noqa: S608 - marks
                f"WHERE player_id = %s AND {name} IN ({', '.join(['%s'] * len(own))}))"
            )
            known += [rows[0].player_id, *own]
    first = guarded.replace("{guard}", " OR ".join(conditions))
    place = [name for name, _adapt in _columns(connection.vendor)].index("event_id")
    statement = f"{into} VALUES {', '.join([first, *[marks] * (len(rows) - 1)])}"
    with connection.cursor() as cursor:
        cursor.execute(statement, [*values[:place], *known, *values[place:]])


def insert_new(rows: Sequence[InteractionLog]) -> None:
    """Insert rows of any players, who are locked; none of them is archived.

    Raises:
        IntegrityError: see `conflict`.
    """
    into, marks, _guarded, _archive = _statement(connection.vendor)
    with connection.cursor() as cursor:
        cursor.execute(f"{into} VALUES {', '.join([marks] * len(rows))}", _values(rows))


def _values(rows: Sequence[InteractionLog]) -> list[Any]:
    return [
        value
        if type(value := getattr(row, name)) in _STORED_AS_THEY_ARE
        else adapt(value)
        for row in rows
        for name, adapt in _columns(connection.vendor)
    ]


_STORED_AS_THEY_ARE = (int, str, NoneType)
"""Types whose values no field of the ledger changes for the database."""


@lru_cache(maxsize=4)
def _columns(_vendor: str) -> list[tuple[str, Callable[[Any], Any]]]:
    """Return the attribute of each column, and how its value becomes the database's.

    Django's fields first convert times and details from what a form may contain.
    """
    own: dict[str, Callable[[Any], Any]] = {
        "data": lambda value: orjson.dumps(value).decode(),
        "occurred_at": connection.ops.adapt_datetimefield_value,
        "received_at": connection.ops.adapt_datetimefield_value,
        "device_time": connection.ops.adapt_datetimefield_value,
        "day": connection.ops.adapt_datefield_value,
    }
    return [
        (field.attname, own.get(field.name) or _by_field(field)) for field in _fields()
    ]


def _by_field(field: "Field[Any, Any]") -> Callable[[Any], Any]:
    return lambda value: field.get_db_prep_save(value, connection)


def _fields() -> "list[Field[Any, Any]]":
    return [
        field for field in InteractionLog._meta.concrete_fields if not field.primary_key
    ]


@lru_cache(maxsize=4)
def _statement(_vendor: str) -> tuple[str, str, str, str]:
    """Return the INSERT without its values, the marks of a row, and the archive.

    And the marks of a row without an event id if its ``{guard}`` is true.
    """
    quote = connection.ops.quote_name
    names = [field.column or "" for field in _fields()]
    marks = ["%s"] * len(names)
    guarded = [
        "CASE WHEN {guard} THEN NULL ELSE %s END" if name == "event_id" else "%s"
        for name in names
    ]
    table, archive = (
        quote(model._meta.db_table) for model in (InteractionLog, ArchivedInteraction)
    )
    into = f"INSERT INTO {table} ({', '.join(map(quote, names))})"
    return into, f"({', '.join(marks)})", f"({', '.join(guarded)})", archive
