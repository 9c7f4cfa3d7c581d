"""Structure changes: allowed places of nodes, and the bits they keep."""

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from content import services, undo
from content.copying import copy_node
from content.integrity import find_faults
from content.kinds import Kind
from content.models import Lesson, LessonStage, Node, Subject, SubjectState
from core.errors import StructureError
from tests.factories.content import (
    fresh,
    make_branch,
    make_stage,
    move_node,
    restore_node,
    titles,
    trash_node,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _trees_stay_whole():
    yield
    assert find_faults() == []


def add(parent, title, kind=Kind.LESSON, **fields):
    return services.create_node(kind=kind, parent=parent, title=title, **fields)


def test_lessons_get_the_subjects_next_bits():
    branch = make_branch(lessons=3)
    assert [lesson.bit_index for lesson in branch.lessons] == [0, 1, 2]


def test_a_unit_does_not_go_inside_a_topic():
    with pytest.raises(StructureError, match="must be inside a track"):
        add(make_branch().topic, "Unit", Kind.UNIT)


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.SUBJECT])
def test_only_subjects_go_at_the_top(kind):
    with pytest.raises(StructureError, match="must be inside"):
        services.create_node(kind=kind, title="Alone")


def test_a_subject_goes_nowhere_else():
    with pytest.raises(StructureError, match="must be at the top"):
        add(make_branch().track, "Inner", Kind.SUBJECT)


@pytest.mark.parametrize(
    "public_id",
    ["manifest", "search_index", "LES_h", "LES_b", "../x", "a b", "é", "-x"],
)
def test_an_id_that_cannot_name_a_file_is_refused(public_id):
    topic = make_branch().topic
    with pytest.raises(ValidationError):
        add(topic, "Lesson", public_id=public_id)
    assert not Lesson.objects.exists()


def test_an_id_that_is_taken_is_refused_and_takes_no_bit():
    branch = make_branch(lessons=1)
    with pytest.raises(ValidationError):
        add(branch.topic, "Again", public_id=branch.lessons[0].public_id)
    assert SubjectState.objects.get().next_bit_index == 1


@pytest.mark.parametrize("title", ["", "\u200b\u200f\u00a0"])
def test_a_node_without_a_title_is_refused(title):
    with pytest.raises(ValidationError):
        services.create_node(kind=Kind.SUBJECT, title=title)


def test_a_title_in_which_nothing_can_be_seen_is_refused_everywhere():
    topic = make_branch().topic
    with pytest.raises(ValidationError):
        services.change_nodes(nodes=[topic], title="\u200b")
    topic.title = "\u2060"
    with pytest.raises(ValidationError):
        topic.full_clean()


def test_creating_in_what_was_deleted_meanwhile_is_refused():
    topic = make_branch().topic
    services.delete_node(node=topic)
    with pytest.raises(StructureError, match="has been deleted"):
        add(topic, "Lesson")


def test_creating_in_what_moved_to_another_subject_meanwhile_is_refused():
    stale = make_branch().topic
    other = make_branch("Physics")
    move_node(node=stale, target=other.unit, position="last-child")
    with pytest.raises(StructureError, match="has been moved"):
        add(stale, "Lesson")


def test_creating_inside_the_trash_is_refused():
    branch = make_branch()
    trash_node(node=branch.unit)
    with pytest.raises(StructureError, match="“Mathematics unit” is in the trash"):
        add(branch.topic, "Lesson")


def test_moving_into_the_trash_is_refused_and_out_of_it_is_not():
    branch = make_branch(lessons=1)
    topic = add(branch.unit, "Elsewhere", Kind.TOPIC)
    trash_node(node=branch.topic)
    moved = move_node(node=branch.lessons[0], target=topic, position="last-child")
    assert moved.parent_id == topic.pk
    with pytest.raises(StructureError, match="is in the trash"):
        move_node(node=moved, target=branch.topic, position="last-child")


@pytest.mark.parametrize(
    ("position", "order"),
    [
        ("first-child", ["Lesson 3", "Lesson 1", "Lesson 2"]),
        ("last-child", ["Lesson 1", "Lesson 2", "Lesson 3"]),
    ],
)
def test_a_node_moves_to_either_end_of_its_parent(position, order):
    branch = make_branch(lessons=3)
    move_node(node=branch.lessons[2], target=branch.topic, position=position)
    assert titles(branch.topic) == order


