"""Every write of the tree's structure (DESIGN 2).

django-mptt keeps a tree in intervals and corrupts it, silently, when two writers
change it at once. So each function here first locks the rows of the subjects it
touches (`SubjectState`), and reads the nodes again after that. Roots share one
numbering, so whatever makes or reorders subjects takes the global lock first.
On SQLite the whole transaction is that lock (``transaction_mode=IMMEDIATE``).

All run in one transaction: when anything fails, nothing has changed.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from django.core.exceptions import ValidationError
from django.db import IntegrityError, OperationalError, transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from content import history, kinds
from content.errors import StructureError
from content.kinds import Kind
from content.models import LessonStage, Node, NodeKind, SubjectState, TreeLock
from content.numbering import Place, in_order, number, shifts

_ROWS_PER_UPDATE = 500

Position = Literal["first-child", "last-child", "left", "right"]


def lock_roots() -> None:
    """Wait for the right to make or reorder subjects, and hold it to the end."""
    lock = TreeLock.objects.select_for_update().filter(pk=TreeLock.ROOTS)
    if not lock:
        # Made after every migrate. Making it here, two could do at once, and each
        # would then hold what the other waits for.
        TreeLock.objects.get_or_create(pk=TreeLock.ROOTS)
        lock.get()


def lock_subjects(subject_pks: Iterable[int]) -> dict[int, SubjectState]:
    """Wait for the right to change these subjects' trees, and hold it to the end.

    Locks are taken in the order of the keys, so that two callers cannot wait for
    each other: take all that are needed at once, after the roots' lock if that is
    needed, too. Call it inside a transaction, before reading what will be written.

    Returns:
        The states by primary key; a subject that is gone is missing.
    """
    states = SubjectState.objects.select_for_update().order_by("pk")
    return {state.pk: state for state in states.filter(pk__in=set(subject_pks))}


def lock_nodes(*nodes: Node) -> tuple[dict[int, SubjectState], list[Node]]:
    """Lock the subjects these nodes lie in; the nodes as they are now. As
    `lock_subjects`.

    Raises:
        StructureError: one was deleted, or moved to a subject that is not locked.
    """
    states = lock_subjects(node.subject_pk for node in nodes)
    found = Node.objects.in_bulk([node.pk for node in nodes])
    fresh = [_found(node, found) for node in nodes]
    for node in fresh:
        if node.subject_pk not in states:
            raise StructureError(_not_locked(node))
    return states, fresh


def _not_locked(node: Node) -> str:
    if not SubjectState.objects.filter(pk=node.subject_pk).exists():
        return _(
            "The subject of “%(title)s” has lost its state. An administrator can run "
            "“manage.py check_tree --repair”."
        ) % {"title": node.title}
    # To lock that subject too, now, could make two editors wait for each other.
    return _("“%(title)s” has been moved meanwhile. Reload the page.") % {
        "title": node.title
    }


_LOST_RACES = frozenset({1205, 1213})
"""MariaDB's errors for waiting too long for a lock, and for being chosen to give way."""


def is_lost_race(error: OperationalError) -> bool:
    """Whether a change failed only because others changed the same: try again."""
    code = error.args[0] if error.args else None
    return code in _LOST_RACES or "database is locked" in str(error)


def _reread(node: Node) -> Node:
    """``node`` as it is now; its place may have been written by others.

    Raises:
        StructureError: it was deleted meanwhile.
    """
    return _found(node, Node.objects.in_bulk([node.pk]))


def _found(node: Node, found: Mapping[int, Node]) -> Node:
    """``node`` among those just read."""
    if node.pk not in found:
        raise StructureError(
            _("“%(title)s” has been deleted meanwhile. Reload the page.")
            % {"title": node.title}
        )
    return found[node.pk]


def require_not_trashed(parent: Node) -> None:
    """Refuse to put anything into what is in the trash: nobody would find it.

    Raises:
        StructureError: ``parent``, or what it lies in, is in the trash.
    """
    above = parent.get_ancestors(include_self=True)
    trashed = above.filter(trashed_at__isnull=False).first()
    if trashed is not None:
        raise StructureError(
            _("“%(title)s” is in the trash. Restore it first.")
            % {"title": trashed.title}
        )


