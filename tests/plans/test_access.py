"""The access rules as a truth table; no database."""

import itertools

import pytest

from content.kinds import Kind, child_kind
from content.tree import ContentNode
from plans import access
from plans.access import Access, Level, Override, Rule, plan_tree, resolve_access

_pks = itertools.count(1)


def node(kind=Kind.LESSON, *children, **fields):
    """A published node; its id is made of its kind and key."""
    pk = next(_pks)
    values = {
        "pk": pk,
        "id": f"{kind.value}-{pk}",
        "kind": kind,
        "title": f"{kind.value} {pk}",
        "description": "",
        "image": "",
        "color_code": "",
        "is_published": True,
        "is_trashed": False,
        "is_linear": False,
        "is_public": False,
        "is_free_preview": False,
        "required_item": "",
        "base_xp": 10,
        "bit_index": pk if kind is Kind.LESSON else None,
        "children": children,
    }
    return ContentNode(**{**values, **fields})


def branch(*lessons, **subject_fields):
    """A subject with one track, unit and topic, down to these lessons."""
    below = lessons
    for kind in (Kind.TOPIC, Kind.UNIT, Kind.TRACK):
        below = (node(kind, *below),)
    return node(Kind.SUBJECT, *below, **subject_fields)


def lesson_of(subject, overrides=None):
    """The only lesson of ``subject`` that a plan offers, or None."""
    tree = plan_tree(subject, overrides or {})
    return next(access.lessons(tree), None) if tree else None


PAID = Access(Level.PAID, "PARENT-ITEM", Rule.REQUIRED_ITEM, "above")
FREE = Access(Level.FREE_PREVIEW, "", Rule.FREE_PREVIEW, "above")
PUBLIC = Access(Level.PUBLIC, "", Rule.PUBLIC, "above")
SIGNED_IN = Access(Level.AUTHENTICATED, "", Rule.DEFAULT, "above")


@pytest.mark.parametrize(
    ("fields", "override", "parent", "level", "item", "rule"),
    [
        # 6: the default
        ({}, {}, None, "authenticated", "", "default"),
        ({}, {}, SIGNED_IN, "authenticated", "", "default"),
        # 5: public, unless the parent's level is inherited
        ({"is_public": True}, {}, SIGNED_IN, "public", "", "public"),
        ({"is_public": True}, {}, PAID, "paid", "PARENT-ITEM", "inherited"),
        ({"is_public": True}, {}, FREE, "free_preview", "", "inherited"),
        # 4: the parent's level is inherited
        ({}, {}, PAID, "paid", "PARENT-ITEM", "inherited"),
        ({}, {}, FREE, "free_preview", "", "inherited"),
        ({}, {}, PUBLIC, "public", "", "inherited"),
        # 3: the node's own product takes precedence over any parent's level
        ({"required_item": "OWN"}, {}, PAID, "paid", "OWN", "required_item"),
        ({"required_item": "OWN"}, {}, FREE, "paid", "OWN", "required_item"),
        ({"required_item": "OWN"}, {}, PUBLIC, "paid", "OWN", "required_item"),
        (
            {"required_item": "OWN", "is_public": True},
            {},
            None,
            "paid",
            "OWN",
            "required_item",
        ),
        # 2: a free preview pierces a paid parent and the node's own product
        ({"is_free_preview": True}, {}, PAID, "free_preview", "", "free_preview"),
        (
            {"is_free_preview": True, "required_item": "OWN"},
            {},
            PAID,
            "free_preview",
            "",
            "free_preview",
        ),
        # 1: the plan's override takes precedence
        ({"required_item": "OWN"}, {"level": "public"}, PAID, "public", "", "override"),
        (
            {"is_free_preview": True},
            {"level": "authenticated"},
            PAID,
            "authenticated",
            "",
            "override",
        ),
        ({}, {"level": "free_preview"}, PAID, "free_preview", "", "override"),
        ({}, {"level": "paid", "item": "X"}, None, "paid", "X", "override"),
        (
            {"required_item": "OWN"},
            {"level": "paid", "item": "X"},
            PAID,
            "paid",
            "X",
            "override",
        ),
        ({"required_item": "OWN"}, {"level": "paid"}, PAID, "paid", "OWN", "override"),
        ({}, {"level": "paid"}, PAID, "paid", "PARENT-ITEM", "override"),
        ({}, {"level": "paid"}, PUBLIC, "paid", "", "override"),
    ],
)
def test_the_first_rule_that_matches_decides(
    fields, override, parent, level, item, rule
):
    values = {**override}
    if "level" in values:
        values["level"] = Level(values["level"])
    found = resolve_access(node(**fields), parent=parent, override=Override(**values))
    assert (found.level, found.item, found.rule) == (level, item, rule)