@pytest.mark.parametrize(
    ("position", "order"),
    [
        ("left", ["Lesson 3", "Lesson 1", "Lesson 2"]),
        ("right", ["Lesson 1", "Lesson 3", "Lesson 2"]),
    ],
)
def test_a_node_moves_beside_another(position, order):
    first, _second, third = (branch := make_branch(lessons=3)).lessons
    move_node(node=third, target=first, position=position)
    assert titles(branch.topic) == order


def test_moving_a_node_beside_itself_changes_nothing():
    branch = make_branch(lessons=2)
    move_node(node=branch.lessons[0], target=branch.lessons[0], position="right")
    assert titles(branch.topic) == ["Lesson 1", "Lesson 2"]


def test_moving_uses_places_as_they_are_and_not_as_they_were_read():
    branch = make_branch(lessons=3)
    stale = [fresh(lesson) for lesson in branch.lessons]
    for lesson in stale:
        move_node(node=lesson, target=stale[0], position="left")
        move_node(node=lesson, target=branch.topic, position="first-child")
    assert titles(branch.topic) == ["Lesson 3", "Lesson 2", "Lesson 1"]


def test_a_topic_does_not_move_into_a_topic():
    branch = make_branch()
    other = add(branch.unit, "Other", Kind.TOPIC)
    with pytest.raises(StructureError, match="must be inside a unit"):
        move_node(node=branch.topic, target=other, position="last-child")


def test_a_unit_does_not_become_a_subject():
    branch = make_branch()
    with pytest.raises(StructureError, match="must be inside"):
        move_node(node=branch.unit, target=branch.subject, position="left")


def test_a_subject_does_not_move_into_another():
    branch, other = make_branch(), make_branch("Physics")
    with pytest.raises(StructureError, match="must be at the top"):
        move_node(node=branch.subject, target=other.subject, position="last-child")


def test_moving_keeps_bits_within_a_subject():
    branch = make_branch(lessons=2)
    topic = add(branch.unit, "Other", Kind.TOPIC)
    moved = move_node(node=branch.lessons[0], target=topic, position="last-child")
    assert moved.bit_index == 0


def test_a_branch_that_moves_to_another_subject_gets_bits_there_in_tree_order():
    branch, other = make_branch(lessons=3), make_branch("Physics", lessons=2)
    move_node(node=branch.lessons[2], target=branch.topic, position="first-child")
    move_node(node=branch.topic, target=other.unit, position="first-child")
    moved = Lesson.objects.filter(parent=branch.topic).order_by("lft")
    assert [(m.title, m.subject_id, m.bit_index) for m in moved] == [
        ("Lesson 3", other.subject.pk, 2),
        ("Lesson 1", other.subject.pk, 3),
        ("Lesson 2", other.subject.pk, 4),
    ]


def test_a_lesson_that_moves_away_and_back_gets_a_bit_nobody_had():
    branch, other = make_branch(lessons=1), make_branch("Physics")
    lesson = move_node(
        node=branch.lessons[0], target=other.topic, position="last-child"
    )
    back = move_node(node=lesson, target=branch.topic, position="last-child")
    assert (back.subject_id, back.bit_index) == (branch.subject.pk, 1)


@pytest.mark.parametrize("lower_first", [True, False])
def test_moving_between_subjects_counts_for_both(lower_first):
    one, two = make_branch(lessons=1), make_branch("Physics", lessons=1)
    source, target = (one, two) if lower_first else (two, one)
    before = dict(SubjectState.objects.values_list("pk", "revision"))
    move_node(node=source.lessons[0], target=target.topic, position="last-child")
    after = dict(SubjectState.objects.values_list("pk", "revision"))
    assert all(after[pk] > before[pk] for pk in before)


def test_subjects_change_places():
    names = ["A", "B", "C"]
    subjects = [make_branch(name, lessons=1).subject for name in names]
    move_node(node=subjects[2], target=subjects[0], position="left")
    assert [s.title for s in Subject.objects.order_by("tree_id")] == ["C", "A", "B"]
    move_node(node=subjects[2], target=subjects[0], position="right")
    assert [s.title for s in Subject.objects.order_by("tree_id")] == ["A", "C", "B"]


