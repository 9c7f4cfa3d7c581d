"""The tree page: what it shows, and that a collapsed branch costs no query."""

import json
import re

import pytest
from django.urls import reverse
from django.utils.html import escape

from content import services
from content.kinds import Kind
from content.models import LessonStage, Node
from plans import services as plan_services
from players.models import User
from tests.admin_fixtures import TEXT
from tests.factories.content import trash_node

pytestmark = pytest.mark.django_db

TREE = reverse("admin:content_node_changelist")
ROWS = reverse("admin:content_node_rows")
ITEM = re.compile(r'<li role="treeitem" id="n(\d+)"')


def shown(page):
    """The keys of the rows on a page, in order."""
    return [int(pk) for pk in ITEM.findall(page.content.decode())]


def row_of(page, node):
    """The HTML of one row, without its children."""
    text = page.content.decode()
    start = text.index(f'<li role="treeitem" id="n{node.pk}"')
    return text[start:].split("</div>")[0]


def opened(browser, *nodes, **values):
    """The tree with these branches expanded."""
    keys = ",".join(str(node.pk) for node in nodes)
    return browser.get(ROWS, {"open": keys, **values})


def branch(browser, node, **values):
    """The children of one node."""
    url = reverse("admin:content_node_branch", args=[node.pk])
    return browser.get(url, values)


def fill(topic, count):
    """Add many lessons in bulk, as an import does."""
    first = Node.objects.filter(subject=topic.subject, kind="lesson").count()
    topic.refresh_from_db()
    edge = topic.rght
    for above in topic.get_ancestors(include_self=True):
        Node.objects.filter(pk=above.pk).update(rght=above.rght + 2 * count)
    Node.objects.bulk_create(
        Node(
            kind="lesson",
            public_id=f"LES-{topic.pk}-{number}",
            title=f"More {number}",
            parent=topic,
            subject=topic.subject,
            tree_id=topic.tree_id,
            lft=edge + 2 * number,
            rght=edge + 2 * number + 1,
            level=4,
            bit_index=first + number,
            is_published=True,
        )
        for number in range(count)
    )


# --- Only expanded branches are read -----------------------------------------------


def test_the_page_opens_on_the_subjects(browser, maths, physics):
    page = browser.get(TREE)
    assert shown(page) == [maths["subject"].pk, physics["subject"].pk]
    assert "2 lessons" in row_of(page, maths["subject"])


def test_a_branch_brings_what_lies_right_inside(browser, maths):
    assert shown(branch(browser, maths["subject"])) == [maths["track"].pk]
    lessons = [lesson.pk for lesson in maths["lessons"]]
    assert shown(branch(browser, maths["topic"])) == lessons


def test_open_branches_come_back_in_their_places(browser, maths, physics):
    page = opened(browser, physics["subject"], maths["subject"], maths["track"])
    assert shown(page) == [
        maths["subject"].pk,
        maths["track"].pk,
        maths["unit"].pk,
        physics["subject"].pk,
        physics["track"].pk,
    ]


def test_what_is_open_inside_something_closed_stays_away(browser, maths):
    page = opened(browser, maths["unit"])
    assert shown(page) == [maths["subject"].pk]


@pytest.mark.parametrize("asked", ["x", "1,,2", "9" * 30, "-1", "1:x"])
def test_what_nobody_opened_is_left_out(browser, maths, asked):
    assert browser.get(ROWS, {"open": asked}).status_code == 200


def test_a_long_branch_comes_in_parts(browser, maths):
    fill(maths["topic"], 250)
    first = branch(browser, maths["topic"])
    assert len(shown(first)) == 100
    assert "152 more" in first.content.decode()
    second = branch(browser, maths["topic"], start=100)
    assert len(shown(second)) == 100
    assert not set(shown(first)) & set(shown(second))
    path = (maths["subject"], maths["track"], maths["unit"])
    keys = ",".join(str(node.pk) for node in path)
    page = browser.get(ROWS, {"open": f"{keys},{maths['topic'].pk}:200"})
    assert shown(page)[4:] == shown(first) + shown(second)


