"""What players read of a release: its containers, and what each product opens."""

import hashlib

import pytest

from plans.models import AcademicPlan, OverrideAction
from plans.services import add_subject, set_override
from publishing import published_content
from publishing.building import builds
from publishing.published_content import PlanStructure
from tests.factories.content import make_subject
from tests.publishing.conftest import node

pytestmark = pytest.mark.django_db


def published(plan: AcademicPlan) -> PlanStructure:
    assert builds.publish_plan(plan.pk).error == ""
    return published_content.load_plan(plan.public_id)


def sell(plan: AcademicPlan, node_id: str, item: str) -> None:
    set_override(
        plan=plan,
        target=node(node_id),
        action=OverrideAction.SET_SOLD_SEPARATELY,
        value=item,
    )


def opened(plan: PlanStructure, item: str) -> list[tuple[str, str, str]]:
    sold = plan.sold_nodes.get(item, ())
    return [(one.id, one.kind, one.title) for one in sold]


def test_a_product_opens_the_topmost_nodes_that_need_it(plan):
    add_subject(plan=plan, subject=make_subject("ART"))
    sell(plan, "SUBJ-ART", "ALL")
    sell(plan, "UNIT-MATH-0", "ALL")
    sell(plan, "TOP-MATH-0", "ALL")
    assert opened(published(plan), "ALL") == [
        ("UNIT-MATH-0", "unit", "Unit 0"),
        ("SUBJ-ART", "subject", "ART"),
    ]


def test_a_node_below_another_product_is_listed_under_its_own(plan):
    sell(plan, "SUBJ-MATH", "BOOK")
    sell(plan, "UNIT-MATH-0", "UNIT")
    sell(plan, "TOP-MATH-0", "BOOK")
    found = published(plan)
    assert opened(found, "BOOK") == [("SUBJ-MATH", "subject", "MATH")]
    assert opened(found, "UNIT") == [("UNIT-MATH-0", "unit", "Unit 0")]


def test_a_lesson_that_is_sold_by_itself_is_listed_with_its_title(plan):
    sell(plan, "TOP-MATH-0", "TOPIC")
    sell(plan, "LES-MATH-0-1", "ONE")
    sell(plan, "LES-MATH-1-1", "ONE")
    found = published(plan)
    assert opened(found, "TOPIC") == [("TOP-MATH-0", "topic", "Topic 0")]
    assert opened(found, "ONE") == [
        ("LES-MATH-0-1", "lesson", "Lesson 0.1"),
        ("LES-MATH-1-1", "lesson", "Lesson 1.1"),
    ]


@pytest.mark.parametrize("damaged", [None, b"", b"[1]", b'{"lessons":[{}]}'])
def test_without_its_topics_file_a_lesson_is_listed_by_its_id(plan, settings, damaged):
    sell(plan, "LES-MATH-0-1", "ONE")
    assert builds.publish_plan(plan.pk).error == ""
    topic = settings.CONTENT_ROOT / "plans/PLAN-A/TOP-MATH-0.json"
    topic.unlink()
    if damaged is not None:
        topic.write_bytes(damaged)
    found = published_content.load_plan("PLAN-A")
    assert opened(found, "ONE") == [("LES-MATH-0-1", "lesson", "LES-MATH-0-1")]
    assert len(found.lessons) == 4


def test_a_plan_without_products_sells_nothing(plan):
    assert published(plan).sold_nodes == {}


def test_lessons_below_a_container_are_in_the_order_of_their_bits(plan):
    found = published(plan)

    def below(node_id: str) -> list[str] | None:
        lessons = found.lessons_below(node_id)
        return None if lessons is None else [lesson.id for lesson in lessons]

    assert below("TOP-MATH-1") == ["LES-MATH-1-0", "LES-MATH-1-1"]
    assert below("SUBJ-MATH") == [f"LES-MATH-{u}-{n}" for u in (0, 1) for n in (0, 1)]
    assert below("LES-MATH-0-0") is None
    assert below("SUBJ-OTHER") is None


def test_the_manifests_hash_is_that_of_its_bytes(plan, settings):
    found = published(plan)
    manifest = settings.CONTENT_ROOT / "plans/PLAN-A/manifest.json"
    assert found.manifest_hash == hashlib.sha256(manifest.read_bytes()).hexdigest()


def test_a_plan_is_published_from_its_first_release_on(plan):
    assert not published_content.is_published("PLAN-A")
    published(plan)
    assert published_content.is_published("PLAN-A")
    assert not published_content.is_published("PLAN-B")
