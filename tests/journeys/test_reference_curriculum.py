"""A real book: imported, planned, published, and read by a student over HTTP."""

from pathlib import Path

import pytest

from content.curriculum import import_curriculum
from content.kinds import Kind
from content.models import Node
from memora_site.demo_client import StudentApp, play
from plans.models import AcademicPlan
from plans.services import add_subject, set_override
from players.services.accounts import create_player
from publishing.building import builds
from tests.journeys.conftest import EMAIL, PASSWORD, publish
from tests.publishing import release

BOOK = (
    Path(__file__).resolve().parents[3]
    / "shared/data/python-programming.curriculum.json"
)

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not BOOK.is_file(), reason="the book is not beside the project"),
]


@pytest.fixture
def book(server: str, transactional_db) -> Node:
    import_curriculum(BOOK.read_bytes())
    return Node.objects.get(kind=Kind.SUBJECT)


@pytest.fixture
def units(book: Node) -> list[Node]:
    return list(Node.objects.filter(kind=Kind.UNIT).order_by("lft"))


@pytest.fixture
def hidden(units: list[Node]) -> set[str]:
    """The ids of the unit that the plan hides and of all nodes below it."""
    below = units[2].get_descendants(include_self=True)
    return set(below.values_list("public_id", flat=True))


@pytest.fixture
def plan(book: Node, units: list[Node], hidden: set[str]) -> AcademicPlan:
    """A published plan of the book with its third unit hidden and its second free."""
    plan = AcademicPlan.objects.create(
        public_id="PLAN-BOOK", title="Python", is_published=True
    )
    add_subject(plan=plan, subject=book)
    set_override(plan=plan, target=units[1], action="set_free")
    set_override(plan=plan, target=units[2], action="hide")
    publish(plan)
    return plan


@pytest.fixture
def phone(server: str, plan: AcademicPlan) -> StudentApp:
    create_player(EMAIL, PASSWORD, plan=plan)
    return StudentApp(server)


def test_every_file_of_the_release_is_whole(plan: AcademicPlan, book: Node):
    documents = release.walk(plan.public_id)

    [bitmap] = [
        document for path, document in documents.items() if path.endswith("_b.json")
    ]
    total = Node.objects.filter(kind=Kind.LESSON).count()
    assert 0 < bitmap["total_lessons"] < total


def test_nothing_hidden_appears_in_any_file(plan: AcademicPlan, hidden: set[str]):
    published = b"".join(release.everything().values())

    assert hidden
    assert [node for node in hidden if node.encode() in published] == []


def test_the_free_unit_is_free_and_the_rest_is_not(
    plan: AcademicPlan, book: Node, units: list[Node]
):
    free = set(
        units[1]
        .get_descendants()
        .filter(kind=Kind.LESSON)
        .values_list("public_id", flat=True)
    )

    bitmap = release.read(f"plans/{plan.public_id}/{book.public_id}_b.json")

    levels = {
        lesson: entry["access_level"] for lesson, entry in bitmap["mappings"].items()
    }
    assert {lesson for lesson, level in levels.items() if level == "free_preview"} == (
        free
    )


def test_publishing_again_writes_no_file(plan: AcademicPlan, settings):
    def files() -> dict[str, tuple[int, int]]:
        return {
            str(path): (path.stat().st_ino, path.stat().st_mtime_ns)
            for path in Path(settings.CONTENT_ROOT).rglob("*")
            if path.is_file()
        }

    before = files()

    assert builds.publish_plan(plan.pk, trigger="test") is None
    # An edit that does not affect the published files:
    AcademicPlan.objects.get(pk=plan.pk).save()
    entry = builds.publish_plan(plan.pk, trigger="test")

    assert entry is not None
    assert entry.files_written == 0
    assert files() == before


def test_a_student_walks_to_the_third_lesson(phone: StudentApp, book: Node):
    path = f"progress/{book.public_id}/"
    suggested = []
    for _lesson in range(3):
        list(play(phone, email=EMAIL, password=PASSWORD))
        suggested.append(phone.get(path)["suggested_next_lesson_id"])

    progress = phone.get(path)
    in_order = Node.objects.filter(kind=Kind.LESSON).order_by("lft")
    expected = list(in_order.values_list("public_id", flat=True)[1:4])
    assert suggested == expected
    assert progress["passed_lessons"] == 3
    assert 0 < progress["completion_percentage"] < 100
    assert phone.get("wallet/")["total_xp"] == 3 * 35
