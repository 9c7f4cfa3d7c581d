"""The plan page's explanation of a node agrees with the build."""

from hypothesis import given, settings, strategies as st

from content.kinds import Kind, child_kind
from content.tree import ContentNode, walk as walk_content
from plans.access import Level, Override, PlanNode, lessons, plan_tree
from plans.explain import HiddenReason, explain
from tests.plans.test_access import node

_overrides = st.builds(
    Override,
    hide=st.booleans(),
    level=st.sampled_from([None, None, *Level]),
    item=st.sampled_from(["", "X"]),
    is_linear=st.sampled_from([None, True, False]),
    title=st.sampled_from(["", "Renamed"]),
)


@st.composite
def _nodes(draw, kind=Kind.SUBJECT, numbers=None) -> ContentNode:
    numbers = numbers if numbers is not None else iter(range(1, 10_000))
    below = child_kind(kind)
    count = draw(st.integers(0, 2)) if below is not None else 0
    children = [draw(_nodes(below, numbers)) for _ in range(count)]
    flag = st.integers(0, 4).map(lambda n: n == 0)
    made = node(
        kind,
        *children,
        is_published=not draw(flag),
        is_trashed=draw(flag),
        is_linear=draw(st.booleans()),
        is_public=draw(st.booleans()),
        is_free_preview=draw(st.booleans()),
        required_item=draw(st.sampled_from(["", "", "OWN"])),
    )
    number = next(numbers)
    return ContentNode(
        **{
            **{name: getattr(made, name) for name in made.__slots__},
            "pk": number,
            "id": f"{kind.value}-{number}",
        }
    )


def _walk(found: PlanNode | None) -> list[PlanNode]:
    if found is None:
        return []
    return [found, *(below for child in found.children for below in _walk(child))]


def _trails(node: ContentNode, above: tuple = ()) -> list[tuple[ContentNode, ...]]:
    """Every node at or below ``node``, each after its ancestors."""
    trail = (*above, node)
    return [trail, *(t for child in node.children for t in _trails(child, trail))]


def _explain(subject, overrides):
    """The explanation of every node of ``subject``, by key."""
    seen = {found.source.pk: found for found in _walk(plan_tree(subject, overrides))}
    counts = {pk: len(list(lessons(found))) for pk, found in seen.items()}
    return {
        trail[-1].pk: explain(
            trail, overrides, lessons=counts.get(trail[-1].pk, 0), total=9
        )
        for trail in _trails(subject)
    }


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_what_is_explained_is_what_is_built(data):
    subject = data.draw(_nodes())
    overrides = {
        found.pk: data.draw(_overrides)
        for found in walk_content(subject)
        if data.draw(st.integers(0, 3)) == 0
    }
    built = {found.source.pk: found for found in _walk(plan_tree(subject, overrides))}
    explained = _explain(subject, overrides)
    assert {pk for pk, one in explained.items() if one.absent is None} == set(built)
    for pk, found in built.items():
        one = explained[pk]
        assert (one.access, one.title, one.is_linear) == (
            found.access,
            found.title,
            found.is_linear,
        )


def test_the_reason_is_the_first_node_above_that_decides():
    lesson = node(Kind.LESSON)
    topic = node(Kind.TOPIC, lesson)
    unit = node(Kind.UNIT, topic, is_published=False)
    track = node(Kind.TRACK, unit)
    subject = node(Kind.SUBJECT, track)
    explanation = _explain(subject, {topic.pk: Override(hide=True)})[lesson.pk]
    assert (explanation.absent, explanation.absent_at) == (HiddenReason.DRAFT, unit.id)
