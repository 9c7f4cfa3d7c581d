"""Counting the logs in the statistics of lessons: every row, once."""

import random
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import OperationalError
from django.db.models import Sum

from players.models import PlayerProfile, User, WriteBackRun
from players.services import erasure
from progress.models import (
    InteractionLog,
    LessonStatistics,
    PlayerLesson,
    PlayerQuestion,
    QuestionStatistics,
    ReviewCard,
    ReviewRating,
    StatisticsWatermark,
)
from progress.services import lesson_counting
from tests.commands import run, run_json
from tests.factories.progress import make_card, make_interaction, make_rating
from tests.progress.conftest import MONDAY, enrolled
from tests.progress.services.test_concurrency import at_once

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


class Died(BaseException):
    """A process that was killed."""


@pytest.fixture(autouse=True)
def clock():
    """Rows are received at the time of the runs."""
    with time_machine.travel(MONDAY, tick=False) as traveller:
        yield traveller


def attempt(player, lesson: str, hearts: int, at: datetime = MONDAY) -> None:
    """Add an attempt to the ledger; 0 hearts fail."""
    seq = InteractionLog.objects.filter(player=player).count() + 1
    make_interaction(
        player,
        seq=seq,
        type="lesson_completed" if hearts else "lesson_failed",
        reference_id=lesson,
        hearts=hearts,
        occurred_at=at,
        received_at=datetime.now(MONDAY.tzinfo),
    )


def answer(player, item: str, rating: int, lesson: str = "LES-1") -> None:
    card = ReviewCard.objects.filter(player=player, item_id=item, lesson_id=lesson)
    position = ReviewRating.objects.filter(player=player).count() + 1
    make_rating(
        card.first() or make_card(player, item, lesson_id=lesson),
        position,
        rating=rating,
        received_at=datetime.now(MONDAY.tzinfo),
    )


def lessons() -> dict[tuple[str, int], tuple[int, ...]]:
    """The sums by lesson and plan, without those that are 0."""
    names = ("started", "passed", "at_once", "in_hour", "in_day", "in_week")
    names = (*names, "attempts", "completions", "hearts")
    rows = LessonStatistics.objects.values_list("lesson_id", "plan_number", *names)
    return {(one, plan): tuple(sums) for one, plan, *sums in rows if any(sums)}


def questions() -> dict[tuple[str, str, int], tuple[int, int]]:
    names = ("lesson_id", "item_id", "plan_number", "failures", "players")
    rows = QuestionStatistics.objects.values_list(*names)
    return {
        (lesson, item, plan): (failures, players)
        for lesson, item, plan, failures, players in rows
        if failures or players
    }


def naive_lessons(plans: dict[int, int]) -> dict[tuple[str, int], tuple[int, ...]]:
    """The same sums, computed from the whole ledger for each player and lesson."""
    found: Counter[tuple[str, int, str]] = Counter()
    rows = InteractionLog.objects.exclude(type="xp_corrected")
    for player, lesson in set(rows.values_list("player_id", "reference_id")):
        mine = list(rows.filter(player_id=player, reference_id=lesson))
        done = [row for row in mine if row.type == "lesson_completed"]
        key = (lesson, plans[player])
        found[*key, "started"] += 1
        found[*key, "attempts"] += len(mine)
        found[*key, "completions"] += len(done)
        found[*key, "hearts"] += sum(row.hearts for row in done)
        if done:
            taken = min(row.occurred_at for row in done) - min(
                row.occurred_at for row in mine
            )
            found[*key, "passed"] += 1
            found[*key, "at_once"] += taken == timedelta(0)
            found[*key, "in_hour"] += timedelta(0) < taken <= HOUR
            found[*key, "in_day"] += HOUR < taken <= 24 * HOUR
            found[*key, "in_week"] += 24 * HOUR < taken <= 7 * 24 * HOUR
    names = ("started", "passed", "at_once", "in_hour", "in_day", "in_week")
    names = (*names, "attempts", "completions", "hearts")
    keys = {(lesson, plan) for lesson, plan, _name in found}
    return {key: tuple(found[*key, name] for name in names) for key in keys}


def naive_questions(plans: dict[int, int]) -> dict[tuple[str, str, int], tuple]:
    failures: Counter[tuple[str, str, int]] = Counter()
    players: dict[tuple[str, str, int], set[int]] = {}
    for row in ReviewRating.objects.filter(rating=1):
        key = (row.lesson_id, row.item_id, plans[row.player_id])
        failures[key] += 1
        players.setdefault(key, set()).add(row.player_id)
    return {key: (failures[key], len(players[key])) for key in failures}


def test_a_player_is_counted_once_in_a_lesson(student, plan):
    attempt(student, "LES-1", 0)
    attempt(student, "LES-1", 3, MONDAY + HOUR / 2)
    attempt(student, "LES-1", 5, MONDAY + 3 * HOUR)
    assert lesson_counting.sync_pending().synced == 1
    assert lessons() == {("LES-1", plan.pk): (1, 1, 0, 1, 0, 0, 3, 2, 8)}
    assert lesson_counting.sync_pending().synced == 0
    assert lessons() == {("LES-1", plan.pk): (1, 1, 0, 1, 0, 0, 3, 2, 8)}


