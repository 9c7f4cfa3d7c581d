"""Every write of the tree's structure (DESIGN 2).

django-mptt keeps a tree in intervals and corrupts it, silently, when two writers
change it at once. So each function here first locks the rows of the subjects it
touches (`SubjectState`), and reads the nodes again after that. Roots share one
numbering, so whatever makes or reorders subjects takes the global lock first.
On SQLite the whole transaction is that lock (``transaction_mode=IMMEDIATE``).

All run in one transaction: when anything fails, nothing has changed.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Literal

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from content import kinds
from content.errors import StructureError
from content.kinds import Kind
from content.models import Node, NodeKind, SubjectState, TreeLock

Position = Literal["first-child", "last-child", "left", "right"]


def _lock_roots() -> None:
    """Wait for the right to make or reorder subjects, and hold it to the end."""
    TreeLock.objects.get_or_create(pk=TreeLock.ROOTS)
    TreeLock.objects.select_for_update().get(pk=TreeLock.ROOTS)


def lock_subjects(subject_pks: Sequence[int]) -> dict[int, SubjectState]:
    """Wait for the right to change these subjects' trees, and hold it to the end.

    Locks are taken in the order of the keys, so that two callers cannot wait for
    each other. Call it inside a transaction, before reading what will be written.
    """
    states = SubjectState.objects.select_for_update().order_by("pk")
    return states.in_bulk(sorted(set(subject_pks)))


def _reread(node: Node) -> Node:
    """``node`` as it is now; its mptt fields may have been written by others.

    Raises:
        StructureError: it was deleted meanwhile.
    """
    with suppress(Node.DoesNotExist):
        return Node.objects.get(pk=node.pk)
    raise StructureError(
        _("“%(title)s” has been deleted meanwhile. Reload the page.")
        % {"title": node.title}
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
    *, kind: Kind, parent: Node | None = None, public_id: str = "", **fields: Any
) -> Node:
    """A new node, last in ``parent``; a lesson gets its bit here.

    Args:
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
        _lock_roots()
    else:
        state = lock_subjects([parent.subject_pk])
        parent = _reread(parent)
        node.subject_id = parent.subject_pk
        if kind is Kind.LESSON:
            node.bit_index = _take_bits(state[parent.subject_pk], 1)
    node.clean_fields(exclude=["parent", "lft", "rght", "tree_id", "level"])
    node.validate_unique(exclude=["parent"])
    node.insert_at(parent, position="last-child", save=True)
    return node


def _take_bits(state: SubjectState, count: int) -> int:
    """The first of ``count`` fresh bits; the subject must be locked."""
    first = state.next_bit_index
    state.next_bit_index = first + count
    state.save(update_fields=["next_bit_index"])
    return first


@transaction.atomic
def move_node(*, node: Node, target: Node, position: Position) -> Node:
    """Put ``node``, with all below it, into or beside ``target``.

    Lessons that come into another subject get new bits there, in tree order;
    students' progress on them stays with the old subject.

    Returns:
        The node as it now is.

    Raises:
        StructureError: it does not go there, or one of the two has been deleted.
    """
    if node.kind == NodeKind.SUBJECT or target.kind == NodeKind.SUBJECT:
        _lock_roots()
    lock_subjects([node.subject_pk, target.subject_pk])
    node, target = _reread(node), _reread(target)
    # Read again under the locks: another editor may have moved either of them to a
    # subject this transaction did not lock.
    states = lock_subjects([node.subject_pk, target.subject_pk])
    inside = position in ("first-child", "last-child")
    new_parent = target if inside else target.parent
    require_fits(Kind(node.kind), new_parent)
    if node.kind == NodeKind.SUBJECT:
        lock_subjects(list(Node.objects.subjects().values_list("pk", flat=True)))
    old_subject = node.subject_pk
    Node.objects.move_node(node, target, position=position)
    node = _reread(node)
    if new_parent is not None and new_parent.subject_pk != old_subject:
        _rebind(node, states[new_parent.subject_pk])
    if node.kind == NodeKind.SUBJECT:
        return node
    SubjectState.touch({old_subject, target.subject_pk})
    return node


def _rebind(node: Node, state: SubjectState) -> None:
    """Make the subtree at ``node`` part of ``state``'s subject, with bits of its own."""
    branch = list(node.get_descendants(include_self=True).order_by("lft"))
    lessons = [found for found in branch if found.kind == NodeKind.LESSON]
    bit = _take_bits(state, len(lessons))
    for found in branch:
        found.subject_id = state.pk
    for offset, lesson in enumerate(lessons):
        lesson.bit_index = bit + offset
    Node.objects.bulk_update(branch, ["subject", "bit_index"], batch_size=500)
    node.subject_id = state.pk


@transaction.atomic
def reorder_children(*, parent: Node, ordered: Sequence[Node]) -> None:
    """Put ``parent``'s children into this order; one not named keeps its place last.

    Raises:
        StructureError: one of ``ordered`` is not a child of ``parent``.
    """
    lock_subjects([parent.subject_pk])
    parent = _reread(parent)
    for child in ordered:
        fresh = _reread(child)
        if fresh.parent_id != parent.pk:
            raise StructureError(
                _("“%(title)s” is no longer inside “%(parent)s”. Reload the page.")
                % {"title": fresh.title, "parent": parent.title}
            )
    for child in reversed(ordered):
        Node.objects.move_node(_reread(child), _reread(parent), position="first-child")
    SubjectState.touch({parent.subject_pk})


@transaction.atomic
def trash_node(*, node: Node) -> Node:
    """Take ``node`` and all below it out of sight; ids and bits stay. Idempotent."""
    lock_subjects([node.subject_pk])
    node = _reread(node)
    if node.trashed_at is None:
        node.trashed_at = timezone.now()
        node.save(update_fields=["trashed_at", "updated_at"])
    return node


@transaction.atomic
def restore_node(*, node: Node) -> Node:
    """Bring ``node`` back from the trash, where it was. Idempotent."""
    lock_subjects([node.subject_pk])
    node = _reread(node)
    if node.trashed_at is not None:
        node.trashed_at = None
        node.save(update_fields=["trashed_at", "updated_at"])
    return node


@transaction.atomic
def delete_node(*, node: Node) -> None:
    """Delete ``node`` and all below it for good. Their bits are not given out again."""
    if node.kind == NodeKind.SUBJECT:
        _lock_roots()
    lock_subjects([node.subject_pk])
    with suppress(Node.DoesNotExist):
        Node.objects.get(pk=node.pk).delete()
