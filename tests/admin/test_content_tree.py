"""The tree page: what it shows, and what dragging and bulk actions do."""

import json

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from content import services
from content.models import Node, SubjectState
from players.models import User

from .conftest import messages_of

pytestmark = pytest.mark.django_db

TREE = reverse("admin:content_node_changelist")
ADD = reverse("admin:content_node_add")


def drag(browser, node, onto, position="last-child"):
    return browser.post(
        TREE,
        {
            "cmd": "move_node",
            "cut_item": node.pk,
            "pasted_on": onto.pk,
            "position": position,
        },
    )


def run_action(browser, name, nodes, query="", **extra):
    data = {"action": name, "_selected_action": [node.pk for node in nodes], **extra}
    return browser.post(TREE + query, data, follow=True)


def row_of(page, node):
    row = page.content.decode().split(f'data-pk="{node.pk}"')[1]
    return row.split("</tr>")[0]


def revision(subject):
    return SubjectState.objects.get(pk=subject.pk).revision


def test_the_tree_reads_in_the_same_queries_however_large(
    browser, grow, django_assert_num_queries
):
    grow("Mathematics", lessons=6)
    browser.get(TREE)
    # Session, user; how many nodes; the nodes; their surroundings; stages per
    # lesson; the subjects of the filter.
    with django_assert_num_queries(7):
        assert len(browser.get(TREE).context["cl"].result_list) == 10
    for number in range(29):
        grow(f"Subject {number}", lessons=6)
    with django_assert_num_queries(7):
        assert len(browser.get(TREE).context["cl"].result_list) == 300


def test_each_row_offers_to_add_the_kind_that_fits(browser, maths):
    page = browser.get(TREE)
    assert f"{ADD}?parent={maths['track'].pk}" in row_of(page, maths["track"])
    assert "+ Unit" in row_of(page, maths["track"])
    assert "?parent=" not in row_of(page, maths["lesson"])


def test_states_are_told_in_words(browser, maths):
    Node.objects.filter(pk=maths["unit"].pk).update(is_published=False)
    Node.objects.filter(pk=maths["lessons"][1].pk).update(is_free_preview=True)
    page = browser.get(TREE)
    assert "Published" in row_of(page, maths["subject"])
    assert "Draft" in row_of(page, maths["unit"])
    assert "Inside a draft" in row_of(page, maths["lesson"])
    assert "Free preview" in row_of(page, maths["lessons"][1])
    assert "2 lessons" in row_of(page, maths["topic"])


def test_the_trash_shows_under_its_own_filter_only(browser, maths):
    services.trash_node(node=maths["topic"])
    shown = browser.get(TREE).context["cl"].result_list
    assert {node.kind for node in shown} == {"subject", "track", "unit"}
    trash = browser.get(TREE, {"state": "trash"}).context["cl"].result_list
    assert [node.pk for node in trash] == [maths["topic"].pk]


@pytest.mark.parametrize("searched", ["lesson 2", "id"])
def test_search_finds_titles_and_ids_and_shows_where_they_lie(browser, maths, searched):
    wanted = maths["lessons"][1]
    query = wanted.public_id if searched == "id" else searched
    page = browser.get(TREE, {"q": query})
    assert [node.pk for node in page.context["cl"].result_list] == [wanted.pk]
    assert "Mathematics › Mathematics&#x27;s track" in row_of(page, wanted)


def test_filters_narrow_by_kind_state_and_subject(browser, maths, physics):
    page = browser.get(TREE, {"subject": physics["subject"].pk, "kind__exact": "topic"})
    assert [node.title for node in page.context["cl"].result_list] == [
        physics["topic"].title
    ]
    assert len(browser.get(TREE, {"subject": "x'"}).context["cl"].result_list) == 11
    assert not browser.get(TREE, {"state": "draft"}).context["cl"].result_list


def test_dragging_reorders_and_counts_as_an_edit(browser, maths):
    first, second = maths["lessons"]
    before = revision(maths["subject"])
    assert drag(browser, second, first, "left").content == b"OK"
    children = Node.objects.get(pk=maths["topic"].pk).get_children()
    assert [child.pk for child in children] == [second.pk, first.pk]
    assert revision(maths["subject"]) > before
    assert LogEntry.objects.get(object_id=second.pk).action_flag == 2
    assert any("now lies in" in text for text in messages_of(browser.get(TREE)))


def test_a_drop_that_does_not_fit_says_why(browser, maths):
    drag(browser, maths["lesson"], maths["unit"])
    assert Node.objects.get(pk=maths["lesson"].pk).parent_id == maths["topic"].pk
    said = messages_of(browser.get(TREE))
    assert any("goes inside a topic" in text for text in said), said