def test_moving_what_was_deleted_is_refused():
    branch = make_branch(lessons=2)
    services.delete_node(node=branch.lessons[0])
    with pytest.raises(StructureError, match="“Lesson 1” has been deleted"):
        move_node(node=branch.lessons[0], target=branch.topic, position="last-child")


def test_children_take_the_order_they_are_given():
    branch = make_branch(lessons=4)
    one, two, three, four = branch.lessons
    services.move_nodes(
        nodes=[four, two, one, three], target=branch.topic, position="first-child"
    )
    assert titles(branch.topic) == ["Lesson 4", "Lesson 2", "Lesson 1", "Lesson 3"]


def test_children_not_named_stay_behind_the_others():
    branch = make_branch(lessons=4)
    services.move_nodes(
        nodes=[branch.lessons[2]], target=branch.topic, position="first-child"
    )
    assert titles(branch.topic) == ["Lesson 3", "Lesson 1", "Lesson 2", "Lesson 4"]


def test_reordering_branches_takes_what_is_in_them_along():
    branch = make_branch(lessons=2)
    other = add(branch.track, "Other", Kind.UNIT)
    services.move_nodes(
        nodes=[other, branch.unit], target=branch.track, position="first-child"
    )
    assert titles(branch.track) == ["Other", "Mathematics unit"]
    assert titles(branch.topic) == ["Lesson 1", "Lesson 2"]


def test_reordering_counts_as_an_edit_only_when_it_changes_something():
    branch = make_branch(lessons=2)
    before = SubjectState.objects.get().revision
    services.move_nodes(
        nodes=branch.lessons, target=branch.topic, position="first-child"
    )
    assert SubjectState.objects.get().revision == before
    services.move_nodes(
        nodes=branch.lessons[::-1], target=branch.topic, position="first-child"
    )
    assert SubjectState.objects.get().revision > before


def test_trash_and_restore_keep_place_id_and_bit():
    branch = make_branch(lessons=2)
    lesson = branch.lessons[0]
    trashed = trash_node(node=lesson)
    assert trashed.trashed_at is not None
    restored = restore_node(node=trashed)
    assert restored.trashed_at is None
    assert (restored.public_id, restored.bit_index) == (lesson.public_id, 0)
    assert titles(branch.topic) == ["Lesson 1", "Lesson 2"]


def test_trashing_twice_keeps_the_first_time():
    branch = make_branch()
    first = trash_node(node=branch.unit)
    assert trash_node(node=branch.unit).trashed_at == first.trashed_at


def test_deleting_takes_everything_below_and_leaves_no_gap():
    branch = make_branch(lessons=2)
    make_stage(branch.lessons[0])
    services.delete_node(node=branch.topic)
    assert list(Node.objects.values_list("title", flat=True)) == [
        "Mathematics",
        "Mathematics track",
        "Mathematics unit",
    ]
    assert not LessonStage.objects.exists()


def test_deleting_twice_is_deleting_once():
    branch = make_branch(lessons=1)
    services.delete_node(node=branch.lessons[0])
    services.delete_node(node=branch.lessons[0])
    assert titles(branch.topic) == []


def test_a_deleted_lesson_s_bit_is_not_given_out_again():
    branch = make_branch(lessons=2)
    services.delete_node(node=branch.lessons[1])
    assert add(branch.topic, "New").bit_index == 2


def test_deleting_a_subject_leaves_the_others_whole():
    one, two, three = (make_branch(name, lessons=1) for name in "ABC")
    services.delete_node(node=two.subject)
    move_node(node=three.subject, target=one.subject, position="left")
    assert [s.title for s in Subject.objects.order_by("tree_id")] == ["C", "A"]
    assert set(SubjectState.objects.values_list("pk", flat=True)) == {
        one.subject.pk,
        three.subject.pk,
    }


def test_deleting_a_branch_is_one_edit_whatever_its_size():
    branch = make_branch(lessons=30)
    for lesson in branch.lessons:
        make_stage(lesson)
    before = SubjectState.objects.get().revision
    services.delete_node(node=branch.unit)
    assert SubjectState.objects.get().revision == before + 1


