"""A build takes a fixed number of queries, whatever the plan's size."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from content.models import LessonStage, Node
from plans.models import AcademicPlan
from plans.services import add_subject
from publishing import staleness
from publishing.building import builds, snapshot, sweep
from publishing.models import PublishingSettings
from tests.factories.content import make_subject, plant

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
    # The plan with its labels, settings, plan subjects, revisions, the publication,
    # overrides; the subject's root, nodes, numbers of stages
    # and stages; published documents, lessons open elsewhere, the removals counter.
    counts = {queries_of(lambda: snapshot.take(plan.pk)) for plan in (small, large)}  # noqa: B023
    assert counts == {13}


def test_a_build_reads_nothing_of_plans_that_have_other_subjects():
    own_plan = plan_of("MINE", lessons=1)
    plan_of("OTHER", lessons=2)
    sharing = AcademicPlan.objects.create(title="Sharing", is_published=True)
    for subject in own_plan.subjects.all():
        add_subject(plan=sharing, subject=subject)
    Node.objects.update(is_public=True)
    sweep.process_pending(limit=10)
    open_elsewhere = snapshot.take(own_plan.pk, full=True).open_elsewhere
    assert open_elsewhere == {"LES-MINE-0-0", "LES-MINE-1-0"}
    with CaptureQueriesContext(connection) as captured:
        staleness.pending([own_plan.pk])
    read = [q["sql"] for q in captured if "publishing_publication" in q["sql"]]
    assert len(read) == 1
    assert str(own_plan.pk) in read[0].partition("WHERE")[2]


def test_a_first_build_does_not_ask_more_for_more_lessons():
    small, large = plan_of("SMALL", lessons=2), plan_of("LARGE", lessons=20)
    builds.publish_plan(plan_of("FIRST", lessons=1).pk)
    first = queries_of(lambda: builds.publish_plan(small.pk))
    second = queries_of(lambda: builds.publish_plan(large.pk))
    assert first == second


def test_a_one_lesson_edit_asks_the_same_at_any_size():
    """600 lessons, so that queries in batches of 500 would show."""
    counts = set()
    for name, lessons in (("SMALL", 2), ("LARGE", 600)):
        plant(name, lessons=lessons)
        plan = AcademicPlan.objects.create(title=name, is_published=True)
        add_subject(plan=plan, subject=Node.objects.get(public_id=f"SUBJ-{name}"))
        builds.publish_plan(plan.pk)
        LessonStage.objects.filter(public_id=f"STG-{name}-0-0").update(title="New")
        counts.add(queries_of(lambda: builds.publish_plan(plan.pk)))  # noqa: B023
    assert len(counts) == 1
