"""Completions of an earlier system, added to the ledger; see docs/deploy.md.

Lines are read in chunks. Each chunk is one transaction with the rows that are not in
the ledger yet, so an import may stop at any line and be repeated: the event id of a row
is made of what its line says.
"""

import csv
import hashlib
from collections import Counter, defaultdict
from collections.abc import (
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field
from datetime import datetime, time
from enum import StrEnum
from functools import partial
from typing import Any, NamedTuple, Protocol
from zoneinfo import ZoneInfo

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Q

from content.kinds import Kind
from content.models import Node
from core.batches import batches
from core.db import retry_on_conflict
from players import bulk_records
from players.local_days import LocalDays
from players.models import Enrollment, PlayerProfile
from players.records import StoreUnavailableError
from players.services import selection
from progress import xp
from progress.models import InteractionLog, InteractionType
from progress.services import decisions, ledger
from publishing import api
from publishing.api import LessonEntry, NotPublishedError, PlanStructure

log = structlog.get_logger(__name__)

COLUMNS = ("player", "lesson", "completed_at", "hearts")
CHUNK = 5_000
"""Lines of one transaction."""


class Fault(StrEnum):
    """Why a line is not imported."""

    UNKNOWN_PLAYER = "unknown_player"
    UNKNOWN_LESSON = "unknown_lesson"
    NOT_IN_PLAN = "lesson_not_in_plan"
    INVALID_TIME = "invalid_time"
    FUTURE_TIME = "future_time"
    INVALID_HEARTS = "invalid_hearts"
    DUPLICATE = "duplicate"


class MissingColumnsError(Exception):
    """The first line does not name the four columns."""


class Line(NamedTuple):
    """A line of the file, as text; ``number`` counts from 1, the header included."""

    number: int
    player: str
    lesson: str
    completed_at: str
    hearts: str


@dataclass(slots=True)
class Imported:
    """What was done, or in a dry run would be.

    ``recorded`` counts lines that an earlier run has added, ``xp`` the XP of those that
    are added now. ``redis_is_away``: records of players were not deleted, so their
    figures may be old until the next reconciliation.
    """

    lines: int = 0
    added: int = 0
    recorded: int = 0
    xp: int = 0
    faults: Counter[Fault] = field(default_factory=Counter)
    redis_is_away: bool = False


class Reporter(Protocol):
    """Takes each line that is not imported, with the reason."""

    def __call__(self, line: Line, fault: Fault) -> None: ...


def read_lines(text: Iterable[str]) -> Iterator[Line]:
    """Yield the lines of a CSV file with a header; other columns are ignored.

    Raises:
        MissingColumnsError: the header lacks one of `COLUMNS`.
    """
    rows = csv.reader(text)
    header = [name.strip().casefold() for name in next(rows, [])]
    if not set(COLUMNS) <= set(header):
        raise MissingColumnsError
    places = [header.index(name) for name in COLUMNS]
    for cells in rows:
        if cells:
            values = [cells[at].strip() if at < len(cells) else "" for at in places]
            yield Line(rows.line_num, *values)


def import_lines(
    lines: Iterable[Line],
    *,
    is_dry_run: bool,
    with_xp: bool,
    now: datetime,
    report: Reporter,
    progress: Callable[[int], None] = lambda _done: None,
) -> Imported:
    """Add completions to the ledger. Safe to stop and to repeat, also while players play.

    About ten queries for each chunk, and one insert for each 500 rows. A lesson's first
    completion is the first one that is added; within a chunk, the earliest.

    Args:
        with_xp: a first completion earns what the rules give for its hearts, with a new
            record; later ones earn nothing. False: all earn nothing.
        report: called for each line that is not imported.
        progress: called after each chunk with the number of lines.

    Raises:
        DatabaseError: the database does not answer; earlier chunks are committed.
    """
    done = Imported()
    chunk: list[Line] = []
    for line in lines:
        chunk.append(line)
        if len(chunk) == CHUNK:
            _import_chunk(chunk, done, is_dry_run, with_xp, now, report)
            chunk.clear()
            progress(done.lines)
    _import_chunk(chunk, done, is_dry_run, with_xp, now, report)
    log.info("progress_imported", added=done.added, lines=done.lines)
    return done


@dataclass(frozen=True, slots=True)
class _Completion:
    player_id: int
    lesson: LessonEntry
    at: datetime
    days: LocalDays
    hearts: int

    @property
    def event_id(self) -> str:
        told = (self.player_id, self.lesson.id, self.at.isoformat(), self.hearts)
        return hashlib.sha256(f"migrate_progress {told}".encode()).hexdigest()


def _import_chunk(
    lines: Sequence[Line],
    done: Imported,
    is_dry_run: bool,
    with_xp: bool,
    now: datetime,
    report: Reporter,
) -> None:
    if not lines:
        return
    completions: dict[str, _Completion] = {}
    mapped = _Mapping(lines)
    for line in lines:
        found = mapped.completion(line, now)
        fault = found if isinstance(found, Fault) else None
        if isinstance(found, _Completion):
            event_id = found.event_id
            if event_id in completions:
                fault = Fault.DUPLICATE
            else:
                completions[event_id] = found
        if fault is not None:
            done.faults[fault] += 1
            report(line, fault)
    rows = retry_on_conflict(partial(_add, completions, is_dry_run, with_xp, now))
    if rows and not is_dry_run:
        try:
            bulk_records.drop_wallets(sorted({row.player_id for row in rows}))
        except StoreUnavailableError as error:
            log.warning("records_not_dropped", error=type(error).__name__)
            done.redis_is_away = True
    done.lines += len(lines)
    done.added += len(rows)
    done.recorded += len(completions) - len(rows)
    done.xp += sum(row.xp for row in rows)


# --- What the lines are about ---------------------------------------------------------


class _Player(NamedTuple):
    plans: list[str]
    days: LocalDays


class _Mapping:
    """The players and lessons of a chunk. Five queries; releases are cached."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self._keys = selection.named(list({line.player for line in lines}))
        self._players = _players(self._keys.values())
        lessons = Node.objects.filter(
            kind=Kind.LESSON, public_id__in={line.lesson for line in lines}
        )
        self._lessons = set(lessons.values_list("public_id", flat=True))
        self._plans: dict[str, PlanStructure | None] = {}

    def completion(self, line: Line, now: datetime) -> _Completion | Fault:
        """Return what a line says, or what is wrong with it."""
        player_id = self._keys.get(line.player)
        player = self._players.get(player_id or 0)
        if player_id is None or player is None:
            return Fault.UNKNOWN_PLAYER
        lesson = self._lesson(line.lesson, player.plans)
        if lesson is None:
            is_known = line.lesson in self._lessons
            return Fault.NOT_IN_PLAN if is_known else Fault.UNKNOWN_LESSON
        at = _time(line.completed_at, ZoneInfo(player.days.zone))
        if at is None:
            return Fault.INVALID_TIME
        if at > now:
            return Fault.FUTURE_TIME
        if line.hearts not in _HEARTS:
            return Fault.INVALID_HEARTS
        return _Completion(player_id, lesson, at, player.days, int(line.hearts))

    def _lesson(self, lesson_id: str, plan_ids: Sequence[str]) -> LessonEntry | None:
        for plan_id in plan_ids:
            if plan_id not in self._plans:
                self._plans[plan_id] = _plan(plan_id)
            plan = self._plans[plan_id]
            if plan is not None and lesson_id in plan.lessons:
                return plan.lessons[lesson_id]
        return None


def _plan(plan_id: str) -> PlanStructure | None:
    try:
        return api.load_plan(plan_id)
    except NotPublishedError:
        return None


_HEARTS = frozenset(str(hearts) for hearts in range(1, xp.MAX_HEARTS + 1))


def _players(keys: Iterable[int]) -> dict[int, _Player]:
    """Return the players' plans, the active one first, and their time zones."""
    found: dict[int, _Player] = {}
    active: dict[int, str | None] = {}
    for some in batches(sorted(set(keys))):
        players = PlayerProfile.objects.filter(pk__in=some).values_list(
            *("pk", "active_plan__public_id", "time_zone", "earlier_time_zones")
        )
        for pk, plan_id, *zones in players:
            days = LocalDays.from_stored(*zones, default=settings.STREAK_TIME_ZONE)
            found[pk] = _Player([], days)
            active[pk] = plan_id
        enrolled = Enrollment.objects.filter(player_id__in=some).order_by("pk")
        for pk, plan_id in enrolled.values_list("player_id", "plan__public_id"):
            place = 0 if plan_id == active[pk] else len(found[pk].plans)
            found[pk].plans.insert(place, plan_id)
    return found


def _time(text: str, zone: ZoneInfo) -> datetime | None:
    """Return an ISO 8601 time; without an offset in this zone, a date as its noon."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    if len(text) == len("2026-03-02"):
        at = datetime.combine(at, time(12))
    try:
        return at.astimezone(zone) if at.tzinfo else at.replace(tzinfo=zone)
    except OverflowError:
        return None


# --- Adding rows ----------------------------------------------------------------------


@transaction.atomic
def _add(
    completions: Mapping[str, _Completion],
    is_dry_run: bool,
    with_xp: bool,
    now: datetime,
) -> list[InteractionLog]:
    """Insert the completions that are not in the ledger, and return their rows."""
    if not completions:
        return []
    ids = {one.player_id for one in completions.values()}
    # Nobody else can add rows of these players until the commit.
    left = set(ledger.lock(ids))
    known = _known(completions)
    new = sorted(
        (one.at, event_id)
        for event_id, one in completions.items()
        if one.player_id in left and event_id not in known
    )
    wanted = [(event_id, completions[event_id]) for _at, event_id in new]
    rows = _rows(wanted, with_xp=with_xp, now=now)
    if not is_dry_run:
        for some in batches(rows):
            ledger.insert_new(some)
    return rows


def _rows(
    wanted: Sequence[tuple[str, _Completion]], *, with_xp: bool, now: datetime
) -> list[InteractionLog]:
    ids = {one.player_id for _event_id, one in wanted}
    heads = ledger.heads_of(ids)
    best = _best_hearts({(one.player_id, one.lesson.id) for _event_id, one in wanted})
    rows = []
    for event_id, one in wanted:
        seq = heads[one.player_id] = heads.get(one.player_id, 0) + 1
        key = one.player_id, one.lesson.id
        is_first = key not in best
        best[key] = max(best.get(key, 0), one.hearts)
        rows.append(
            InteractionLog(
                player_id=one.player_id,
                seq=seq,
                type=InteractionType.LESSON_COMPLETED,
                reference_id=one.lesson.id,
                subject_id=one.lesson.subject_id,
                bit_index=one.lesson.bit_index,
                hearts=one.hearts,
                best_hearts=best[key],
                xp=_xp(one) if is_first and with_xp else 0,
                first_of=one.lesson.id if is_first else None,
                data=_DATA,
                day=one.days.day_of(one.at),
                event_id=event_id,
                occurred_at=one.at,
                received_at=now,
            )
        )
    return rows


def _known(completions: Mapping[str, _Completion]) -> set[str]:
    """Return those of the events that are in the ledger."""
    pairs = {(one.player_id, event_id) for event_id, one in completions.items()}
    return {
        event_id
        for some in _by_player(pairs)
        for (event_id,) in _rows_of("event_id", some, "event_id")
    }


def _best_hearts(pairs: Collection[tuple[int, str]]) -> dict[tuple[int, str], int]:
    """Return the best hearts of players in lessons that they have completed."""
    completed: set[tuple[int, str]] = {
        pair
        for some in _by_player(pairs)
        for pair in _rows_of("first_of", some, "player_id", "first_of")
    }
    columns = ("player_id", "reference_id", "best_hearts")
    best: dict[tuple[int, str], int] = {}
    for some in _by_player(completed):
        for player_id, lesson_id, hearts in _rows_of("reference_id", some, *columns):
            key = player_id, lesson_id
            best[key] = max(hearts or 0, best.get(key, 0))
    return best


def _by_player(
    pairs: Collection[tuple[int, str]],
) -> Iterator[list[tuple[int, list[str]]]]:
    """Yield the players of the pairs with their values, up to 500 at once."""
    values: dict[int, list[str]] = defaultdict(list)
    for player_id, value in sorted(pairs):
        values[player_id].append(value)
    yield from map(list, batches(list(values.items())))


def _rows_of(
    field: str, values: Sequence[tuple[int, list[str]]], *columns: str
) -> Iterable[Any]:
    """Return columns of the rows of players with these values of a field.

    One range of an index for each: the product of all players and values would be too
    many.
    """
    condition = Q()
    for player_id, some in values:
        condition |= Q(("player_id", player_id), (f"{field}__in", some))
    rows: Iterable[Any] = ledger.whole(
        lambda rows: rows.filter(condition).values_list(*columns)
    )
    return rows


_DATA: dict[str, Any] = {"source": "migrate_progress"}


def _xp(one: _Completion) -> int:
    return xp.earned(
        base_xp=one.lesson.base_xp,
        hearts=one.hearts,
        is_first=True,
        is_record=True,
        rates=decisions.rates(),
    )
