"""What an import would double, and what its file leaves out."""

import json

import pytest

from content.curriculum import Options, export_curriculum, import_curriculum
from content.models import Node
from tests.factories.content import make_branch, make_stage

pytestmark = pytest.mark.django_db
LESSONS = "subject.tracks[0].units[0].topics[0].lessons"


@pytest.fixture
def branch():
    branch = make_branch("Maths", lessons=2)
    make_stage(branch.lessons[0], title="Read")
    return branch


def exported(branch):
    return json.loads(export_curriculum(branch.subject.public_id))


def lessons_in(document):
    return document["subject"]["tracks"][0]["units"][0]["topics"][0]["lessons"]


def remarks(document, **options):
    data = json.dumps(document).encode()
    return import_curriculum(data, dry_run=True, options=Options(**options)).notes


def test_an_unchanged_export_has_no_remark(branch):
    assert remarks(exported(branch)) == ()


def test_a_stage_without_its_id_would_be_there_twice(branch):
    document = exported(branch)
    for stage in (stage for one in lessons_in(document) for stage in one["stages"]):
        stage.pop("id")
    [(place, remark)] = remarks(document)
    assert place == f"{LESSONS}[0].stages"
    assert remark == (
        "1 stage has no id of a stage in this lesson and would be there twice: “Read”"
    )


def test_a_node_without_its_id_would_be_there_twice(branch):
    document = exported(branch)
    title = lessons_in(document)[1]["title"]
    lessons_in(document)[1].pop("id")
    doubled, left_out = sorted(remarks(document), reverse=True)
    assert doubled[0] == f"{LESSONS}[1]"
    assert branch.lessons[1].public_id in doubled[1]
    assert left_out == (
        "subject",
        f"1 lesson of the subject is not in the file and stays: “{title}”",
    )


def test_lessons_that_the_file_leaves_out_are_named_but_not_those_in_the_trash(branch):
    document = exported(branch)
    title = lessons_in(document).pop()["title"]
    [(place, remark)] = remarks(document)
    assert (place, title in remark) == ("subject", True)
    lesson = Node.objects.filter(pk=branch.lessons[1].pk)
    lesson.update(trashed_at="2026-01-01T00:00Z")
    assert remarks(document) == ()


def test_a_second_subject_with_the_title_in_another_case_is_named(branch):
    document = {"format": "memora-curriculum/1", "subject": {"title": "MATHS"}}
    [(place, remark)] = remarks(document)
    assert place == "subject.title"
    assert branch.subject.public_id in remark


def test_an_import_as_draft_leaves_existing_content_published(branch):
    document = exported(branch)
    lessons_in(document).append({"title": "New"})
    data = json.dumps(document).encode()
    import_curriculum(data, options=Options(as_draft=True))
    drafts = Node.objects.filter(is_published=False)
    assert [node.title for node in drafts] == ["New"]
