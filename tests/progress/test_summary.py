"""The summary of a student's progress in all subjects."""

import random
from datetime import timedelta

import pytest

from content.models import Node
from core.parsing import time_text
from plans.services import add_subject, set_override
from players.models import Entitlement
from progress.errors import NoHeartsError
from progress.models import InteractionLog
from progress.services import completion
from publishing import api
from tests.progress import reference
from tests.progress.conftest import MONDAY, make_subject, publish

pytestmark = pytest.mark.django_db


@pytest.fixture
def art(plan):
    """A second subject of the plan."""
    add_subject(plan=plan, subject=make_subject("ART", units=1))
    publish(plan)


@pytest.fixture
def play(student):
    def play(lesson: str, hearts: int = 5, *, minutes: int = 0) -> None:
        completion.complete(
            player_id=student.pk,
            lesson_id=f"LES-{lesson}",
            hearts=hearts,
            idempotency_key=None,
            now=MONDAY + timedelta(minutes=minutes),
        )

    return play


def ask(phone) -> dict[str, dict]:
    answer = phone.get("progress/")
    assert answer.status_code == 200, answer.json()
    return {one["subject_id"]: one for one in answer.json()["subjects"]}


def test_a_new_student_sees_the_first_lesson_of_each_subject(art, phone):
    found = ask(phone)
    assert list(found) == ["SUBJ-MATH", "SUBJ-ART"]
    assert found["SUBJ-ART"] == {
        "subject_id": "SUBJ-ART",
        "status": "unlocked",
        "locked_reason": None,
        "completion_percentage": 0.0,
        "total_xp_earned": 0,
        "total_lessons": 2,
        "entitled_lessons": 2,
        "passed_lessons": 0,
        "last_lesson_id": None,
        "last_played_at": None,
        "suggested_next_lesson_id": "LES-ART-0-0",
        "units": [
            {
                "id": "UNIT-ART-0",
                "status": "unlocked",
                "locked_reason": None,
                "total_lessons": 2,
                "entitled_lessons": 2,
                "passed_lessons": 0,
            }
        ],
    }


def test_the_subject_of_the_last_lesson_comes_first(art, phone, play):
    play("MATH-0-0")
    play("ART-0-0", minutes=5)
    assert list(ask(phone)) == ["SUBJ-ART", "SUBJ-MATH"]
    play("MATH-0-1", minutes=9)
    found = ask(phone)
    assert list(found) == ["SUBJ-MATH", "SUBJ-ART"]
    maths = found["SUBJ-MATH"]
    assert (maths["last_lesson_id"], maths["last_played_at"]) == (
        "LES-MATH-0-1",
        time_text(MONDAY + timedelta(minutes=9)),
    )
    assert maths["suggested_next_lesson_id"] == "LES-MATH-1-0"
    assert [unit["passed_lessons"] for unit in maths["units"]] == [2, 0]
    assert [unit["status"] for unit in maths["units"]] == ["passed", "unlocked"]


def test_a_failed_lesson_is_the_last_one(phone, play, redis_client):
    play("MATH-0-0")
    with pytest.raises(NoHeartsError):
        play("MATH-0-1", 0, minutes=3)
    before = ask(phone)
    assert before["SUBJ-MATH"]["last_lesson_id"] == "LES-MATH-0-1"
    redis_client.flushdb()
    assert ask(phone) == before


def test_a_lesson_that_left_the_plan_is_not_named(plan, phone, play):
    play("MATH-0-0")
    set_override(
        plan=plan, target=Node.objects.get(public_id="UNIT-MATH-0"), action="hide"
    )
    publish(plan)
    [maths] = ask(phone).values()
    assert (maths["last_lesson_id"], maths["last_played_at"]) == (
        None,
        time_text(MONDAY),
    )
    assert [unit["id"] for unit in maths["units"]] == ["UNIT-MATH-1"]


