"""The known products, for the page of a student."""

import pytest
from django.utils import timezone

from content.models import Node
from plans import queries
from plans.models import AcademicPlan
from plans.services import add_subject, set_override
from tests.factories.content import make_subject

pytestmark = pytest.mark.django_db


def sell(public_id: str, code: str) -> None:
    Node.objects.filter(public_id=public_id).update(required_item=code)


def test_a_product_has_the_title_of_the_topmost_content_that_needs_it():
    make_subject("MATH")
    sell("LES-MATH-0-0", "MATH-12")
    sell("UNIT-MATH-0", "MATH-12")
    sell("UNIT-MATH-1", "MATH-13")
    found = [(row.code, row.title) for row in queries.sold_content()]
    assert found == [("MATH-12", "Unit 0"), ("MATH-13", "Unit 1")]


def test_an_override_makes_a_product_known():
    plan = AcademicPlan.objects.create(title="Plan")
    add_subject(plan=plan, subject=make_subject("MATH"))
    unit = Node.objects.get(public_id="UNIT-MATH-1")
    set_override(plan=plan, target=unit, action="set_sold_separately", value="EXTRA")
    assert [(row.code, row.title) for row in queries.sold_content()] == [
        ("EXTRA", "Unit 1")
    ]


def test_content_below_something_in_the_trash_is_left_out():
    make_subject("MATH")
    sell("LES-MATH-0-0", "MATH-12")
    Node.objects.filter(public_id="UNIT-MATH-0").update(trashed_at=timezone.now())
    assert queries.sold_content() == []


def test_three_queries_for_any_number(django_assert_num_queries):
    make_subject("MATH", lessons=5)
    for number in range(5):
        sell(f"LES-MATH-0-{number}", f"ITEM-{number}")
    with django_assert_num_queries(3):
        assert len(queries.sold_content()) == 5
