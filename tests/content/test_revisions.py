"""Every write of content raises its subject's revision, or no revision."""

import pytest
from django.db import transaction

from content import services, signals
from content.kinds import Kind
from content.models import Lesson, LessonStage, Node, SubjectState
from tests.factories.content import (
    fresh,
    make_branch,
    make_stage,
    move_node,
    trash_node,
)

pytestmark = pytest.mark.django_db

TEXT = {"format": "markdown", "body": "Other words."}


@pytest.fixture
def branch():
    made = make_branch(lessons=2)
    make_stage(made.lessons[0])
    return made


@pytest.fixture
def bystander():
    return make_branch("Physics", lessons=1)


def _bulk_update_nodes(branch):
    for lesson in (lessons := list(Lesson.objects.filter(parent=branch.topic))):
        lesson.title += "!"
    Lesson.objects.bulk_update(lessons, ["title"])


def _bulk_update_stages(branch):
    for stage in (
        stages := list(LessonStage.objects.filter(lesson__in=branch.lessons))
    ):
        stage.weight = 5
    LessonStage.objects.bulk_update(stages, ["weight"])


def _bulk_create_stages(branch):
    LessonStage.objects.bulk_create(
        [LessonStage(lesson=branch.lessons[1], type="Text", title="T", config=TEXT)]
    )


def _save(row, **changes):
    for key, value in changes.items():
        setattr(row, key, value)
    row.save()


WRITES = {
    "saving a node": lambda b: _save(fresh(b.unit), title="Other"),
    "saving named fields": lambda b: Node.objects.get(pk=b.unit.pk).save(
        update_fields=["is_published"]
    ),
    "saving the subject": lambda b: _save(fresh(b.subject), title="Other"),
    "saving through a proxy": lambda b: _save(
        Lesson.objects.get(pk=b.lessons[0].pk), base_xp=20
    ),
    "updating nodes": lambda b: Node.objects.filter(pk=b.lessons[0].pk).update(
        is_free_preview=True
    ),
    "updating the subject": lambda b: Node.objects.filter(pk=b.subject.pk).update(
        title="Other"
    ),
    "updating by what is updated": lambda b: Lesson.objects.filter(
        subject=b.subject, is_published=True
    ).update(is_published=False),
    "bulk-updating nodes": _bulk_update_nodes,
    "creating": lambda b: services.create_node(
        kind=Kind.LESSON, parent=b.topic, title="New"
    ),
    "moving": lambda b: move_node(
        node=b.lessons[1], target=b.lessons[0], position="left"
    ),
    "reordering": lambda b: services.move_nodes(
        nodes=b.lessons[::-1], target=b.topic, position="first-child"
    ),
    "trashing": lambda b: trash_node(node=b.topic),
    "deleting a node": lambda b: services.delete_node(node=b.lessons[0]),
    "deleting nodes in bulk": lambda b: Lesson.objects.filter(parent=b.topic).delete(),
    "creating a stage": lambda b: make_stage(b.lessons[1]),
    "saving a stage": lambda b: _save(LessonStage.objects.get(), title="Other"),
    "updating stages": lambda b: LessonStage.objects.filter(lesson=b.lessons[0]).update(
        weight=7
    ),
    "bulk-updating stages": _bulk_update_stages,
    "bulk-creating stages": _bulk_create_stages,
    "deleting a stage": lambda b: LessonStage.objects.get().delete(),
    "deleting stages in bulk": lambda b: LessonStage.objects.all().delete(),
    "creating a stage through the lesson": lambda b: b.lessons[0].stages.create(
        type="Text", title="T", config=TEXT
    ),
}


def revision_of(subject):
    return SubjectState.objects.get(pk=subject.pk).revision


@pytest.mark.parametrize("write", WRITES.values(), ids=list(WRITES))
def test_a_write_grows_its_subject_s_revision_and_no_other(branch, bystander, write):
    before = revision_of(branch.subject), revision_of(bystander.subject)
    write(branch)
    assert revision_of(branch.subject) > before[0]
    assert revision_of(bystander.subject) == before[1]


@pytest.mark.parametrize("write", WRITES.values(), ids=list(WRITES))
def test_a_write_tells_who_listens_which_subject(branch, write):
    heard: set[int] = set()

    def listen(subject_ids, **_kwargs):
        heard.update(subject_ids)

    signals.subjects_changed.connect(listen)
    try:
        write(branch)
    finally:
        signals.subjects_changed.disconnect(listen)
    assert heard == {branch.subject.pk}


@pytest.mark.parametrize("write", WRITES.values(), ids=list(WRITES))
def test_a_rolled_back_write_leaves_the_revision(branch, write):
    before = revision_of(branch.subject)
    with transaction.atomic():
        write(branch)
        transaction.set_rollback(True)
    assert revision_of(branch.subject) == before


@pytest.mark.parametrize(
    "write",
    [
        lambda stage, lesson: _save(stage, lesson=lesson),
        lambda stage, lesson: LessonStage.objects.filter(pk=stage.pk).update(
            lesson=lesson
        ),
        lambda stage, lesson: LessonStage.objects.filter(pk=stage.pk).update(
            lesson_id=lesson.pk
        ),
    ],
    ids=["saved", "updated", "updated by key"],
)
def test_a_stage_taken_to_another_subject_counts_for_both(branch, bystander, write):
    before = revision_of(branch.subject), revision_of(bystander.subject)
    write(LessonStage.objects.get(), bystander.lessons[0])
    assert revision_of(branch.subject) > before[0]
    assert revision_of(bystander.subject) > before[1]


def test_a_bulk_update_that_takes_stages_to_another_subject_counts_for_both(
    branch, bystander
):
    before = revision_of(branch.subject), revision_of(bystander.subject)
    stage = LessonStage.objects.get()
    stage.lesson = bystander.lessons[0]
    LessonStage.objects.bulk_update([stage], ["lesson"])
    assert revision_of(branch.subject) > before[0]
    assert revision_of(bystander.subject) > before[1]


def test_a_subject_that_takes_in_a_lesson_counts_on_from_where_it_was(
    branch, bystander
):
    """Otherwise an edit there would look older than the published version."""
    for number in range(20):
        LessonStage.objects.update(weight=number)
    before = revision_of(branch.subject)
    assert revision_of(bystander.subject) < before
    move_node(node=branch.lessons[0], target=bystander.topic, position="last-child")
    assert revision_of(bystander.subject) > before


def test_an_update_that_matches_nothing_is_no_edit(branch):
    before = revision_of(branch.subject)
    assert Lesson.objects.filter(title="Nobody").update(base_xp=1) == 0
    assert revision_of(branch.subject) == before


def test_a_new_subject_has_its_state_however_it_was_made():
    made = make_branch().subject
    bulk = Node(
        public_id="SUBJ-BULK",
        kind="subject",
        title="B",
        tree_id=99,
        lft=1,
        rght=2,
        level=0,
    )
    Node.objects.bulk_create([bulk])
    assert set(SubjectState.objects.values_list("subject__public_id", flat=True)) == {
        made.public_id,
        "SUBJ-BULK",
    }
