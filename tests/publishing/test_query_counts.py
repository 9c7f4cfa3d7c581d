"""A build asks the database a fixed number of questions, whatever the plan's size."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from content.models import LessonStage
from plans.models import AcademicPlan
from plans.services import add_subject
from publishing import builds, snapshot
from publishing.models import PublishingSettings
from tests.publishing.conftest import make_subject

pytestmark = pytest.mark.django_db


def plan_of(name: str, *, lessons: int) -> AcademicPlan:
    plan = AcademicPlan.objects.create(
        public_id=f"PLAN-{name}", title=name, is_published=True
    )
    add_subject(plan=plan, subject=make_subject(name, lessons=lessons))
    return plan


def queries_of(action) -> int:
    with CaptureQueriesContext(
        connection,
    ) as captured:
        action()
    return len(captured)


def test_reading_a_plan_takes_thirteen_queries_at_any_size():
    PublishingSettings.get_solo()
    small, large = plan_of("SMALL", lessons=2), plan_of("LARGE", lessons=20)
    # The plan with its labels, settings, plan subjects, revisions, torn switches, the
    # publication, overrides; the subject's root, nodes and stages; published
    # documents, lessons open elsewhere, the removals counter.
    counts = {queries_of(lambda: snapshot.take(plan.pk)) for plan in (small, large)}  # noqa: B023
    assert counts == {13}


def test_a_first_build_does_not_ask_more_for_more_lessons():
    small, large = plan_of("SMALL", lessons=2), plan_of("LARGE", lessons=20)
    builds.publish_plan(plan_of("FIRST", lessons=1).pk)
    first = queries_of(lambda: builds.publish_plan(small.pk))
    second = queries_of(lambda: builds.publish_plan(large.pk))
    assert first == second


def test_a_one_lesson_edit_asks_the_same_at_any_size():
    counts = set()
    for name, lessons in (("SMALL", 2), ("LARGE", 20)):
        plan = plan_of(name, lessons=lessons)
        builds.publish_plan(plan.pk)
        LessonStage.objects.filter(public_id=f"STG-{name}-0-0").update(title="New")
        counts.add(queries_of(lambda: builds.publish_plan(plan.pk)))  # noqa: B023
    assert len(counts) == 1
