"""Every write of the tree's structure (DESIGN 2).

Each function here first takes the locks it needs (`content.locks`), and runs in one
transaction: when anything fails, nothing has changed. However many nodes it is given,
it takes the same number of statements.
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
from content.history import recording
from content.kinds import Kind
from content.models import LessonStage, Node, NodeKind, SubjectState
from content.nested_sets import Move, compute_shifts
from content.tree_updates import TreePosition
from core.errors import StructureError

_ROWS_PER_UPDATE = 500
_BRANCHES_PER_QUERY = 100
"""SQLite takes conditions of so many parts, within others, and not of 500."""

Position = Literal["first-child", "last-child", "left", "right"]


# --- What goes where ----------------------------------------------------------


def require_not_trashed(*parents: Node) -> None:
    """Refuse to put anything into what is in the trash: nobody would find it.

    Raises:
        StructureError: one of ``parents``, or what it lies in, is in the trash.
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
    """Where a node of ``kind`` goes, as a sentence.

    One sentence per kind: languages with grammatical gender need whole sentences.
    """
    return {
        Kind.SUBJECT: _("A subject goes at the top, not inside anything."),
        Kind.TRACK: _("A track goes only inside a subject."),
        Kind.UNIT: _("A unit goes only inside a track."),
        Kind.TOPIC: _("A topic goes only inside a unit."),
        Kind.LESSON: _("A lesson goes only inside a topic."),
    }[kind]


def require_fits(kind: Kind, parent: Node | None) -> None:
    """Refuse to put a ``kind`` under ``parent`` (None: at the top).

    Raises:
        StructureError: says where such a node goes.
    """
    wanted = kinds.parent_kind(kind)
    found = Kind(parent.kind) if parent is not None else None
    if wanted is found:
        return
    message = placement_rule(kind)
    if parent is not None:
        labels = dict(NodeKind.choices)
        message += " " + _(
            "“%(parent)s” is not the right place: it is a %(found)s."
        ) % {
            "parent": parent,
            "found": labels[Kind(parent.kind)],
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
    """A new node, last in ``parent``; a lesson gets its bit here.

    Args:
        beside: a node to put it next to instead, and the side of it.
        public_id: the id; "" makes one with the kind's prefix.
        fields: the other columns of `Node` (``title`` at least).

    Raises:
        StructureError: a ``kind`` does not go there.
        ValidationError: a field is wrong, or the id is taken.
    """
    states: Mapping[int, SubjectState] = {}
    target, position = parent, "last-child"
    if beside is not None:
        target, position = beside
        if target.kind == NodeKind.SUBJECT:
            states = locks.lock_order()
            [target] = locks.reread(target)
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
        public_id=public_id or kinds.new_id(kinds.ID_PREFIXES[kind]),
        **fields,
    )
    if parent is not None:
        require_not_trashed(parent)
        node.subject_id = parent.subject_pk
        if kind is Kind.LESSON:
            node.bit_index = allocate_bits(states[parent.subject_pk], 1)
    node.clean_fields(exclude=["parent", "subject", "lft", "rght", "tree_id", "level"])
    node.validate_unique(exclude=["parent"])
    try:
        node.insert_at(target, position=position, save=True)
    except IntegrityError as error:
        raise ValidationError(
            {"public_id": _("Somebody has just taken this id. Choose another.")}
        ) from error
    return node


def allocate_bits(state: SubjectState, count: int) -> int:
    """The first of ``count`` fresh bits; the subject must be locked."""
    first = state.next_bit_index
    state.next_bit_index = first + count
    state.save(update_fields=["next_bit_index"])
    return first


# --- Moving -------------------------------------------------------------------


def move_node(*, node: Node, target: Node, position: Position) -> Node:
    """Put ``node``, with all below it, into or beside ``target``.

    Lessons that come into another subject get new bits there, in tree order;
    students' progress on them stays with the old subject.

    Returns:
        The node as it now is.

    Raises:
        StructureError: it does not go there, or one of the two has been deleted.
    """
    [moved] = move_nodes(nodes=[node], target=target, position=position)
    return moved


