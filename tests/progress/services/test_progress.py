"""A student's view of a subject."""

import re
from datetime import datetime, timedelta

import orjson
import pytest

from content import services
from content.kinds import Kind
from content.models import Node
from plans.services import add_subject, set_override
from players.models import Entitlement
from players.player_state import SubjectProgress
from players.services import access
from progress.errors import InvalidSubjectError
from progress.rendering import SubjectRenderer
from progress.services import completion, progress
from publishing import api
from tests.progress.conftest import MONDAY, enrolled, make_subject, publish

pytestmark = pytest.mark.django_db


@pytest.fixture
def shown(student):
    def shown(subject_id: str = "SUBJ-MATH", *, at: datetime = MONDAY):
        answer = progress.of_subject(
            player_id=student.pk, subject_id=subject_id, now=at.timestamp()
        )
        assert answer.body is not None
        return orjson.loads(answer.body)

    return shown


def statuses(node: dict) -> dict[str, str]:
    found = {node["id"]: node["status"]}
    for child in node["children"]:
        found |= statuses(child)
    return found


def sums(answer: dict) -> tuple:
    return (
        answer["passed_lessons"],
        answer["total_lessons"],
        answer["completion_percentage"],
        answer["total_xp_earned"],
        answer["suggested_next_lesson_id"],
    )


def test_a_new_student_sees_the_first_lesson_open(shown):
    answer = shown()
    assert sums(answer) == (0, 4, 0.0, 0, "LES-MATH-0-0")
    assert answer["subject_id"] == answer["root"]["id"] == "SUBJ-MATH"
    assert statuses(answer["root"]) == {
        "SUBJ-MATH": "unlocked",
        "TRK-MATH": "unlocked",
        "UNIT-MATH-0": "unlocked",
        "TOP-MATH-0": "unlocked",
        "LES-MATH-0-0": "unlocked",
        "LES-MATH-0-1": "locked",
        "UNIT-MATH-1": "locked",
        "TOP-MATH-1": "locked",
        "LES-MATH-1-0": "locked",
        "LES-MATH-1-1": "locked",
    }


def test_every_node_has_the_same_keys_and_lessons_their_bit_and_hearts(shown, finish):
    finish("0-0", 3)
    track = shown()["root"]["children"][0]
    assert track["type"] == "track"
    assert (track["bit_index"], track["best_hearts"]) == (None, None)
    topic = track["children"][0]["children"][0]
    assert topic["children"] == [
        {
            "id": "LES-MATH-0-0",
            "type": "lesson",
            "status": "passed",
            "locked_reason": None,
            "bit_index": 0,
            "best_hearts": 3,
            "children": [],
        },
        {
            "id": "LES-MATH-0-1",
            "type": "lesson",
            "status": "unlocked",
            "locked_reason": None,
            "bit_index": 1,
            "best_hearts": 0,
            "children": [],
        },
    ]


def test_a_finished_subject_is_at_100_and_suggests_nothing(shown, finish):
    xp = sum(finish(place).xp_earned for place in ("0-0", "0-1", "1-0", "1-1"))
    assert sums(shown()) == (4, 4, 100.0, xp, None)
    assert set(statuses(shown()["root"]).values()) == {"passed"}


def test_hidden_and_unpublished_lessons_count_nowhere(plan, shown, finish):
    finish("0-0")
    finish("0-1")
    set_override(
        plan=plan, target=Node.objects.get(public_id="UNIT-MATH-0"), action="hide"
    )
    publish(plan)
    assert sums(shown())[:3] == (0, 2, 0.0)
    lesson = Node.objects.get(public_id="LES-MATH-1-1")
    lesson.is_published = False
    lesson.save()
    publish(plan)
    finish("1-0")
    assert sums(shown())[:3] == (1, 1, 100.0)


def test_a_deleted_lesson_leaves_the_others_on_their_bits(plan, shown, finish):
    finish("0-0")
    finish("0-1")
    services.delete_node(node=Node.objects.get(public_id="LES-MATH-0-0"))
    added = services.create_node(
        kind=Kind.LESSON,
        parent=Node.objects.get(public_id="TOP-MATH-0"),
        title="New",
        public_id="LES-NEW",
        is_published=True,
    )
    publish(plan)
    assert added.bit_index == 4
    assert sums(shown())[:3] == (1, 4, 25.0)
    assert shown()["suggested_next_lesson_id"] == "LES-NEW"


