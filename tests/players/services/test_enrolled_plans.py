"""A player's plans, and the change of the active one."""

import pytest
from django.db import connection

from plans.models import AcademicPlan
from plans.services import add_subject
from players import keys
from players.errors import NotEnrolledError, PlayerNotFoundError, StoreAwayError
from players.models import Enrollment, PlayerProfile, SecurityEvent
from players.services import access, accounts, enrolled_plans
from publishing.building import builds
from tests.factories.content import make_branch

pytestmark = pytest.mark.django_db


@pytest.fixture
def physics(student):
    """A second plan of the student, published; the first one is active."""
    plan = AcademicPlan.objects.create(
        title="Physics", public_id="PLAN-PHY", is_published=True
    )
    add_subject(plan=plan, subject=make_branch("Physics", lessons=1).subject)
    assert builds.publish_plan(plan.pk, trigger="test").error == ""
    Enrollment.objects.create(player=student, plan=plan)
    return plan


@pytest.fixture
def other(db):
    """A plan in which the student is not enrolled."""
    return AcademicPlan.objects.create(title="Grade 6", public_id="PLAN-6")


def active_plan_id(student) -> str | None:
    found = PlayerProfile.objects.filter(pk=student.pk)
    return found.values_list("active_plan__public_id", flat=True).get()


def test_the_plans_are_those_that_the_player_is_enrolled_in(
    student, physics, other, django_assert_num_queries
):
    with django_assert_num_queries(1):  # the enrolments with their plans
        found = enrolled_plans.of_player(student.pk)
    assert [(one.id, one.title, one.is_active, one.is_published) for one in found] == [
        ("PLAN-5", "Grade 5", True, False),
        ("PLAN-PHY", "Physics", False, True),
    ]


def test_without_an_active_plan_none_is_active(student, physics):
    PlayerProfile.objects.filter(pk=student.pk).update(active_plan=None)
    assert not any(one.is_active for one in enrolled_plans.of_player(student.pk))


def test_a_player_who_is_enrolled_nowhere_has_no_plans(db):
    lonely = accounts.create_player("lonely@school.example", "correct horse 7", "L")
    assert enrolled_plans.of_player(lonely.pk) == []


def test_an_enrolled_plan_becomes_the_active_one(
    student, physics, redis_client, django_capture_on_commit_callbacks
):
    assert access.of_player(student.pk).active_plan_id == "PLAN-5"
    version = PlayerProfile.objects.get(pk=student.pk).access_version
    with django_capture_on_commit_callbacks(execute=True):
        found = enrolled_plans.activate(player_id=student.pk, plan_id="PLAN-PHY")
    assert (found.id, found.is_active, found.is_published) == ("PLAN-PHY", True, True)
    assert active_plan_id(student) == "PLAN-PHY"
    assert PlayerProfile.objects.get(pk=student.pk).access_version == version + 1
    assert redis_client.get(keys.access(student.pk)) is None
    assert access.of_player(student.pk).active_plan_id == "PLAN-PHY"


def test_until_the_commit_readers_use_the_database(student, physics, redis_client):
    access.of_player(student.pk)
    enrolled_plans.activate(player_id=student.pk, plan_id="PLAN-PHY")
    assert redis_client.get(keys.access(student.pk)).startswith(b"t")


def test_the_change_is_in_the_audit_trail(student, physics, plan):
    enrolled_plans.activate(player_id=student.pk, plan_id="PLAN-PHY")
    event = SecurityEvent.objects.latest("pk")
    assert (event.type, event.user_id) == ("plan_activated", student.user_id)
    assert event.details == {"plan": physics.pk, "previous": plan.pk}


def test_the_active_plan_again_is_no_change(student, physics, plan):
    before = SecurityEvent.objects.count()
    version = PlayerProfile.objects.get(pk=student.pk).access_version
    found = enrolled_plans.activate(player_id=student.pk, plan_id="PLAN-5")
    assert (found.is_active, found.is_published) == (True, False)
    assert SecurityEvent.objects.count() == before
    assert PlayerProfile.objects.get(pk=student.pk).access_version == version


@pytest.mark.parametrize("plan_id", ["PLAN-6", "PLAN-NONE", "", "plan-phy"])
def test_another_plan_is_refused(student, physics, other, plan_id):
    with pytest.raises(NotEnrolledError):
        enrolled_plans.activate(player_id=student.pk, plan_id=plan_id)
    assert active_plan_id(student) == "PLAN-5"


def test_a_player_who_never_was_has_nothing_to_change(physics):
    with pytest.raises(PlayerNotFoundError):
        enrolled_plans.activate(player_id=10**17, plan_id="PLAN-PHY")


def test_while_redis_does_not_answer_nothing_changes(
    student, physics, settings, tmp_path
):
    events = SecurityEvent.objects.count()
    settings.REDIS_URL = f"unix://{tmp_path / 'nobody.sock'}"
    with pytest.raises(StoreAwayError):
        enrolled_plans.activate(player_id=student.pk, plan_id="PLAN-PHY")
    assert not connection.needs_rollback
    assert active_plan_id(student) == "PLAN-5"
    assert SecurityEvent.objects.count() == events
