"""Copy a branch of the tree.

The copy has new ids, bits and stages, so students have no progress and no review cards
on it. Its top node is a draft. The nodes inside keep their state, so publishing the top
node publishes all of it. Trashed nodes are not copied.

Rows are inserted level by level, with intervals computed beforehand. The number of
queries depends on the levels and, per 500 rows, on the size.
"""

from collections.abc import Iterable, Sequence
from itertools import count
from typing import Any

from django.db import transaction
from django.db.models import F, Max
from django.utils.translation import gettext as _

from content import kinds, locks, services
from content.field_lists import NodeFields, StageFields, SubjectStateFields
from content.kinds import Kind
from content.models import LessonStage, Node, NodeKind, SubjectState
from content.nested_sets import (
    Interval,
    children_by_parent,
    compute_intervals,
    outside_trash,
)
from content.queries import primary_keys
from content.stage_configs import with_new_ids
from core.batches import BATCH_SIZE, batches


@transaction.atomic
def copy_node(*, node: Node, parent: Node | None = None) -> Node:
    """Copy ``node`` and its descendants as a draft.

    Args:
        parent: the node to copy into, as the last child. None: directly after the
            original, with a title that marks it as a copy. A subject becomes the last
            subject.

    Raises:
        StructureError: it is not allowed there, is in the trash, or one of the two was
            deleted or moved by another request.
    """
    return _copy_subject(node) if node.kind == NodeKind.SUBJECT else _copy(node, parent)


@transaction.atomic
def copy_nodes(*, nodes: Sequence[Node], parent: Node | None = None) -> list[Node]:
    """Call `copy_node` for each node, after locking everything at once."""
    if any(node.kind == NodeKind.SUBJECT for node in nodes):
        locks.lock_roots()
    locks.lock_nodes(*nodes, *([parent] if parent else []))
    return [copy_node(node=node, parent=parent) for node in nodes]


def _copy_subject(node: Node) -> Node:
    locks.lock_roots()
    states, [node] = locks.lock_nodes(node)
    last: int = Node.objects.aggregate(last=Max("tree_id"))["last"]
    copies = _Copies(node, None, last + 1, Interval(0, 0, 0), rename=True)
    copies.insert(Kind.SUBJECT)
    copied = copies.copy_of[node.pk]
    state = locks.lock_subjects([copied])[copied]
    for field in SubjectStateFields.HEADER:
        setattr(state, field, getattr(states[node.pk], field))
    state.save(update_fields=SubjectStateFields.HEADER)
    copies.insert_all(state)
    copy_: Node = Node.objects.get(pk=copied)
    return copy_


def _copy(node: Node, parent: Node | None) -> Node:
    beside_original = parent is None
    states, [node, into] = locks.lock_nodes(node, parent or node)
    # The original may have been moved while this waited for the lock.
    parent = into if parent is not None else (node.parent or node)
    services.require_fits(Kind(node.kind), parent)
    services.require_not_trashed(parent)
    edge = node.rght + 1 if beside_original else parent.rght
    shift = Interval(edge - 1, edge - 1, parent.level + 1)
    rename = parent.pk == node.parent_id
    copies = _Copies(node, parent, parent.tree_id, shift, rename=rename)
    _shift_intervals(parent.tree_id, edge, 2 * len(copies.originals))
    copies.insert_all(states[parent.subject_pk])
    copy_: Node = Node.objects.get(pk=copies.copy_of[node.pk])
    return copy_


def _shift_intervals(tree_id: int, edge: int, width: int) -> None:
    """Shift the edges from ``edge`` on by ``width``; ancestors grow."""
    tree = Node.objects.filter(tree_id=tree_id)
    tree.filter(lft__gte=edge).update(lft=F("lft") + width)
    tree.filter(rght__gte=edge).update(rght=F("rght") + width)


class _Copies:
    """The originals and their copies, which are inserted kind by kind."""

    def __init__(
        self,
        top: Node,
        parent: Node | None,
        tree_id: int,
        shift: Interval,
        *,
        rename: bool,
    ) -> None:
        services.require_not_trashed(top)
        self.top = top
        self.parent = parent
        self.tree_id = tree_id
        self.shift = shift
        """Added to intervals within the branch to get those in the new tree."""
        self.title = _copied_title(top.title) if rename else top.title
        branch = top.get_descendants(include_self=True).order_by("lft")
        self.originals = {node.pk: node for node in outside_trash(branch)}
        rows = ((pk, node.parent_id) for pk, node in self.originals.items())
        self.places = compute_intervals(top.pk, children_by_parent(rows))
        self.copy_of: dict[int, int] = {}

    def insert_all(self, state: SubjectState) -> None:
        """Insert the remaining nodes and the stages, with bits of ``state``."""
        lessons = [pk for pk, n in self.originals.items() if n.kind == Kind.LESSON]
        bits = count(services.allocate_bits(state, len(lessons)))
        kind: Kind | None = Kind(self.top.kind)
        while kind is not None:
            if kind is not Kind.SUBJECT:
                self.insert(kind, state.pk, bits)
            kind = kinds.child_kind(kind)
        self._insert_stages(lessons)

    def insert(
        self, kind: Kind, subject_pk: int | None = None, bits: Iterable[int] = ()
    ) -> None:
        """Insert the copies of one kind; their parents must exist."""
        originals = [node for node in self.originals.values() if node.kind == kind]
        rows = [self._row(node, subject_pk) for node in originals]
        if kind is Kind.LESSON:
            for row, bit in zip(rows, bits, strict=False):
                row.bit_index = bit
        pks = primary_keys(Node.objects.bulk_create(rows, batch_size=BATCH_SIZE))
        for node, row in zip(originals, rows, strict=True):
            self.copy_of[node.pk] = pks[row.public_id]

    def _row(self, node: Node, subject_pk: int | None) -> Node:
        place = self.places[node.pk]
        values = {name: getattr(node, name) for name in NodeFields.CONTENT}
        if node.pk == self.top.pk:
            values |= {"title": self.title, "is_published": False}
            parent_pk = self.parent.pk if self.parent else None
        else:
            parent_pk = self.copy_of[node.parent_id]
        return Node(
            kind=node.kind,
            public_id=kinds.new_node_id(Kind(node.kind)),
            parent_id=parent_pk,
            subject_id=subject_pk,
            tree_id=self.tree_id,
            lft=place.lft + self.shift.lft,
            rght=place.rght + self.shift.rght,
            level=place.level + self.shift.level,
            **values,
        )

    def _insert_stages(self, lessons: list[int]) -> None:
        for batch in batches(lessons):
            found = LessonStage.objects.filter(lesson_id__in=batch)
            rows = found.order_by("lesson_id", "position", "pk")
            LessonStage.objects.bulk_create(
                [
                    self._stage(**values)
                    for values in rows.values("lesson_id", *StageFields.ORDERED)
                ],
                batch_size=BATCH_SIZE,
            )

    def _stage(
        self, *, lesson_id: int, type: str, config: Any, **values: Any
    ) -> LessonStage:
        return LessonStage(
            lesson_id=self.copy_of[lesson_id],
            type=type,
            config=with_new_ids(type, config),
            **values,
        )


def _copied_title(title: str) -> str:
    longest: int = Node._meta.get_field("title").max_length or 255
    words = str(_("%(title)s (copy)"))
    available = longest - len(words % {"title": ""})
    return words % {"title": title[:available]}