def test_an_empty_subject_is_open_and_not_passed(plan, shown):
    add_subject(plan=plan, subject=make_subject("EMPTY", units=0))
    publish(plan)
    answer = shown("SUBJ-EMPTY")
    assert sums(answer) == (0, 0, 0.0, 0, None)
    assert answer["root"]["status"] == "unlocked"


def test_a_subject_outside_the_plan_is_refused(shown):
    make_subject("OTHER")
    with pytest.raises(InvalidSubjectError):
        shown("SUBJ-OTHER")


def test_progress_is_two_round_trips_and_no_query(
    shown, finish, count_redis, django_assert_num_queries
):
    finish("0-0")
    shown()
    count_redis.clear()
    with django_assert_num_queries(0):
        shown()
    assert len(count_redis) == 2  # plans and products; the three projections


# --- Lessons that the student has not bought ---------------------------------


@pytest.fixture
def sell(plan):
    """Sell nodes separately, as the product ITEM-1, and publish."""

    def sell(*node_ids: str) -> None:
        for node_id in node_ids:
            set_override(
                plan=plan,
                target=Node.objects.get(public_id=node_id),
                action="set_sold_separately",
                value="ITEM-1",
            )
        publish(plan)

    return sell


@pytest.fixture
def buy(student):
    """Give the student the product ITEM-1, until a time if there is one."""

    def buy(until: datetime | None = None) -> None:
        Entitlement.objects.create(player=student, item="ITEM-1", valid_until=until)

    return buy


def reasons(node: dict) -> dict[str, str]:
    """Locked nodes with their reason."""
    own = {node["id"]: node["locked_reason"]} if node["status"] == "locked" else {}
    for child in node["children"]:
        own |= reasons(child)
    return own


def test_an_unbought_lesson_does_not_block_the_linear_path(sell, shown, finish):
    sell("LES-MATH-0-1")
    assert statuses(shown()["root"])["UNIT-MATH-1"] == "locked"
    finish("0-0")
    found = statuses(shown()["root"])
    assert found["LES-MATH-0-1"] == "locked"
    assert found["LES-MATH-1-0"] == "unlocked"
    assert finish("1-0").next_lesson_id == "LES-MATH-1-1"


def test_an_unbought_lesson_is_never_suggested(sell, shown, finish):
    sell("UNIT-MATH-0")
    assert shown()["suggested_next_lesson_id"] == "LES-MATH-1-0"
    assert finish("1-0").next_lesson_id == "LES-MATH-1-1"
    assert finish("1-1").next_lesson_id is None
    assert shown()["suggested_next_lesson_id"] is None


def test_an_unbought_lesson_does_not_count_as_unlocked(sell, shown, finish):
    sell("LES-MATH-0-1")
    assert finish("0-0").unlocked == ["UNIT-MATH-1", "TOP-MATH-1", "LES-MATH-1-0"]
    assert statuses(shown()["root"])["LES-MATH-0-1"] == "locked"


def test_a_locked_node_names_its_reason(sell, shown):
    sell("UNIT-MATH-0")
    assert reasons(shown()["root"]) == {
        "UNIT-MATH-0": "not_entitled",
        "TOP-MATH-0": "not_entitled",
        "LES-MATH-0-0": "not_entitled",
        "LES-MATH-0-1": "not_entitled",
        "LES-MATH-1-1": "previous",
    }


def test_a_bought_lesson_takes_its_place_until_the_product_expires(
    sell, buy, shown, finish
):
    sell("LES-MATH-0-1")
    finish("0-0")
    buy(until=MONDAY + timedelta(days=1))
    assert shown()["suggested_next_lesson_id"] == "LES-MATH-0-1"
    assert shown()["entitled_lessons"] == shown()["total_lessons"] == 4
    after = shown(at=MONDAY + timedelta(days=1))
    assert after["suggested_next_lesson_id"] == "LES-MATH-1-0"
    assert (after["entitled_lessons"], after["total_lessons"]) == (3, 4)


