"""Opening a season: students keep what the setting says, and nothing is paid twice."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import OperationalError

from core.redis_client import client
from plans.models import Season
from players.models import PlayerProfile
from players.services import wallet
from progress.models import (
    InteractionLog,
    InteractionType,
    OpenedSeason,
    PlayerLesson,
    ReviewCard,
    StructureProgress,
)
from progress.services import (
    comparison,
    grants,
    ledger,
    lesson_counting,
    player_report,
    reconciliation,
    season_opening,
    seasons,
    snapshots,
    sync_state,
    wallets,
    writing,
)
from progress.services.season_opening import CARRIES, Opened
from tests.progress.conftest import MONDAY, enrolled

pytestmark = pytest.mark.django_db

SUBJECT = "SUBJ-MATH"


@pytest.fixture
def season(db) -> Season:
    return Season.objects.create(title="2026-2027")


@pytest.fixture
def open_season(season, settings, student, django_capture_on_commit_callbacks):
    """Open the season on a day, with what is kept; the student was there before."""
    PlayerProfile.objects.update(created_at=MONDAY - timedelta(days=300))

    def open_season(*carries: str, day: int = 10, **options) -> Opened:
        settings.SEASON_CARRIES = list(carries)
        now = MONDAY + timedelta(days=day)
        with django_capture_on_commit_callbacks(execute=True):
            return season_opening.open_season(season, clock=lambda: now, **options)[1]

    return open_season


def bits(student) -> bytes:
    return writing.read_subject(student.pk, SUBJECT)[1].bitmap


def test_students_keep_everything_by_default(student, finish, settings, season):
    finish("0-0")
    before = wallet.get(student.pk), bits(student)
    assert season_opening.open_season(season) == ([*CARRIES], Opened())
    assert (wallet.get(student.pk), bits(student)) == before
    assert OpenedSeason.objects.get().finished_at is not None


def test_xp_begins_at_zero(student, finish, open_season):
    finish("0-0")
    assert open_season("progress", "streak") == Opened(1, 1)
    assert wallet.get(student.pk).total_xp == 0
    assert (wallet.get(student.pk).current_streak, bits(student)) == (1, b"\x80")
    assert finish("0-1", 5, day=11).new_total_xp == 35


def test_lessons_can_be_earned_again(student, finish, open_season):
    assert finish("0-0", 5).xp_earned == 35
    finish("0-1", day=1)
    total = wallet.get(student.pk).total_xp
    assert open_season("streak", "xp") == Opened(1, 2)
    assert wallet.get(student.pk).total_xp == total
    progress = writing.read_subject(student.pk, SUBJECT)[1]
    assert (progress.passed, progress.hearts, progress.xp) == (0, b"", 0)
    again = finish("0-0", 5, day=11)
    assert (again.xp_earned, again.is_first_completion) == (35, True)
    assert (again.is_new_record, again.unlocked) == (True, ["LES-MATH-0-1"])
    repeated = finish("0-0", 5, day=12)
    assert (repeated.xp_earned, repeated.is_first_completion) == (20, False)
    assert writing.read_subject(student.pk, SUBJECT)[1].xp == 55


def test_a_lesson_is_earned_once_in_a_season_though_it_is_reset(
    student, finish, open_season
):
    finish("0-0", 5)
    open_season("streak", "xp")
    finish("0-0", 2, day=11)
    reset(student)
    again = finish("0-0", 2, day=12)
    assert (again.is_first_completion, again.is_new_record) == (False, False)


def test_a_lesson_that_is_granted_in_a_season_was_paid_before(
    student, finish, open_season
):
    finish("0-0", 3)
    open_season("streak", "xp")
    reset(student, grants.Change.GRANT)
    assert finish("0-0", 3, day=11).is_first_completion is False


def reset(student, change: grants.Change = grants.Change.RESET) -> None:
    grants.apply(
        player_id=student.pk,
        node_id="LES-MATH-0-0",
        change=change,
        reason="why",
        actor_id=student.user_id,
        now=MONDAY + timedelta(days=11),
        hearts=2,
    )
    client().flushdb()  # as after the commit


def test_a_streak_begins_anew(student, finish, open_season):
    for day in range(3):
        finish("0-0", day=day)
    open_season("progress", "xp", day=3)
    held = wallet.get(student.pk)
    assert (held.current_streak, held.freezes) == (0, 0)
    assert finish("0-0", day=3).streak.new == 1
    assert finish("0-0", day=4).streak.new == 2
    assert wallet.get(student.pk) == ledger.wallet_of(student.pk)


def test_the_day_of_the_opening_counts(student, finish, open_season):
    for day in range(3):
        finish("0-0", day=day)
    open_season("progress", "xp", day=2)
    assert wallet.get(student.pk).current_streak == 1
    assert finish("0-0", day=3).streak.new == 2


def test_a_late_day_of_the_season_before_changes_no_streak(
    student, finish, open_season
):
    for day in (0, 2):
        finish("0-0", day=day)
    open_season("progress", "xp", day=3)
    late = finish("0-0", day=1)
    assert (late.streak.new, late.streak.action) == (0, "unchanged")
    finish("0-0", day=3)
    assert finish("0-0", day=1).streak.new == 1
    assert wallet.get(student.pk) == ledger.wallet_of(student.pk)


def test_freezes_go_with_the_streak(student, finish, open_season, settings):
    settings.STREAK_FREEZE_EVERY_DAYS, settings.STREAK_MOST_FREEZES = 2, 3
    for day in range(2):
        finish("0-0", day=day)
    give_freeze(student, day=2)
    assert wallet.get(student.pk).freezes == 2
    open_season("progress", "xp", day=2)
    assert wallet.get(student.pk).freezes == 0
    assert ledger.streak_history(student.pk).given == {}
    # A freeze that is given in the season counts.
    give_freeze(student, day=3)
    finish("0-0", day=3)
    assert finish("0-0", day=5).streak.new == 2


def test_a_freeze_that_was_given_before_the_first_lesson_goes(
    student, open_season, settings
):
    give_freeze(student, day=2)
    open_season("progress", "xp", day=3)
    assert wallet.get(student.pk).freezes == 0
    assert ledger.streak_history(student.pk).given == {}


def give_freeze(student, *, day: int) -> None:
    wallets.add_freezes(
        player_id=student.pk,
        number=1,
        reason="why",
        actor_id=student.user_id,
        days=student.local_days,
        now=MONDAY + timedelta(days=day),
    )
    client().flushdb()  # as after the commit


def test_all_copies_follow(student, finish, rate, open_season):
    finish("0-0", 4)
    rate(("Q1-MATH-0-0", 1), day=1)
    lesson_counting.sync_pending()
    snapshots.sync_pending()
    counted = list(PlayerLesson.objects.values())
    cards = list(ReviewCard.objects.values())
    open_season()
    # The wallet in Redis is gone; who reads it gets that of the ledger.
    assert wallet.get(student.pk) == ledger.wallet_of(student.pk)
    assert wallet.get(student.pk).total_xp == 0
    snapshots.sync_pending(force=True)
    snapshot = StructureProgress.objects.get(player=student)
    assert (snapshot.passed_lessons, snapshot.total_xp_earned) == (0, 0)
    assert comparison.compare([student.pk]).differences == []
    lesson_counting.sync_pending()
    # What students did stays counted, and what they know stays known.
    assert list(PlayerLesson.objects.values()) == counted
    assert list(ReviewCard.objects.values()) == cards


def test_an_app_gets_the_subjects_again(student, finish, open_season):
    device = uuid4()

    def sync(since: str | None):
        return sync_state.of_player(
            player_id=student.pk,
            device_id=device,
            since=since,
            now=MONDAY + timedelta(days=11),
        )

    finish("0-0")
    token = sync(None).token
    open_season()
    changed = sync(token)
    assert not changed.is_complete
    assert (changed.wallet.total_xp, changed.subjects[SUBJECT].passed) == (0, 0)


def test_a_record_that_was_not_dropped_is_found(
    student, finish, season, settings, open_season
):
    finish("0-0")
    settings.SEASON_CARRIES = []
    now = MONDAY + timedelta(days=10)
    # The process dies after the commit: nothing is called.
    season_opening.open_season(season, clock=lambda: now)
    assert wallet.get(student.pk).total_xp > 0
    reconciliation.reconcile_recent(now)
    assert wallet.get(student.pk).total_xp == 0


def test_support_sees_what_is_passed_in_the_season(student, finish, open_season):
    reset(student, grants.Change.GRANT)
    finish("0-0", 5)
    finish("0-1", day=1)
    open_season("streak", "xp", day=12)
    finish("0-0", 2, day=13)
    report = player_report.load(
        student.pk, subject_id="", now=MONDAY + timedelta(days=13)
    )
    first, second = [step.facts for step in report.tree if step.facts]
    assert (first.best_hearts, first.times, first.counts_as_granted) == (2, 2, False)
    assert (second.best_hearts, second.times) == (None, 1)
    assert [(one.passed, one.xp) for one in report.subjects] == [(1, 29)]


@pytest.mark.parametrize("is_closed_before", [True, False])
def test_a_season_is_archived_with_its_beginning(
    student, finish, open_season, is_closed_before
):
    other = Season.objects.create(title="2025-2026")

    def close() -> None:
        seasons.close(other, until=None, now=MONDAY + timedelta(days=60))

    finish("0-0", 5)
    finish("0-1", 5, day=1)
    if is_closed_before:
        close()
    open_season("xp")
    finish("0-0", 2, day=11)
    before = state(student)
    assert before[1].hearts == b"\x02"
    if not is_closed_before:
        close()
        client().flushdb()
    assert state(student) == before
    assert finish("0-1", 1, day=61).is_first_completion is True
    assert finish("0-0", 2, day=62).is_first_completion is False


def state(student):
    seq = ledger.head(student.pk)
    return (
        wallet.get(student.pk),
        ledger.subjects_of_player(student.pk, [SUBJECT], seq)[SUBJECT],
        ledger.lesson_histories(student.pk, ["LES-MATH-0-0", "LES-MATH-0-1"]),
    )


def test_an_opened_season_is_not_opened_again(student, finish, open_season):
    finish("0-0")
    open_season()
    finish("0-0", day=11)
    total = wallet.get(student.pk).total_xp
    assert open_season() == Opened()
    assert wallet.get(student.pk).total_xp == total > 0


def test_a_run_that_was_stopped_goes_on_with_the_setting_of_the_first(
    student, plan, finish, open_season, monkeypatch, correct_created
):
    finish("0-0")
    others = [enrolled(plan, f"{number}@example.com") for number in range(6)]
    correct_created()
    monkeypatch.setattr(season_opening, "CHUNK", 1)
    real, calls = ledger.insert_new, []

    def insert_new(rows) -> None:
        calls.append(rows)
        if len(calls) == 2:
            raise OperationalError("gone")
        real(rows)

    for other in others:
        give_freeze(other, day=1)
    with monkeypatch.context() as patched:
        patched.setattr(ledger, "insert_new", insert_new)
        with pytest.raises(OperationalError):
            open_season("progress")
    opened = InteractionLog.objects.filter(type=InteractionType.SEASON_OPENED)
    assert opened.values("player").distinct().count() == 1
    assert open_season("progress", "streak", "xp").players == 6
    assert opened.filter(event_id__regex=r"^season-\d+$").count() == 7
    assert OpenedSeason.objects.get().carries == ["progress"]


@pytest.fixture
def correct_created():
    """Let all players have been there before the season."""

    def correct() -> None:
        PlayerProfile.objects.update(created_at=MONDAY - timedelta(days=300))

    return correct


def test_students_who_came_after_the_first_run_are_left_out(
    student, finish, open_season
):
    finish("0-0")
    PlayerProfile.objects.update(created_at=MONDAY + timedelta(days=11))
    assert open_season() == Opened()


def test_a_dry_run_counts_and_writes_nothing(student, finish, open_season):
    finish("0-0")
    assert open_season(is_dry_run=True) == Opened(1, 2)
    assert ledger.head(student.pk) == 1
    assert not OpenedSeason.objects.exists()


def test_the_queries_of_a_chunk_are_the_same_for_all_its_students(
    plan, open_season, student, correct_created, django_assert_num_queries
):
    players = [student, *(enrolled(plan, f"{n}@example.com") for n in range(4))]
    correct_created()
    for player in players:
        give_freeze(player, day=1)
    # 1-4. The opened season, its row, how many players there are, the first five
    # 5-7. The savepoint, the lock, who has the row already
    # 8-11. The players, their wallets, their subjects (none), their streaks
    # 12-13. The INSERT, the end of the savepoint
    # 14-15. No more players, and the end
    with django_assert_num_queries(15):
        assert open_season().players == 5