def require_fits(kind: Kind, parent: Node | None) -> None:
    """Refuse to put a ``kind`` under ``parent`` (None: at the top).

    Raises:
        StructureError: says where such a node goes.
    """
    wanted = kinds.parent_kind(kind)
    found = Kind(parent.kind) if parent is not None else None
    if wanted is found:
        return
    labels = dict(NodeKind.choices)
    if wanted is None:
        message = _("A subject goes at the top, not inside “%(parent)s”.") % {
            "parent": parent
        }
    elif parent is None:
        message = _("A %(kind)s goes inside a %(wanted)s, not at the top.") % {
            "kind": labels[kind],
            "wanted": labels[wanted],
        }
    else:
        message = _(
            "A %(kind)s goes inside a %(wanted)s; “%(parent)s” is a %(found)s."
        ) % {
            "kind": labels[kind],
            "wanted": labels[wanted],
            "parent": parent,
            "found": labels[Kind(parent.kind)],
        }
    raise StructureError(message)


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
        beside: one of ``parent``'s children, and the side of it to put the node on.
        public_id: the id; "" makes one with the kind's prefix.
        fields: the other columns of `Node` (``title`` at least).

    Raises:
        StructureError: a ``kind`` does not go there.
        ValidationError: a field is wrong, or the id is taken.
    """
    require_fits(kind, parent)
    node = Node(
        kind=kind.value,
        public_id=public_id or kinds.new_id(kinds.ID_PREFIXES[kind]),
        **fields,
    )
    if parent is None:
        lock_roots()
    else:
        states, [parent] = lock_nodes(parent)
        require_not_trashed(parent)
        node.subject_id = parent.subject_pk
        if kind is Kind.LESSON:
            node.bit_index = take_bits(states[parent.subject_pk], 1)
    node.clean_fields(exclude=["parent", "subject", "lft", "rght", "tree_id", "level"])
    node.validate_unique(exclude=["parent"])
    try:
        node.insert_at(parent, position="last-child", save=True)
    except IntegrityError as error:
        raise ValidationError(
            {"public_id": _("Somebody has just taken this id. Choose another.")}
        ) from error
    if beside is not None:
        neighbour, side = beside
        node = move_node(node=node, target=neighbour, position=side)
    return node


def take_bits(state: SubjectState, count: int) -> int:
    """The first of ``count`` fresh bits; the subject must be locked."""
    first = state.next_bit_index
    state.next_bit_index = first + count
    state.save(update_fields=["next_bit_index"])
    return first


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


def lock_for_move(
    nodes: Sequence[Node], target: Node
) -> tuple[dict[int, SubjectState], list[Node], Node]:
    """Lock all that moving ``nodes`` to ``target`` changes; both as they are now."""
    if any(node.kind == NodeKind.SUBJECT for node in nodes):
        # Reordering subjects renumbers the trees between the two places.
        lock_roots()
        states = lock_subjects(Node.objects.subjects().values_list("pk", flat=True))
        return states, [_reread(node) for node in nodes], _reread(target)
    states, [*moving, target] = lock_nodes(*nodes, target)
    return states, moving, target


@transaction.atomic
def move_nodes(
    *, nodes: Sequence[Node], target: Node, position: Position
) -> list[Node]:
    """Put all of ``nodes`` into or beside ``target``, in this order, or none of them.

    As `move_node`.
    """
    states, moving, target = lock_for_move(nodes, target)
    inside = position in ("first-child", "last-child")
    parent = target if inside else target.parent
    for node in moving:
        require_fits(Kind(node.kind), parent)
        if parent is not None and parent.pk != node.parent_id:
            require_not_trashed(parent)
    # Each is put where the one before it was: at these places, the last comes first.
    backwards = position in ("first-child", "right")
    moved = [
        _move(node.pk, target.pk, position, states)
        for node in (reversed(moving) if backwards else moving)
    ]
    return moved[::-1] if backwards else moved


def _move(
    pk: int, target_pk: int, position: Position, states: Mapping[int, SubjectState]
) -> Node:
    """One move under the locks; the moves before it may have shifted both places."""
    found = Node.objects.in_bulk([pk, target_pk])
    node: Node = found[pk]
    target: Node = found[target_pk]
    if pk == target_pk:
        return node
    old_subject = node.subject_pk
    Node.objects.move_node(node, target, position=position)
    node = _reread(node)
    new_subject = old_subject if node.parent is None else node.parent.subject_pk
    if new_subject != old_subject:
        _rebind(node, states[new_subject])
        SubjectState.touch({old_subject, new_subject})
        node = _reread(node)
    return node


def _rebind(node: Node, state: SubjectState) -> None:
    """Make the subtree at ``node`` part of ``state``'s subject, with bits of its own."""
    branch = list(node.get_descendants(include_self=True).order_by("lft"))
    lessons = [found for found in branch if found.kind == NodeKind.LESSON]
    bit = take_bits(state, len(lessons))
    for found in branch:
        found.subject_id = state.pk
    for offset, lesson in enumerate(lessons):
        lesson.bit_index = bit + offset
    Node.objects.bulk_update(
        branch, ["subject", "bit_index"], batch_size=_ROWS_PER_UPDATE
    )


