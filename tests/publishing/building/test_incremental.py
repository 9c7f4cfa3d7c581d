"""A build that keeps unchanged files gives the result of a full build."""

import pytest
from django.utils import timezone

from content import services
from content.kinds import Kind
from content.models import LessonStage, Node
from plans.models import AcademicPlan
from plans.services import add_subject, set_override
from publishing.building import builds, dry_run, releases, snapshot
from publishing.building.modes import FullBuild
from publishing.format.incremental import ChangedSubject, UnchangedSubject
from publishing.models import PlanLesson, PublishingSettings
from tests.factories.content import make_subject, move_node, trash_node
from tests.publishing import release
from tests.publishing.conftest import node

pytestmark = pytest.mark.django_db


@pytest.fixture(params=[500, 3], ids=["whole search", "sharded search"])
def two_subjects(request, plan):
    current = PublishingSettings.get_solo()
    current.search_shard_threshold = request.param
    current.save()
    add_subject(plan=plan, subject=make_subject("PHYS"))
    builds.publish_plan(plan.pk)
    return plan


def publish_in_part(plan) -> snapshot.Snapshot:
    """Publish, and compare the release with a full build."""
    taken = snapshot.take(plan.pk)
    assert not isinstance(taken.mode, FullBuild)
    entry = builds.publish_plan(plan.pk)
    assert not entry.error
    release.walk("PLAN-A")
    whole = releases.make(snapshot.take(plan.pk, full=True), now=timezone.now())
    assert dict(whole.to_write) == {}
    assert set(whole.gone) == set()
    stored = PlanLesson.objects.filter(publication__plan=plan)
    assert dict(stored.values_list("lesson_id", "is_open")) == whole.plan_lessons
    return taken


def kept(taken: snapshot.Snapshot) -> list[str]:
    return [part.id for part in taken.subjects if isinstance(part, UnchangedSubject)]


def fresh(taken: snapshot.Snapshot) -> list[str]:
    return [part.root.id for part in taken.subjects if isinstance(part, ChangedSubject)]


def test_a_stage_edit_reads_its_lesson_only(two_subjects):
    LessonStage.objects.get(public_id="STG-PHYS-1-0").delete()
    taken = publish_in_part(two_subjects)
    assert kept(taken) == ["SUBJ-MATH", "SUBJ-PHYS"]
    edited = [found.lesson.id for part in taken.subjects for found in part.edited]
    assert edited == ["LES-PHYS-1-0"]


def test_stages_added_to_several_lessons(two_subjects):
    for name in ("LES-MATH-0-0", "LES-MATH-1-1", "LES-PHYS-0-1"):
        LessonStage.objects.create(
            lesson=node(name),
            type="Text",
            title="More",
            config={"format": "markdown", "body": "more"},
        )
    taken = publish_in_part(two_subjects)
    assert fresh(taken) == []


def test_a_stage_edit_of_a_hidden_lesson_changes_no_file(two_subjects):
    set_override(plan=two_subjects, target=node("UNIT-MATH-0"), action="hide")
    set_override(plan=two_subjects, target=node("LES-MATH-1-0"), action="hide")
    builds.publish_plan(two_subjects.pk)
    before = release.everything()
    LessonStage.objects.filter(lesson=node("LES-MATH-0-0")).update(title="A")
    LessonStage.objects.filter(lesson=node("LES-MATH-1-0")).update(title="B")
    publish_in_part(two_subjects)
    assert release.everything() == before


def test_a_tree_edit_reads_its_subject_only(two_subjects):
    lesson = node("LES-PHYS-0-0")
    lesson.title = "Renamed"
    lesson.save()
    taken = publish_in_part(two_subjects)
    assert (kept(taken), fresh(taken)) == (["SUBJ-MATH"], ["SUBJ-PHYS"])


def test_lessons_come_and_go(two_subjects):
    services.create_node(
        kind=Kind.LESSON,
        parent=node("TOP-PHYS-0"),
        title="New",
        public_id="LES-NEW",
        is_published=True,
    )
    publish_in_part(two_subjects)
    trash_node(node=node("UNIT-PHYS-1"))
    publish_in_part(two_subjects)
    found = release.everything()
    assert "lessons/LES-PHYS-1-0.json" not in found
    assert "lessons/LES-NEW.json" in found


def test_a_lesson_moves_to_the_other_subject(two_subjects):
    move_node(
        node=node("LES-MATH-0-0"), target=node("TOP-PHYS-0"), position="first-child"
    )
    publish_in_part(two_subjects)
    topic = release.read("plans/PLAN-A/TOP-PHYS-0.json")
    assert topic["lessons"][0]["id"] == "LES-MATH-0-0"