def test_a_passed_lesson_stays_passed_when_its_product_expires(
    sell, buy, shown, finish
):
    sell("LES-MATH-0-0")
    buy(until=MONDAY + timedelta(days=1))
    finish("0-0")
    after = shown(at=MONDAY + timedelta(days=1))
    assert statuses(after["root"])["LES-MATH-0-0"] == "passed"
    assert (after["passed_lessons"], after["entitled_lessons"]) == (1, 3)
    assert after["suggested_next_lesson_id"] == "LES-MATH-0-1"


# --- Conditional requests -----------------------------------------------------


@pytest.fixture
def ask(student):
    """Ask with an If-None-Match header."""

    def ask(if_none_match: str | None = None, *, at: datetime = MONDAY):
        return progress.of_subject(
            player_id=student.pk,
            subject_id="SUBJ-MATH",
            now=at.timestamp(),
            if_none_match=if_none_match,
        )

    return ask


def test_the_etag_is_strong_and_stays_while_nothing_changes(ask):
    etag = ask().etag
    assert re.fullmatch(r'"[0-9a-f]{32}"', etag)
    assert ask().etag == etag


@pytest.mark.parametrize(
    "header", ["{}", "W/{}", '"other", {}', 'W/"other",{} , "third"', "*", " * "]
)
def test_a_current_copy_is_not_sent_again(ask, header):
    etag = ask().etag
    answer = ask(header.format(etag))
    assert (answer.etag, answer.body) == (etag, None)


@pytest.mark.parametrize(
    "header", ["", '""', '"other"', 'W/"other"', "no quotes", '"*"', "{bare}", "{open}"]
)
def test_another_copy_is_answered_in_full(ask, header):
    etag = ask().etag
    header = header.format(bare=etag.strip('"'), open=etag[:-1])
    assert ask(header).body is not None


def test_a_current_copy_is_known_before_anything_is_built(ask, monkeypatch):
    etag = ask().etag
    monkeypatch.delattr(SubjectRenderer, "render")
    assert ask(etag).body is None


def test_the_etag_changes_with_the_progress(ask, finish):
    before = ask()
    finish("0-0", 3)
    after = ask(before.etag)
    assert after.body is not None
    finish("0-0", 4)
    assert ask(after.etag).body is not None


def test_the_etag_changes_with_the_release(plan, ask):
    etag = ask().etag
    set_override(
        plan=plan, target=Node.objects.get(public_id="UNIT-MATH-1"), action="hide"
    )
    publish(plan)
    assert ask(etag).body is not None


def test_the_etag_changes_with_the_products_of_the_subject(sell, buy, ask, student):
    sell("LES-MATH-0-1")
    etag = ask().etag
    Entitlement.objects.create(player=student, item="ITEM-OF-ANOTHER-SUBJECT")
    assert ask(etag).body is None
    tomorrow = MONDAY + timedelta(days=1)
    buy(until=tomorrow)
    bought = ask(etag)
    assert bought.body is not None
    assert ask(bought.etag, at=tomorrow - timedelta(seconds=1)).body is None
    expired = ask(bought.etag, at=tomorrow)
    assert (expired.etag, expired.body is None) == (etag, False)


def test_the_copy_of_another_player_is_not_current(plan, ask, finish):
    """One device, one player after the other, at the same position of the ledger."""
    finish("0-0")
    other = enrolled(plan, "badr@example.com")
    completion.complete(
        player_id=other.pk,
        lesson_id="LES-MATH-0-0",
        hearts=2,
        idempotency_key=None,
        now=MONDAY,
    )
    theirs = progress.of_subject(
        player_id=other.pk, subject_id="SUBJ-MATH", now=MONDAY.timestamp()
    )
    assert ask(theirs.etag).body is not None


def test_the_etag_follows_the_position_in_the_ledger(plan, student):
    def etag(seq: int) -> str:
        return progress.answer(
            plan=api.load_plan(plan.public_id),
            subject_id="SUBJ-MATH",
            progress=SubjectProgress(),
            player_access=access.of_player(student.pk),
            seq=seq,
            now=0,
            if_none_match=None,
        ).etag

    assert etag(1) == etag(1) != etag(2)