def test_a_late_row_of_an_earlier_time_changes_when_the_lesson_was_passed(
    student, plan, clock
):
    attempt(student, "LES-1", 4, MONDAY)
    lesson_counting.sync_pending()
    assert lessons() == {("LES-1", plan.pk): (1, 1, 1, 0, 0, 0, 1, 1, 4)}
    # A week later a phone that was offline sends what happened two days before.
    clock.shift(timedelta(days=7))
    attempt(student, "LES-1", 0, MONDAY - timedelta(days=2))
    lesson_counting.sync_pending()
    assert lessons() == {("LES-1", plan.pk): (1, 1, 0, 0, 0, 1, 2, 1, 4)}
    row = PlayerLesson.objects.get()
    assert (row.first_at, row.passed_at) == (MONDAY - timedelta(days=2), MONDAY)


def test_corrections_of_xp_are_no_attempts(student):
    make_interaction(
        student, type="xp_corrected", reference_id="wallet", received_at=MONDAY
    )
    lesson_counting.sync_pending()
    assert lessons() == {}


def test_failed_reviews_are_counted_by_question(student, plan):
    other = enrolled(plan, "badr@example.com")
    for player, item, rating in (
        *((student, "Q1", 1), (student, "Q1", 1), (student, "Q1", 3)),
        *((student, "Q2", 4), (other, "Q1", 1)),
    ):
        answer(player, item, rating)
    lesson_counting.sync_pending()
    assert questions() == {("LES-1", "Q1", plan.pk): (3, 2)}
    assert PlayerQuestion.objects.count() == 2


def test_a_lesson_stays_with_the_plan_it_was_counted_for(student, plan):
    attempt(student, "LES-1", 0)
    lesson_counting.sync_pending()
    PlayerProfile.objects.filter(pk=student.pk).update(active_plan=None)
    attempt(student, "LES-1", 4, MONDAY + HOUR)
    attempt(student, "LES-2", 4)
    lesson_counting.sync_pending()
    assert lessons() == {
        ("LES-1", plan.pk): (1, 1, 0, 1, 0, 0, 2, 1, 4),
        ("LES-2", 0): (1, 1, 1, 0, 0, 0, 1, 1, 4),
    }
    run("rebuild_lesson_statistics")
    assert {plan_number for _lesson, plan_number in lessons()} == {plan.pk, 0}


def grow(players: list[PlayerProfile], chance: random.Random) -> None:
    """Add attempts and answers of some players, of any time in the last days."""
    for player in players:
        for _number in range(chance.randint(0, 4)):
            at = MONDAY - timedelta(minutes=chance.choice([0, 30, 600, 5000, 20000]))
            lesson = f"LES-{chance.randint(1, 3)}"
            if chance.random() < 0.3:
                rating = chance.choice([1, 1, 3])
                answer(player, f"Q{chance.randint(1, 2)}", rating, lesson)
            else:
                attempt(player, lesson, chance.choice([0, 0, 2, 5]), at)


def steps() -> list[str]:
    """The functions of a run; a process may be killed before and after each."""
    return [
        *("_marks", "_heads", "_attempts", "_failures", "_plans", "_lessons"),
        *("_write_lessons", "_write_questions", "_add", "_delete", "upsert"),
    ]


def kill_at(patched: Any, step: str, *, call: int, after: bool) -> None:
    real, calls = getattr(lesson_counting, step), Counter[str]()

    def die(*args: Any, **kwargs: Any) -> Any:
        calls[step] += 1
        result = real(*args, **kwargs) if after or calls[step] != call else None
        if calls[step] == call:
            raise Died
        return result

    patched.setattr(lesson_counting, step, die)


@pytest.mark.parametrize("seed", range(5))
def test_runs_that_are_killed_anywhere_count_every_row_once(
    student, plan, monkeypatch, seed
):
    chance = random.Random(seed)
    players = [student, *(enrolled(plan, f"s{n}@example.com") for n in range(3))]
    plans = {player.pk: plan.pk for player in players}
    monkeypatch.setattr(lesson_counting, "CHUNK", 2)
    for _round in range(12):
        grow(players, chance)
        dies = chance.random() < 0.6
        with monkeypatch.context() as patched:
            if dies:
                kill_at(
                    patched,
                    chance.choice(steps()),
                    call=chance.randint(1, 3),
                    after=chance.random() < 0.5,
                )
            try:
                if chance.random() < 0.2:
                    lesson_counting.rebuild([list(plans)], total=len(plans))
                else:
                    lesson_counting.sync_pending()
            except Died:
                continue
        if not dies:
            assert lessons() == naive_lessons(plans)
            assert questions() == naive_questions(plans)
    lesson_counting.sync_pending()
    assert lessons() == naive_lessons(plans)
    assert questions() == naive_questions(plans)


