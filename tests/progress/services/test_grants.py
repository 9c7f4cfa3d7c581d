"""Staff grant and reset lessons; each is decided by its position in the ledger."""

from datetime import timedelta

import orjson
import pytest
import time_machine

from core.errors import MemoraError
from players.errors import InvalidLessonError, PlayerNotFoundError
from players.models import SecurityEvent, User
from players.services import wallet
from progress.errors import InvalidCorrectionError, NotUnlockedError
from progress.models import (
    InteractionLog,
    LessonStatistics,
    ReviewCard,
    StructureProgress,
)
from progress.services import (
    comparison,
    grants,
    ledger,
    lesson_counting,
    progress,
    reviews,
    snapshots,
    writing,
)
from progress.services.grants import Change
from tests.progress.conftest import MONDAY

pytestmark = pytest.mark.django_db

LESSONS = ["LES-MATH-0-0", "LES-MATH-0-1", "LES-MATH-1-0", "LES-MATH-1-1"]


@pytest.fixture(autouse=True)
def clock():
    with time_machine.travel(MONDAY, tick=False):
        yield


@pytest.fixture
def editor(db):
    return User.objects.create_user(email="staff@example.com", is_staff=True)


@pytest.fixture
def correct(student, editor, django_capture_on_commit_callbacks):
    """Grant or reset a node of the student's plan, and return how many lessons."""

    def correct(change: Change, node: str, hearts: int = 5, reason: str = "Moved"):
        with django_capture_on_commit_callbacks(execute=True):
            return grants.apply(
                player_id=student.pk,
                node_id=node,
                change=change,
                hearts=hearts,
                reason=reason,
                actor_id=editor.pk,
                now=MONDAY,
            )

    return correct


@pytest.fixture
def grant(correct):
    return lambda node, hearts=5: correct(Change.GRANT, node, hearts)


@pytest.fixture
def reset(correct):
    return lambda node: correct(Change.RESET, node)


@pytest.fixture
def shown(student):
    """The state and best hearts of each lesson, as the app gets them."""

    def shown() -> dict[str, tuple[str, int]]:
        found = progress.of_subject(
            player_id=student.pk, subject_id="SUBJ-MATH", now=MONDAY.timestamp()
        )
        assert found.body is not None
        waiting, lessons = [orjson.loads(found.body)["root"]], {}
        while waiting:
            node = waiting.pop()
            waiting += node["children"]
            if node["type"] == "lesson":
                lessons[node["id"]] = node["status"], node["best_hearts"]
        return {one: lessons[one] for one in LESSONS}

    return shown


def states(shown) -> list[str]:
    return [state for state, _hearts in shown().values()]


def agree(student) -> None:
    """Redis and the snapshots are what the ledger says."""
    assert wallet.get(student.pk) == ledger.wallet_of(student.pk)
    seq, held = writing.read_subject(student.pk, "SUBJ-MATH")
    of_ledger = ledger.subjects_of_player(student.pk, ["SUBJ-MATH"], seq)
    assert held == of_ledger["SUBJ-MATH"]
    snapshots.sync_pending()
    assert comparison.compare([student.pk]).differences == []


def test_a_granted_unit_is_passed_and_unlocks_the_next(student, grant, shown, finish):
    assert grant("UNIT-MATH-0", 3) == 2
    assert shown() == dict(
        zip(
            LESSONS,
            [("passed", 3), ("passed", 3), ("unlocked", 0), ("locked", 0)],
            strict=True,
        )
    )
    agree(student)
    assert finish("1-0").is_first_completion


def test_a_grant_pays_nothing_and_leaves_the_streak(student, grant):
    grant("SUBJ-MATH")
    held = wallet.get(student.pk)
    assert (held.total_xp, held.current_streak, held.last_played_at) == (0, 0, None)
    assert held.seq == 4


def test_the_first_completion_of_a_granted_lesson_is_paid_once(student, grant, finish):
    grant("LES-MATH-0-0", 3)
    first = finish("0-0", 3)
    assert (first.is_first_completion, first.is_new_record) == (True, False)
    assert (first.xp_earned, first.unlocked) == (10 + 6 + 5, [])
    again = finish("0-0", 4)
    assert (again.is_first_completion, again.is_new_record) == (False, True)
    agree(student)


