"""Closing a season: its rows move, and everything else stays as it was."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core.idempotency import IdempotencyConflictError
from core.redis_client import client
from core.statement_guard import AppendOnlyError
from plans.models import Season
from players.services import erasure, export, wallet
from progress.errors import NoHeartsError
from progress.models import (
    ArchivedInteraction,
    ArchivedRating,
    Baseline,
    BaselineSubject,
    ClosedSeason,
    InteractionLog,
    PlayerLesson,
    PlayerQuestion,
    ReviewCard,
    ReviewRating,
    ReviewWatermark,
)
from progress.services import (
    comparison,
    grants,
    ledger,
    lesson_counting,
    player_report,
    reviews,
    seasons,
    snapshots,
    sync_state,
    writing,
)
from tests.progress.conftest import MONDAY

pytestmark = pytest.mark.django_db

LATER = timedelta(days=60)


@pytest.fixture
def season(db) -> Season:
    return Season.objects.create(title="2025-2026")


@pytest.fixture
def close(season):
    """Close the season 60 days after Monday: everything of before is archived."""

    def close(**options: Any) -> seasons.Moved:
        options.setdefault("until", None)
        return seasons.close(season, now=MONDAY + LATER, **options)[1]

    return close


def positions(model: Any) -> list[int]:
    return list(model.objects.order_by("seq").values_list("seq", flat=True))


def test_all_rows_but_the_last_one_move(student, finish, close):
    for day, place in enumerate(["0-0", "0-1", "0-1"]):
        finish(place, day=day)
    moved = close()
    assert (moved.players, moved.ledger) == (1, 2)
    assert (positions(ArchivedInteraction), positions(InteractionLog)) == ([1, 2], [3])
    assert ClosedSeason.objects.get().finished_at is not None


def test_rows_received_after_the_end_stay(student, finish, close):
    for day in (0, 50, 51):
        finish("0-0", day=day)
    assert close().ledger == 1
    assert positions(InteractionLog) == [2, 3]


def test_ratings_move_and_cards_stay(student, finish, rate, close):
    finish("0-0")
    rate(("Q1-MATH-0-0", 3), day=1)
    rate(("Q1-MATH-0-0", 1), day=2)
    card = ReviewCard.objects.get(item_id="Q1-MATH-0-0")
    assert close().ratings == 1
    assert ArchivedRating.objects.get().card == card
    assert ReviewRating.objects.get().position == 2
    assert ReviewCard.objects.get(item_id="Q1-MATH-0-0").state == card.state


def test_the_archive_is_append_only(student, finish, close):
    finish("0-0", day=0)
    finish("0-1", day=1)
    close()
    with pytest.raises(AppendOnlyError), connection.cursor() as cursor:
        cursor.execute("DELETE FROM progress_archivedinteraction")


def test_nothing_changes_for_the_student(student, finish, close, redis_client):
    for day, (place, hearts) in enumerate([("0-0", 3), ("0-0", 5), ("0-1", 2)]):
        finish(place, hearts, day=day)
    before = shown(student.pk)
    close()
    assert shown(student.pk) == before
    redis_client.flushdb()
    assert shown(student.pk) == before


def test_the_first_answer_is_given_to_a_repeat_of_an_archived_request(
    student, finish, close
):
    first = finish("0-0", 4, key="once")
    with pytest.raises(NoHeartsError):
        finish("0-1", 0, key="none")
    finish("0-1", day=1)
    close()
    assert finish("0-0", 4, key="once", day=70) == first
    with pytest.raises(NoHeartsError):
        finish("0-1", 0, key="none", day=70)
    with pytest.raises(IdempotencyConflictError):
        finish("0-0", 5, key="once", day=70)
    assert positions(InteractionLog) == [3]


def test_an_insert_does_not_lock_the_next_key_of_the_table(student, finish):
    """INSERT … SELECT would, on MariaDB: all writers would wait for each other."""
    with CaptureQueriesContext(connection) as captured:
        finish("0-0")
    [insert] = [
        query["sql"]
        for query in captured.captured_queries
        if query["sql"].startswith("INSERT")
    ]
    assert insert.index("VALUES") < insert.index("SELECT")


def test_the_first_answer_is_given_to_a_repeat_of_archived_ratings(
    student, finish, rate, close
):
    finish("0-0")
    first = rate(("Q1-MATH-0-0", 3), key="once")
    rate(("Q1-MATH-0-0", 3), day=1)
    close()
    assert rate(("Q1-MATH-0-0", 3), key="once") == first
    assert ReviewRating.objects.count() == 1


def test_a_first_completion_is_not_paid_again_in_another_subject(
    student, plan, finish, close
):
    finish("0-0", 5)
    finish("0-1", 5, day=1)
    close()
    # The lesson has a new bit: its progress stays behind, its first completion does not.
    BaselineSubject.objects.all().delete()
    writing.from_ledger(student.pk)
    assert finish("0-0", 5, day=70).is_first_completion is False
    row = InteractionLog.objects.order_by("-seq")[0]
    assert (row.seq, row.first_of, row.best_hearts) == (3, None, 5)


def test_a_late_day_joins_archived_days_of_the_streak(student, finish, close):
    for day in (0, 1, 3, 4):
        finish("0-0", day=day)
    close()
    assert finish("0-0", day=2).streak.new == 5
    assert ledger.wallet_of(student.pk).current_streak == 5


def test_repeats_of_an_archived_day_are_counted(student, finish, close):
    finish("0-0", 5)
    assert finish("0-0", 5).xp_earned == 20
    finish("0-1", day=1)
    close()
    assert finish("0-0", 5).xp_earned == 0


def test_a_late_rating_replays_archived_ones(student, finish, rate, close):
    finish("0-0")
    finish("0-1")
    for number, day in enumerate((1, 5, 6)):
        rate((f"Q1-MATH-0-{number % 2}", 3), day=day)
    other = shown(student.pk)
    close()
    assert shown(student.pk) == other
    rate(("Q1-MATH-0-0", 1), day=70, at=MONDAY + timedelta(days=2))
    rated = ReviewCard.objects.get(item_id="Q1-MATH-0-0")
    assert rated.last_reviewed_at == MONDAY + timedelta(days=6)


def test_a_release_with_new_items_meets_them_in_archived_lessons(
    student, plan, finish, due, close
):
    finish("0-0")
    finish("0-1", day=1)
    close()
    assert len(due(day=70)) == 4
    ReviewCard.objects.all().delete()

    ReviewWatermark.objects.update(items_version="")
    assert len(due(day=70)) == 4


def test_statistics_are_counted_anew_with_the_archive(student, finish, rate, close):

    def counted() -> list[Any]:
        lessons = PlayerLesson.objects.order_by("lesson_id")
        questions = PlayerQuestion.objects.order_by("item_id")
        return [
            *lessons.values_list("lesson_id", "attempts", "hearts", "passed_at"),
            *questions.values_list("item_id", "failures"),
        ]

    finish("0-0", 3)
    finish("0-0", 5, day=1)
    rate(("Q1-MATH-0-0", 1), day=2)
    rate(("Q1-MATH-0-0", 1), day=3)
    lesson_counting.sync_pending()
    before = counted()
    close()
    lesson_counting.rebuild([[student.pk]], total=1)
    assert counted() == before


def test_snapshots_are_written_anew_with_the_archive(student, finish, close):
    finish("0-0")
    finish("0-1", day=1)
    snapshots.sync_pending()
    close()
    assert comparison.compare([student.pk]).differences == []
    snapshots.rebuild([[student.pk]], total=1)
    snapshots.sync_pending(force=True)
    assert comparison.compare([student.pk]).differences == []


def test_an_erasure_reaches_the_archive(student, finish, rate, close):
    finish("0-0")
    rate(("Q1-MATH-0-0", 1), day=2)
    rate(("Q1-MATH-0-0", 1), day=3)
    finish("0-1", day=4)
    close()
    erasure.erase(player_id=student.pk, now=MONDAY + LATER)
    for model in (ArchivedInteraction, ArchivedRating, Baseline, BaselineSubject):
        assert not model.objects.exists()


def test_an_erasure_pseudonymises_a_kept_archive(student, finish, close, settings):
    settings.ERASED_LEDGER = "pseudonymise"
    finish("0-0", key="once")
    finish("0-1", day=1)
    close()
    erasure.erase(player_id=student.pk, now=MONDAY + LATER)
    row = ArchivedInteraction.objects.get()
    assert (row.data, row.event_id, row.xp) == ({}, f"erased-{row.pk}", 35)
    assert row.received_at.hour == 0


def test_an_export_contains_the_archive(student, finish, close):
    finish("0-0")
    finish("0-1", day=1)
    close()
    exported = export.export_player(player_id=student.pk, now=MONDAY + LATER)
    assert [row["seq"] for row in exported["archived_ledger"]] == [1]
    assert [row["seq"] for row in exported["ledger"]] == [2]


def test_support_reads_archived_rows(student, finish, close):
    for day in range(3):
        finish("0-0", day=day)
    close()
    report = player_report.load(student.pk, subject_id="", now=MONDAY + LATER)
    assert [line.row.seq for line in report.timeline.lines] == [3, 2, 1]
    [lesson] = [step.facts for step in report.tree if step.facts]
    assert (lesson.times, lesson.first_at) == (3, MONDAY)


def test_a_dry_run_counts_and_moves_nothing(student, finish, close):
    finish("0-0")
    finish("0-1", day=1)
    lesson_counting.sync_pending()
    assert close(is_dry_run=True) == seasons.Moved(1, 1, 0)
    assert not ArchivedInteraction.objects.exists()
    assert not ClosedSeason.objects.exists()


def test_rows_of_the_last_days_cannot_be_archived(close):
    with pytest.raises(seasons.SeasonError):
        close(until=MONDAY + LATER)


def test_a_closed_season_keeps_its_end(close):
    close(until=MONDAY)
    with pytest.raises(seasons.SeasonError):
        close(until=MONDAY + timedelta(days=1))
    assert close() == seasons.Moved()


def test_a_season_ends_after_those_that_are_closed(close):
    close(until=MONDAY)
    other = Season.objects.create(title="2024-2025")
    with pytest.raises(seasons.SeasonError):
        seasons.close(other, until=MONDAY - timedelta(days=1), now=MONDAY + LATER)


def test_the_season_that_was_closed_last_is_restored(student, season, finish, close):
    for day in range(3):
        finish("0-0", day=day)
    before = shown(student.pk)
    close()
    assert seasons.restore(season).ledger == 2
    assert positions(InteractionLog) == [1, 2, 3]
    assert shown(student.pk) == before
    for model in (ArchivedInteraction, Baseline, BaselineSubject, ClosedSeason):
        assert not model.objects.exists()


def test_an_earlier_season_stays_archived_when_a_later_one_is_restored(
    student, season, finish, close
):
    for day in range(4):
        finish("0-0", day=day)
    close(until=MONDAY + timedelta(days=2))
    other = Season.objects.create(title="2026-2027")
    seasons.close(other, until=None, now=MONDAY + LATER)
    assert positions(ArchivedInteraction) == [1, 2, 3]
    with pytest.raises(seasons.SeasonError):
        seasons.restore(season)
    before = shown(student.pk)
    seasons.restore(other)
    assert positions(ArchivedInteraction) == [1, 2]
    assert shown(student.pk) == before


def test_an_app_that_was_away_gets_what_was_archived_since(student, finish, close):
    device = uuid4()

    def sync(since: str | None) -> Any:
        return sync_state.of_player(
            player_id=student.pk, device_id=device, since=since, now=MONDAY + LATER
        )

    finish("0-0")
    token = sync(None).token
    finish("0-1", day=1)
    finish("0-1", day=2)
    finish("0-1", day=3)
    close()
    changed = sync(token)
    assert not changed.is_complete
    assert set(changed.subjects) == {"SUBJ-MATH"}
    assert {card.lesson_id for card in changed.cards} == {"LES-MATH-0-1"}


@pytest.mark.parametrize("is_reset_before", [True, False])
def test_a_reset_counts_before_and_after_the_end(
    student, finish, close, is_reset_before
):
    finish("0-0")
    finish("0-1", day=1)
    change(student, grants.Change.RESET, day=2 if is_reset_before else 59)
    before = shown(student.pk)
    assert before["state"]["SUBJ-MATH"].passed == 1
    close()
    assert shown(student.pk) == before
    assert finish("0-1", 2, day=61).is_first_completion is False
    state = ledger.subjects_of_player(student.pk, ["SUBJ-MATH"], 4)["SUBJ-MATH"]
    assert (state.passed, state.hearts) == (2, b"\x05\x05")


def change(student, kind: grants.Change, *, day: int) -> None:
    grants.apply(
        player_id=student.pk,
        node_id="LES-MATH-0-1",
        change=kind,
        reason="why",
        actor_id=student.user_id,
        now=MONDAY + timedelta(days=day),
    )
    client().flushdb()  # as after the commit


# --- The same with and without the archive --------------------------------------------


def shown(player_id: int) -> dict[str, Any]:
    """Everything that is shown of a player, and what decisions are made of."""
    now = MONDAY + LATER
    lessons = [f"LES-MATH-{unit}-{n}" for unit in range(2) for n in range(2)]
    reviews.overview(player_id=player_id, now=now)
    seq = ledger.head(player_id)
    state = ledger.subjects_of_player(player_id, ["SUBJ-MATH"], seq)
    held = wallet.get(player_id)
    assert held == ledger.wallet_of(player_id)
    assert writing.read_subject(player_id, "SUBJ-MATH") == (seq, state["SUBJ-MATH"])
    report = player_report.load(player_id, subject_id="", now=now)
    sync = sync_state.of_player(
        player_id=player_id, device_id=DEVICE, since=None, now=now
    )
    assert sync is not None
    cards = ReviewCard.objects.filter(player_id=player_id).order_by("item_id")
    return {
        "wallet": held,
        "state": state,
        "histories": ledger.lesson_histories(player_id, lessons),
        "completed": ledger.completed_of(player_id, lessons),
        "streak": ledger.streak_history(player_id),
        "ledger": [
            (line.row.seq, line.row.type, line.row.xp, line.row.data)
            for line in report.timeline.lines
        ],
        "tree": report.tree,
        "subjects": report.subjects,
        "cards": list(cards.values_list("item_id", "met_at", "state", "due_at")),
        "sync": sync.subjects,
        "next": sync.next_seq,
    }


DEVICE = UUID("7d0b3c1e-5a4f-4c1b-9e0d-2f6a8b1c3d5e")
