"""A plan with one subject, and another subject outside it."""

import pytest

from content import services
from content.kinds import Kind
from plans import services as plan_services
from plans.models import AcademicPlan


def grow(title):
    nodes = {}
    parent = None
    for kind in Kind:
        parent = services.create_node(
            kind=kind, parent=parent, title=f"{title} {kind}", is_published=True
        )
        nodes[kind.value] = parent
    return nodes


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
