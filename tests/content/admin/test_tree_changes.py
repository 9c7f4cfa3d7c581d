"""Changes from the tree page: moves, copies, states, trash, undo, deletion."""

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from content import products, services, tree_rows
from content.kinds import Kind
from content.models import Node, SubjectState
from plans import services as plan_services

pytestmark = pytest.mark.django_db

TREE = reverse("admin:content_node_changelist")


def ask(browser, view, **values):
    return browser.post(reverse(f"admin:content_node_{view}"), values)


def move(browser, nodes, target, position="last-child", **extra):
    some = nodes if isinstance(nodes, list) else [nodes]
    keys = [node.pk for node in some]
    return ask(
        browser, "move", nodes=keys, target=target.pk, position=position, **extra
    )


def do(browser, what, *nodes, **extra):
    return ask(browser, "do", do=what, nodes=[node.pk for node in nodes], **extra)


def add(browser, kind, **values):
    return ask(browser, "quick_add", kind=kind, **values)


def fresh(node):
    return Node.objects.get(pk=node.pk)


def inside(node):
    return [child.title for child in fresh(node).get_children()]


def revision(subject):
    return SubjectState.objects.get(pk=subject.pk).revision


# --- Moving ------------------------------------------------------------------------


def test_dragging_reorders_and_counts_as_an_edit(browser, maths):
    first, second = maths["lessons"]
    before = revision(maths["subject"])
    result = move(browser, second, first, "left").json()
    assert "is now in “Mathematics's topic”" in result["message"]
    assert inside(maths["topic"]) == [second.title, first.title]
    assert revision(maths["subject"]) > before
    assert LogEntry.objects.get(object_id=second.pk).action_flag == 2


def test_many_move_together_in_their_order(browser, grow):
    nodes = grow("Mathematics", lessons=4)
    one, two, three, four = nodes["lessons"]
    result = move(browser, [four, two], one, "left").json()
    assert "2 entries" in result["message"]
    assert inside(nodes["topic"]) == [x.title for x in (two, four, one, three)]
    move(browser, [two, four], three, "right")
    assert inside(nodes["topic"]) == [x.title for x in (one, three, two, four)]


def test_a_drop_that_does_not_fit_says_why_and_moves_none(browser, maths):
    answer = move(browser, [maths["lessons"][1], maths["unit"]], maths["topic"])
    assert answer.status_code == 409
    assert "A unit must be inside a track" in answer.json()["error"]
    assert inside(maths["topic"]) == [lesson.title for lesson in maths["lessons"]]


@pytest.mark.parametrize(
    "values",
    [
        {"position": "inside", "nodes": "1", "target": "1"},
        {"position": "left", "nodes": "x", "target": "1"},
        {"position": "left", "nodes": "9" * 30, "target": "1"},
        {"position": "left", "target": "1"},
    ],
)
def test_a_drop_the_page_would_never_ask_is_a_bad_request(browser, maths, values):
    if values["target"] == "1":
        values = {**values, "target": maths["lesson"].pk}
    assert ask(browser, "move", **values).status_code == 400


def test_moving_what_is_gone_is_a_message(browser, maths):
    deleted = maths["lessons"][1]
    services.delete_node(node=deleted)
    deleted.pk = 987654
    answer = move(browser, deleted, maths["lesson"], "left")
    assert "has been deleted" in answer.json()["error"]


def test_dropping_a_node_on_itself_changes_nothing(browser, maths):
    places = Node.objects.values_list("pk", "tree_id", "lft", "rght", "level")
    before = list(places)
    answer = move(browser, maths["lesson"], maths["lesson"], "left")
    assert answer.json() == {"message": ""}
    assert list(places) == before


def test_subjects_are_reordered_at_the_top(browser, maths, physics):
    move(browser, physics["subject"], maths["subject"], "left")
    assert [n.title for n in Node.objects.subjects()] == ["Physics", "Mathematics"]


def test_leaving_a_subject_asks_first_because_progress_stays(browser, maths, physics):
    lesson = maths["lesson"]
    asked = move(browser, lesson, physics["topic"]).json()
    assert "progress on it stays in the old subject" in asked["question"]
    assert fresh(lesson).subject_id == maths["subject"].pk
    result = move(browser, lesson, physics["topic"], confirmed="yes").json()
    assert "is now in" in result["message"]
    assert fresh(lesson).parent_id == physics["topic"].pk
    assert fresh(lesson).subject_id == physics["subject"].pk


