"""Check the stored trees for consistency, and repair them.

The parent links are the truth; intervals, levels, subjects, bits and states are
computed from them. A node with a wrong parent link (a parent of the wrong kind, a cycle
or no parent) is reported and must be corrected by hand.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import structlog
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from content import kinds, locks, services, tree_updates
from content.kinds import Kind
from content.models import Node, SubjectState
from content.nested_sets import Interval, children_by_parent, compute_intervals

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class TreeFault:
    """An inconsistency: the node's id, the code of the rule, and a message."""

    node_id: str
    code: str
    message: str
    is_repairable: bool


class _Row(NamedTuple):
    pk: int
    public_id: str
    kind: str
    parent_id: int | None
    subject_id: int | None
    tree_id: int
    lft: int
    rght: int
    level: int
    bit_index: int | None

    @property
    def place(self) -> Interval:
        return Interval(self.lft, self.rght, self.level)


def _rows() -> dict[int, _Row]:
    """Return every node by primary key, in tree order."""
    rows = Node.objects.order_by("tree_id", "lft", "pk").values_list(*_Row._fields)
    return {row[0]: _Row(*row) for row in rows}


class _Forest:
    """All trees as defined by the parent links, in stored sibling order."""

    def __init__(self, rows: dict[int, _Row]) -> None:
        self.rows = rows
        self.children = children_by_parent(
            (row.pk, row.parent_id) for row in rows.values()
        )
        self.subjects = [row for row in rows.values() if row.parent_id is None]
        self.root_of = {
            pk: subject.pk
            for subject in self.subjects
            for pk in compute_intervals(subject.pk, self.children)
        }

    def expected_places(self) -> Iterator[tuple[_Row, Interval]]:
        for subject in self.subjects:
            for pk, place in compute_intervals(subject.pk, self.children).items():
                yield self.rows[pk], place


def find_faults() -> list[TreeFault]:
    """Return all faults of the trees; empty if there are none. Writes nothing.

    Two queries for any size.
    """
    forest = _Forest(_rows())
    next_bits = dict(SubjectState.objects.values_list("pk", "next_bit_index"))
    return [
        *_link_faults(forest),
        *_place_faults(forest),
        *_tree_id_faults(forest),
        *_subject_faults(forest),
        *_bit_faults(forest, next_bits),
        *_state_faults(forest, next_bits),
    ]


def _link_faults(forest: _Forest) -> Iterator[TreeFault]:
    for row in forest.rows.values():
        if row.pk not in forest.root_of:
            yield TreeFault(
                row.public_id, "loose", _("is inside itself or has no parent"), False
            )
            continue
        parent = forest.rows[row.parent_id] if row.parent_id is not None else None
        expected = kinds.parent_kind(Kind(row.kind))
        actual = Kind(parent.kind) if parent is not None else None
        if expected is not actual:
            yield TreeFault(
                row.public_id,
                "kind",
                _("is a %(kind)s but is inside: %(found)s")
                % {"kind": row.kind, "found": actual or _("nothing")},
                False,
            )


def _place_faults(forest: _Forest) -> Iterator[TreeFault]:
    for row, place in forest.expected_places():
        if row.place != place:
            yield TreeFault(
                row.public_id,
                "place",
                _(
                    "is stored at %(found)s but should be at %(wanted)s according to "
                    "its parents"
                )
                % {"found": _written(row.place), "wanted": _written(place)},
                True,
            )


def _written(place: Interval) -> str:
    return f"{place.lft}–{place.rght}@{place.level}"


def _tree_id_faults(forest: _Forest) -> Iterator[TreeFault]:
    uses = Counter(subject.tree_id for subject in forest.subjects)
    for subject in forest.subjects:
        if uses[subject.tree_id] > 1:
            yield TreeFault(
                subject.public_id,
                "tree_id",
                _("has the same tree number as another subject: %(tree)d")
                % {"tree": subject.tree_id},
                True,
            )
    for pk, root in forest.root_of.items():
        row, subject = forest.rows[pk], forest.rows[root]
        if row.tree_id != subject.tree_id:
            yield TreeFault(
                row.public_id,
                "tree_id",
                _("has the tree number %(found)d; its subject has %(wanted)d")
                % {"found": row.tree_id, "wanted": subject.tree_id},
                True,
            )


def _subject_faults(forest: _Forest) -> Iterator[TreeFault]:
    for pk, root in forest.root_of.items():
        row = forest.rows[pk]
        if row.subject_id != (None if pk == root else root):
            yield TreeFault(
                row.public_id,
                "subject",
                _("refers to a subject that does not contain it"),
                True,
            )