@pytest.mark.parametrize("lessons", [100, 10_000])
def test_the_tree_reads_in_the_same_queries_at_any_size(
    browser, maths, plan, django_assert_num_queries, lessons
):
    fill(maths["topic"], lessons - 2)
    browser.get(TREE)
    # Session, user; subjects of the filter; plans of "view as"; the rows; lessons in
    # each; the trash; which nodes have children; stages per lesson; what is scheduled;
    # products.
    with django_assert_num_queries(11):
        page = browser.get(TREE)
    assert f"{lessons} lessons" in row_of(page, maths["subject"])
    path = [maths[kind] for kind in ("subject", "track", "unit", "topic")]
    # Session, user; the rows, with four queries; what is scheduled.
    with django_assert_num_queries(8):
        assert len(shown(opened(browser, *path))) == 104
    # Session, user; the node with its ancestors; the rows; which nodes have children;
    # stages per lesson; what is scheduled. (No row is a container, so lessons are not
    # counted.)
    with django_assert_num_queries(7):
        assert len(shown(branch(browser, maths["topic"]))) == 100
    # As above, and the plan; its overrides; subjects; visible lessons; hidden lessons.
    with django_assert_num_queries(13):
        opened(browser, *path, view=plan.pk)
    # Session, user; subjects; plans; count; matches; which have children; stages; what
    # is scheduled; products.
    with django_assert_num_queries(10):
        browser.get(TREE, {"q": "More 9"})


# --- What a row shows -----------------------------------------------------------------


def test_states_are_told_in_words(browser, maths):
    Node.objects.filter(pk=maths["unit"].pk).update(is_published=False)
    Node.objects.filter(pk=maths["lessons"][1].pk).update(is_free_preview=True)
    path = [maths[kind] for kind in ("subject", "track", "unit", "topic")]
    page = opened(browser, *path)
    assert "Published" in row_of(page, maths["subject"])
    assert "Draft" in row_of(page, maths["unit"])
    assert "Inside a draft" in row_of(page, maths["lesson"])
    assert "Free preview" in row_of(page, maths["lessons"][1])
    assert "2 lessons" in row_of(page, maths["topic"])
    assert "Inside a draft" in row_of(branch(browser, maths["topic"]), maths["lesson"])


def test_a_published_lesson_without_stages_is_pointed_out(browser, maths, stage):
    page = branch(browser, maths["topic"])
    assert "1 stage" in row_of(page, maths["lesson"])
    assert "No stages" in row_of(page, maths["lessons"][1])


def test_what_is_in_the_trash_neither_shows_nor_counts(browser, maths):
    trash_node(node=maths["lessons"][1])
    assert "1 lesson<" in row_of(browser.get(TREE), maths["subject"])
    trash_node(node=maths["topic"])
    page = opened(browser, maths["subject"], maths["track"], maths["unit"])
    assert maths["topic"].pk not in shown(page)
    assert "0 lessons" in row_of(page, maths["subject"])
    trash = browser.get(TREE, {"state": "trash"})
    assert shown(trash) == [maths["topic"].pk, maths["lessons"][1].pk]


def test_an_empty_tree_says_what_to_do_first(browser):
    assert "Start with a subject" in browser.get(TREE).content.decode()


# --- View as --------------------------------------------------------------------------


def test_viewing_as_a_plan_tells_its_access_and_why(browser, maths, plan):
    services.change_nodes(nodes=[maths["track"]], required_item="MATH-12")
    plan_services.set_override(plan=plan, target=maths["lesson"], action="set_free")
    plan_services.set_override(
        plan=plan, target=maths["unit"], action="rename", value="Chapter"
    )
    path = [maths[kind] for kind in ("subject", "track", "unit", "topic")]
    page = opened(browser, *path, view=plan.pk)
    assert "Signed in" in row_of(page, maths["subject"])
    assert 'Paid · <bdi dir="ltr">MATH-12' in row_of(page, maths["topic"])
    assert "inherited from “Mathematics&#x27;s track”" in row_of(page, maths["topic"])
    assert "override on this plan" in row_of(page, maths["lesson"])
    assert ">Chapter<" in row_of(page, maths["unit"])
    assert "Mathematics&#x27;s unit" in row_of(page, maths["unit"])


def test_viewing_as_a_plan_tells_what_it_hides(browser, maths, physics, plan):
    plan_services.set_override(plan=plan, target=maths["topic"], action="hide")
    path = [maths[kind] for kind in ("subject", "track", "unit", "topic")]
    page = opened(browser, *path, view=plan.pk)
    assert "Hidden in this plan" in row_of(page, maths["topic"])
    assert "because of “Mathematics&#x27;s topic”" in row_of(page, maths["lesson"])
    assert "Empty, not shown" in row_of(page, maths["unit"])
    assert "0 / 2 lessons" in row_of(page, maths["subject"])
    assert "Not in this plan" in row_of(page, physics["subject"])