@transaction.atomic
def reorder_children(*, parent: Node, ordered: Sequence[Node]) -> None:
    """Put ``parent``'s children into this order; one not named keeps its place last.

    Raises:
        StructureError: one of ``ordered`` is not a child of ``parent``.
    """
    _states, [parent] = lock_nodes(parent)
    rows = list(_rows_of(parent.subject_pk))
    children = in_order((pk, above) for pk, above, *_place in rows)
    before = children.get(parent.pk, [])
    for child in ordered:
        if child.pk not in before:
            raise StructureError(
                _("“%(title)s” is no longer inside “%(parent)s”. Reload the page.")
                % {"title": child.title, "parent": parent.title}
            )
    first = list(dict.fromkeys(child.pk for child in ordered))
    after = [*first, *(pk for pk in before if pk not in set(first))]
    if after == before:
        return
    children[parent.pk] = after
    current = {pk: Place(*place) for pk, _above, *place in rows}
    write_places(current, number(parent.subject_pk, children))
    SubjectState.touch({parent.subject_pk})


def _rows_of(subject_pk: int) -> Iterable[tuple[int, int | None, int, int, int]]:
    """Every node of a subject: key, parent and place, in tree order."""
    own = Node.objects.filter(Q(pk=subject_pk) | Q(subject_id=subject_pk))
    rows: Iterable[tuple[int, int | None, int, int, int]] = own.order_by(
        "lft"
    ).values_list("pk", "parent_id", "lft", "rght", "level")
    return rows


def write_places(current: Mapping[int, Place], wanted: Mapping[int, Place]) -> None:
    """Store where the nodes of locked subjects lie, in as few statements as it takes.

    Neighbours usually shift by the same amount, so this is one ``UPDATE`` per 500
    rows and not one per row.
    """
    for delta, pks in shifts(current, wanted).items():
        for start in range(0, len(pks), _ROWS_PER_UPDATE):
            Node.objects.filter(pk__in=pks[start : start + _ROWS_PER_UPDATE]).update(
                lft=F("lft") + delta.lft,
                rght=F("rght") + delta.rght,
                level=F("level") + delta.level,
            )


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
def trash_node(*, node: Node) -> Node:
    """Take ``node`` and all below it out of sight; ids and bits stay. Idempotent."""
    _states, [node] = lock_nodes(node)
    if node.trashed_at is None:
        node.trashed_at = timezone.now()
        node.save(update_fields=["trashed_at", "updated_at"])
    return node


@transaction.atomic
def restore_node(*, node: Node) -> Node:
    """Bring ``node`` back from the trash, where it was. Idempotent."""
    _states, [node] = lock_nodes(node)
    if node.trashed_at is not None:
        node.trashed_at = None
        node.save(update_fields=["trashed_at", "updated_at"])
    return node


@transaction.atomic
def delete_node(*, node: Node) -> None:
    """Delete ``node`` and all below it for good. Their bits are not given out again.

    Idempotent.

    Raises:
        StructureError: it was moved to another subject meanwhile.
    """
    if node.kind == NodeKind.SUBJECT:
        lock_roots()
    states = lock_subjects([node.subject_pk])
    found = Node.objects.filter(pk=node.pk).first()
    if found is not None:
        if found.subject_pk not in states:
            raise StructureError(_not_locked(found))
        branch = found.get_descendants(include_self=True)
        stages = LessonStage.objects.filter(lesson__in=branch)
        with history.deleting(stages, branch):
            # Deepest first: MariaDB checks foreign keys row by row, and Django's way
            # around that, clearing them before, is what the table's constraints forbid.
            below = found.get_descendants()
            for level in range(len(Kind) - 1, found.level, -1):
                layer = below.filter(level=level)
                layer.is_part_of_a_branch = True
                layer.delete()
            found.delete()