def test_a_subject_vanishes_and_returns(two_subjects):
    physics = Node.objects.filter(public_id="SUBJ-PHYS")
    physics.update(is_published=False)
    publish_in_part(two_subjects)
    assert not (release.root() / "plans/PLAN-A/SUBJ-PHYS_h.json").exists()
    LessonStage.objects.filter(public_id="STG-PHYS-0-0").update(title="Unseen")
    publish_in_part(two_subjects)
    physics.update(is_published=True)
    publish_in_part(two_subjects)
    assert (release.root() / "plans/PLAN-A/SUBJ-PHYS_h.json").exists()


@pytest.fixture
def beside_a_new_tree(two_subjects):
    """The next build reads one subject in full; of the other, edited lessons only."""
    LessonStage.objects.filter(public_id="STG-PHYS-0-0").update(title="Then")
    builds.publish_plan(two_subjects.pk)
    Node.objects.filter(public_id="LES-MATH-0-0").update(title="Renamed")
    return two_subjects


LESSON = "lessons/LES-PHYS-0-0.json"


def test_a_stage_saved_unchanged_beside_a_new_tree_changes_no_file(beside_a_new_tree):
    own_files = {LESSON, f"{LESSON}.prev", "plans/PLAN-A/TOP-PHYS-0.json"}
    before = {path: (release.root() / path).read_bytes() for path in own_files}
    LessonStage.objects.get(public_id="STG-PHYS-0-0").save()
    assert LESSON not in dry_run.dry_run_of(beside_a_new_tree.pk).changed
    taken = publish_in_part(beside_a_new_tree)
    assert (kept(taken), fresh(taken)) == (["SUBJ-PHYS"], ["SUBJ-MATH"])
    assert {path: (release.root() / path).read_bytes() for path in own_files} == before


def test_a_lesson_edited_beside_a_new_tree_is_changed_and_not_added(beside_a_new_tree):
    LessonStage.objects.filter(public_id="STG-PHYS-0-0").update(title="Now")
    found = dry_run.dry_run_of(beside_a_new_tree.pk)
    assert found.added == []
    assert LESSON in found.changed


def test_two_plans_with_a_lesson_edited_beside_a_new_tree_name_one_version(
    beside_a_new_tree,
):
    other = AcademicPlan.objects.create(
        public_id="PLAN-B", title="Other", is_published=True
    )
    for subject in beside_a_new_tree.subjects.all():
        add_subject(plan=other, subject=subject)
    builds.publish_plan(beside_a_new_tree.pk)
    builds.publish_plan(other.pk)
    LessonStage.objects.filter(public_id="STG-PHYS-0-0").update(title="Now")
    Node.objects.filter(public_id="LES-MATH-0-0").update(title="Again")
    builds.publish_plan(beside_a_new_tree.pk)
    builds.publish_plan(other.pk)
    versions = {
        release.read(f"plans/{plan}/TOP-PHYS-0.json")["lessons"][0]["lesson_version"]
        for plan in ("PLAN-A", "PLAN-B")
    }
    assert versions == {release.read(LESSON)["version"]}


def test_growing_past_the_threshold_splits_the_search(two_subjects):
    current = PublishingSettings.get_solo()
    current.search_shard_threshold = 8
    current.save()
    builds.publish_plan(two_subjects.pk)
    assert not release.read("plans/PLAN-A/search_index.json")["is_sharded"]
    services.create_node(
        kind=Kind.LESSON, parent=node("TOP-PHYS-0"), title="9th", is_published=True
    )
    publish_in_part(two_subjects)
    assert release.read("plans/PLAN-A/search_index.json")["is_sharded"]
    trash_node(node=node("UNIT-PHYS-0"))
    publish_in_part(two_subjects)
    assert not (release.root() / "plans/PLAN-A/search").exists()


def test_a_changed_plan_is_read_whole(two_subjects):
    set_override(plan=two_subjects, target=node("LES-MATH-0-0"), action="set_free")
    assert isinstance(snapshot.take(two_subjects.pk).mode, FullBuild)


def test_a_release_that_was_tampered_with_is_built_whole(two_subjects):
    path = release.root() / "plans/PLAN-A/SUBJ-MATH_h.json"
    path.unlink()
    path.write_text("{}")
    LessonStage.objects.filter(public_id="STG-MATH-0-0").update(title="New")
    entry = builds.publish_plan(two_subjects.pk)
    assert not entry.error
