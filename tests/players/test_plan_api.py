"""A student's plans, products and links over HTTP."""

import orjson
import pytest

from plans.models import AcademicPlan, OverrideAction
from plans.services import add_subject, set_override
from players.models import Enrollment, Entitlement, SecurityEvent
from publishing.building import builds
from tests.factories.content import make_subject
from tests.publishing.conftest import node

pytestmark = pytest.mark.django_db


@pytest.fixture
def maths(plan):
    """The plan has the subject MATH; unit 1 is sold as MATHS-5. It is published."""
    add_subject(plan=plan, subject=make_subject("MATH"))
    set_override(
        plan=plan,
        target=node("UNIT-MATH-1"),
        action=OverrideAction.SET_SOLD_SEPARATELY,
        value="MATHS-5",
    )
    assert builds.publish_plan(plan.pk).error == ""


@pytest.fixture
def physics(student, django_capture_on_commit_callbacks):
    """A second plan of the student; it has no release."""
    plan = AcademicPlan.objects.create(title="Physics", public_id="PLAN-PHY")
    with django_capture_on_commit_callbacks(execute=True):
        Enrollment.objects.create(player=student, plan=plan)
    return plan


def choose(app, body):
    return app.put("me/plan/", orjson.dumps(body), "application/json")


def refusal(answer):
    return answer.status_code, answer.json()["error_code"]


# --- Plans ------------------------------------------------------------------


def test_the_app_lists_the_plans_with_one_query(
    signed_in, physics, round_trips, django_assert_num_queries
):
    signed_in.get("me/plans/")
    round_trips.clear()
    with django_assert_num_queries(1):  # the enrolments with their plans
        answer = signed_in.get("me/plans/")
    assert len(round_trips) == 1  # the session
    assert answer.json() == {
        "plans": [
            {
                "id": "PLAN-5",
                "title": "Grade 5",
                "is_active": True,
                "is_published": False,
            },
            {
                "id": "PLAN-PHY",
                "title": "Physics",
                "is_active": False,
                "is_published": False,
            },
        ]
    }


def test_the_app_changes_the_active_plan(
    signed_in, maths, physics, django_capture_on_commit_callbacks
):
    assert signed_in.get("content/").status_code == 200
    with django_capture_on_commit_callbacks(execute=True):
        answer = choose(signed_in, {"plan_id": "PLAN-PHY"})
    assert answer.status_code == 200
    assert answer.json() == {
        "id": "PLAN-PHY",
        "title": "Physics",
        "is_active": True,
        "is_published": False,
    }
    assert refusal(signed_in.get("content/")) == (503, "NOT_PUBLISHED_YET")
    assert signed_in.get("me/").json()["plan"] == {"id": "PLAN-PHY", "title": "Physics"}


def test_the_change_is_audited_with_the_device(signed_in, physics):
    choose(signed_in, {"plan_id": "PLAN-PHY"})
    event = SecurityEvent.objects.latest("pk")
    assert event.type == "plan_activated"
    assert str(event.device_id) == signed_in.device_id
    assert event.ip_address == "127.0.0.1"


def test_the_change_costs_few_queries(
    signed_in, physics, round_trips, django_assert_num_queries
):
    signed_in.get("me/plans/")
    round_trips.clear()
    # A savepoint and its release; the player and the lock; the enrolment; of the
    # change: a savepoint and its release, the players, the update, the version and its
    # number; the audit row.
    with django_assert_num_queries(12):
        choose(signed_in, {"plan_id": "PLAN-PHY"})
    assert len(round_trips) == 2  # the session; the tombstone


def test_a_plan_without_enrolment_is_refused(signed_in):
    AcademicPlan.objects.create(title="Grade 6", public_id="PLAN-6")
    answer = choose(signed_in, {"plan_id": "PLAN-6"})
    assert refusal(answer) == (403, "NOT_ENROLLED")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "plan_id"),
        ({"plan_id": 5}, "plan_id"),
        ({"plan_id": None}, "plan_id"),
        ({"plan_id": ""}, "plan_id"),
        ({"plan_id": "x" * 65}, "plan_id"),
        ({"plan_id": "PLAN-5\u0000"}, "plan_id"),
        ({"plan_id": "../PLAN-5"}, "plan_id"),
        ({"plan_id": "PLAN-5", "more": 1}, "more"),
        ([], "body"),
    ],
)
def test_a_body_that_names_no_plan_is_refused(signed_in, body, field):
    answer = choose(signed_in, body)
    assert refusal(answer) == (400, "INVALID_BODY")
    assert list(answer.json()["details"]["fields"]) == [field]