def test_a_hidden_lesson_and_a_draft_are_not_counted_for_the_plan(browser, maths, plan):
    plan_services.set_override(plan=plan, target=maths["lesson"], action="hide")
    page = browser.get(TREE, {"view": plan.pk})
    assert "1 / 2 lessons" in row_of(page, maths["subject"])
    services.change_nodes(nodes=[maths["lessons"][1]], is_published=False)
    page = browser.get(TREE, {"view": plan.pk})
    assert "0 / 2 lessons" in row_of(page, maths["subject"])


@pytest.mark.parametrize("view", ["987654", "x", "9" * 30])
def test_a_view_nobody_has_shows_the_content_itself(browser, maths, view):
    page = browser.get(TREE, {"view": view})
    assert "Signed in" not in row_of(page, maths["subject"])


# --- Searching ------------------------------------------------------------------------


@pytest.mark.parametrize("searched", ["lesson 2", "LESSON  ٢", "id"])
def test_search_finds_titles_and_ids_and_shows_where_they_lie(browser, maths, searched):
    lesson = maths["lessons"][1]
    query = lesson.public_id if searched == "id" else searched
    page = browser.get(TREE, {"q": query})
    assert shown(page) == [lesson.pk]
    trail = row_of(page, lesson).split('class="trail"')[1]
    assert "Mathematics</bdi> › <bdi>Mathematics&#x27;s track" in trail


@pytest.mark.parametrize("searched", ["الاسس", "الأُسُس", "اسس", "مدرسه"])
def test_arabic_is_found_however_it_is_spelled(browser, maths, searched):
    title = "مدرسةُ الأُسس"
    made = services.create_node(kind=Kind.LESSON, parent=maths["topic"], title=title)
    assert shown(browser.get(TREE, {"q": searched})) == [made.pk]


@pytest.mark.parametrize("way", ["save", "update", "bulk_update", "update_fields"])
def test_a_new_title_is_found_whichever_way_it_was_written(browser, maths, way):
    lesson = Node.objects.get(pk=maths["lesson"].pk)
    lesson.title = "الأُسس"
    match way:
        case "save":
            lesson.save()
        case "update_fields":
            lesson.save(update_fields=["title"])
        case "update":
            Node.objects.filter(pk=lesson.pk).update(title=lesson.title)
        case _:
            Node.objects.bulk_update([lesson], ["title"])
    assert shown(browser.get(TREE, {"q": "الاسس"})) == [lesson.pk]


def test_filters_narrow_by_kind_state_and_subject(browser, maths, physics, stage):
    asked = {"subject": physics["subject"].pk, "kind": "topic"}
    assert shown(browser.get(TREE, asked)) == [physics["topic"].pk]
    assert shown(browser.get(TREE, {"subject": "x'"})) == [
        maths["subject"].pk,
        physics["subject"].pk,
    ]
    assert not shown(browser.get(TREE, {"state": "draft"}))
    assert shown(browser.get(TREE, {"state": "empty"})) == [
        maths["lessons"][1].pk,
        physics["lesson"].pk,
    ]


def test_what_was_found_comes_in_pages(browser, maths):
    fill(maths["topic"], 150)
    first = browser.get(TREE, {"q": "More"})
    assert len(shown(first)) == 100
    assert "150 found" in first.content.decode()
    second = browser.get(TREE, {"q": "More", "p": 1})
    assert len(shown(second)) == 50
    assert shown(browser.get(TREE, {"q": "More", "p": 99})) == shown(second)


def test_places_are_offered_by_kind_and_words(browser, maths, physics):
    places = reverse("admin:content_node_places")
    found = browser.get(places, {"kind": "lesson", "q": "physics"}).json()["places"]
    assert [(place["title"], place["path"][0]) for place in found] == [
        ("Physics's topic", "Physics")
    ]
    near = {"kind": "lesson", "near": maths["subject"].pk}
    assert [p["pk"] for p in browser.get(places, near).json()["places"]] == [
        maths["topic"].pk
    ]
    assert browser.get(places, {"kind": "subject"}).json() == {"places": []}


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


