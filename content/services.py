"""Every write of the tree's structure.

Each function takes the locks it needs (`content.locks`) and runs in one transaction:
when anything fails, nothing is changed. The number of statements does not grow with the
number of nodes, apart from batches. See docs/architecture.md, "Edits".
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any, Literal

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from content import kinds, locks, tree_updates
from content.field_lists import NodeFields
from content.history import recording
from content.kinds import Kind
from content.models import LessonStage, Node, NodeKind, SubjectState
from content.nested_sets import Move, compute_shifts
from content.tree_updates import TreePosition
from core.batches import BATCH_SIZE, batches
from core.errors import StructureError

_BRANCHES_PER_QUERY = 100
"""SQLite limits the depth of a condition: 100 nested parts work, 500 do not."""

Position = Literal["first-child", "last-child", "left", "right"]


# --- Placement ----------------------------------------------------------------


def require_not_trashed(*parents: Node) -> None:
    """Refuse to put nodes into the trash, where editors would not find them.

    Raises:
        StructureError: one of ``parents``, or an ancestor of it, is in the trash.
    """
    above = Q(pk__in=[])
    for parent in parents:
        above |= Q(tree_id=parent.tree_id, lft__lte=parent.lft, rght__gte=parent.rght)
    trashed = Node.objects.filter(above, trashed_at__isnull=False).first()
    if trashed is not None:
        raise StructureError(
            _("“%(title)s” is in the trash. Restore it first.")
            % {"title": trashed.title}
        )


def placement_rule(kind: Kind) -> str:
    """Return a translated sentence that states where a node of ``kind`` may be placed.

    One sentence per kind, because languages with grammatical gender need whole
    sentences.
    """
    return {
        Kind.SUBJECT: _("A subject must be at the top of the tree."),
        Kind.TRACK: _("A track must be inside a subject."),
        Kind.UNIT: _("A unit must be inside a track."),
        Kind.TOPIC: _("A topic must be inside a unit."),
        Kind.LESSON: _("A lesson must be inside a topic."),
    }[kind]


def require_fits(kind: Kind, parent: Node | None) -> None:
    """Refuse to put a ``kind`` under ``parent`` (None: at the top).

    Raises:
        StructureError: ``parent`` is of the wrong kind; the message states the right
            one.
    """
    expected = kinds.parent_kind(kind)
    found = Kind(parent.kind) if parent is not None else None
    if expected is found:
        return
    message = placement_rule(kind)
    if parent is not None:
        message += " " + _("“%(parent)s” is a %(found)s.") % {
            "parent": parent,
            "found": parent.get_kind_display(),
        }
    raise StructureError(message)


# --- Creating -----------------------------------------------------------------


@transaction.atomic
def create_node(
    *,
    kind: Kind,
    parent: Node | None = None,
    public_id: str = "",
    beside: tuple[Node, Literal["left", "right"]] | None = None,
    **fields: Any,
) -> Node:
    """Create a node as the last child of ``parent``; a lesson also gets its bit.

    Args:
        beside: a sibling and the side of it; replaces ``parent``.
        public_id: the id; "" creates one with the kind's prefix.
        fields: the other columns of `Node` (``title`` at least).

    Raises:
        StructureError: a ``kind`` is not allowed there, the parent is in the trash, or
            a node was deleted or moved by another request.
        ValidationError: a field is not valid, or the id is in use.
    """
    states: Mapping[int, SubjectState] = {}
    target, position = parent, "last-child"
    if beside is not None:
        target, position = beside
        if target.kind == NodeKind.SUBJECT:
            states = locks.lock_all_subjects()
            [target] = locks.reload_nodes(target)
        else:
            states, [target] = locks.lock_nodes(target)
        parent = target.parent
    elif parent is None:
        locks.lock_roots()
    else:
        states, [parent] = locks.lock_nodes(parent)
        target = parent
    require_fits(kind, parent)
    node = Node(
        kind=kind.value,
        public_id=public_id or kinds.new_node_id(kind),
        **fields,
    )
    if parent is not None:
        require_not_trashed(parent)
        node.subject_id = parent.subject_pk
        if kind is Kind.LESSON:
            node.bit_index = allocate_bits(states[parent.subject_pk], 1)
    node.clean_fields(exclude=NodeFields.PLACE)
    node.validate_unique(exclude=["parent"])
    try:
        node.insert_at(target, position=position, save=True)
    except IntegrityError as error:
        raise ValidationError(
            {"public_id": _("Another user has just used this id. Choose another one.")}
        ) from error
    return node


def allocate_bits(state: SubjectState, count: int) -> int:
    """Allocate ``count`` bits and return the first; the subject must be locked."""
    first = state.next_bit_index
    state.next_bit_index = first + count
    state.save(update_fields=["next_bit_index"])
    return first


# --- Moving -------------------------------------------------------------------


@transaction.atomic
def move_nodes(
    *, nodes: Sequence[Node], target: Node, position: Position
) -> list[Node]:
    """Move ``nodes`` and their descendants into or beside ``target``; all or none.

    They keep their order. Lessons that move to another subject get new bits there, in
    tree order. Students' progress on them stays with the old subject.

    Returns:
        The nodes, read again.

    Raises:
        StructureError: a node is not allowed there, or one of them or ``target`` was
            deleted.
    """
    states, moving, target = lock_for_move(nodes, target)
    inside = position in ("first-child", "last-child")
    parent = target.pk if inside else target.parent_id
    moving_pks = [node.pk for node in moving if node.pk != target.pk]
    after = target.pk if position == "right" else None
    if position in ("last-child", "left"):
        others = Node.objects.filter(parent_id=parent).exclude(pk__in=moving_pks)
        if position == "left":
            others = others.filter(
                Q(tree_id__lt=target.tree_id)
                | Q(tree_id=target.tree_id, lft__lt=target.lft)
            )
        last = others.order_by("-tree_id", "-lft").first()
        after = last.pk if last else None
    positions: dict[int, TreePosition] = {}
    for pk in moving_pks:
        positions[pk] = TreePosition(parent, after)
        after = pk
    place_nodes(positions, states)
    return locks.reload_nodes(*moving)


def lock_for_move(
    nodes: Sequence[Node], target: Node
) -> tuple[Mapping[int, SubjectState], list[Node], Node]:
    """Lock everything that moving ``nodes`` to ``target`` changes.

    Returns:
        The locked states, the nodes and the target, both read again.
    """
    if any(node.kind == NodeKind.SUBJECT for node in nodes):
        states = locks.lock_all_subjects()
        *moving, target = locks.reload_nodes(*nodes, target)
        return states, moving, target
    states, [*moving, target] = locks.lock_nodes(*nodes, target)
    return states, moving, target


def place_nodes(
    positions: Mapping[int, TreePosition], states: Mapping[int, SubjectState]
) -> None:
    """Move each of these nodes, by primary key, to its position.

    The caller holds the locks. A node that is named as ``after`` may be moved itself;
    it must then be earlier in ``positions``. When that node has another parent by now,
    the moved node becomes the first child of its parent.

    Args:
        states: the states of all subjects that nodes leave or enter.

    Raises:
        StructureError: a node is not allowed at its position.
    """
    keys = {pk for position in positions.values() for pk in position if pk is not None}
    found: dict[int | None, Node] = Node.objects.in_bulk(keys | positions.keys())
    entered: dict[int, list[Node]] = defaultdict(list)
    for pk, position in positions.items():
        node, parent = found[pk], found.get(position.parent)
        require_fits(Kind(node.kind), parent)
        if parent is not None and parent.pk != node.parent_id:
            entered[parent.pk].append(node)
    if entered:
        require_not_trashed(*(found[pk] for pk in entered))
    if all(position.parent is None for position in positions.values()):
        if tree_updates.order_subjects(positions):
            SubjectState.mark_changed(positions)
        return
    runs = compute_shifts(_moves(positions, found))
    if not runs:
        return
    arriving: dict[tuple[int, int], list[Node]] = defaultdict(list)
    for pk, nodes in entered.items():
        subject_pk, tree_id = found[pk].subject_pk, found[pk].tree_id
        strangers = [node for node in nodes if node.subject_pk != subject_pk]
        if strangers:
            arriving[subject_pk, tree_id] += strangers
    if arriving:
        _advance_revisions({subject_pk for subject_pk, _tree_id in arriving}, states)
    for (subject_pk, _tree_id), strangers in arriving.items():
        _reassign_subject(strangers, states[subject_pk])
    tree_updates.shift_intervals(runs)
    for subject_pk, tree_id in arriving:
        tree_updates.set_tree_id(subject_pk, tree_id)
    if entered:
        tree_updates.set_parents(entered)
    left = {found[pk].subject_pk for pk in positions}
    SubjectState.mark_changed(left | {subject_pk for subject_pk, _tree_id in arriving})


def _moves(
    positions: Mapping[int, TreePosition], found: Mapping[int | None, Node]
) -> list[Move]:
    goals: dict[int | None, tuple[int, int]] = {}
    for pk, (parent_pk, after_pk) in positions.items():
        parent, after = found[parent_pk], found.get(after_pk)
        if after_pk in goals:
            goals[pk] = goals[after_pk]
        elif after is not None and after.parent_id == parent_pk:
            goals[pk] = (after.tree_id, after.rght + 1)
        else:
            goals[pk] = (parent.tree_id, parent.lft + 1)
    return [
        Move(found[pk].tree_id, found[pk].lft, found[pk].rght, goals[pk])
        for pk in positions
    ]


def _advance_revisions(
    subject_pks: Set[int], states: Mapping[int, SubjectState]
) -> None:
    """Raise the revisions of these subjects to the highest of all in ``states``.

    A moved lesson keeps its ``stages_revision`` from the old subject, and releases have
    recorded it. The new subject's revision must not be lower: otherwise a later edit
    there would look older than it is.
    """
    newest = max(state.revision for state in states.values())
    outdated = SubjectState.objects.filter(pk__in=subject_pks, revision__lt=newest)
    outdated.update(revision=newest)


def _reassign_subject(nodes: Iterable[Node], state: SubjectState) -> None:
    """Move the subtrees at ``nodes`` to the subject of ``state``, with new bits."""
    branch = list(tree_updates.subtrees_of(nodes).order_by("tree_id", "lft"))
    lessons = [found for found in branch if found.kind == NodeKind.LESSON]
    bit = allocate_bits(state, len(lessons))
    for found in branch:
        found.subject_id = state.pk
    for offset, lesson in enumerate(lessons):
        lesson.bit_index = bit + offset
    Node.objects.bulk_update(branch, ["subject", "bit_index"], batch_size=BATCH_SIZE)


# --- Changing, trashing, deleting ---------------------------------------------


@transaction.atomic
def change_nodes(*, nodes: Iterable[Node], **fields: Any) -> list[Node]:
    """Set these fields on all of ``nodes``, with one ``UPDATE`` per 500 rows.

    Returns:
        The nodes that had other values before.

    Raises:
        ValidationError: a value is not valid for its field.
    """
    cleaned = {
        name: Node._meta.get_field(name).clean(value, None)
        for name, value in fields.items()
    }
    changed = [
        node
        for node in nodes
        if any(getattr(node, name) != value for name, value in cleaned.items())
    ]
    for batch in batches(changed):
        pks = [node.pk for node in batch]
        Node.objects.filter(pk__in=pks).update(updated_at=timezone.now(), **cleaned)
    return changed


@transaction.atomic
def trash_nodes(*, nodes: Sequence[Node]) -> list[Node]:
    """Move ``nodes`` to the trash; ids and bits stay. Idempotent.

    Returns:
        The nodes that were not in the trash.

    Raises:
        StructureError: a node was deleted, or moved to another subject.
    """
    now = timezone.now()
    _states, current = locks.lock_nodes(*nodes)
    trashable = [node for node in current if node.trashed_at is None]
    trashed = change_nodes(nodes=trashable, trashed_at=now)
    for node in trashed:
        node.trashed_at = now
    return trashed


@transaction.atomic
def restore_nodes(*, nodes: Sequence[Node]) -> list[Node]:
    """Restore ``nodes`` from the trash, in their old places. Idempotent.

    Returns:
        The nodes that were in the trash.

    Raises:
        StructureError: a node was deleted, or moved to another subject.
    """
    _states, current = locks.lock_nodes(*nodes)
    restored = change_nodes(nodes=current, trashed_at=None)
    for node in restored:
        node.trashed_at = None
    return restored


@transaction.atomic
def delete_nodes(*, nodes: Sequence[Node]) -> None:
    """Delete ``nodes`` and their descendants permanently. Bits are not reused.

    Idempotent.

    Raises:
        StructureError: a node was moved to another subject by another request.
    """
    if any(node.kind == NodeKind.SUBJECT for node in nodes):
        locks.lock_roots()
    states = locks.lock_subjects(node.subject_pk for node in nodes)
    found = list(Node.objects.filter(pk__in=[node.pk for node in nodes]))
    locks.require_locked(found, states)
    tops = _outermost(found)
    if not tops:
        return
    SubjectState.mark_changed({node.subject_pk for node in tops}, urgent=True)
    for batch in batches(tops, _BRANCHES_PER_QUERY):
        _delete_rows(batch)
    tree_updates.shift_intervals(
        compute_shifts(
            [Move(node.tree_id, node.lft, node.rght) for node in tops if node.level]
        )
    )


def _delete_rows(tops: Sequence[Node]) -> None:
    inside = tree_updates.subtrees_of(tops)
    with recording.record_deletions(
        LessonStage.objects.filter(lesson__in=inside), inside
    ):
        # Deepest level first: MariaDB checks foreign keys row by row. Django would set
        # the references to NULL first, which the table's constraints forbid.
        for level in range(len(Kind) - 1, min(node.level for node in tops) - 1, -1):
            layer: Any = inside.filter(level=level)
            layer.is_part_of_a_branch = True
            layer.delete()


def _outermost(nodes: Iterable[Node]) -> list[Node]:
    """Return ``nodes`` without those that are descendants of another of them."""
    tops: list[Node] = []
    for node in sorted(nodes, key=lambda node: (node.tree_id, node.lft)):
        last = tops[-1] if tops else None
        if last is None or (node.tree_id, node.rght) > (last.tree_id, last.rght):
            tops.append(node)
    return tops


def delete_node(*, node: Node) -> None:
    """Call `delete_nodes` for one node."""
    delete_nodes(nodes=[node])
