"""Links of all lessons below a node, page by page."""

import pytest
import time_machine

from content.models import LessonStage, Node
from plans.models import OverrideAction
from plans.services import add_subject, set_override
from players.errors import InvalidNodeError, NotEnrolledError
from players.models import Enrollment, Entitlement
from players.services import content
from publishing.building import builds
from publishing.destinations import public_destination_id
from publishing.models import UploadedDocument
from publishing.published_content import NotPublishedError
from tests.factories.content import make_subject, move_node, plant
from tests.publishing.fake_s3 import BASE_URL, turn_on

pytestmark = pytest.mark.django_db
NOW = 1_800_000_000.0


def node(public_id: str) -> Node:
    return Node.objects.get(public_id=public_id)


def publish(plan) -> None:
    entry = builds.publish_plan(plan.pk, trigger="test")
    assert entry is not None
    assert entry.error == ""


@pytest.fixture
def maths(plan):
    """The published subject MATH: two topics of two lessons; unit 1 is sold."""
    add_subject(plan=plan, subject=make_subject("MATH"))
    set_override(
        plan=plan,
        target=node("UNIT-MATH-1"),
        action=OverrideAction.SET_SOLD_SEPARATELY,
        value="MATHS-5",
    )
    publish(plan)


def page(student, node_id: str, after: int | None = None) -> content.LessonPage:
    return content.lessons_below(student.pk, node_id, after=after, now=NOW)


def ids(lessons) -> list[str]:
    return [getattr(one, "lesson_id", None) or one.id for one in lessons]


@pytest.mark.parametrize(
    ("node_id", "lesson_ids"),
    [
        ("SUBJ-MATH", ["LES-MATH-0-0", "LES-MATH-0-1"]),
        ("TRK-MATH", ["LES-MATH-0-0", "LES-MATH-0-1"]),
        ("UNIT-MATH-0", ["LES-MATH-0-0", "LES-MATH-0-1"]),
        ("TOP-MATH-0", ["LES-MATH-0-0", "LES-MATH-0-1"]),
        ("TOP-MATH-1", []),
    ],
)
def test_the_links_are_those_of_the_open_lessons_below_a_node(
    student, maths, node_id, lesson_ids
):
    assert ids(page(student, node_id).links) == lesson_ids


def test_a_lesson_that_is_not_bought_is_listed_without_a_link(student, maths):
    found = page(student, "SUBJ-MATH")

    assert [(one.id, one.required_item) for one in found.not_entitled] == [
        ("LES-MATH-1-0", "MATHS-5"),
        ("LES-MATH-1-1", "MATHS-5"),
    ]
    assert found.total == 4


