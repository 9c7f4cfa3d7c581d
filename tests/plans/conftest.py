"""A plan with one subject, and another subject outside it."""

import pytest

from content.kinds import Kind
from content.models import Node
from plans import services as plan_services
from plans.models import AcademicPlan
from tests.factories.content import NewNode, insert_tree


def grow(title: str) -> dict[str, Node]:
    """A published subject with one node of each kind below it, by kind."""
    below: list[NewNode] = []
    for kind in reversed(Kind):
        below = [NewNode(kind, f"{title} {kind}", children=below)]
    return {row.kind: row for row in insert_tree(below[0]).values()}


@pytest.fixture
def maths(db):
    return grow("Mathematics")


@pytest.fixture
def physics(db):
    return grow("Physics")


@pytest.fixture
def plan(maths):
    plan = AcademicPlan.objects.create(title="Grade 12")
    plan_services.add_subject(plan=plan, subject=maths["subject"])
    return plan
