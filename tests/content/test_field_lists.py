"""Each field of the content models has a purpose, and every list follows from it."""

from dataclasses import fields

import pytest

from content import curriculum_format
from content.field_lists import NodeFields, StageFields, SubjectStateFields
from content.models import LessonStage, Node, SubjectState
from content.spreadsheets.lesson_sheet import LessonSheet
from content.tree import ContentNode, Stage

NODE_GROUPS = (
    NodeFields.FIXED,
    NodeFields.ABOVE,
    NodeFields.INTERVAL,
    NodeFields.PRESENTATION,
    NodeFields.VISIBILITY,
    NodeFields.ACCESS,
    NodeFields.REWARD,
    NodeFields.STATE,
    NodeFields.COMPUTED,
    NodeFields.CHANGED,
)
STAGE_GROUPS = (
    StageFields.FIXED,
    StageFields.PLACE,
    StageFields.CONTENT,
    StageFields.COMPUTED,
)
STATE_GROUPS = (
    SubjectStateFields.FIXED,
    SubjectStateFields.COMPUTED,
    SubjectStateFields.HEADER,
)


@pytest.mark.parametrize(
    ("model", "groups"),
    [
        (Node, NODE_GROUPS),
        (LessonStage, STAGE_GROUPS),
        (SubjectState, STATE_GROUPS),
    ],
)
def test_each_concrete_field_is_in_exactly_one_group(model, groups):
    stored = sorted(field.name for field in model._meta.concrete_fields)
    assert sorted(name for group in groups for name in group) == stored


@pytest.mark.parametrize(
    ("model", "placed", "content"),
    [
        (Node, {"public_id", "kind", "parent"}, NodeFields.CONTENT),
        (LessonStage, {"public_id", *StageFields.PLACE}, StageFields.CONTENT),
    ],
)
def test_the_content_is_what_editors_write_besides_the_place(model, placed, content):
    editable = {
        field.name
        for field in model._meta.concrete_fields
        if field.editable and not field.primary_key
    }
    assert editable - placed == {*content}


def test_the_history_records_all_but_what_changes_without_an_edit():
    recorded = {field.name for field in Node.history.model.tracked_fields}
    stored = {field.name for field in Node._meta.concrete_fields}
    assert recorded == stored - {*NodeFields.UNRECORDED}


def test_a_curriculum_file_has_the_content_of_nodes_and_stages():
    assert {"title", *curriculum_format.LESSON_DEFAULTS} == {*NodeFields.CONTENT}
    containers = {*NodeFields.CONTENT} - {*NodeFields.REWARD}
    assert {"title", *curriculum_format.NODE_DEFAULTS} == containers
    required = {"type", "title", "config"}
    assert required | {*curriculum_format.STAGE_DEFAULTS} == {*StageFields.CONTENT}
    header = {*curriculum_format.FILE_SCHEMA["properties"]} - {"format", "subject"}
    assert header == {*SubjectStateFields.HEADER}


def test_a_lesson_sheet_declares_a_cell_for_each_of_its_columns():
    assert {*LessonSheet.fields} == {"id", *NodeFields.SHEET}


def test_the_tree_that_documents_are_made_of_has_all_content():
    known = {field.name for field in fields(ContentNode)}
    assert {*NodeFields.CONTENT} <= known
    assert Stage._fields == ("id", *StageFields.CONTENT)
