"""A player's products, and what each opens in the active plan."""

from datetime import UTC, datetime, timedelta

import pytest

from plans.models import OverrideAction
from plans.services import add_subject, set_override
from players.models import Enrollment, Entitlement
from players.services import access, entitlements
from players.services.entitlements import OwnedProduct
from publishing.api import SoldNode
from publishing.building import builds
from tests.factories.content import make_subject
from tests.publishing.conftest import node

pytestmark = pytest.mark.django_db
NOW = datetime(2027, 1, 1, tzinfo=UTC)


@pytest.fixture
def maths(plan):
    """The plan has the subject MATH; unit 1 is sold as MATHS-5. It is published."""
    add_subject(plan=plan, subject=make_subject("MATH"))
    set_override(
        plan=plan,
        target=node("UNIT-MATH-1"),
        action=OverrideAction.SET_SOLD_SEPARATELY,
        value="MATHS-5",
    )
    assert builds.publish_plan(plan.pk).error == ""


UNIT = SoldNode("UNIT-MATH-1", "unit", "Unit 1")


def products(student) -> list[OwnedProduct]:
    return entitlements.of_access(access.of_player(student.pk), NOW.timestamp())


def test_a_product_names_what_it_opens_in_the_active_plan(student, maths):
    until = NOW + timedelta(days=30)
    Entitlement.objects.create(player=student, item="MATHS-5", valid_until=until)
    Entitlement.objects.create(player=student, item="ELSEWHERE")
    assert products(student) == [
        OwnedProduct("ELSEWHERE", None, is_valid=True, opens=()),
        OwnedProduct("MATHS-5", until, is_valid=True, opens=(UNIT,)),
    ]


@pytest.mark.parametrize(("seconds", "is_valid"), [(-1, False), (0, False), (1, True)])
def test_a_product_that_has_ended_is_listed_as_not_valid(
    student, maths, seconds, is_valid
):
    until = NOW + timedelta(seconds=seconds)
    Entitlement.objects.create(player=student, item="MATHS-5", valid_until=until)
    assert products(student) == [OwnedProduct("MATHS-5", until, is_valid, (UNIT,))]


def test_the_products_cost_no_query(student, maths, django_assert_num_queries):
    Entitlement.objects.create(player=student, item="MATHS-5")
    player_access = access.of_player(student.pk)
    entitlements.of_access(player_access, NOW.timestamp())
    with django_assert_num_queries(0):
        entitlements.of_access(player_access, NOW.timestamp())


def test_before_the_first_release_a_product_opens_nothing(student):
    Entitlement.objects.create(player=student, item="MATHS-5")
    assert products(student) == [OwnedProduct("MATHS-5", None, is_valid=True, opens=())]


def test_without_an_enrolment_a_product_opens_nothing(student, maths):
    Entitlement.objects.create(player=student, item="MATHS-5")
    Enrollment.objects.all().delete()
    assert products(student) == [OwnedProduct("MATHS-5", None, is_valid=True, opens=())]