@transaction.atomic
def move_nodes(
    *, nodes: Sequence[Node], target: Node, position: Position
) -> list[Node]:
    """Put all of ``nodes`` into or beside ``target``, in this order, or none of them.

    As `move_node`.
    """
    states, moving, target = lock_for_move(nodes, target)
    inside = position in ("first-child", "last-child")
    parent = target.pk if inside else target.parent_id
    wanted = [node.pk for node in moving if node.pk != target.pk]
    after = target.pk if position == "right" else None
    if position in ("last-child", "left"):
        others = Node.objects.filter(parent_id=parent).exclude(pk__in=wanted)
        if position == "left":
            others = others.filter(
                Q(tree_id__lt=target.tree_id)
                | Q(tree_id=target.tree_id, lft__lt=target.lft)
            )
        last = others.order_by("-tree_id", "-lft").first()
        after = last.pk if last else None
    spots: dict[int, TreePosition] = {}
    for pk in wanted:
        spots[pk] = TreePosition(parent, after)
        after = pk
    place_nodes(spots, states)
    return locks.reread(*moving)


def lock_for_move(
    nodes: Sequence[Node], target: Node
) -> tuple[Mapping[int, SubjectState], list[Node], Node]:
    """Lock all that moving ``nodes`` to ``target`` changes; both as they are now."""
    if any(node.kind == NodeKind.SUBJECT for node in nodes):
        states = locks.lock_order()
        *moving, target = locks.reread(*nodes, target)
        return states, moving, target
    states, [*moving, target] = locks.lock_nodes(*nodes, target)
    return states, moving, target


def place_nodes(
    spots: Mapping[int, TreePosition], states: Mapping[int, SubjectState]
) -> None:
    """Put each of these nodes, by key, where its spot says; under the locks.

    What one is to lie after may itself be put, then it comes first in ``spots``. Where
    it lies elsewhere by now, the node becomes the first of its parent.

    Args:
        states: of all subjects that nodes leave or come to.

    Raises:
        StructureError: one does not go there.
    """
    keys = {pk for spot in spots.values() for pk in spot if pk is not None}
    found: dict[int | None, Node] = Node.objects.in_bulk(keys | spots.keys())
    entered: dict[int, list[Node]] = defaultdict(list)
    for pk, spot in spots.items():
        node, parent = found[pk], found.get(spot.parent)
        require_fits(Kind(node.kind), parent)
        if parent is not None and parent.pk != node.parent_id:
            entered[parent.pk].append(node)
    if entered:
        require_not_trashed(*(found[pk] for pk in entered))
    if all(spot.parent is None for spot in spots.values()):
        if tree_updates.order_subjects(spots):
            SubjectState.touch(spots)
        return
    runs = compute_shifts(_moves(spots, found))
    if not runs:
        return
    coming: dict[tuple[int, int], list[Node]] = defaultdict(list)
    for pk, nodes in entered.items():
        subject_pk, tree_id = found[pk].subject_pk, found[pk].tree_id
        strangers = [node for node in nodes if node.subject_pk != subject_pk]
        if strangers:
            coming[subject_pk, tree_id] += strangers
    if coming:
        _advance_revisions({subject_pk for subject_pk, _tree_id in coming}, states)
    for (subject_pk, _tree_id), strangers in coming.items():
        _reassign_subject(strangers, states[subject_pk])
    tree_updates.shift_intervals(runs)
    for subject_pk, tree_id in coming:
        tree_updates.set_tree_id(subject_pk, tree_id)
    if entered:
        tree_updates.set_parents(entered)
    left = {found[pk].subject_pk for pk in spots}
    SubjectState.touch(left | {subject_pk for subject_pk, _tree_id in coming})


def _moves(
    spots: Mapping[int, TreePosition], found: Mapping[int | None, Node]
) -> list[Move]:
    goals: dict[int | None, tuple[int, int]] = {}
    for pk, (parent_pk, after_pk) in spots.items():
        parent, after = found[parent_pk], found.get(after_pk)
        if after_pk in goals:
            goals[pk] = goals[after_pk]
        elif after is not None and after.parent_id == parent_pk:
            goals[pk] = (after.tree_id, after.rght + 1)
        else:
            goals[pk] = (parent.tree_id, parent.lft + 1)
    return [
        Move(found[pk].tree_id, found[pk].lft, found[pk].rght, goals[pk])
        for pk in spots
    ]


def _advance_revisions(
    subject_pks: Set[int], states: Mapping[int, SubjectState]
) -> None:
    """Let these subjects' revisions go on from the highest of all in ``states``.

    Lessons bring along what was counted where they lay so far, and what was published
    of them remembers it (`Node.stages_revision`): where they come to, all that must lie
    in the past, or an edit made there would look older than it is.
    """
    newest = max(state.revision for state in states.values())
    behind = SubjectState.objects.filter(pk__in=subject_pks, revision__lt=newest)
    behind.update(revision=newest)