# --- Breadcrumbs ----------------------------------------------------------------------


def crumbs(page):
    """Return the links of the breadcrumbs and their last words."""
    text = page.content.decode()
    start = text.index('<div class="breadcrumbs">')
    way = text[start : text.index("</div>", start)]
    links = re.findall(r'href="([^"]*)"[^>]*>(?:<bdi>)?([^<]*)', way)
    return links, " ".join(re.sub(r"<[^>]+>", " ", way).split()).split("› ")[-1]


def test_a_nodes_pages_say_where_it_lies_and_lead_there(browser, maths):
    lesson = maths["lesson"]
    above = [maths[kind] for kind in ("subject", "track", "unit", "topic")]
    way = [(f"{TREE}?at={node.pk}", escape(node.title)) for node in above]
    change = reverse("admin:content_node_change", args=[lesson.pk])
    links, last = crumbs(browser.get(change))
    assert links[2:] == way
    assert last == escape(lesson.title)
    for view, word in [("delete", "Delete"), ("history", "History")]:
        url = reverse(f"admin:content_node_{view}", args=[lesson.pk])
        links, last = crumbs(browser.get(url))
        assert links[2:] == [*way, (change, escape(lesson.title))]
        assert last == word
    new = browser.get(reverse("admin:content_node_add"), {"parent": above[3].pk})
    assert crumbs(new)[0][-2:] == [
        way[2],
        (reverse("admin:content_node_change", args=[above[3].pk]), way[3][1]),
    ]
    assert f"{TREE}?at={lesson.pk}" in browser.get(change).content.decode()


def test_the_page_of_what_is_in_the_trash_leads_to_the_trash(browser, maths):
    trash_node(node=maths["topic"])
    page = browser.get(reverse("admin:content_node_change", args=[maths["lesson"].pk]))
    links, _last = crumbs(page)
    assert links[2:] == [(f"{TREE}?state=trash", "In the trash")]


def at(browser, node):
    """Return what the tree page's script loads for ``?at=``."""
    page = browser.get(TREE, {"at": getattr(node, "pk", node)})
    return page.context["settings"]["at"]


def test_the_tree_opens_the_way_to_a_node_as_far_down_as_it_lies(
    browser, maths, physics
):
    fill(physics["topic"], 150)
    trash_node(node=maths["subject"])
    last = Node.objects.get(title="More 149")
    path = [physics[kind] for kind in ("subject", "track", "unit", "topic")]
    assert at(browser, last) == {
        "pk": last.pk,
        "open_branches": [
            ["", 1],
            *([str(node.pk), 1] for node in path[:-1]),
            [str(path[-1].pk), 151],
        ],
    }
    assert at(browser, physics["subject"])["open_branches"] == [["", 1]]


@pytest.mark.parametrize("asked", ["x", "987654", "9" * 30])
def test_a_place_nobody_has_opens_nothing(browser, maths, asked):
    assert at(browser, asked) is None


def test_what_lies_in_the_trash_is_not_looked_for_in_the_tree(browser, maths):
    trash_node(node=maths["topic"])
    assert at(browser, maths["lesson"]) is None


# --- Read permissions -----------------------------------------------------------------


def test_staff_without_rights_to_content_get_nothing(client_of, support, maths):
    browser = client_of(support)
    assert browser.get(TREE).status_code == 403
    assert browser.get(ROWS).status_code == 403
    assert branch(browser, maths["subject"]).status_code == 403
    student = User.objects.create_user("x@example.com")
    assert client_of(student).get(TREE).status_code == 302


def test_who_may_only_look_is_offered_nothing_to_change(client_of, publisher, maths):
    page = client_of(publisher).get(TREE)
    row = row_of(page, maths["subject"])
    assert 'class="grip"' not in row
    assert 'class="pick"' not in row
    assert 'id="add-root"' not in page.content.decode()


def test_a_branch_that_is_gone_is_not_found(browser):
    url = reverse("admin:content_node_branch", args=[987654])
    assert browser.get(url).status_code == 404


def test_stages_are_counted_per_lesson(browser, maths):
    for number in range(3):
        LessonStage.objects.create(
            lesson=maths["lesson"],
            position=number,
            type="Text",
            title="S",
            config=TEXT,
        )
    assert "3 stages" in row_of(branch(browser, maths["topic"]), maths["lesson"])