def _bit_faults(forest: _Forest, next_bits: dict[int, int]) -> Iterator[TreeFault]:
    holders: dict[tuple[int, int], str] = {}
    for pk, root in forest.root_of.items():
        row = forest.rows[pk]
        if (row.kind == Kind.LESSON) != (row.bit_index is not None):
            yield TreeFault(
                row.public_id,
                "bit",
                _("is a lesson without a progress bit, or another node with one"),
                True,
            )
        if row.bit_index is None:
            continue
        first = holders.setdefault((root, row.bit_index), row.public_id)
        if first != row.public_id:
            yield TreeFault(
                row.public_id,
                "bit",
                _("has the same progress bit as %(other)s: %(bit)d")
                % {"bit": row.bit_index, "other": first},
                True,
            )
        if row.bit_index >= next_bits.get(root, row.bit_index + 1):
            yield TreeFault(
                row.public_id,
                "next_bit",
                _("has the progress bit %(bit)d, which could be allocated again")
                % {"bit": row.bit_index},
                True,
            )


def _state_faults(forest: _Forest, next_bits: dict[int, int]) -> Iterator[TreeFault]:
    for subject in forest.subjects:
        if subject.pk not in next_bits:
            yield TreeFault(subject.public_id, "state", _("has no state row"), True)


@transaction.atomic
def repair() -> list[TreeFault]:
    """Repair everything that the parent links determine, under all locks.

    The stored order of siblings is kept. When two lessons have the same bit, the first
    in tree order keeps it and the other gets a new one: it is unknown which of the two
    a student had completed.

    Returns:
        The faults that were repaired. `find_faults` returns the remaining ones.
    """
    locks.lock_roots()
    before = find_faults()
    # The revision of a lost state is unknown, and releases were built from it. The
    # current Unix time is higher than any count of edits.
    later = int(timezone.now().timestamp())
    for pk in Node.objects.subjects().values_list("pk", flat=True):
        SubjectState.objects.get_or_create(
            subject_id=pk, defaults={"revision": later, "tree_revision": later}
        )
    states = locks.lock_subjects(Node.objects.subjects().values_list("pk", flat=True))
    _repair_trees()
    _repair_bits(states)
    left = set(find_faults())
    mended = [fault for fault in before if fault not in left]
    if mended:
        SubjectState.mark_changed(states)
        log.warning("content_tree_repaired", mended=len(mended), left=len(left))
    return mended


def _repair_trees() -> None:
    forest = _Forest(_rows())
    current = {row.pk: row.place for row in forest.rows.values()}
    tree_updates.write_intervals(
        current, {row.pk: place for row, place in forest.expected_places()}
    )
    used: set[int] = set()
    free = max((row.tree_id for row in forest.rows.values()), default=0) + 1
    wrong: dict[tuple[int, int], list[int]] = defaultdict(list)
    trees: dict[int, int] = {}
    for subject in forest.subjects:
        tree_id = subject.tree_id
        if tree_id in used:
            tree_id, free = free, free + 1
        used.add(tree_id)
        trees[subject.pk] = tree_id
    for pk, root in forest.root_of.items():
        row = forest.rows[pk]
        subject_pk = None if pk == root else root
        if row.tree_id != trees[root] or row.subject_id != subject_pk:
            wrong[root, trees[root]].append(pk)
    for (root, tree_id), pks in wrong.items():
        inside = Node.objects.filter(pk__in=pks)
        inside.update(tree_id=tree_id)
        # The bit may be in use in the right subject, so the lesson gets a new one.
        for row in (forest.rows[pk] for pk in pks if pk != root):
            if row.subject_id != root:
                _enter_subject(row, root)


def _enter_subject(row: _Row, subject_pk: int) -> None:
    changes: dict[str, Any] = {"subject_id": subject_pk}
    if row.kind == Kind.LESSON:
        state = SubjectState.objects.get(pk=subject_pk)
        _keep_bits_ahead(state)
        changes["bit_index"] = services.allocate_bits(state, 1)
        # The old subject counted its edits, or none did: builds must read it again.
        changes["stages_revision"] = state.revision + 1
    Node.objects.filter(pk=row.pk).update(**changes)


def _repair_bits(states: dict[int, SubjectState]) -> None:
    for pk in states:
        state = SubjectState.objects.get(pk=pk)
        _keep_bits_ahead(state)
        seen: set[int] = set()
        lessons = Node.objects.filter(subject_id=pk, kind=Kind.LESSON.value)
        for lesson in lessons.order_by("lft"):
            if lesson.bit_index is None or lesson.bit_index in seen:
                bit = services.allocate_bits(state, 1)
                Node.objects.filter(pk=lesson.pk).update(bit_index=bit)
            else:
                seen.add(lesson.bit_index)


def _keep_bits_ahead(state: SubjectState) -> None:
    """Raise the next bit above every bit in use."""
    highest = max(
        Node.objects.filter(subject_id=state.pk, bit_index__isnull=False).values_list(
            "bit_index", flat=True
        ),
        default=-1,
    )
    if state.next_bit_index <= highest:
        state.next_bit_index = highest + 1
        state.save(update_fields=["next_bit_index"])
