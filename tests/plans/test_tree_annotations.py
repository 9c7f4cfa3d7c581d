"""The annotated rows of a page agree with the build, without reading the whole tree."""

import random

import pytest
from django.utils import timezone

from content import services, tree_rows
from content.kinds import Kind
from content.models import Node
from content.queries import load_subject
from plans.access import PlanNode, lessons, plan_tree
from plans.models import AcademicPlan, PlanOverride, PlanSubject
from plans.queries import load_overrides
from plans.tree_annotations import PlanAnnotator, explain_rows

pytestmark = pytest.mark.django_db

CHILDREN = {Kind.SUBJECT: 3, Kind.TRACK: 2, Kind.UNIT: 2, Kind.TOPIC: 3}


def grow(chance, parent=None, kind=Kind.SUBJECT):
    """Create a subject with random draft, free, paid, public and trashed nodes."""
    node = services.create_node(
        kind=kind,
        parent=parent,
        title=f"{kind} {chance.random():.4f}",
        is_published=kind is Kind.SUBJECT or chance.random() < 0.85,
        is_free_preview=chance.random() < 0.1,
        is_public=chance.random() < 0.1,
        required_item=chance.choice(["", "", "", "ITEM-1"]),
    )
    below = {Kind.SUBJECT: Kind.TRACK, Kind.TRACK: Kind.UNIT, Kind.UNIT: Kind.TOPIC}
    below[Kind.TOPIC] = Kind.LESSON
    for _n in range(CHILDREN.get(kind, 0)):
        grow(chance, Node.objects.get(pk=node.pk), below[kind])
    return node


def walk(found: PlanNode | None) -> list[PlanNode]:
    if found is None:
        return []
    return [found, *(below for child in found.children for below in walk(child))]


@pytest.mark.parametrize("seed", range(4))
def test_every_row_is_explained_as_the_whole_subject_is_built(seed):
    chance = random.Random(seed)
    subject = grow(chance)
    plan = AcademicPlan.objects.create(title="P")
    PlanSubject.objects.create(plan=plan, subject=subject)
    nodes = list(Node.objects.filter(subject=subject))
    trashed = [node.pk for node in chance.sample(nodes, 3)]
    Node.objects.filter(pk__in=trashed).update(trashed_at=timezone.now())
    for node in chance.sample(nodes, 10):
        action, value = chance.choice(
            [
                ("hide", ""),
                ("hide", ""),
                ("set_free", ""),
                ("set_access_level", "public"),
                ("set_sold_separately", "ITEM-2"),
                ("rename", "Other"),
            ]
        )
        PlanOverride.objects.create(plan=plan, target=node, action=action, value=value)
    overrides = load_overrides(plan.pk)
    built = {
        found.source.pk: found
        for found in walk(plan_tree(load_subject(subject.pk), overrides))
    }
    rows = tree_rows.rows_of(tree_rows.with_ancestors(Node.objects.all()))
    seen = explain_rows(rows, overrides)
    assert {
        pk for pk, explanation in seen.items() if explanation.absent is None
    } == set(built)
    for pk, found in built.items():
        explanation = seen[pk]
        assert (explanation.access, explanation.title) == (found.access, found.title)
        assert explanation.lessons == len(list(lessons(found))), explanation.node.title


def test_a_plan_that_is_gone_sees_nothing():
    assert PlanAnnotator().annotate("987654", []) == {}
