"""A published lesson with unchanged sources is neither read nor built again."""

import json

import pytest
from django.db import models
from django.utils import timezone

from content import integrity, services, undo
from content.curriculum import export_curriculum, import_curriculum
from content.models import LessonStage, Node, SubjectState
from plans.models import AcademicPlan
from plans.services import add_subject, set_override
from publishing.building import builds, releases, snapshot
from publishing.format import documents
from publishing.format.incremental import ChangedSubject
from publishing.models import PublishedDocument, PublishingSettings, SyncLog
from tests.factories.content import make_subject, move_node
from tests.publishing import release
from tests.publishing.conftest import node

pytestmark = pytest.mark.django_db

ALL = {"LES-MATH-0-0", "LES-MATH-0-1", "LES-MATH-1-0", "LES-MATH-1-1"}
FIRST = "lessons/LES-MATH-0-0.json"


@pytest.fixture
def published(plan) -> AcademicPlan:
    builds.publish_plan(plan.pk)
    return plan


def publish(plan: AcademicPlan) -> tuple[SyncLog, set[str]]:
    """Publish, and compare the release with a full build.

    Returns:
        The entry, and the lessons whose stages were read for it.
    """
    taken = snapshot.take(plan.pk)
    entry = builds.publish_plan(plan.pk)
    assert entry is not None
    assert not entry.error
    release.walk(plan.public_id)
    whole = releases.make(snapshot.take(plan.pk, full=True), now=timezone.now())
    assert dict(whole.to_write) == {}
    return entry, read_in(taken)


def read_in(taken: snapshot.Snapshot) -> set[str]:
    found = set()
    for subject in taken.subjects:
        if not isinstance(subject, ChangedSubject):
            found |= {edited.lesson.id for edited in subject.edited}
            continue
        below = [subject.root]
        while below:
            part = below.pop()
            below += part.children
            if part.source.stages:
                found.add(part.id)
            elif part.source.stage_count:
                assert part.id in subject.reusable
    return found


def test_an_override_reads_no_stage(published):
    set_override(plan=published, target=node("UNIT-MATH-0"), action="set_free")
    entry, read = publish(published)
    assert read == set()
    # The topic, the hierarchy, the bitmap, the search index and the manifest.
    assert entry.files_written == 5


def test_a_renamed_lesson_is_the_only_one_read(published):
    lesson = node("LES-MATH-1-0")
    lesson.title = "Renamed"
    lesson.save()
    _entry, read = publish(published)
    assert read == {"LES-MATH-1-0"}
    assert release.read("lessons/LES-MATH-1-0.json")["title"] == "Renamed"


@pytest.mark.parametrize("field", ["title", "description", "image"])
def test_every_field_of_its_own_counts(published, field):
    Node.objects.filter(public_id="LES-MATH-0-0").update(
        **{field: "https://x.example/y"}
    )
    _entry, read = publish(published)
    assert read == {"LES-MATH-0-0"}
    assert release.read(FIRST)[field] == "https://x.example/y"


def test_a_stage_edited_together_with_the_tree_is_read(published):
    LessonStage.objects.filter(public_id="STG-MATH-0-0").update(title="New")
    Node.objects.filter(public_id="UNIT-MATH-0").update(title="New, too")
    _entry, read = publish(published)
    assert read == {"LES-MATH-0-0"}


def test_a_lesson_that_lost_its_last_stage_is_made_again(published):
    LessonStage.objects.get(public_id="STG-MATH-0-0").delete()
    Node.objects.filter(public_id="UNIT-MATH-0").update(title="New")
    publish(published)
    assert release.read(FIRST)["stages"] == []


def test_a_second_plan_reads_no_stage_of_what_the_first_published(published):
    other = AcademicPlan.objects.create(title="Other", is_published=True)
    add_subject(plan=other, subject=node("SUBJ-MATH"))
    _entry, read = publish(other)
    assert read == set()