def test_a_move_is_undone_once_and_not_over_somebody_elses(browser, maths):
    first, second = maths["lessons"]
    record = move(browser, second, first, "left").json()["undo"]
    assert ask(browser, "undo", record=record).status_code == 200
    assert inside(maths["topic"]) == [first.title, second.title]
    again = ask(browser, "undo", record=record)
    assert "moved again" in again.json()["error"]


# --- Adding and copying ---------------------------------------------------------------


def test_a_title_alone_adds_a_draft_inside(browser, maths):
    result = add(browser, "lesson", title=" Limits ", parent=maths["topic"].pk).json()
    made = Node.objects.get(pk=result["pk"])
    assert (made.title, made.kind, made.is_published) == ("Limits", "lesson", False)
    assert inside(maths["topic"])[-1] == "Limits"


def place_of(result, topic):
    """Return how many rows of ``topic`` the answer makes the page load."""
    return dict(result["open_branches"])[str(topic.pk)]


@pytest.mark.parametrize("far", [3, tree_rows.MAX_ROWS])
def test_the_page_is_told_how_far_down_what_was_added_lies(
    browser, maths, monkeypatch, far
):
    monkeypatch.setattr(tree_rows, "MAX_ROWS", far)
    result = add(browser, "lesson", title="Third", parent=maths["topic"].pk).json()
    above = [maths[kind] for kind in ("subject", "track", "unit")]
    assert result["open_branches"][:-1] == [
        ["", 1],
        *([str(node.pk), 1] for node in above),
    ]
    assert place_of(result, maths["topic"]) == 3
    # The page shows at most this many rows, so it requests no more.
    result = add(browser, "lesson", title="Fourth", parent=maths["topic"].pk).json()
    assert place_of(result, maths["topic"]) == (4 if far > 3 else tree_rows.PAGE)


def test_the_page_is_told_how_far_down_the_last_of_the_moved_lies(
    browser, maths, physics
):
    result = move(browser, maths["lessons"], physics["topic"], confirmed="yes").json()
    assert place_of(result, physics["topic"]) == 3
    result = move(
        browser, maths["lessons"], physics["topic"], "first-child", confirmed="yes"
    ).json()
    assert place_of(result, physics["topic"]) == 2


def test_the_page_is_told_how_far_down_a_copy_lies(browser, maths, physics):
    lesson = maths["lesson"]
    result = ask(browser, "copy", nodes=lesson.pk, target=physics["topic"].pk).json()
    assert place_of(result, physics["topic"]) == 2
    result = ask(browser, "copy", nodes=lesson.pk).json()
    assert place_of(result, maths["topic"]) == 2


def test_a_subject_is_added_at_the_top(browser):
    result = add(browser, "subject", title="Chemistry").json()
    assert Node.objects.get(pk=result["pk"]).kind == "subject"


@pytest.mark.parametrize(("side", "place"), [("left", 1), ("right", 2)])
def test_above_or_below_a_neighbour(browser, maths, side, place):
    beside = maths["lessons"][1]
    add(browser, "lesson", title="New", beside=beside.pk, side=side)
    assert inside(maths["topic"])[place] == "New"


def test_a_subject_is_added_above_another(browser, maths, physics):
    values = {"title": "New", "beside": physics["subject"].pk, "side": "left"}
    add(browser, "subject", **values)
    titles = [node.title for node in Node.objects.subjects()]
    assert titles == ["Mathematics", "New", "Physics"]


@pytest.mark.parametrize("title", ["", "x" * 300])
def test_a_title_that_is_none_is_refused_in_words(browser, maths, title):
    answer = add(browser, "lesson", title=title, parent=maths["topic"].pk)
    assert answer.status_code == 409
    assert answer.json()["error"]


def test_nothing_is_added_inside_a_lesson(browser, maths):
    answer = add(browser, "lesson", title="New", parent=maths["lesson"].pk)
    assert "can contain only stages" in answer.json()["error"]


@pytest.mark.parametrize("place", ["", "parent", "beside"])
def test_what_does_not_go_there_is_never_added_as_something_else(browser, maths, place):
    where = {"parent": maths["unit"].pk, "beside": maths["unit"].pk, "side": "left"}
    values = {name: where[name] for name in where if name == place or place == "beside"}
    before = Node.objects.count()
    assert add(browser, "lesson", title="New", **values).status_code == 400
    assert Node.objects.count() == before