# --- Products ---------------------------------------------------------------


def test_the_app_lists_the_products_without_a_query(
    signed_in,
    student,
    maths,
    round_trips,
    django_assert_num_queries,
    django_capture_on_commit_callbacks,
):
    with django_capture_on_commit_callbacks(execute=True):
        Entitlement.objects.create(player=student, item="MATHS-5")
    signed_in.get("me/entitlements/")
    round_trips.clear()
    with django_assert_num_queries(0):
        answer = signed_in.get("me/entitlements/")
    assert len(round_trips) == 1  # the session and the access
    assert answer.json() == {
        "entitlements": [
            {
                "code": "MATHS-5",
                "valid_until": None,
                "is_valid": True,
                "opens": [{"id": "UNIT-MATH-1", "type": "unit", "title": "Unit 1"}],
            }
        ]
    }


def test_without_products_the_list_is_empty(signed_in):
    assert signed_in.get("me/entitlements/").json() == {"entitlements": []}


# --- Links of many lessons --------------------------------------------------


def test_the_app_gets_the_links_below_a_node_in_one_round_trip(
    signed_in, maths, round_trips, django_assert_num_queries
):
    path = "content/nodes/SUBJ-MATH/lessons/"
    signed_in.get(path)
    round_trips.clear()
    with django_assert_num_queries(1):  # the publishing settings
        answer = signed_in.get(path)
    assert len(round_trips) == 1  # the session and the access
    body = answer.json()
    assert [one["lesson_id"] for one in body["lessons"]] == [
        "LES-MATH-0-0",
        "LES-MATH-0-1",
    ]
    assert body["refused"] == [
        {
            "lesson_id": f"LES-MATH-1-{n}",
            "error_code": "NOT_ENTITLED",
            "required_item": "MATHS-5",
        }
        for n in range(2)
    ]
    assert (body["next"], body["total"]) == (None, 4)


def test_a_link_has_the_fields_of_the_single_lessons_link(signed_in, maths):
    page = signed_in.get("content/nodes/TOP-MATH-0/lessons/").json()
    alone = signed_in.get("content/lessons/LES-MATH-0-0/").json()
    first = page["lessons"][0]
    assert first.keys() == alone.keys()
    assert (first["version"], first["videos"]) == (alone["version"], alone["videos"])


def test_after_continues_the_page(signed_in, maths):
    page = signed_in.get("content/nodes/SUBJ-MATH/lessons/?after=0").json()
    assert [one["lesson_id"] for one in page["lessons"]] == ["LES-MATH-0-1"]


@pytest.mark.parametrize("after", ["x", "-1", "1.5", "", "9" * 19, "LES-MATH-0-0"])
def test_after_must_be_a_number(signed_in, maths, after):
    answer = signed_in.get(f"content/nodes/SUBJ-MATH/lessons/?after={after}")
    assert refusal(answer) == (400, "INVALID_BODY")
    assert list(answer.json()["details"]["fields"]) == ["after"]


@pytest.mark.parametrize(
    "node_id", ["SUBJ-OTHER", "LES-MATH-0-0", "%00", "..", "x" * 3000, "é"]
)
def test_an_unknown_node_is_refused(signed_in, maths, node_id):
    answer = signed_in.get(f"content/nodes/{node_id}/lessons/")
    assert answer.status_code == 404
    assert answer.json()["error_code"] in ("INVALID_NODE", "NOT_FOUND")


def test_before_the_release_there_are_no_links(signed_in):
    answer = signed_in.get("content/nodes/SUBJ-MATH/lessons/")
    assert refusal(answer) == (503, "NOT_PUBLISHED_YET")