def test_a_bought_product_opens_its_lessons(
    student, maths, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        Entitlement.objects.create(player=student, item="MATHS-5")
    found = page(student, "UNIT-MATH-1")
    assert ids(found.links) == ["LES-MATH-1-0", "LES-MATH-1-1"]
    assert not found.not_entitled


def test_a_link_is_that_of_the_single_lesson(student, maths, plan):
    LessonStage.objects.create(
        public_id="STG-watch",
        lesson=node("LES-MATH-0-0"),
        type="Video",
        title="Watch",
        config={"source": "unit-1/intro.mp4"},
    )
    set_override(plan=plan, target=node("LES-MATH-0-1"), action=OverrideAction.SET_FREE)
    publish(plan)
    gated, open_ = page(student, "TOP-MATH-0").links

    assert gated == content.lesson_of(student.pk, "LES-MATH-0-0", NOW)
    assert gated.version
    assert gated.expires_at == NOW + content.LESSON_URL_SECONDS
    assert set(gated.video_urls) == {"STG-watch"}
    assert open_ == content.lesson_of(student.pk, "LES-MATH-0-1", NOW)
    assert open_.expires_at is None
    assert not open_.video_urls


def test_with_the_cdn_two_queries_read_the_page(
    student, maths, plan, django_assert_num_queries
):
    for place in ("0-0", "0-1"):
        lesson = node(f"LES-MATH-{place}")
        set_override(plan=plan, target=lesson, action=OverrideAction.SET_FREE)
    publish(plan)
    current = turn_on("https://s3.example.org")
    UploadedDocument.objects.create(
        target=public_destination_id(current),
        path="lessons/LES-MATH-0-1.json",
        sha256="a" * 64,
    )
    page(student, "SUBJ-MATH")
    with django_assert_num_queries(2):  # the settings; what the CDN has
        here, there = page(student, "SUBJ-MATH").links
    assert here.url.startswith("http://127.0.0.1:8000/")
    assert there.url == f"{BASE_URL}/lessons/LES-MATH-0-1.json"


def test_what_the_cdn_cannot_serve_is_not_looked_for(
    student, maths, django_assert_num_queries
):
    turn_on("https://s3.example.org", cdn_private_bucket="")
    page(student, "TOP-MATH-0")
    with django_assert_num_queries(1):  # the settings: both lessons are gated
        links = page(student, "TOP-MATH-0").links
    assert all(link.url.startswith("http://127.0.0.1:8000/") for link in links)


@pytest.mark.parametrize("node_id", ["LES-MATH-0-0", "SUBJ-OTHER", "", "%00"])
def test_other_ids_are_no_nodes_of_the_plan(student, maths, node_id):
    with pytest.raises(InvalidNodeError):
        page(student, node_id)


def test_no_plan_and_no_release_are_told_apart(student):
    with pytest.raises(NotPublishedError):
        page(student, "SUBJ-MATH")
    Enrollment.objects.all().delete()
    with pytest.raises(NotEnrolledError):
        page(student, "SUBJ-MATH")


# --- Pages ------------------------------------------------------------------


def pages(student, node_id: str) -> list[content.LessonPage]:
    found = [page(student, node_id)]
    while found[-1].next is not None:
        found.append(page(student, node_id, found[-1].next))
    return found


@pytest.fixture
def thousand(plan):
    """The published subject BIG with 1,000 lessons in two units; unit 1 is sold."""
    plant("BIG", lessons=500)
    add_subject(plan=plan, subject=node("SUBJ-BIG"))
    set_override(
        plan=plan,
        target=node("UNIT-BIG-1"),
        action=OverrideAction.SET_SOLD_SEPARATELY,
        value="BIG-1",
    )
    publish(plan)


@time_machine.travel(NOW, tick=False)
def test_a_thousand_lessons_are_five_pages_of_one_query(
    student, thousand, django_assert_num_queries, round_trips
):
    page(student, "SUBJ-BIG")
    round_trips.clear()
    with django_assert_num_queries(5):  # the settings, in each call
        found = pages(student, "SUBJ-BIG")
    assert len(round_trips) == 5  # the access, in each call
    assert [len(one.links) + len(one.not_entitled) for one in found] == [200] * 5
    links = [link.lesson_id for one in found for link in one.links]
    refused = [lesson.id for one in found for lesson in one.not_entitled]
    assert links == [f"LES-BIG-0-{n}" for n in range(500)]
    assert refused == [f"LES-BIG-1-{n}" for n in range(500)]
    assert {one.total for one in found} == {1000}


def test_a_release_between_two_pages_loses_no_lesson(student, maths, plan, monkeypatch):
    monkeypatch.setattr(content, "MAX_LINKS", 1)
    first = page(student, "TRK-MATH")
    move_node(node=node("LES-MATH-0-0"), target=node("LES-MATH-0-1"), position="right")
    publish(plan)
    second = page(student, "TRK-MATH", first.next)
    assert ids(first.links) == ["LES-MATH-0-0"]
    assert ids(second.links) == ["LES-MATH-0-1"]


def test_a_last_page_that_is_full_has_no_next(student, maths, monkeypatch):
    monkeypatch.setattr(content, "MAX_LINKS", 2)
    found = pages(student, "SUBJ-MATH")
    assert [len(one.links) + len(one.not_entitled) for one in found] == [2, 2]
    past = page(student, "SUBJ-MATH", 10**18 - 1)
    assert (past.links, past.not_entitled, past.next) == ([], [], None)