def test_a_branch_is_copied_as_a_draft_beside_itself(browser, maths, stage):
    result = ask(browser, "copy", nodes=maths["topic"].pk).json()
    copied = Node.objects.get(pk=result["pk"])
    assert "2 lessons were copied" in result["message"]
    assert copied.title == "Mathematics's topic (copy)"
    assert not copied.is_published
    assert copied.get_children()[0].stages.get().title == stage.title


def test_a_branch_is_copied_into_another_subject(browser, maths, physics):
    values = {"nodes": maths["topic"].pk, "target": physics["unit"].pk}
    assert ask(browser, "copy", **values).status_code == 200
    assert inside(physics["unit"]) == ["Physics's topic", "Mathematics's topic"]


# --- States ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["publish", "unpublish", "publish_inside"])
def test_publishing_many_is_one_update_and_one_edit(browser, maths, name):
    Node.objects.update(is_published=name == "unpublish")
    before = revision(maths["subject"])
    chosen = [maths["topic"]] if "inside" in name else maths["lessons"]
    assert do(browser, name, *chosen, confirmed="yes").status_code == 200
    states = Node.objects.filter(kind="lesson").values_list("is_published", flat=True)
    assert set(states) == {name != "unpublish"}
    assert revision(maths["subject"]) == before + 1


def test_unpublishing_with_all_inside(browser, maths):
    do(browser, "unpublish_inside", maths["unit"], confirmed="yes")
    drafts = Node.objects.filter(is_published=False)
    assert {node.kind for node in drafts} == {"unit", "topic", "lesson"}


def test_what_is_so_already_is_no_edit(browser, maths):
    before = revision(maths["subject"])
    result = do(browser, "publish", maths["lesson"]).json()
    assert "Nothing to change" in result["message"]
    assert revision(maths["subject"]) == before


def test_free_previews_and_products_are_set_for_many(browser, maths):
    products.ensure(["MATH-12"])
    do(browser, "free", *maths["lessons"])
    do(browser, "item", *maths["lessons"], value=" MATH-12 ")
    lessons = Node.objects.filter(kind="lesson")
    assert set(lessons.values_list("is_free_preview", "required_item")) == {
        (True, "MATH-12")
    }
    do(browser, "not_free", maths["lesson"])
    do(browser, "item", maths["lesson"], value="")
    assert (fresh(maths["lesson"]).is_free_preview) is False
    assert fresh(maths["lesson"]).required_item == ""


@pytest.mark.parametrize("name", ["publish_inside", "unpublish_inside"])
def test_what_reaches_further_than_the_chosen_asks_with_the_number(
    browser, maths, name
):
    Node.objects.update(is_published=name == "unpublish_inside")
    before = list(Node.objects.values("is_published", "updated_at"))
    asked = do(browser, name, maths["unit"]).json()
    assert "4 entries will be" in asked["question"]
    assert list(Node.objects.values("is_published", "updated_at")) == before


def test_what_changes_only_the_chosen_does_not_ask(browser, maths):
    services.change_nodes(nodes=[maths["topic"]], is_published=False)
    result = do(browser, "publish_inside", maths["topic"]).json()
    assert result["message"] == "Published: 1 entry."


def test_different_product_codes_are_not_replaced_without_a_question(browser, maths):
    products.ensure("ABC")
    first, second = maths["lessons"]
    do(browser, "item", first, value="A")
    assert "message" in do(browser, "item", first, second, value="B").json()
    do(browser, "item", first, value="A")
    asked = do(browser, "item", first, second, value="C").json()
    assert "“A”, “B”" in asked["question"]
    assert "“C”" in asked["question"]
    result = do(browser, "item", first, second, value="C", confirmed="yes").json()
    assert result["message"] == "Product code: 2 entries."
    ask(browser, "undo", record=result["undo"])
    assert [fresh(x).required_item for x in (first, second)] == ["A", "B"]


def test_an_undone_change_is_made_again(browser, maths):
    products.ensure("AB")
    first, second = maths["lessons"]
    do(browser, "item", first, value="A")
    made = do(browser, "item", first, second, value="B", confirmed="yes").json()
    undone = ask(browser, "undo", record=made["undo"]).json()
    redone = ask(browser, "undo", record=undone["redo"], again="yes").json()
    assert [fresh(x).required_item for x in (first, second)] == ["B", "B"]
    ask(browser, "undo", record=redone["undo"])
    assert [fresh(x).required_item for x in (first, second)] == ["A", ""]