def test_a_lesson_that_was_hidden_so_far_is_read(plan):
    set_override(plan=plan, target=node("UNIT-MATH-0"), action="hide")
    builds.publish_plan(plan.pk)
    plan.overrides.all().delete()
    AcademicPlan.mark_changed([plan.pk])
    _entry, read = publish(plan)
    assert read == {"LES-MATH-0-0", "LES-MATH-0-1"}


def test_a_draft_is_not_read(published):
    Node.objects.filter(public_id="LES-MATH-0-0").update(is_published=False)
    publish(published)
    LessonStage.objects.filter(public_id="STG-MATH-0-0").update(title="Later")
    Node.objects.filter(public_id="UNIT-MATH-0").update(title="New")
    _entry, read = publish(published)
    assert read == set()


def test_a_lesson_made_again_under_its_id_is_read(published):
    """Its revisions start again, so those of the published file do not apply."""
    document = json.loads(export_curriculum("SUBJ-MATH"))
    for _edit in range(5):
        LessonStage.objects.filter(public_id="STG-MATH-1-1").update(weight=3)
    builds.publish_plan(published.pk)
    services.delete_node(node=node("LES-MATH-0-0"))
    topic = document["subject"]["tracks"][0]["units"][0]["topics"][0]
    topic["lessons"][0]["stages"][0]["config"]["body"] = "From the file"
    import_curriculum(json.dumps(document).encode())
    _entry, read = publish(published)
    assert "LES-MATH-0-0" in read
    assert release.read(FIRST)["stages"][0]["config"]["body"] == "From the file"


def test_a_lesson_that_moved_to_a_younger_subject_can_be_edited_there(published):
    """Revisions are counted per subject: those of two subjects are not comparable."""
    young = make_subject("PHYS")
    for _edit in range(50):
        LessonStage.objects.filter(public_id="STG-MATH-0-0").update(weight=2)
    add_subject(plan=published, subject=young)
    publish(published)
    move_node(
        node=node("LES-MATH-0-0"), target=node("TOP-PHYS-0"), position="first-child"
    )
    LessonStage.objects.filter(public_id="STG-MATH-0-0").update(title="Moved")
    publish(published)
    assert release.read(FIRST)["stages"][0]["title"] == "Moved"
    LessonStage.objects.filter(public_id="STG-MATH-0-0").update(title="And edited")
    Node.objects.filter(public_id="UNIT-PHYS-0").update(title="New")
    publish(published)
    assert release.read(FIRST)["stages"][0]["title"] == "And edited"


@pytest.fixture
def draft_subject(published):
    """A new subject in no plan, beside one that has been edited often."""
    for number in range(50):
        LessonStage.objects.filter(public_id="STG-MATH-0-0").update(weight=number)
    publish(published)
    return make_subject("DRAFT")


def move(public_id: str, *, into: str) -> None:
    move_node(node=node(public_id), target=node(into), position="first-child")


@pytest.mark.parametrize("is_published_between", [True, False])
@pytest.mark.parametrize(
    ("moved", "home"), [("LES-MATH-0-0", "TOP-MATH-0"), ("TOP-MATH-0", "UNIT-MATH-0")]
)
def test_a_lesson_edited_while_it_lay_in_another_subject_is_read(
    published, draft_subject, moved, home, is_published_between
):
    abroad = "TOP-DRAFT-0" if moved.startswith("LES") else "UNIT-DRAFT-0"
    move(moved, into=abroad)
    if is_published_between:
        publish(published)
    LessonStage.objects.filter(public_id="STG-MATH-0-0").update(title="Corrected")
    move(moved, into=home)
    _entry, read = publish(published)
    assert "LES-MATH-0-0" in read
    assert release.read(FIRST)["stages"][0]["title"] == "Corrected"


def test_a_lesson_edited_before_its_move_was_undone_is_read(published, draft_subject):
    _moved, record = undo.move(
        nodes=[node("LES-MATH-0-0")],
        target=node("TOP-DRAFT-0"),
        position="first-child",
    )
    LessonStage.objects.filter(public_id="STG-MATH-0-0").update(title="Corrected")
    undo.undo(record)
    _entry, read = publish(published)
    assert read == {"LES-MATH-0-0"}
    assert release.read(FIRST)["stages"][0]["title"] == "Corrected"