@pytest.mark.parametrize("seed", range(4))
def test_the_summary_is_what_plain_code_computes(
    plan, art, phone, play, student, seed, redis_client
):
    chance = random.Random(seed)
    sold = Node.objects.get(public_id=chance.choice(["LES-MATH-0-1", "UNIT-MATH-1"]))
    set_override(plan=plan, target=sold, action="set_sold_separately", value="ITEM-1")
    publish(plan)
    owned = set(chance.choice([[], ["ITEM-1"]]))
    for item in owned:
        Entitlement.objects.create(player=student, item=item)
    for minute in range(9):
        lesson = chance.choice(["MATH-0-0", "MATH-0-1", "MATH-1-0", "MATH-1-1"])
        try:
            play(lesson, chance.randint(1, 5), minutes=minute)
        except Exception:  # noqa: BLE001, S112 - locked, or not bought
            continue
    rows = InteractionLog.objects.filter(subject_id="SUBJ-MATH")
    best = {
        bit: max(row.hearts for row in rows if row.bit_index == bit)
        for bit in {row.bit_index for row in rows}
    }
    last = max(rows, key=lambda row: row.occurred_at)
    expected = reference.summary(
        api.load_plan("PLAN-A").subjects["SUBJ-MATH"].root,
        best,
        owned,
        sum(row.xp for row in rows),
        (last.reference_id, time_text(last.occurred_at)),
    )
    assert ask(phone)["SUBJ-MATH"] == expected
    redis_client.flushdb()
    assert ask(phone)["SUBJ-MATH"] == expected


# --- Costs ------------------------------------------------------------------------


def test_an_unchanged_summary_is_a_304_in_one_round_trip_without_a_query(
    art, phone, play, count_redis, django_assert_num_queries
):
    play("MATH-0-0")
    answer = phone.get("progress/")
    assert answer["Cache-Control"] == "private, no-cache"
    etag = answer["ETag"]
    count_redis.clear()
    with django_assert_num_queries(0):
        assert phone.get("progress/", if_none_match=etag).status_code == 304
    assert len(count_redis) == 1


def test_a_changed_summary_costs_one_round_trip_and_no_query(
    art, phone, play, count_redis, django_assert_num_queries
):
    etag = phone.get("progress/")["ETag"]
    play("MATH-0-0")
    play("ART-0-0")
    count_redis.clear()
    with django_assert_num_queries(0):
        answer = phone.get("progress/", if_none_match=etag)
    assert (answer.status_code, len(count_redis)) == (200, 1)
    assert answer["ETag"] != etag


def test_the_first_summary_costs_a_second_round_trip(
    art, phone, play, count_redis, django_assert_num_queries
):
    play("MATH-0-0")
    phone.get("progress/")
    count_redis.clear()
    with django_assert_num_queries(0):
        assert phone.get("progress/").status_code == 200
    assert len(count_redis) == 2


@pytest.mark.parametrize(
    "etag", ["*", "x", '"PLAN-NONE.1"', '"../x.1"', 'W/"PLAN-A.', '".."', '"."']
)
def test_another_etag_is_answered_in_full(phone, etag):
    expected = 304 if etag == "*" else 200
    assert phone.get("progress/", if_none_match=etag).status_code == expected


def test_the_etag_changes_with_what_is_answered(plan, student, phone, play):
    tags = [phone.get("progress/")["ETag"]]

    def changed() -> bool:
        answer = phone.get("progress/", if_none_match=tags[-1])
        tags.append(answer["ETag"])
        return answer.status_code == 200

    assert not changed()
    play("MATH-0-0", 3)
    assert changed()
    play("MATH-0-0", 3, minutes=1)  # only the time
    assert changed()
    unit = Node.objects.get(public_id="UNIT-MATH-1")
    set_override(plan=plan, target=unit, action="set_sold_separately", value="ITEM-1")
    publish(plan)
    assert changed()
    Entitlement.objects.create(player=student, item="ITEM-1")
    assert changed()
    assert not changed()


def test_without_a_plan_the_summary_is_refused(student, phone):
    student.active_plan = None
    student.save()
    assert phone.get("progress/").json()["error_code"] == "NOT_ENROLLED"