def test_an_undone_move_and_trashing_are_made_again(browser, maths):
    first, second = maths["lessons"]
    for made in (move(browser, second, first, "left"), do(browser, "trash", first)):
        undone = ask(browser, "undo", record=made.json()["undo"]).json()
        again = ask(browser, "undo", record=undone["redo"], again="yes")
        assert "undo" in again.json()
    assert list(maths["topic"].get_children()) == [second, first]
    assert fresh(first).trashed_at is not None


def test_an_entry_is_renamed_in_the_tree_and_back(browser, maths):
    lesson = maths["lesson"]
    renamed = do(browser, "rename", lesson, value=" Sums ").json()
    assert fresh(lesson).title == "Sums"
    ask(browser, "undo", record=renamed["undo"])
    assert fresh(lesson).title == lesson.title


def test_an_entry_is_not_renamed_to_nothing(browser, maths):
    assert "error" in do(browser, "rename", maths["lesson"], value=" ").json()


def test_only_one_entry_is_renamed_at_a_time(browser, maths):
    refused = do(browser, "rename", *maths["lessons"], value="Same")
    assert refused.status_code == 400


def test_publishing_all_inside_is_taken_back_to_the_drafts_there_were(browser, maths):
    drafts = [maths["unit"], maths["lessons"][1]]
    services.change_nodes(nodes=drafts, is_published=False)
    result = do(browser, "publish_inside", maths["subject"], confirmed="yes").json()
    assert not Node.objects.filter(is_published=False).exists()
    assert ask(browser, "undo", record=result["undo"]).status_code == 200
    left = Node.objects.filter(is_published=False).values_list("pk", flat=True)
    assert set(left) == {node.pk for node in drafts}


def test_a_change_is_not_taken_back_over_somebody_elses(browser, maths):
    Node.objects.update(is_published=False)
    result = do(browser, "publish_inside", maths["unit"], confirmed="yes").json()
    services.change_nodes(nodes=[maths["lesson"]], is_published=False)
    before = list(Node.objects.values("pk", "is_published"))
    refused = ask(browser, "undo", record=result["undo"]).json()["error"]
    assert "changed again" in refused
    assert list(Node.objects.values("pk", "is_published")) == before


@pytest.mark.parametrize("name", ["publish_inside", "trash", "publish", "move"])
def test_a_bulk_change_leaves_few_entries_of_what_one_worked_on(
    browser, grow, physics, name
):
    nodes = grow("Mathematics", lessons=12)
    Node.objects.filter(subject=nodes["subject"]).update(is_published=False)
    if name == "move":
        move(browser, nodes["lessons"], physics["topic"], confirmed="yes")
    elif name == "publish_inside":
        do(browser, name, nodes["subject"], confirmed="yes")
        assert LogEntry.objects.get().object_id == str(nodes["subject"].pk)
    else:
        do(browser, name, *nodes["lessons"])
    assert 0 < LogEntry.objects.count() <= 5


@pytest.mark.parametrize("what", ["trash", "restore", "publish", "item", "move"])
def test_a_door_takes_as_many_queries_for_forty_as_for_two(
    browser, grow, physics, what
):
    products.ensure("X")

    def count(number):
        nodes = grow("Mathematics", lessons=2 * number)
        chosen = nodes["lessons"][::2]
        Node.objects.filter(pk__in=[node.pk for node in chosen]).update(
            trashed_at=timezone.now() if what == "restore" else None,
            is_published=False,
        )
        with CaptureQueriesContext(connection) as captured:
            if what == "move":
                answer = move(browser, chosen, physics["topic"], confirmed="yes")
            else:
                answer = do(browser, what, *chosen, value="X")
        assert answer.status_code == 200
        return len(captured)

    count(2)  # fills caches
    assert count(40) == count(2)


def test_a_code_without_a_product_is_refused_in_the_tree(browser, maths):
    answer = do(browser, "item", maths["lesson"], value="MATH-13")
    assert "There is no product “MATH-13”" in answer.json()["error"]
    assert fresh(maths["lesson"]).required_item == ""


def test_a_product_code_that_is_none_is_refused_in_words(browser, maths):
    answer = do(browser, "item", maths["lesson"], value="a b")
    assert "letters, digits" in answer.json()["error"]


def test_what_nobody_can_do_is_a_bad_request(browser, maths):
    assert do(browser, "explode", maths["lesson"]).status_code == 400


# --- Trash and deletion ---------------------------------------------------------------


def test_trashing_is_undone_from_its_toast(browser, maths):
    result = do(browser, "trash", maths["unit"]).json()
    assert fresh(maths["unit"]).trashed_at is not None
    ask(browser, "undo", record=result["undo"])
    assert fresh(maths["unit"]).trashed_at is None