def test_a_lesson_brought_home_by_a_repair_and_edited_there_is_read(
    published, draft_subject
):
    """The lesson was in another subject by mistake, was edited, and is moved back."""
    add_subject(plan=published, subject=draft_subject)
    stray = models.QuerySet(Node).filter(public_id="LES-DRAFT-0-0")
    stray.update(subject=node("SUBJ-MATH"), bit_index=99)
    LessonStage.objects.filter(public_id="STG-DRAFT-0-0").update(title="Counted there")
    integrity.repair()
    publish(published)
    LessonStage.objects.filter(public_id="STG-DRAFT-0-1").update(title="Its sibling")
    _entry, read = publish(published)
    assert read == {"LES-DRAFT-0-1"}


def test_a_moved_lesson_is_read_once(published, draft_subject):
    add_subject(plan=published, subject=draft_subject)
    publish(published)
    LessonStage.objects.filter(public_id="STG-MATH-0-0").update(title="Latest")
    move("LES-MATH-0-0", into="TOP-DRAFT-0")
    publish(published)
    LessonStage.objects.filter(public_id="STG-DRAFT-1-1").update(title="Another")
    _entry, read = publish(published)
    assert read == {"LES-DRAFT-1-1"}


@pytest.fixture
def after_a_lost_state(published, draft_subject):
    """The subject's state was lost after the last publish, and created again."""
    SubjectState.objects.filter(subject__public_id="SUBJ-MATH").delete()
    integrity.repair()
    return published


def test_a_tree_edited_after_its_lost_state_was_made_again_is_published(
    after_a_lost_state,
):
    Node.objects.filter(public_id="UNIT-MATH-0").update(title="Corrected")
    publish(after_a_lost_state)
    hierarchy = release.read("plans/PLAN-A/SUBJ-MATH_h.json")
    assert hierarchy["tracks"][0]["units"][0]["title"] == "Corrected"


def test_a_stage_edited_after_its_subject_s_lost_state_was_made_again_is_read(
    after_a_lost_state,
):
    publish(after_a_lost_state)
    LessonStage.objects.filter(public_id="STG-MATH-0-0").update(title="Corrected")
    Node.objects.filter(public_id="UNIT-MATH-0").update(title="New, too")
    _entry, read = publish(after_a_lost_state)
    assert read == {"LES-MATH-0-0"}
    assert release.read(FIRST)["stages"][0]["title"] == "Corrected"


def test_a_lost_file_of_a_standing_lesson_is_written_again(published):
    (release.root() / FIRST).unlink()
    set_override(plan=published, target=node("UNIT-MATH-0"), action="set_free")
    publish(published)
    assert (release.root() / FIRST).exists()


@pytest.mark.parametrize(
    ("setting", "value"),
    [("local_domain", "https://learn.example"), ("embed_signed_urls", False)],
)
def test_a_setting_that_lessons_depend_on_has_them_made_again(
    published, setting, value
):
    current = PublishingSettings.get_solo()
    setattr(current, setting, value)
    current.save()
    _entry, read = publish(published)
    assert read == ALL


def test_lessons_made_in_another_manner_are_made_again_once(published, monkeypatch):
    """A new lesson format rebuilds every lesson once, even if no file changes."""
    monkeypatch.setattr(
        documents, "_LESSON_FORMAT_VERSION", documents._LESSON_FORMAT_VERSION + 1
    )
    AcademicPlan.mark_changed([published.pk])
    entry, read = publish(published)
    assert (entry.files_written, read) == (0, ALL)
    AcademicPlan.mark_changed([published.pk])
    _entry, read = publish(published)
    assert read == set()


def test_a_file_whose_sources_are_not_known_is_made_again(published):
    PublishedDocument.objects.filter(path=FIRST).update(source="")
    AcademicPlan.mark_changed([published.pk])
    _entry, read = publish(published)
    assert read == {"LES-MATH-0-0"}