def test_a_chunk_that_the_database_refuses_is_counted_by_the_next_run(
    student, plan, monkeypatch
):
    attempt(student, "LES-1", 5)

    def away(*_args: Any, **_kwargs: Any) -> None:
        raise OperationalError

    with monkeypatch.context() as patched:
        patched.setattr(lesson_counting, "upsert", away)
        assert lesson_counting.sync_pending().errors == 1
    assert lessons() == {}
    assert lesson_counting.sync_pending().synced == 1
    assert lessons() == {("LES-1", plan.pk): (1, 1, 1, 0, 0, 0, 1, 1, 5)}


def test_the_rebuild_repairs_tables_that_were_changed(student, plan):
    attempt(student, "LES-1", 5)
    answer(student, "Q1", 1)
    lesson_counting.sync_pending()
    right = lessons(), questions()
    LessonStatistics.objects.update(started=70)
    LessonStatistics.objects.create(lesson_id="LES-9", started=3)
    PlayerLesson.objects.update(attempts=9)
    QuestionStatistics.objects.all().delete()
    PlayerQuestion.objects.update(failures=9)
    said, code = run_json("rebuild_lesson_statistics")
    assert (said["ok"], code) == (True, 0)
    assert (lessons(), questions()) == right


def test_the_rebuild_of_one_player_leaves_the_others(student, plan):
    other = enrolled(plan, "badr@example.com")
    attempt(student, "LES-1", 5)
    attempt(other, "LES-1", 0)
    lesson_counting.sync_pending()
    right = lessons()
    PlayerLesson.objects.filter(player=student).update(attempts=9)
    run("rebuild_lesson_statistics", str(student.pk))
    assert lessons() == right


def test_a_rebuild_whose_database_refuses_says_how_many_remain(student, monkeypatch):
    attempt(student, "LES-1", 5)

    def away(*_args: Any, **_kwargs: Any) -> None:
        raise OperationalError

    monkeypatch.setattr(lesson_counting, "_count", away)
    said, code = run_json("rebuild_lesson_statistics")
    assert (said["ok"], said["remaining"], code) == (False, 1, 1)


@pytest.mark.parametrize("fate", ["delete", "pseudonymise"])
def test_an_erased_student_is_counted_no_more(student, plan, settings, fate):
    settings.ERASED_LEDGER = fate
    other = enrolled(plan, "badr@example.com")
    for player in (student, other):
        attempt(player, "LES-1", 5)
        answer(player, "Q1", 1)
    lesson_counting.sync_pending()
    erasure.erase(player_id=student.pk, actor_id=None, now=MONDAY)
    left = {("LES-1", plan.pk): (1, 1, 1, 0, 0, 0, 1, 1, 5)}
    for _again in range(2):
        assert lessons() == left
        assert questions() == {("LES-1", "Q1", plan.pk): (1, 1)}
        assert set(StatisticsWatermark.objects.values_list("pk")) == {(other.pk,)}
        lesson_counting.sync_pending(force=True)
        lesson_counting.rebuild([[student.pk, other.pk]], total=2)


def test_a_deleted_account_is_counted_no_more(student):
    attempt(student, "LES-1", 5)
    lesson_counting.sync_pending()
    student.user.delete()
    assert lessons() == {}


@pytest.mark.parametrize("players", [1, 40])
def test_a_chunk_takes_a_fixed_number_of_statements(
    plan, players, django_assert_num_queries
):
    users = User.objects.bulk_create(
        User(email=f"s{n}@example.com") for n in range(players)
    )
    made = PlayerProfile.objects.bulk_create(PlayerProfile(user=one) for one in users)
    for player in made:
        attempt(player, f"LES-{player.pk}", 4)
        answer(player, "Q1", 1, f"LES-{player.pk}")
    lesson_counting.sync_pending()
    for player in made:
        attempt(player, f"LES-{player.pk}", 4)
        answer(player, "Q1", 1, f"LES-{player.pk}")
    # The last run; who is behind (2); the savepoint (2); the players; the run's row;
    # positions and last positions (3); attempts and failures (2); plans; rows of
    # players (2), written (2); sums (2), written (2); positions; at last the run.
    with django_assert_num_queries(23):
        assert lesson_counting.sync_pending().synced == 2 * players
    assert LessonStatistics.objects.filter(attempts=2).count() == players


@pytest.mark.mariadb
@pytest.mark.django_db(transaction=True)
def test_runs_at_the_same_time_count_every_row_once(plan):
    players = [enrolled(plan, f"s{number}@example.com") for number in range(12)]
    for player in players:
        attempt(player, "LES-1", 4)
        attempt(player, "LES-2", 0)
        answer(player, "Q1", 1)
    WriteBackRun.objects.all().delete()
    results = at_once(
        *[lesson_counting.sync_pending] * 3,
        lambda: erasure.erase(player_id=players[0].pk, actor_id=None, now=MONDAY),
        lambda: lesson_counting.rebuild([[one.pk for one in players]], total=12),
    )
    assert not [result for result in results if isinstance(result, Exception)]
    lesson_counting.sync_pending()
    plans = {player.pk: plan.pk for player in players}
    assert lessons() == naive_lessons(plans)
    assert questions() == naive_questions(plans)
    assert LessonStatistics.objects.aggregate(Sum("started"))["started__sum"] == 22
