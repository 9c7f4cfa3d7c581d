"""Counting the ledger and the log of ratings in the statistics of lessons.

See docs/architecture.md, "Statistics of lessons". One row for each player and lesson
(`PlayerLesson`) has what the player did; one for each lesson and plan
(`LessonStatistics`) has their sums. Both are written in one transaction with the
positions up to which the player's logs are counted (`StatisticsWatermark`), so a run
may stop at any line and be repeated, and every row of a log is counted once. Writers
hold the lock of the run's row, so they add to the sums one after another.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

import structlog
from django.db import DatabaseError, connection, transaction
from django.db.models import Count, Exists, Max, Min, OuterRef, Q, Sum
from django.db.models.functions import Coalesce

from core.batches import batches
from core.db import retry_on_conflict
from core.upsert import insert, upsert
from players import write_back
from players.models import PlayerProfile
from players.write_back import RebuildResult, SyncResult
from progress.lesson_counts import Done, LessonCounts, Pace, counts_of
from progress.models import (
    ArchivedRating,
    InteractionLog,
    InteractionType,
    LessonStatistics,
    PlayerLesson,
    PlayerQuestion,
    QuestionStatistics,
    ReviewRating,
    StatisticsWatermark,
)
from progress.services import ledger

log = structlog.get_logger(__name__)

KIND = "statistics"
CHUNK = 50
"""How many players are counted in one transaction: at most 2,000 lessons of each."""
_ATTEMPTS = (InteractionType.LESSON_COMPLETED, InteractionType.LESSON_FAILED)
_AGAIN = 1
"""The rating of an answer that failed."""
_COMPLETED = Q(type=InteractionType.LESSON_COMPLETED)


class _Position(NamedTuple):
    ledger: int = 0
    ratings: int = 0


class _Lesson(NamedTuple):
    """A row of `PlayerLesson`; ``pk`` is 0 for a new one."""

    plan: int
    done: Done
    pk: int = 0


class _Question(NamedTuple):
    """A row of `PlayerQuestion`; ``pk`` is 0 for a new one."""

    plan: int
    failures: int
    pk: int = 0


_LessonKey = tuple[int, str]
_QuestionKey = tuple[int, str, str]


def sync_pending(
    *,
    force: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> SyncResult:
    """Count what was received since the last run. Safe to run twice, and in parallel.

    Args:
        force: look at every player, as the first run does.
        progress: called after each chunk with how many players are done, of how many.
    """
    return write_back.run(
        KIND,
        changes=_behind,
        write=_count,
        chunk=CHUNK,
        force=force,
        progress=progress,
    )


def rebuild(
    player_ids: Iterable[Sequence[int]],
    *,
    total: int,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> RebuildResult:
    """Count these players anew, then add up all sums anew.

    Safe to run twice, to stop, and while players complete lessons. A player's lessons
    keep the plan that they were counted for. A batch that the database refuses is
    counted in ``remaining``; nothing of it has changed then.

    All rows that the players ever had are read, by `_attempts` and `_failures`. So rows
    that are archived with a closed season must be readable there, else this would lose
    the figures of that season. `sync_pending` needs no archive: a row may be archived
    only once it is counted.

    Args:
        player_ids: batches of players.
        total: how many players there are.
        progress: called after each batch with how many are done, of how many.
    """
    began = time.monotonic()
    written = failed = done = 0
    for part in player_ids:
        for some in batches(part, CHUNK):
            try:
                written += retry_on_conflict(partial(_count, some, anew=True))
            except DatabaseError as error:
                failed += len(some)
                log.error("rebuild_failed", kind=KIND, error=type(error).__name__)
        done += len(part)
        progress(done, total)
    retry_on_conflict(_add_up)
    log.info("statistics_rebuilt", written=written)
    seconds = round(time.monotonic() - began, 3)
    return RebuildResult(written, failed, redis_is_away=False, duration=seconds)


def forget(player_id: int) -> None:
    """Remove a player from all statistics, in the caller's transaction.

    The caller has locked the player.
    """
    write_back.lock_run(KIND)
    lessons, questions = _lessons([player_id]), _questions([player_id])
    _write_lessons(lessons, {})
    _write_questions(questions, {})
    StatisticsWatermark.objects.filter(pk=player_id).delete()


def _behind(since: datetime | None) -> list[int]:
    """Return the players with rows that are not counted, in order. Two queries.

    Args:
        since: rows received before this time are counted; None: look at all players.
    """
    attempts = InteractionLog.objects.filter(type__in=_ATTEMPTS).order_by()
    failures = ReviewRating.objects.filter(rating=_AGAIN).order_by()
    if since is not None:
        marks = StatisticsWatermark.objects.filter(pk=OuterRef("player_id"))
        attempts = attempts.filter(
            ~Exists(marks.filter(ledger_position__gte=OuterRef("seq"))),
            received_at__gte=since,
        )
        failures = failures.filter(
            ~Exists(marks.filter(ratings_position__gte=OuterRef("position"))),
            received_at__gte=since,
        )
    found: set[int] = set()
    for rows in (attempts, failures):
        found.update(rows.values_list("player_id", flat=True).distinct())
    return sorted(found)


@transaction.atomic
def _count(player_ids: Sequence[int], *, anew: bool = False) -> int:
    """Count the new rows of these players; return how many rows of theirs changed.

    A fixed number of statements for a chunk. A player who is erased is left out.

    Args:
        anew: as if nothing were counted yet.
    """
    players = sorted(write_back.lock_players(player_ids))
    write_back.lock_run(KIND)
    counted = {} if anew else _marks(players)
    heads = _heads(players)
    new_lessons = _attempts(_span("seq", counted, heads, "ledger"))
    new_questions = _failures(_span("position", counted, heads, "ratings"))
    plans = _plans(players)

    had = _lessons(players, None if anew else {key[1] for key in new_lessons})
    lessons: dict[_LessonKey, _Lesson] = {}
    for key, done in new_lessons.items():
        old = had.get(key)
        if old is None:
            lessons[key] = _Lesson(plans[key[0]], done)
        else:
            total = done if anew else old.done.plus(done)
            lessons[key] = old._replace(done=total)
    failed = _questions(players, None if anew else {key[1] for key in new_questions})
    questions: dict[_QuestionKey, _Question] = {}
    for place, failures in new_questions.items():
        was = failed.get(place)
        if was is None:
            questions[place] = _Question(plans[place[0]], failures)
        else:
            number = failures if anew else was.failures + failures
            questions[place] = was._replace(failures=number)
    if not anew:
        had = {key: had[key] for key in lessons if key in had}
        failed = {place: failed[place] for place in questions if place in failed}

    written = _write_lessons(had, lessons) + _write_questions(failed, questions)
    upsert(
        StatisticsWatermark,
        ("player_id", "ledger_position", "ratings_position"),
        [(player_id, *heads[player_id]) for player_id in players],
        key=["player_id"],
    )
    return written


# --- Reading the logs, each up to a position -------------------------------------------


def _marks(players: Sequence[int]) -> dict[int, _Position]:
    rows = StatisticsWatermark.objects.filter(pk__in=players)
    values = rows.values_list("pk", "ledger_position", "ratings_position")
    return {pk: _Position(ledger, ratings) for pk, ledger, ratings in values}


def _heads(players: Sequence[int]) -> dict[int, _Position]:
    """Return the last positions of both logs; no later row is read after this."""
    last = {
        name: dict(
            rows.filter(player_id__in=players)
            .order_by()
            .values_list("player_id")
            .annotate(Max(name))
        )
        for rows, name in (
            (InteractionLog.objects, "seq"),
            (ReviewRating.objects, "position"),
        )
    }
    return {
        player_id: _Position(
            last["seq"].get(player_id, 0), last["position"].get(player_id, 0)
        )
        for player_id in players
    }


def _span(
    field: str,
    counted: Mapping[int, _Position],
    heads: Mapping[int, _Position],
    of: str,
) -> Q | None:
    """Return the condition for the rows between two positions; None without any."""
    found = None
    for player_id, head in heads.items():
        first = getattr(counted.get(player_id, _Position()), of)
        last = getattr(head, of)
        if last > first:
            # Ranges of the index of positions: what is counted is not read again.
            bounds = {f"{field}__gt": first, f"{field}__lte": last}
            one = Q(player_id=player_id, **bounds)
            found = one if found is None else found | one
    return found


def _attempts(span: Q | None) -> dict[_LessonKey, Done]:
    if span is None:
        return {}
    found: dict[_LessonKey, Done] = {}
    for player_id, lesson_id, *values in ledger.whole(
        lambda rows: (
            rows.filter(span, type__in=_ATTEMPTS)
            .values_list("player_id", "reference_id")
            .annotate(
                attempts=Count("pk"),
                completions=Count("pk", filter=_COMPLETED),
                all_hearts=Coalesce(Sum("hearts", filter=_COMPLETED), 0),
                first_at=Min("occurred_at"),
                passed_at=Min("occurred_at", filter=_COMPLETED),
            )
        )
    ):
        key, done = (player_id, lesson_id), Done(*values)
        found[key] = found[key].plus(done) if key in found else done
    return found


def _failures(span: Q | None) -> dict[_QuestionKey, int]:
    if span is None:
        return {}
    rows, archived = (
        model.objects.filter(span, rating=_AGAIN)
        .order_by()
        .values_list("player_id", "lesson_id", "item_id")
        .annotate(Count("pk"))
        for model in (ReviewRating, ArchivedRating)
    )
    found: Counter[_QuestionKey] = Counter()
    for player_id, lesson_id, item_id, failures in rows.union(archived, all=True):
        found[player_id, lesson_id, item_id] += failures
    return dict(found)


def _plans(players: Sequence[int]) -> dict[int, int]:
    """Return the primary key of each player's active plan; 0 without one."""
    rows = PlayerProfile.objects.filter(pk__in=players)
    return {
        player_id: plan_id or 0
        for player_id, plan_id in rows.values_list("pk", "active_plan_id")
    }