def test_a_lesson_that_is_passed_is_not_granted_again(student, grant, finish, shown):
    finish("0-0", 2)
    assert grant("UNIT-MATH-0") == 1
    assert [hearts for _state, hearts in shown().values()] == [2, 5, 0, 0]
    with pytest.raises(InvalidCorrectionError, match="no lesson here to grant"):
        grant("UNIT-MATH-0")


def test_a_reset_lesson_is_open_and_what_follows_is_locked(
    student, reset, finish, shown
):
    finish("0-0")
    finish("0-1")
    xp = wallet.get(student.pk).total_xp
    assert reset("UNIT-MATH-0") == 2
    assert states(shown) == ["unlocked", "locked", "locked", "locked"]
    assert wallet.get(student.pk).total_xp == xp
    assert wallet.get(student.pk).current_streak == 1
    agree(student)
    with pytest.raises(NotUnlockedError):
        finish("0-1")


def test_a_first_completion_and_a_record_are_not_paid_again_after_a_reset(
    student, reset, finish, shown
):
    finish("0-0", 4)
    reset("LES-MATH-0-0")
    again = finish("0-0", 3, day=1)
    assert (again.is_first_completion, again.is_new_record) == (False, False)
    assert again.xp_earned == 10 + 6
    assert again.unlocked == ["LES-MATH-0-1"]
    assert shown()["LES-MATH-0-0"] == ("passed", 4)
    agree(student)
    assert not finish("0-0", 4, day=2).is_new_record
    assert finish("0-0", 5, day=2).is_new_record
    agree(student)


def test_a_grant_after_a_reset_does_not_make_a_record_be_paid_twice(
    student, grant, reset, finish, shown
):
    finish("0-0", 5)
    reset("LES-MATH-0-0")
    grant("LES-MATH-0-0", 2)
    assert shown()["LES-MATH-0-0"] == ("passed", 5)
    assert not finish("0-0", 5, day=1).is_new_record
    agree(student)


def test_a_grant_that_was_reset_leaves_nothing(student, grant, reset, finish, shown):
    grant("LES-MATH-0-0", 5)
    reset("LES-MATH-0-0")
    assert shown()["LES-MATH-0-0"] == ("unlocked", 0)
    first = finish("0-0", 1)
    assert (first.is_first_completion, first.is_new_record) == (True, True)
    assert shown()["LES-MATH-0-0"] == ("passed", 1)
    agree(student)


def test_only_passed_lessons_are_reset(reset, finish):
    finish("0-0")
    assert reset("SUBJ-MATH") == 1
    with pytest.raises(InvalidCorrectionError, match="No lesson here is passed"):
        reset("SUBJ-MATH")


def test_a_grant_makes_no_cards_and_a_reset_leaves_them(student, grant, reset, finish):
    finish("0-0")
    grant("LES-MATH-0-1")
    reset("LES-MATH-0-0")
    reviews.overview(player_id=student.pk, now=MONDAY)
    cards = ReviewCard.objects.filter(player=student)
    assert set(cards.values_list("lesson_id", "is_active")) == {("LES-MATH-0-0", True)}
    finish("0-1", day=1)
    finish("0-0", day=1)
    reviews.overview(player_id=student.pk, now=MONDAY + timedelta(days=1))
    assert cards.filter(lesson_id="LES-MATH-0-1").count() == 2
    assert cards.count() == 4


def test_statistics_count_attempts_only(student, grant, reset, finish):
    finish("0-0", 4)
    grant("UNIT-MATH-0")
    reset("LES-MATH-0-0")
    lesson_counting.sync_pending()
    rows = LessonStatistics.objects.filter(started__gt=0)
    assert list(rows.values_list("lesson_id", "passed", "attempts")) == [
        ("LES-MATH-0-0", 1, 1)
    ]


def test_everything_reset_leaves_a_snapshot_without_lessons(student, reset, finish):
    finish("0-0")
    snapshots.sync_pending()
    reset("SUBJ-MATH")
    snapshots.sync_pending()
    row = StructureProgress.objects.get(player=student)
    assert (row.passed_lessons, row.progress_bitmap, row.best_hearts) == (0, "", {})
    assert row.total_xp_earned > 0
    snapshots.rewrite([student.pk])
    assert comparison.compare([student.pk]).differences == []