def test_an_inherited_level_names_the_node_that_decided():
    subject = branch(node(), required_item="MATH-12")
    lesson = lesson_of(subject)
    assert lesson.access == Access(
        Level.PAID, "MATH-12", Rule.INHERITED, decided_at=subject.id
    )


def test_a_free_preview_lesson_inside_a_paid_subject_is_free_for_itself_only():
    subject = branch(node(is_free_preview=True), node(), required_item="MATH-12")
    first, second = access.lessons(plan_tree(subject, {}))
    assert (first.access.level, second.access.level) == ("free_preview", "paid")


def test_a_unit_set_free_frees_what_lies_in_it():
    subject = branch(node(), required_item="MATH-12")
    unit = subject.children[0].children[0]
    lesson = lesson_of(subject, {unit.pk: Override(level=Level.FREE_PREVIEW)})
    assert lesson.access.level is Level.FREE_PREVIEW
    assert lesson.access.decided_at == unit.id


@pytest.mark.parametrize("depth", range(5))
def test_hiding_a_node_hides_all_below_it(depth):
    subject = branch(node())
    hidden = subject
    for _ in range(depth):
        hidden = hidden.children[0]
    assert lesson_of(subject, {hidden.pk: Override(hide=True)}) is None


@pytest.mark.parametrize("state", [{"is_published": False}, {"is_trashed": True}])
def test_drafts_and_trash_vanish_with_all_below_them(state):
    assert lesson_of(branch(node(**state))) is None
    assert plan_tree(branch(node(), **state), {}) is None


def test_no_override_brings_back_a_draft():
    lesson = node(is_published=False)
    offered = lesson_of(branch(lesson), {lesson.pk: Override(level=Level.PUBLIC)})
    assert offered is None


def test_containers_left_without_lessons_vanish_and_a_subject_stays_empty():
    subject = branch(node(), node())
    hidden = {lesson.pk: Override(hide=True) for lesson in _lessons(subject)}
    tree = plan_tree(subject, hidden)
    assert tree is not None
    assert tree.children == ()


def test_a_container_stays_for_one_lesson_of_many():
    first, second = node(), node()
    subject = branch(first, second)
    tree = plan_tree(subject, {first.pk: Override(hide=True)})
    assert [lesson.id for lesson in access.lessons(tree)] == [second.id]
    assert len(tree.children) == 1


@pytest.mark.parametrize(
    ("own", "override", "linear"),
    [
        (False, None, False),
        (True, None, True),
        (True, False, False),
        (False, True, True),
    ],
)
def test_linear_is_the_plans_word_else_the_nodes(own, override, linear):
    subject = branch(node(), is_linear=own)
    tree = plan_tree(subject, {subject.pk: Override(is_linear=override)})
    assert tree.is_linear is linear


def test_linear_is_not_inherited():
    assert lesson_of(branch(node(), is_linear=True)).is_linear is False


def test_a_plan_may_rename_and_the_content_keeps_its_title():
    subject = branch(node(), title="Mathematics")
    tree = plan_tree(subject, {subject.pk: Override(title="Maths for doctors")})
    assert (tree.title, tree.source.title) == ("Maths for doctors", "Mathematics")


def test_one_node_may_be_freed_renamed_and_linear_at_once():
    subject = branch(node(), required_item="MATH-12")
    override = Override(level=Level.FREE_PREVIEW, is_linear=True, title="Try it")
    tree = plan_tree(subject, {subject.pk: override})
    assert (tree.title, tree.is_linear) == ("Try it", True)
    assert tree.access.level is Level.FREE_PREVIEW


def test_the_order_of_children_is_the_trees():
    lessons = [node() for _ in range(4)]
    tree = plan_tree(branch(*lessons), {})
    found = [lesson.id for lesson in access.lessons(tree)]
    assert found == [lesson.id for lesson in lessons]


def _lessons(content):
    if child_kind(content.kind) is None:
        return [content]
    return [lesson for child in content.children for lesson in _lessons(child)]