# --- What is counted -------------------------------------------------------------------


def _lessons(
    players: Sequence[int], lesson_ids: Collection[str] | None = None
) -> dict[_LessonKey, _Lesson]:
    """Return the players' rows, of these lessons or of all. One query."""
    rows = PlayerLesson.objects.filter(player_id__in=players)
    if lesson_ids is not None:
        rows = rows.filter(lesson_id__in=lesson_ids)
    names = ("attempts", "completions", "hearts", "first_at", "passed_at")
    values = rows.values_list("pk", "player_id", "lesson_id", "plan_number", *names)
    return {
        (player_id, lesson_id): _Lesson(plan, Done(*done), pk)
        for pk, player_id, lesson_id, plan, *done in values
    }


def _questions(
    players: Sequence[int], lesson_ids: Collection[str] | None = None
) -> dict[_QuestionKey, _Question]:
    """Return the players' rows, of these lessons or of all. One query."""
    rows = PlayerQuestion.objects.filter(player_id__in=players)
    if lesson_ids is not None:
        rows = rows.filter(lesson_id__in=lesson_ids)
    names = ("player_id", "lesson_id", "item_id", "plan_number", "failures", "pk")
    return {
        (player_id, lesson_id, item_id): _Question(*values)
        for player_id, lesson_id, item_id, *values in rows.values_list(*names)
    }