@pytest.mark.parametrize(
    "data",
    [
        {"position": "inside"},
        {"cut_item": "x", "pasted_on": "1", "position": "left"},
        {"cut_item": "9" * 30, "pasted_on": "1", "position": "left"},
        {"cut_item": "987654", "pasted_on": "1", "position": "left"},
    ],
)
def test_a_drop_nobody_can_make_is_a_message(browser, data):
    assert browser.post(TREE, {"cmd": "move_node", **data}).status_code == 200
    assert messages_of(browser.get(TREE))


def test_dropping_a_node_on_itself_changes_nothing(browser, maths):
    places = Node.objects.values_list("pk", "tree_id", "lft", "rght", "level")
    before = list(places)
    assert drag(browser, maths["lesson"], maths["lesson"], "left").status_code == 200
    assert list(places) == before


def test_who_may_not_change_content_cannot_drag(client_of, publisher, maths):
    browser = client_of(publisher)
    first, second = maths["lessons"]
    assert drag(browser, second, first, "left").content == b"FAIL"
    assert messages_of(browser.get(TREE)) == ["You may not move content."]
    asked = {"cut_item": second.pk, "pasted_on": first.pk, "position": "left"}
    move = reverse("admin:content_node_move")
    assert browser.post(f"{move}?{'&'.join(f'{k}={v}' for k, v in asked.items())}")
    assert Node.objects.get(pk=second.pk).get_previous_sibling().pk == first.pk


def test_leaving_a_subject_asks_first_because_progress_stays(browser, maths, physics):
    lesson = maths["lesson"]
    assert drag(browser, lesson, physics["topic"]).content == b"ASK"
    assert Node.objects.get(pk=lesson.pk).subject_id == maths["subject"].pk
    question = browser.get(TREE, follow=True)
    assert "progress on it stays in the old subject" in question.content.decode()
    asked = question.redirect_chain[-1][0]
    told = browser.post(asked, follow=True)
    moved = Node.objects.get(pk=lesson.pk)
    assert moved.parent_id == physics["topic"].pk
    assert moved.subject_id == physics["subject"].pk
    assert any("now lies in" in text for text in messages_of(told))


def test_the_question_is_asked_once(browser, maths, physics):
    drag(browser, maths["lesson"], physics["topic"])
    assert browser.get(TREE).status_code == 302
    assert browser.get(TREE).status_code == 200


@pytest.mark.parametrize("name", ["publish", "unpublish", "publish_with_contents"])
def test_publishing_many_is_one_update_and_one_edit(browser, maths, name):
    Node.objects.update(is_published=name == "unpublish")
    before = revision(maths["subject"])
    chosen = [maths["topic"]] if "contents" in name else maths["lessons"]
    run_action(browser, name, chosen)
    states = Node.objects.filter(kind="lesson").values_list("is_published", flat=True)
    assert set(states) == {name != "unpublish"}
    assert revision(maths["subject"]) == before + 1


def test_trash_and_restore_from_the_list(browser, maths):
    run_action(browser, "move_to_trash", [maths["unit"]])
    assert Node.objects.get(pk=maths["unit"].pk).trashed_at is not None
    run_action(browser, "restore", [maths["unit"]], query="?state=trash")
    assert Node.objects.get(pk=maths["unit"].pk).trashed_at is None


def test_deleting_a_node_and_what_lies_in_it_at_once(browser, maths):
    chosen = [maths["topic"], maths["lesson"]]
    run_action(browser, "delete_selected", chosen, post="yes")
    assert set(Node.objects.values_list("kind", flat=True)) == {
        "subject",
        "track",
        "unit",
    }


def test_deleting_one_asks_and_deletes(browser, maths):
    url = reverse("admin:content_node_delete", args=[maths["topic"].pk])
    assert browser.get(url).status_code == 200
    browser.post(url, {"post": "yes"})
    assert not Node.objects.filter(kind__in=["topic", "lesson"]).exists()


def test_the_chooser_of_other_pages_tells_same_titles_apart(browser, maths, physics):
    asked = {
        "app_label": "plans",
        "model_name": "planoverride",
        "field_name": "target",
        "term": "lesson",
        "subjects": str(physics["subject"].pk),
    }
    answer = json.loads(browser.get(reverse("admin:autocomplete"), asked).content)
    assert [entry["text"] for entry in answer["results"]] == [
        "lesson: Physics's lesson 1 ‹ Physics's topic"
    ]


def test_staff_without_rights_to_content_get_nothing(client_of, support, maths):
    assert client_of(support).get(TREE).status_code == 403
    student = User.objects.create_user("x@example.com")
    assert client_of(student).get(TREE).status_code == 302
