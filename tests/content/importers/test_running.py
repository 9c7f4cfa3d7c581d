"""Converted files are imported by the one import, into a new or an existing subject."""

import pytest

from content.importers import ImporterError, import_file
from content.models import LessonStage, Node
from core.errors import CurriculumError
from tests.factories.content import make_branch, make_stage

pytestmark = pytest.mark.django_db
GIFT = "$CATEGORY: Sets\n\n::A:: 2 + 2? {=4 ~3}\n\n::B:: Capital? {=Paris}"


def run(text, name="Bank.gift", **options):
    return import_file(text.encode(), name, **options)


def titles(subject):
    """The titles of the content of a subject, in order."""
    nodes = Node.objects.filter(subject=subject).order_by("lft")
    return [f"{node.kind}: {node.title}" for node in nodes]


def test_a_bank_becomes_a_subject_with_the_name_of_the_file():
    report = run(GIFT)
    subject = Node.objects.get(public_id=report.subject_id)
    assert subject.title == "Bank"
    assert titles(subject) == [
        "track: Bank",
        "unit: Bank",
        "topic: Bank",
        "lesson: Sets",
    ]
    types = list(LessonStage.objects.values_list("type", flat=True))
    assert types == ["Quiz", "FillIn"]
    assert (report.left_out, report.notes) == ((), ())


def test_a_trial_run_changes_nothing():
    report = run(GIFT, dry_run=True)
    assert (report.nodes.created, report.stages.created) == (5, 2)
    assert not Node.objects.exists()


def test_a_bank_is_added_to_a_topic_behind_its_lessons():
    branch = make_branch("Maths", lessons=2)
    run(GIFT, into=branch.topic.public_id)
    lessons = Node.objects.filter(parent=branch.topic).order_by("lft")
    assert [lesson.title for lesson in lessons][-1] == "Sets"
    assert lessons.count() == 3


def test_existing_content_keeps_what_the_file_does_not_name():
    branch = make_branch("Maths", lessons=1)
    Node.objects.filter(pk=branch.unit.pk).update(
        required_item="ITEM-1", is_linear=True
    )
    run(GIFT, into=branch.topic.public_id)
    branch.unit.refresh_from_db()
    assert (branch.unit.required_item, branch.unit.is_linear) == ("ITEM-1", True)


def test_a_changed_bank_updates_what_it_imported_before():
    branch = make_branch("Maths", lessons=1)
    run(GIFT, into=branch.topic.public_id)
    lesson = Node.objects.get(title="Sets")
    Node.objects.filter(pk=lesson.pk).update(base_xp=33)
    stage = lesson.stages.get(type="Quiz")
    changed = GIFT.replace("2 + 2", "1 + 3") + "\n\n::C:: 1? {=1 ~2}"
    report = run(changed, into=branch.topic.public_id)
    assert (report.nodes.created, report.nodes.updated) == (0, 0)
    assert (report.stages.created, report.stages.updated) == (0, 1)
    lesson.refresh_from_db()
    stage.refresh_from_db()
    assert lesson.base_xp == 33
    assert len(stage.config["questions"]) == 2


def test_an_unchanged_bank_changes_nothing_and_reviews_keep_their_items():
    branch = make_branch("Maths", lessons=1)
    run(GIFT, into=branch.topic.public_id)
    before = list(LessonStage.objects.values_list("config", flat=True))
    report = run(GIFT, into=branch.topic.public_id)
    assert (report.nodes.updated, report.stages.updated) == (0, 0)
    assert list(LessonStage.objects.values_list("config", flat=True)) == before


def test_a_document_does_not_fit_below_a_topic():
    branch = make_branch("Maths", lessons=1)
    with pytest.raises(ImporterError) as refused:
        run("<h1>A</h1><p>b</p>", "a.html", into=branch.topic.public_id)
    assert "choose a subject or a track" in refused.value.message


@pytest.mark.parametrize("into", ["NOT-THERE", "LESSON"])
def test_an_unknown_place_is_refused(into):
    branch = make_branch("Maths", lessons=1)
    into = branch.lessons[0].public_id if into == "LESSON" else into
    with pytest.raises(ImporterError) as refused:
        run(GIFT, into=into)
    assert into in refused.value.message


def test_an_unknown_type_of_file_is_refused():
    with pytest.raises(ImporterError) as refused:
        run("a", "a.exe")
    assert "“exe”" in refused.value.message


def test_what_is_left_out_must_be_accepted():
    text = f"{GIFT}\n\n::C:: x {{=*}}"
    with pytest.raises(CurriculumError) as refused:
        run(text)
    [(place, _reason)] = refused.value.faults
    assert place == "line 7, question 3 “C”"
    assert not Node.objects.exists()
    assert run(text, accept_losses=True).left_out == tuple(refused.value.faults)


def test_losses_of_a_document_are_named_by_headings():
    report = run("<h1>A</h1><h3>B</h3><p><blink>c</blink></p>", "a.html", dry_run=True)
    assert [loss.place for loss in report.losses] == ["a › A › B"]


def test_new_content_can_be_a_draft_and_the_existing_stays_published():
    branch = make_branch("Maths", lessons=1)
    run(GIFT, into=branch.topic.public_id, as_draft=True)
    published = dict(Node.objects.values_list("title", "is_published"))
    assert published.pop("Sets") is False
    assert all(published.values())


def test_only_the_uppermost_new_node_is_a_draft():
    run(GIFT, as_draft=True)
    drafts = Node.objects.filter(is_published=False)
    assert [node.kind for node in drafts] == ["subject"]


def test_a_second_subject_with_the_same_title_is_named():
    first = run(GIFT).subject_id
    [(place, remark)] = run(GIFT, dry_run=True).notes
    assert place == "Bank"
    assert first in remark


def test_stages_beside_equal_ones_are_named():
    branch = make_branch("Maths", lessons=0)
    run(GIFT, into=branch.topic.public_id)
    lesson = Node.objects.get(title="Sets")
    config = lesson.stages.get(type="Quiz").config
    LessonStage.objects.filter(lesson=lesson).delete()
    make_stage(lesson, type="Quiz", title="Quiz", config=config)
    [(place, remark)] = run(GIFT, into=branch.topic.public_id, dry_run=True).notes
    assert place.endswith("Sets")
    assert "“Quiz”" in remark
