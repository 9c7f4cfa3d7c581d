"""Undo: the inverse of a move or of trashing, or a clear refusal."""

import pytest

from content import services, undo
from content.integrity import find_faults
from content.models import Node
from core.errors import StructureError
from tests.factories.content import fresh, make_branch, move_node, titles, trash_node

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _trees_stay_whole():
    yield
    assert find_faults() == []


def moved(nodes, target, position):
    """Move the nodes and return the record of the move."""
    _moved, record = undo.move(nodes=nodes, target=target, position=position)
    return record


@pytest.mark.parametrize("which", [[0], [2], [1, 2], [0, 2], [0, 1, 2, 3]])
@pytest.mark.parametrize("position", ["first-child", "last-child"])
def test_a_move_into_another_topic_is_taken_back(which, position):
    branch, other = make_branch(lessons=4), make_branch("Physics", lessons=2)
    nodes = [branch.lessons[n] for n in which]
    record = moved(nodes, other.topic, position)
    undo.undo(record)
    assert titles(branch.topic) == ["Lesson 1", "Lesson 2", "Lesson 3", "Lesson 4"]
    assert titles(other.topic) == ["Lesson 1", "Lesson 2"]


def test_a_reordering_is_taken_back():
    branch = make_branch(lessons=3)
    record = moved([branch.lessons[2]], branch.lessons[0], "left")
    undo.undo(record)
    assert titles(branch.topic) == ["Lesson 1", "Lesson 2", "Lesson 3"]


def test_reordered_subjects_go_back():
    for name in "ABC":
        make_branch(name)
    first, _second, last = Node.objects.subjects()
    record = moved([first], last, "right")
    undo.undo(record)
    assert [node.title for node in Node.objects.subjects()] == ["A", "B", "C"]


def test_what_was_moved_again_meanwhile_stays_and_the_reason_is_said():
    branch = make_branch(lessons=3)
    record = moved([branch.lessons[0]], branch.lessons[2], "right")
    move_node(node=branch.lessons[0], target=branch.lessons[1], position="left")
    with pytest.raises(StructureError, match="moved again"):
        undo.undo(record)


def test_a_lost_neighbour_leaves_the_parent_to_go_back_to():
    branch, other = make_branch(lessons=2), make_branch("Physics")
    record = moved([branch.lessons[1]], other.topic, "last-child")
    services.delete_node(node=branch.lessons[0])
    undo.undo(record)
    assert titles(branch.topic) == ["Lesson 2"]


def test_a_lost_parent_is_a_polite_no():
    branch, other = make_branch(lessons=1), make_branch("Physics")
    record = moved([branch.lessons[0]], other.topic, "last-child")
    services.delete_node(node=branch.topic)
    with pytest.raises(StructureError, match=r"has been deleted\. Nothing was undone"):
        undo.undo(record)
    assert titles(other.topic) == ["Lesson 1"]


def test_trashing_is_taken_back_once():
    lesson = trash_node(node=make_branch(lessons=1).lessons[0])
    record = undo.of_trash([lesson])
    undo.undo(record)
    assert fresh(lesson).trashed_at is None
    with pytest.raises(StructureError, match="restored or moved to the trash again"):
        undo.undo(record)


def test_a_record_somebody_wrote_themselves_is_refused():
    with pytest.raises(StructureError, match="no longer be undone"):
        undo.undo("made-up:record")