def test_saving_a_node_read_before_a_move_does_not_move_it_back():
    branch, other = make_branch(lessons=1), make_branch("Physics")
    stale = fresh(branch.lessons[0])
    move_node(node=stale, target=other.topic, position="last-child")
    stale = branch.lessons[0]
    stale.title = "Renamed"
    stale.save()
    now = fresh(stale)
    assert (now.title, now.parent_id, now.subject_id, now.bit_index) == (
        "Renamed",
        other.topic.pk,
        other.subject.pk,
        0,
    )


def test_saving_a_node_read_before_it_was_trashed_leaves_it_in_the_trash():
    stale = make_branch().unit
    trash_node(node=stale)
    stale.title = "Renamed"
    stale.save()
    assert fresh(stale).trashed_at is not None


def test_an_id_never_changes():
    subject = make_branch().subject
    before = subject.public_id
    subject.public_id = "SUBJ-OTHER"
    subject.save()
    assert fresh(subject).public_id == before


def test_moving_by_saving_is_refused():
    branch = make_branch(lessons=1)
    other = add(branch.unit, "Other", Kind.TOPIC)
    lesson = fresh(branch.lessons[0])
    lesson.parent = other
    with pytest.raises(ValueError, match="moves nodes"):
        lesson.save()


def test_a_subject_without_its_state_is_named_and_not_an_error():
    branch = make_branch()
    SubjectState.objects.all().delete()
    with pytest.raises(StructureError, match="check_tree --repair"):
        add(branch.topic, "Lesson")
    SubjectState.objects.create(subject=branch.subject)


def test_creating_a_lesson_takes_as_many_queries_in_a_large_topic_as_in_a_small(
    django_assert_num_queries,
):
    small, large = make_branch(lessons=1), make_branch("Physics", lessons=40)
    with CaptureQueriesContext(connection) as captured:
        add(fresh(small.topic), "One")
    with django_assert_num_queries(len(captured)):
        add(fresh(large.topic), "One")


def test_moving_a_branch_takes_as_many_queries_as_moving_a_lesson_s_worth(
    django_assert_num_queries,
):
    small, large = make_branch(lessons=1), make_branch("Physics", lessons=40)
    for branch in (small, large):
        add(branch.track, "Other", Kind.UNIT)
    with CaptureQueriesContext(connection) as captured:
        _move_into_the_other_unit(small)
    with django_assert_num_queries(len(captured)):
        _move_into_the_other_unit(large)


def _move_into_the_other_unit(branch):
    other = Node.objects.get(parent=branch.track, title="Other")
    move_node(node=branch.topic, target=other, position="last-child")


def test_times_of_trashing_are_aware():
    trashed = trash_node(node=make_branch().unit)
    assert timezone.is_aware(trashed.trashed_at)


# --- Bulk changes -------------------------------------------------------------


def scattered(count):
    """Every third lesson of two topics; their two branches; and a third branch."""
    one = make_branch("One", lessons=3 * count)
    two = make_branch("Two", lessons=3 * count)
    chosen = [*one.lessons[::3], *two.lessons[::3]]
    return chosen[: 2 * count], one, two, make_branch("Three", lessons=2)


def all_subjects():
    return [titles(branch) for branch in Node.objects.filter(kind="topic")]