def _write_lessons(
    before: Mapping[_LessonKey, _Lesson], after: Mapping[_LessonKey, _Lesson]
) -> int:
    """Replace the rows ``before`` by those ``after``, and add the difference to the sums.

    Returns:
        How many rows changed.
    """
    changed = {key: row for key, row in after.items() if before.get(key) != row}
    gone = {key: row for key, row in before.items() if key not in after}
    time_of = connection.ops.adapt_datetimefield_value
    upsert(
        PlayerLesson,
        (
            *("player_id", "lesson_id", "plan_number"),
            *("attempts", "completions", "hearts", "first_at", "passed_at", "pace"),
        ),
        [
            (
                *(*key, plan, done.attempts, done.completions, done.hearts),
                *(time_of(done.first_at), time_of(done.passed_at), int(done.pace)),
            )
            for key, (plan, done, _pk) in sorted(changed.items())
        ],
        key=["player_id", "lesson_id"],
    )
    _delete(PlayerLesson, gone.values())
    sums: dict[tuple[str, int], LessonCounts] = defaultdict(LessonCounts)
    for rows, times in ((before, -1), (after, 1)):
        for key in [*changed, *gone]:
            if key in rows:
                plan, done, _pk = rows[key]
                place = (key[1], plan)
                sums[place] = sums[place].plus(counts_of(done), times=times)
    _add(LessonStatistics, ("lesson_id", "plan_number"), LessonCounts._fields, sums)
    return len(changed) + len(gone)