def _reassign_subject(nodes: Iterable[Node], state: SubjectState) -> None:
    """Make the subtrees at ``nodes`` part of ``state``'s subject, with bits of its."""
    branch = list(tree_updates.subtrees_of(nodes).order_by("tree_id", "lft"))
    lessons = [found for found in branch if found.kind == NodeKind.LESSON]
    bit = allocate_bits(state, len(lessons))
    for found in branch:
        found.subject_id = state.pk
    for offset, lesson in enumerate(lessons):
        lesson.bit_index = bit + offset
    Node.objects.bulk_update(
        branch, ["subject", "bit_index"], batch_size=_ROWS_PER_UPDATE
    )


# --- Changing, trashing, deleting ---------------------------------------------


@transaction.atomic
def change_nodes(*, nodes: Iterable[Node], **fields: Any) -> list[Node]:
    """Give all of ``nodes`` these values, in one ``UPDATE``.

    Returns:
        Those that had others before.

    Raises:
        ValidationError: a field does not take its value.
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
    for start in range(0, len(changed), _ROWS_PER_UPDATE):
        pks = [node.pk for node in changed[start : start + _ROWS_PER_UPDATE]]
        Node.objects.filter(pk__in=pks).update(updated_at=timezone.now(), **cleaned)
    return changed


@transaction.atomic
def trash_nodes(*, nodes: Sequence[Node]) -> list[Node]:
    """Take ``nodes`` and all below them out of sight; ids and bits stay. Idempotent.

    Returns:
        Those that were not in the trash.
    """
    now = timezone.now()
    _states, fresh = locks.lock_nodes(*nodes)
    kept = [node for node in fresh if node.trashed_at is None]
    trashed = change_nodes(nodes=kept, trashed_at=now)
    for node in trashed:
        node.trashed_at = now
    return trashed


@transaction.atomic
def restore_nodes(*, nodes: Sequence[Node]) -> list[Node]:
    """Bring ``nodes`` back from the trash, where they were. Idempotent.

    Returns:
        Those that were in the trash.
    """
    _states, fresh = locks.lock_nodes(*nodes)
    restored = change_nodes(nodes=fresh, trashed_at=None)
    for node in restored:
        node.trashed_at = None
    return restored


@transaction.atomic
def delete_nodes(*, nodes: Sequence[Node]) -> None:
    """Delete ``nodes`` and all below them for good. Bits are not given out again.

    Idempotent.

    Raises:
        StructureError: one was moved to another subject meanwhile.
    """
    if any(node.kind == NodeKind.SUBJECT for node in nodes):
        locks.lock_roots()
    states = locks.lock_subjects(node.subject_pk for node in nodes)
    found = list(Node.objects.filter(pk__in=[node.pk for node in nodes]))
    locks.require_locked(found, states)
    tops = _outermost(found)
    if not tops:
        return
    SubjectState.touch({node.subject_pk for node in tops}, at_once=True)
    for start in range(0, len(tops), _BRANCHES_PER_QUERY):
        _delete_rows(tops[start : start + _BRANCHES_PER_QUERY])
    tree_updates.shift_intervals(
        compute_shifts(
            [Move(node.tree_id, node.lft, node.rght) for node in tops if node.level]
        )
    )


def _delete_rows(tops: Sequence[Node]) -> None:
    inside = tree_updates.subtrees_of(tops)
    with recording.deleting(LessonStage.objects.filter(lesson__in=inside), inside):
        # Deepest first: MariaDB checks foreign keys row by row, and Django's way
        # around that, clearing them before, is what the table's constraints forbid.
        for level in range(len(Kind) - 1, min(node.level for node in tops) - 1, -1):
            layer: Any = inside.filter(level=level)
            layer.is_part_of_a_branch = True
            layer.delete()


def _outermost(nodes: Iterable[Node]) -> list[Node]:
    """``nodes`` without those that lie in another of them."""
    tops: list[Node] = []
    for node in sorted(nodes, key=lambda node: (node.tree_id, node.lft)):
        last = tops[-1] if tops else None
        if last is None or (node.tree_id, node.rght) > (last.tree_id, last.rght):
            tops.append(node)
    return tops


def trash_node(*, node: Node) -> Node:
    """As `trash_nodes`; the node as it now is."""
    trash_nodes(nodes=[node])
    return locks.reread(node)[0]


def restore_node(*, node: Node) -> Node:
    """As `restore_nodes`; the node as it now is."""
    restore_nodes(nodes=[node])
    return locks.reread(node)[0]


def delete_node(*, node: Node) -> None:
    """As `delete_nodes`."""
    delete_nodes(nodes=[node])
