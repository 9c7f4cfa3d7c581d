"""Write the intervals, tree ids and parents of nodes.

Callers hold the locks (`content.locks`) and have checked the placement. These functions
do not record edits; `content.services` does.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from django.db.models import Case, F, IntegerField, Q, QuerySet, Value, When

from content.models import Node
from content.nested_sets import Interval, IntervalShift, group_by_shift
from core.batches import batches


class TreePosition(NamedTuple):
    """A node's parent and previous sibling, by primary key.

    ``parent`` is None for a subject; ``after`` is None for a first child.
    """

    parent: int | None
    after: int | None


def subtrees_of(nodes: Iterable[Node]) -> QuerySet[Any]:
    """Return ``nodes`` and their descendants, by the intervals that were read."""
    inside = Q(pk__in=[])
    for node in nodes:
        inside |= Q(tree_id=node.tree_id, lft__gte=node.lft, rght__lte=node.rght)
    found: QuerySet[Any] = Node.objects.filter(inside)
    return found


def ancestors_of(nodes: Iterable[Node]) -> QuerySet[Any]:
    """Return the ancestors of ``nodes``, outermost first, by the intervals read."""
    around = Q(pk__in=[])
    for node in nodes:
        around |= Q(tree_id=node.tree_id, lft__lt=node.lft, rght__gt=node.rght)
    found: QuerySet[Any] = Node.objects.filter(around)
    return found


def set_tree_id(subject_pk: int, tree_id: int) -> None:
    """Set ``tree_id`` on all nodes of a subject, including those just moved to it."""
    strays = Node.objects.filter(subject_id=subject_pk).exclude(tree_id=tree_id)
    strays.order_by().update(tree_id=tree_id)


def set_parents(children: Mapping[int, Sequence[Node]]) -> None:
    """Store new parents, in one statement; ``children`` are by the parent's key."""
    parents = {node.pk: parent for parent, nodes in children.items() for node in nodes}
    cases = [
        When(pk__in=[node.pk for node in nodes], then=Value(parent))
        for parent, nodes in children.items()
    ]
    Node.objects.filter(pk__in=parents).order_by().update(
        parent_id=Case(*cases, output_field=IntegerField())
    )


def order_subjects(positions: Mapping[int, TreePosition]) -> bool:
    """Give the subjects' trees the numbers of their new order.

    Returns:
        Whether the order changed.
    """
    subjects = Node.objects.subjects().order_by("tree_id")
    trees = dict(subjects.values_list("pk", "tree_id"))
    order = [pk for pk in trees if pk not in positions]
    for pk, position in positions.items():
        place = order.index(position.after) + 1 if position.after in order else 0
        order.insert(place, pk)
    wanted = zip(order, trees.values(), strict=True)
    changed = {trees[pk]: tree for pk, tree in wanted if trees[pk] != tree}
    if changed:
        cases = [When(tree_id=old, then=Value(new)) for old, new in changed.items()]
        Node.objects.filter(tree_id__in=changed).order_by().update(
            tree_id=Case(*cases, output_field=IntegerField())
        )
    return bool(changed)


def shift_intervals(runs: Sequence[IntervalShift]) -> None:
    """Apply the shifts to ``lft`` and ``rght``, in one statement."""
    if not runs:
        return

    def moved(edge: str) -> Case:
        cases = [
            When(
                **{"tree_id": run.tree, f"{edge}__range": (run.first, run.last)},
                then=F(edge) + run.delta,
            )
            for run in runs
        ]
        return Case(*cases, default=F(edge), output_field=IntegerField())

    touched = Q(pk__in=[])
    for tree in {run.tree for run in runs}:
        spans = [run for run in runs if run.tree == tree]
        touched |= Q(tree_id=tree, rght__gte=spans[0].first, lft__lte=spans[-1].last)
    rows = Node.objects.filter(touched).order_by()
    rows.update(lft=moved("lft"), rght=moved("rght"))


def write_intervals(
    current: Mapping[int, Interval], target: Mapping[int, Interval]
) -> None:
    """Store the intervals of nodes of locked subjects, in few statements.

    Neighbours usually shift by the same amount, so this takes one ``UPDATE`` per 500
    rows instead of one per row.
    """
    for delta, pks in group_by_shift(current, target).items():
        for batch in batches(pks):
            Node.objects.filter(pk__in=batch).update(
                lft=F("lft") + delta.lft,
                rght=F("rght") + delta.rght,
                level=F("level") + delta.level,
            )