@pytest.mark.parametrize(
    "what", ["trash", "restore", "move", "move beside", "undo", "delete", "publish"]
)
def test_forty_take_as_many_queries_as_two(what):
    def count(number):
        chosen, one, _two, three = scattered(number // 2)
        Node.objects.filter(pk__in=[node.pk for node in chosen]).update(
            trashed_at=timezone.now() if what == "restore" else None
        )
        chosen = [fresh(node) for node in chosen]
        record = ""
        if what == "undo":
            _moved, record = undo.move(
                nodes=chosen, target=three.topic, position="first-child"
            )
        with CaptureQueriesContext(connection) as captured:
            match what:
                case "trash":
                    services.trash_nodes(nodes=chosen)
                case "restore":
                    services.restore_nodes(nodes=chosen)
                case "move":
                    services.move_nodes(
                        nodes=chosen, target=three.topic, position="last-child"
                    )
                case "move beside":
                    services.move_nodes(
                        nodes=chosen, target=one.lessons[-1], position="left"
                    )
                case "undo":
                    undo.undo(record)
                case "delete":
                    services.delete_nodes(nodes=chosen)
                case _:
                    services.change_nodes(nodes=chosen, is_published=False)
        assert find_faults() == []
        return len(captured)

    assert count(40) == count(2)


def test_five_hundred_here_and_there_are_few_enough():
    """500 is the most that the tree page can select."""
    branch, other = make_branch(lessons=50), make_branch("Physics")
    for _copy in range(19):
        copy_node(node=branch.topic)
    chosen = list(Node.objects.filter(kind="lesson"))[::2]
    assert len(chosen) == 500
    topic = other.topic
    services.restore_nodes(nodes=services.trash_nodes(nodes=chosen))
    _moved, record = undo.move(nodes=chosen, target=topic, position="last-child")
    assert fresh(topic).get_children().count() == 500
    undo.undo(record)
    assert fresh(topic).get_children().count() == 0
    record = undo.of_change("is_published", False, chosen)
    services.change_nodes(nodes=chosen, is_published=False)
    undo.undo(record)
    services.delete_nodes(nodes=chosen)
    assert Node.objects.filter(kind="lesson").count() == 500


def test_many_move_in_the_order_they_are_given_wherever_they_were():
    chosen, one, _two, three = scattered(2)
    services.move_nodes(nodes=chosen[::-1], target=three.lessons[1], position="left")
    assert titles(three.topic) == [
        "Lesson 1",
        *[node.title for node in chosen[::-1]],
        "Lesson 2",
    ]
    assert titles(one.topic) == [f"Lesson {n}" for n in (2, 3, 5, 6)]
    moved = Node.objects.filter(pk__in=[node.pk for node in chosen])
    assert {node.subject_id for node in moved} == {three.subject.pk}
    # Tree order, whatever the order of the arguments.
    bits = {node.pk: node.bit_index for node in moved}
    assert [bits[node.pk] for node in chosen] == [2, 3, 4, 5]


def test_a_move_that_does_not_fit_moves_none_of_them():
    chosen, one, _two, three = scattered(2)
    before = all_subjects()
    with pytest.raises(StructureError, match="must be inside"):
        services.move_nodes(
            nodes=[*chosen, one.unit], target=three.topic, position="last-child"
        )
    assert all_subjects() == before


def test_deleting_a_branch_and_what_lies_in_it_is_one_deletion():
    branch, other = make_branch(lessons=3), make_branch("Physics", lessons=2)
    services.delete_nodes(
        nodes=[branch.lessons[0], branch.topic, other.lessons[1], branch.lessons[2]]
    )
    assert titles(branch.unit) == []
    assert titles(other.topic) == ["Lesson 1"]


def test_deleting_subjects_with_lessons_of_others_leaves_the_rest_whole():
    one, two, three = (make_branch(name, lessons=2) for name in "ABC")
    services.delete_nodes(nodes=[two.subject, one.lessons[0], two.lessons[0]])
    assert [node.title for node in Node.objects.subjects()] == ["A", "C"]
    assert titles(one.topic) == ["Lesson 2"]
    assert titles(three.topic) == ["Lesson 1", "Lesson 2"]


def test_trashing_says_which_were_not_there_already():
    branch = make_branch(lessons=3)
    trash_node(node=branch.lessons[1])
    trashed = services.trash_nodes(nodes=branch.lessons)
    assert [node.title for node in trashed] == ["Lesson 1", "Lesson 3"]
    restored = services.restore_nodes(nodes=branch.lessons)
    assert len(restored) == 3
    assert services.restore_nodes(nodes=branch.lessons) == []


@pytest.mark.parametrize(("side", "place"), [("left", 0), ("right", 1)])
def test_a_subject_is_made_beside_another(side, place):
    one, _two = make_branch("A"), make_branch("B")
    services.create_node(kind=Kind.SUBJECT, title="New", beside=(one.subject, side))
    order = ["A", "B"]
    order.insert(place, "New")
    assert [node.title for node in Node.objects.subjects()] == order


def test_what_is_made_beside_a_node_that_moved_goes_where_it_is_now():
    branch = make_branch(lessons=1)
    other = add(branch.unit, "Other", Kind.TOPIC)
    move_node(node=branch.lessons[0], target=other, position="last-child")
    services.create_node(
        kind=Kind.LESSON,
        parent=branch.topic,
        title="New",
        beside=(branch.lessons[0], "right"),
    )
    assert titles(other) == ["Lesson 1", "New"]
