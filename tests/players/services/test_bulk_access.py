"""Plans, products and sessions of many students at once."""

from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from content import products
from core import statement_guard
from plans.models import AcademicPlan
from players import audit
from players.errors import StoreAwayError
from players.models import (
    Enrollment,
    Entitlement,
    PlayerProfile,
    PlayerWallet,
    SecurityEvent,
    Session,
    User,
)
from players.services import bulk_access

pytestmark = pytest.mark.django_db

JUNE = datetime(2027, 6, 30, 21, tzinfo=UTC)
JULY = datetime(2027, 7, 31, 21, tzinfo=UTC)


@pytest.fixture
def other(db):
    return AcademicPlan.objects.create(title="Grade 6", public_id="PLAN-6")


@pytest.fixture
def school(db):
    """Return a function that creates students and returns their numbers."""

    def make(count: int) -> list[int]:
        before = User.objects.count()
        users = User.objects.bulk_create(
            User(email=f"s{number}@school.example")
            for number in range(before, before + count)
        )
        players = PlayerProfile.objects.bulk_create(
            PlayerProfile(user=user) for user in users
        )
        PlayerWallet.objects.bulk_create(PlayerWallet(player=one) for one in players)
        return [player.pk for player in players]

    return make


def events(kind: str) -> list[dict]:
    return list(
        SecurityEvent.objects.filter(type=kind).values_list("details", flat=True)
    )


def test_students_are_enrolled_once_and_the_first_plan_becomes_active(
    school, plan, other, student
):
    keys = school(3)
    wanted = [(pk, plan.pk) for pk in keys] + [
        (keys[0], other.pk),
        (student.pk, plan.pk),
    ]
    with statement_guard.rewriting():
        SecurityEvent.objects.all()._raw_delete("default")
    assert bulk_access.enroll(wanted) == 4
    assert bulk_access.enroll(wanted) == 0
    added = sorted(event["plan"] for event in events("enrollment_added"))
    assert added == [plan.pk] * 3 + [other.pk]
    active = PlayerProfile.objects.filter(pk__in=keys).values_list("active_plan_id")
    assert set(active) == {(plan.pk,)}


def test_a_number_of_nobody_is_skipped(plan):
    assert bulk_access.enroll([(999, plan.pk)]) == 0
    assert bulk_access.grant([(999, "MATHS", None)]) == 0
    assert bulk_access.revoke([(999, "MATHS")]) == 0
    assert bulk_access.end_sessions([999]) == 0


def test_moved_students_leave_their_plan_and_see_the_new_one(school, plan, other):
    keys = school(2)
    bulk_access.enroll([(pk, plan.pk) for pk in keys])
    third = AcademicPlan.objects.create(title="Third", public_id="PLAN-7")
    bulk_access.enroll([(keys[1], third.pk)])
    PlayerProfile.objects.filter(pk=keys[1]).update(active_plan=third)
    moved = {"plan_id": other.pk, "from_plan_id": plan.pk}
    assert bulk_access.move(keys, **moved) == 2
    assert bulk_access.move(keys, **moved) == 0
    rows = Enrollment.objects.order_by("player_id", "plan_id")
    assert list(rows.values_list("player_id", "plan_id")) == [
        (keys[0], other.pk),
        (keys[1], other.pk),
        (keys[1], third.pk),
    ]
    # The second student had chosen another plan, which stays.
    players = PlayerProfile.objects.filter(pk__in=keys).order_by("pk")
    assert list(players.values_list("active_plan_id", flat=True)) == [
        other.pk,
        third.pk,
    ]
    assert events("enrollment_removed") == [{"plan": plan.pk}] * 2
    assert events("plan_activated") == [{"plan": other.pk, "previous": plan.pk}]


def test_a_product_is_extended_and_never_shortened(school):
    (pk,) = school(1)

    def give(until):
        return bulk_access.grant([(pk, "MATHS", until)])

    assert [give(JUNE), give(JUNE), give(JULY), give(JUNE)] == [1, 0, 1, 0]
    assert Entitlement.objects.get().valid_until == JULY
    assert [give(None), give(JULY)] == [1, 0]
    assert Entitlement.objects.get().valid_until is None
    assert len(events("entitlement_changed")) == 2


def test_a_revoked_product_is_gone_and_another_stays(school):
    keys = school(2)
    bulk_access.grant([(pk, item, None) for pk in keys for item in ("MATHS", "ART")])
    assert bulk_access.revoke([(pk, "MATHS") for pk in keys]) == 2
    assert bulk_access.revoke([(pk, "MATHS") for pk in keys]) == 0
    assert set(Entitlement.objects.values_list("item")) == {("ART",)}
    assert events("entitlement_removed") == [{"item": "MATHS", "until": None}] * 2


def test_a_revoked_product_opens_nothing_at_the_next_request(
    signed_in, student, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        bulk_access.grant([(student.pk, "MATHS", None)])
    owned = signed_in.get("me/entitlements/").json()["entitlements"]
    assert [one["code"] for one in owned] == ["MATHS"]
    with django_capture_on_commit_callbacks(execute=True):
        bulk_access.revoke([(student.pk, "MATHS")])
    assert signed_in.get("me/entitlements/").json()["entitlements"] == []


def test_ended_sessions_are_refused_with_the_reason(
    signed_in, student, manager, django_capture_on_commit_callbacks
):
    device = Session.objects.get().device.device_id
    with django_capture_on_commit_callbacks(execute=True), audit.acting_as(manager.pk):
        assert bulk_access.end_sessions([student.pk]) == 1
    answer = signed_in.get("wallet/")
    assert (answer.status_code, answer.json()["error_code"]) == (
        401,
        "SESSION_ENDED_BY_STAFF",
    )
    event = SecurityEvent.objects.get(type="session_ended")
    assert (event.user_id, event.actor_id, event.device_id) == (
        student.user_id,
        manager.pk,
        device,
    )
    assert bulk_access.end_sessions([student.pk]) == 0


def test_without_redis_nothing_is_taken_away(signed_in, student, settings, tmp_path):
    bulk_access.grant([(student.pk, "MATHS", None)])
    settings.REDIS_URL = f"unix://{tmp_path / 'nobody.sock'}"
    with pytest.raises(StoreAwayError):
        bulk_access.revoke([(student.pk, "MATHS")])
    with pytest.raises(StoreAwayError):
        bulk_access.end_sessions([student.pk])
    assert Entitlement.objects.exists()
    assert Session.objects.exists()


def test_many_students_cost_as_many_queries_as_two(school, plan, other):
    products.ensure(["MATHS"])

    def queries(keys):
        with CaptureQueriesContext(connection) as captured:
            bulk_access.enroll([(pk, plan.pk) for pk in keys])
            bulk_access.move(keys, plan_id=other.pk, from_plan_id=plan.pk)
            bulk_access.grant([(pk, "MATHS", JUNE) for pk in keys])
            bulk_access.grant([(pk, "MATHS", None) for pk in keys])
            bulk_access.revoke([(pk, "MATHS") for pk in keys])
            bulk_access.end_sessions(keys)
        return len(captured)

    # SQLite takes fewer than 999 values in a statement: not 300 audit rows.
    assert queries(school(100)) == queries(school(2)) <= 105
