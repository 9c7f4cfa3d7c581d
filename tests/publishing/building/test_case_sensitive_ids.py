"""Ids that differ only by case are different ids, on every database."""

import pytest
from django.utils import timezone

from content.models import Node
from plans.models import AcademicPlan
from plans.services import add_subject
from players.models import Entitlement, PlayerProfile, User
from progress.models import StructureProgress
from publishing.building import builds
from publishing.models import PlanLesson, Publication, SyncStatus
from publishing.monitoring import health
from publishing.storage import open_lessons
from tests.publishing import release

pytestmark = pytest.mark.django_db


def test_a_free_lesson_opens_no_paid_one_whose_id_differs_by_case(plan):
    Node.objects.filter(public_id="LES-MATH-0-0").update(required_item="BOOK-1")
    Node.objects.filter(public_id="LES-MATH-0-1").update(
        public_id="LES-math-0-0", is_free_preview=True
    )
    builds.publish_plan(plan.pk)
    plan_lessons = dict(PlanLesson.objects.values_list("lesson_id", "is_open"))
    assert plan_lessons["LES-MATH-0-0"] is False
    assert plan_lessons["LES-math-0-0"] is True
    assert "LES-MATH-0-0" not in open_lessons.opened()
    assert "LES-math-0-0" in open_lessons.opened()
    release.walk("PLAN-A")


def test_plans_whose_ids_differ_by_case_have_a_release_each(plan, math):
    other = AcademicPlan.objects.create(
        public_id="plan-a", title="Other", is_published=True
    )
    add_subject(plan=other, subject=math)
    builds.publish_plan(plan.pk)
    assert builds.publish_plan(other.pk).status == SyncStatus.LOCAL_ONLY
    assert Publication.objects.count() == 2
    for plan_id in ("PLAN-A", "plan-a"):
        release.walk(plan_id)
    assert not health.check(full=True).findings.get("orphaned")


def test_progress_and_purchases_are_kept_apart_by_case(db):
    player = PlayerProfile.objects.create(
        user=User.objects.create_user("student@example.com", "p")
    )
    for name in ("SUBJ-MATH", "SUBJ-math"):
        StructureProgress.objects.create(
            player=player, subject_id=name, last_synced_at=timezone.now()
        )
        Entitlement.objects.create(player=player, item=name)
    assert StructureProgress.objects.filter(subject_id="SUBJ-MATH").count() == 1
    assert Entitlement.objects.filter(item="SUBJ-math").count() == 1