def test_trash_and_restore_many(browser, maths):
    do(browser, "trash", *maths["lessons"])
    result = do(browser, "restore", *maths["lessons"]).json()
    assert result["message"] == "2 entries were restored."
    assert not Node.objects.exclude(trashed_at=None).exists()


def test_trashing_what_is_in_the_trash_already_is_not_offered_to_undo(browser, maths):
    do(browser, "trash", maths["lesson"])
    result = do(browser, "trash", maths["lesson"]).json()
    assert result == {"message": "Nothing to change."}


def test_restoring_inside_the_trash_says_what_still_hides_it(browser, maths):
    do(browser, "trash", maths["lesson"])
    do(browser, "trash", maths["unit"])
    message = do(browser, "restore", maths["lesson"]).json()["message"]
    assert "inside “Mathematics's unit” stay hidden" in message
    assert "stay hidden" not in do(browser, "restore", maths["unit"]).json()["message"]


def test_the_page_before_a_deletion_offers_the_trash_first(browser, maths):
    url = reverse("admin:content_node_delete", args=[maths["topic"].pk])
    page = browser.get(url).content.decode()
    assert page.index('name="trash"') < page.index("Delete permanently")
    answer = browser.post(url, {"post": "yes", "trash": ""}, follow=True)
    assert answer.redirect_chain == [(f"{TREE}?at={maths['unit'].pk}", 302)]
    assert "was moved to the trash" in answer.content.decode()
    assert fresh(maths["topic"]).trashed_at is not None
    # A node in the trash can only be deleted for good.
    assert 'name="trash"' not in browser.get(url).content.decode()
    browser.post(url, {"post": "yes"})
    assert not Node.objects.filter(pk=maths["topic"].pk).exists()


def test_deleting_a_node_and_what_lies_in_it_at_once(browser, maths):
    chosen = {
        "action": "delete_selected",
        "_selected_action": [maths["topic"].pk, maths["lesson"].pk],
    }
    question = browser.post(TREE, chosen).content.decode()
    assert "2 lessons and their stages will be deleted" in question
    browser.post(TREE, {**chosen, "post": "yes"})
    kinds = set(Node.objects.values_list("kind", flat=True))
    assert kinds == {"subject", "track", "unit"}


def test_deleting_names_the_lessons_plans_and_students(
    browser, maths, plan, player, django_assert_num_queries
):
    plan_services.set_override(plan=plan, target=maths["lesson"], action="hide")
    url = reverse("admin:content_node_delete", args=[maths["topic"].pk])
    # Session, user; the node; lessons; ledger entries; plans; overrides; students;
    # ancestors.
    with django_assert_num_queries(9):
        page = browser.get(url).content.decode()
    assert "2 lessons and their stages will be deleted permanently" in page
    assert "1 plan contains it" in page
    assert "1 override in plans will be deleted with it" in page
    assert "1 student has it in a plan" in page
    browser.post(url, {"post": "yes"})
    assert not Node.objects.filter(kind__in=["topic", "lesson"]).exists()


def test_deleting_what_nobody_offers_says_so_by_saying_nothing(browser, physics):
    url = reverse("admin:content_node_delete", args=[physics["lesson"].pk])
    page = browser.get(url).content.decode()
    assert "1 lesson and its stages" in page
    assert "plan contains it" not in page


# --- Write permissions ----------------------------------------------------------------


@pytest.mark.parametrize("view", ["move", "copy", "do", "undo", "quick_add"])
def test_who_may_only_look_changes_nothing(client_of, publisher, maths, view):
    browser = client_of(publisher)
    values = {
        "nodes": maths["lessons"][1].pk,
        "target": maths["lesson"].pk,
        "position": "left",
        "do": "trash",
        "title": "New",
    }
    before = list(Node.objects.order_by("pk").values())
    assert ask(browser, view, **values).status_code == 403
    assert list(Node.objects.order_by("pk").values()) == before
    assert browser.get(reverse(f"admin:content_node_{view}")).status_code == 405


def test_more_than_a_request_can_change_is_refused_in_words(browser, maths):
    answer = ask(browser, "do", do="publish", nodes=list(range(1, 502)))
    assert "at most 500" in answer.json()["error"]


def test_a_node_is_made_beside_another_in_one_call(maths):
    made = services.create_node(
        kind=Kind.LESSON,
        parent=maths["topic"],
        title="Between",
        beside=(maths["lessons"][1], "left"),
    )
    assert [n.pk for n in fresh(maths["topic"]).get_children()][1] == made.pk
