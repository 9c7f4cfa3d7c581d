"""Finding and repairing faults of a tree that should never occur."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from content import integrity, services
from content.integrity import find_faults, repair
from content.models import Node, SubjectState
from tests.factories.content import fresh, make_branch, titles

pytestmark = pytest.mark.django_db


@pytest.fixture
def branch():
    return make_branch(lessons=3)


@pytest.fixture
def other():
    return make_branch("Physics", lessons=2)


def sql(statement, *values):
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def codes():
    return {fault.code for fault in find_faults()}


def shape():
    return list(
        Node.objects.order_by("tree_id", "lft").values_list(
            "title", "parent__title", "lft", "rght", "level", "subject__title"
        )
    )


def test_healthy_trees_have_no_faults(branch, other):
    assert find_faults() == []


def test_looking_takes_two_queries_whatever_the_size(
    branch, other, django_assert_num_queries
):
    with django_assert_num_queries(2):  # all nodes; all subjects' states
        find_faults()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE content_node SET lft = lft + 1 WHERE kind = 'topic'",
        "UPDATE content_node SET rght = 999 WHERE kind = 'subject'",
        "UPDATE content_node SET level = 7 WHERE kind = 'unit'",
        "UPDATE content_node SET lft = 1, rght = 2",
        "UPDATE content_node SET rght = rght + 2 WHERE kind <> 'lesson'",
    ],
    ids=["shifted", "too wide", "level", "flattened", "gap"],
)
def test_wrong_places_are_found_and_mended(branch, other, damage):
    before = shape()
    sql(damage)
    assert codes() == {"place"}
    mended = repair()
    assert {fault.code for fault in mended} == {"place"}
    assert find_faults() == []
    assert sorted(shape()) == sorted(before)


def test_repair_keeps_the_order_of_siblings(branch):
    services.move_nodes(
        nodes=branch.lessons[::-1], target=branch.topic, position="first-child"
    )
    sql("UPDATE content_node SET lft = lft * 10, rght = rght * 10")
    repair()
    assert titles(branch.topic) == ["Lesson 3", "Lesson 2", "Lesson 1"]


def test_subjects_on_one_tree_number_are_parted(branch, other):
    sql("UPDATE content_node SET tree_id = %s", branch.subject.tree_id)
    assert "tree_id" in codes()
    repair()
    assert find_faults() == []
    assert fresh(branch.subject).tree_id != fresh(other.subject).tree_id
    assert titles(other.topic) == ["Lesson 1", "Lesson 2"]


def test_a_branch_with_another_tree_number_is_brought_home(branch):
    sql("UPDATE content_node SET tree_id = 77 WHERE kind IN ('topic', 'lesson')")
    assert codes() == {"tree_id"}
    repair()
    assert find_faults() == []


def test_a_node_that_names_the_wrong_subject_is_told_and_gets_a_new_bit(branch, other):
    lesson = branch.lessons[0]
    sql(
        "UPDATE content_node SET subject_id = %s, bit_index = 50 WHERE id = %s",
        other.subject.pk,
        lesson.pk,
    )
    assert codes() == {"subject", "next_bit"}
    repair()
    assert find_faults() == []
    now = fresh(lesson)
    assert (now.subject_id, now.bit_index) == (branch.subject.pk, 3)


def test_a_bit_that_would_be_given_out_again_is_found_and_mended(branch):
    SubjectState.objects.update(next_bit_index=1)
    assert codes() == {"next_bit"}
    repair()
    assert SubjectState.objects.get().next_bit_index == 3


def test_a_subject_without_its_state_gets_one_above_all_its_bits(branch):
    SubjectState.objects.all().delete()
    assert "state" in codes()
    repair()
    assert find_faults() == []
    assert SubjectState.objects.get().next_bit_index == 3


def test_a_state_that_is_made_again_has_come_further_than_the_lost_one(branch):
    SubjectState.objects.update(revision=45, tree_revision=45)
    SubjectState.objects.all().delete()
    repair()
    assert SubjectState.objects.get().tree_revision > 45


def test_a_node_in_the_wrong_kind_is_named_and_left_to_a_person(branch):
    sql(
        "UPDATE content_node SET parent_id = %s WHERE id = %s",
        branch.unit.pk,
        branch.lessons[0].pk,
    )
    repair()
    [fault] = find_faults()
    assert (fault.node_id, fault.code, fault.is_repairable) == (
        branch.lessons[0].public_id,
        "kind",
        False,
    )


def test_a_circle_is_named_and_no_endless_loop(branch):
    sql(
        "UPDATE content_node SET parent_id = %s WHERE id = %s",
        branch.topic.pk,
        branch.unit.pk,
    )
    assert "loose" in codes()
    repair()
    assert "loose" in codes()
    sql(
        "UPDATE content_node SET parent_id = %s WHERE id = %s",
        branch.track.pk,
        branch.unit.pk,
    )
    repair()
    assert find_faults() == []


def test_repair_counts_as_an_edit_and_doing_nothing_does_not(branch):
    before = SubjectState.objects.get().revision
    assert repair() == []
    assert SubjectState.objects.get().revision == before
    sql("UPDATE content_node SET level = 9 WHERE kind = 'unit'")
    repair()
    assert SubjectState.objects.get().revision > before


# --- The command ------------------------------------------------------------


def run(*options):
    out = StringIO()
    call_command("check_tree", *options, stdout=out)
    return out.getvalue()


def test_the_command_says_that_all_is_well(branch):
    assert run() == "The content trees have no faults.\n"


def test_the_command_fails_and_names_each_fault(branch):
    sql("UPDATE content_node SET level = 9 WHERE kind = 'unit'")
    with pytest.raises(CommandError, match="1 fault in the content trees") as caught:
        run()
    assert caught.value.returncode == 1


def test_the_command_mends_and_says_what(branch):
    sql("UPDATE content_node SET level = 9 WHERE kind = 'unit'")
    output = run("--repair")
    assert f"repaired: {branch.unit.public_id} is stored at" in output
    assert "The content trees have no faults." in output


def test_the_command_speaks_json(branch):
    assert json.loads(run("--json")) == {"ok": True, "faults": [], "repaired": []}
    sql("UPDATE content_node SET level = 9 WHERE kind = 'unit'")
    answer = json.loads(run("--repair", "--json"))
    assert answer["ok"] is True
    assert [fault["code"] for fault in answer["repaired"]] == ["place"]


def test_faults_are_said_of_ids_and_not_of_keys(branch):
    sql("UPDATE content_node SET level = 9 WHERE kind = 'unit'")
    assert [fault.node_id for fault in integrity.find_faults()] == [
        branch.unit.public_id
    ]
