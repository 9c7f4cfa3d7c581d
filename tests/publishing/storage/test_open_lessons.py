"""Open and gated: the tables decide, the disk follows, and a failure gates."""

import pytest
from django.db import DatabaseError, transaction

from content.models import Node
from plans.models import AcademicPlan
from plans.services import add_subject, remove_override, set_override
from publishing import staleness
from publishing.building import builds, sweep
from publishing.models import PlanLesson
from publishing.storage import activation, file_store, open_lessons, recovery
from tests.publishing.conftest import node

pytestmark = pytest.mark.django_db
FREE, PAID = "LES-MATH-0-0", "LES-MATH-0-1"


@pytest.fixture
def published(plan):
    set_override(plan=plan, target=node(FREE), action="set_free")
    builds.publish_plan(plan.pk)
    return plan


def test_a_release_opens_what_it_offers_to_all(published):
    assert open_lessons.opened() == {FREE}
    assert not open_lessons.is_gated(FREE)
    assert open_lessons.is_gated(PAID)
    assert (file_store.root() / ".open" / FREE).read_bytes() == file_store.read(
        f"lessons/{FREE}.json"
    )


def test_looking_costs_no_query(published, django_assert_num_queries):
    with django_assert_num_queries(0):
        open_lessons.is_gated(FREE)


def test_an_edit_of_access_moves_the_gate_with_its_release(published):
    set_override(plan=published, target=node(PAID), action="set_free")
    set_override(
        plan=published, target=node(FREE), action="set_sold_separately", value="P-1"
    )
    builds.publish_plan(published.pk)
    assert open_lessons.opened() == {PAID}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "sell",
    [
        lambda lesson: Node.objects.filter(pk=lesson.pk).update(is_public=False),
        lambda lesson: lesson.save(),
    ],
    ids=["in bulk", "saved"],
)
def test_a_lesson_is_shut_with_the_commit_that_sells_it(plan, sell):
    Node.objects.filter(public_id=FREE).update(is_public=True)
    assert open_lessons.opened() == {FREE}
    lesson = node(FREE)
    lesson.is_public = False
    sell(lesson)
    assert open_lessons.opened() == set()


@pytest.mark.django_db(transaction=True)
def test_an_override_of_access_is_published_with_its_commit(plan):
    set_override(plan=plan, target=node(FREE), action="set_free")
    assert open_lessons.opened() == {FREE}
    remove_override(plan=plan, target=node(FREE), aspect="access")
    assert open_lessons.opened() == set()


@pytest.mark.django_db(transaction=True)
def test_another_title_waits_for_the_batch(plan):
    builds.publish_plan(plan.pk)
    lesson = node(FREE)
    lesson.title = "Later"
    lesson.save()
    assert staleness.pending()


def test_a_lesson_stays_open_while_another_plan_offers_it_to_all(published, math):
    other = AcademicPlan.objects.create(
        public_id="PLAN-B", title="Other", is_published=True
    )
    add_subject(plan=other, subject=math)
    builds.publish_plan(other.pk)
    assert not open_lessons.is_gated(FREE)


def test_a_withdrawn_plan_s_lessons_are_shut(published):
    published.is_published = False
    published.save()
    sweep.process_pending(limit=10)
    assert open_lessons.opened() == set()


def test_a_gate_that_shuts_is_shut_before_the_tables_say_so(published, monkeypatch):
    set_override(
        plan=published, target=node(FREE), action="set_sold_separately", value="P-1"
    )
    seen = []

    def mark_changed(_pks, **_how):
        seen.append(open_lessons.is_gated(FREE))
        raise DatabaseError("the server has gone away")

    monkeypatch.setattr(AcademicPlan, "mark_changed", mark_changed)
    builds.publish_plan(published.pk)
    assert seen == [True]
    assert PlanLesson.objects.get(lesson_id=FREE).is_open
    # No lesson is opened before the tables match the disk.
    activation.reconcile_open_lessons()
    assert open_lessons.is_gated(FREE)
    monkeypatch.undo()
    recovery.recover_if_incomplete()
    assert open_lessons.is_gated(FREE)


def test_a_lesson_whose_opening_was_interrupted_opens_within_the_minute(
    published, monkeypatch
):
    set_override(plan=published, target=node(PAID), action="set_free")
    with monkeypatch.context() as patch:
        patch.setattr(
            open_lessons,
            "open_lesson",
            lambda _ids: (_ for _ in ()).throw(OSError("full")),
        )
        entry = builds.publish_plan(published.pk)
    assert entry.error == ""
    assert open_lessons.is_gated(PAID)
    assert activation.reconcile_open_lessons() == (1, 0)
    assert not open_lessons.is_gated(PAID)
    assert activation.reconcile_open_lessons() == (0, 0)


def test_what_no_table_offers_is_shut_within_the_minute(published):
    open_lessons.open_lesson([PAID, "LES-GONE"])
    assert activation.reconcile_open_lessons() == (0, 2)
    assert open_lessons.opened() == {FREE}


def test_settling_some_leaves_the_others_alone(published):
    open_lessons.open_lesson([PAID])
    with transaction.atomic():
        assert activation.reconcile_open_lessons([FREE]) == (0, 0)
    assert open_lessons.opened() == {FREE, PAID}


@pytest.mark.parametrize("name", ["..", "../x", ".hidden", "a/b", ""])
def test_an_unsafe_name_is_refused(name):
    with pytest.raises(ValueError, match="id"):
        open_lessons.is_gated(name)