def test_a_change_is_told_in_the_ledger_and_in_the_audit_trail(
    student, grant, reset, editor
):
    grant("UNIT-MATH-0", 3)
    row = InteractionLog.objects.order_by("-seq").first()
    assert (row.type, row.reference_id, row.hearts) == (
        "lesson_granted",
        "LES-MATH-0-1",
        3,
    )
    assert row.data == {
        "reason": "Moved",
        "actor_id": editor.pk,
        "node": "UNIT-MATH-0",
    }
    assert (row.xp, row.day, row.first_of) == (0, None, None)
    reset("LES-MATH-0-1")
    events = SecurityEvent.objects.filter(type__startswith="progress_").order_by("pk")
    assert [(one.type, one.user, one.actor, one.details) for one in events] == [
        (
            "progress_granted",
            student.user,
            editor,
            {"node": "UNIT-MATH-0", "lessons": 2, "reason": "Moved"},
        ),
        (
            "progress_reset",
            student.user,
            editor,
            {"node": "LES-MATH-0-1", "lessons": 1, "reason": "Moved"},
        ),
    ]


@pytest.mark.parametrize(
    ("node", "hearts", "reason", "refusal"),
    [
        ("LES-MATH-0-0", 0, "Moved", InvalidCorrectionError),
        ("LES-MATH-0-0", 6, "Moved", InvalidCorrectionError),
        ("LES-MATH-0-0", 5, "  ", InvalidCorrectionError),
        ("LES-MATH-9-9", 5, "Moved", InvalidLessonError),
        ("PLAN-A", 5, "Moved", InvalidLessonError),
    ],
)
def test_a_change_that_is_not_valid_is_refused(correct, node, hearts, reason, refusal):
    with pytest.raises(refusal):
        correct(Change.GRANT, node, hearts, reason)
    assert not InteractionLog.objects.exists()
    assert not SecurityEvent.objects.filter(type="progress_granted").exists()


def test_too_many_lessons_at_a_time_are_refused(grant, monkeypatch):
    monkeypatch.setattr(grants, "MAX_LESSONS", 3)
    with pytest.raises(InvalidCorrectionError, match="4 lessons are too many"):
        grant("SUBJ-MATH")
    assert grant("UNIT-MATH-0") == 2


def test_an_erased_student_gets_nothing(student, grant):
    type(student).objects.filter(pk=student.pk).update(erased_at=MONDAY)
    with pytest.raises(PlayerNotFoundError):
        grant("UNIT-MATH-0")


def test_the_page_before_it_says_what_will_happen(student, finish):
    finish("0-0")

    def ask(change: Change):
        found = grants.preview(
            player_id=student.pk, node_id="UNIT-MATH-0", change=change, now=MONDAY
        )
        return [one.id for one in found.lessons], found.total, found.passed

    assert ask(Change.GRANT) == (["LES-MATH-0-1"], 2, 1)
    assert ask(Change.RESET) == (["LES-MATH-0-0"], 2, 1)


def test_a_change_costs_the_same_for_any_number_of_lessons(
    grant, reset, django_assert_num_queries
):
    # A transaction: 2. The profile and its user under the lock: 2. The plan, enrolments
    # and products, if Redis lacks them: 1. The lock on the ledger. Wallet and subject: 2.
    # The histories. The rows. The audit row.
    with django_assert_num_queries(11):
        grant("LES-MATH-0-0")
    with django_assert_num_queries(10):
        grant("SUBJ-MATH")
    # Without the histories.
    with django_assert_num_queries(9):
        reset("SUBJ-MATH")


def test_a_completion_that_lost_to_a_reset_is_decided_again(
    student, reset, finish, monkeypatch
):
    finish("0-0")
    real = ledger.append
    waiting = [True]

    def after_a_reset(rows):
        while waiting:
            waiting.pop()
            reset("LES-MATH-0-0")
        real(rows)

    monkeypatch.setattr(ledger, "append", after_a_reset)
    with pytest.raises(MemoraError) as refused:
        finish("0-1")
    assert refused.value.code == "NOT_UNLOCKED"
    agree(student)