def _write_questions(
    before: Mapping[_QuestionKey, _Question], after: Mapping[_QuestionKey, _Question]
) -> int:
    """Do the same as `_write_lessons` for failed questions."""
    changed = {key: row for key, row in after.items() if before.get(key) != row}
    gone = {key: row for key, row in before.items() if key not in after}
    upsert(
        PlayerQuestion,
        ("player_id", "lesson_id", "item_id", "plan_number", "failures"),
        [
            (*key, plan, failures)
            for key, (plan, failures, _pk) in sorted(changed.items())
        ],
        key=["player_id", "lesson_id", "item_id"],
    )
    _delete(PlayerQuestion, gone.values())
    sums: dict[tuple[str, str, int], tuple[int, int]] = defaultdict(lambda: (0, 0))
    for rows, times in ((before, -1), (after, 1)):
        for key in [*changed, *gone]:
            if key in rows:
                plan, failures, _pk = rows[key]
                place = (*key[1:], plan)
                total, players = sums[place]
                sums[place] = (total + times * failures, players + times)
    key_fields = ("lesson_id", "item_id", "plan_number")
    _add(QuestionStatistics, key_fields, ("failures", "players"), sums)
    return len(changed) + len(gone)


def _delete(model: Any, rows: Iterable[_Lesson | _Question]) -> None:
    for some in batches([row.pk for row in rows]):
        model.objects.filter(pk__in=some).delete()


def _add(
    model: Any,
    key: Sequence[str],
    fields: Sequence[str],
    differences: Mapping[Any, Iterable[int]],
) -> None:
    """Add to the sums, which nobody else changes meanwhile. Two statements."""
    rows = model.objects.filter(lesson_id__in={place[0] for place in differences})
    held = {
        tuple(values[: len(key)]): values[len(key) :]
        for values in rows.values_list(*key, *fields)
    }
    zeros = (0,) * len(fields)
    wanted = []
    for place, difference in sorted(differences.items()):
        sums = [a + b for a, b in zip(held.get(place, zeros), difference, strict=True)]
        if min(sums) < 0:
            # Somebody has changed the tables by hand. The rebuild repairs it.
            log.warning("statistics_differ", kind=KIND)
        wanted.append((*place, *(max(0, number) for number in sums)))
    upsert(model, (*key, *fields), wanted, key=key)


@transaction.atomic
def _add_up() -> None:
    """Write all sums anew. It reads all rows of players once, in one statement each."""
    write_back.lock_run(KIND)
    lessons = PlayerLesson.objects.order_by().values_list("lesson_id", "plan_number")
    questions = PlayerQuestion.objects.order_by().values_list(
        "lesson_id", "item_id", "plan_number"
    )
    for model, key, fields, rows in (
        (
            LessonStatistics,
            ("lesson_id", "plan_number"),
            LessonCounts._fields,
            lessons.annotate(**lesson_sums()),
        ),
        (
            QuestionStatistics,
            ("lesson_id", "item_id", "plan_number"),
            ("failures", "players"),
            questions.annotate(all_failures=Sum("failures"), players=Count("pk")),
        ),
    ):
        found = list(rows)
        model.objects.all().delete()
        for some in batches(found):
            insert(model, (*key, *fields), some)


def lesson_sums() -> dict[str, Any]:
    """Return the aggregates of `PlayerLesson` in the order of `LessonCounts`."""
    paces = (Pace.AT_ONCE, Pace.IN_HOUR, Pace.IN_DAY, Pace.IN_WEEK)
    return {
        "started": Count("pk"),
        "passed": Count("passed_at"),
        **{pace.name.lower(): Count("pk", filter=Q(pace=pace)) for pace in paces},
        **{f"all_{name}": Sum(name) for name in ("attempts", "completions", "hearts")},
    }
