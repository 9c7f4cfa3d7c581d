"""Where nodes lie, as the database has it: intervals, tree numbers and parents.

Called under the locks (`content.locks`), by what has decided that it may be so. None of
this is an edit by itself; `content.services` says what is.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from django.db.models import Case, F, IntegerField, Q, QuerySet, Value, When

from content.models import Node
from content.nested_sets import Interval, IntervalShift, group_by_shift

_ROWS_PER_UPDATE = 500


class TreePosition(NamedTuple):
    """Where a node lies: inside whom, and right after whom; None for nobody."""

    parent: int | None
    after: int | None


def subtrees_of(nodes: Iterable[Node]) -> QuerySet[Any]:
    """``nodes``, as they were read, and all that lies in them."""
    inside = Q(pk__in=[])
    for node in nodes:
        inside |= Q(tree_id=node.tree_id, lft__gte=node.lft, rght__lte=node.rght)
    found: QuerySet[Any] = Node.objects.filter(inside)
    return found


def ancestors_of(nodes: Iterable[Node]) -> QuerySet[Any]:
    """What ``nodes``, as they were read, lie in; outermost first."""
    around = Q(pk__in=[])
    for node in nodes:
        around |= Q(tree_id=node.tree_id, lft__lt=node.lft, rght__gt=node.rght)
    found: QuerySet[Any] = Node.objects.filter(around)
    return found


def set_tree_id(subject_pk: int, tree_id: int) -> None:
    """All of a subject lies in its tree: also what has just come from others."""
    strays = Node.objects.filter(subject_id=subject_pk).exclude(tree_id=tree_id)
    strays.order_by().update(tree_id=tree_id)


def set_parents(children: Mapping[int, Sequence[Node]]) -> None:
    """Store new parents, in one statement."""
    parents = {node.pk: parent for parent, nodes in children.items() for node in nodes}
    cases = [
        When(pk__in=[node.pk for node in nodes], then=Value(parent))
        for parent, nodes in children.items()
    ]
    Node.objects.filter(pk__in=parents).order_by().update(
        parent_id=Case(*cases, output_field=IntegerField())
    )


def order_subjects(spots: Mapping[int, TreePosition]) -> bool:
    """Give the subjects' trees the numbers of their new order, if it is one."""
    subjects = Node.objects.subjects().order_by("tree_id")
    trees = dict(subjects.values_list("pk", "tree_id"))
    order = [pk for pk in trees if pk not in spots]
    for pk, spot in spots.items():
        place = order.index(spot.after) + 1 if spot.after in order else 0
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
    """Renumber the trees' edges, in one statement."""
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
    current: Mapping[int, Interval], wanted: Mapping[int, Interval]
) -> None:
    """Store where the nodes of locked subjects lie, in as few statements as it takes.

    Neighbours usually shift by the same amount, so this is one ``UPDATE`` per 500
    rows and not one per row.
    """
    for delta, pks in group_by_shift(current, wanted).items():
        for start in range(0, len(pks), _ROWS_PER_UPDATE):
            Node.objects.filter(pk__in=pks[start : start + _ROWS_PER_UPDATE]).update(
                lft=F("lft") + delta.lft,
                rght=F("rght") + delta.rght,
                level=F("level") + delta.level,
            )
