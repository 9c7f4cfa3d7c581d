"""Row locks for writers of the content tree.

django-mptt stores a tree as intervals. Concurrent writers corrupt it without an error.
Code that writes structure therefore first locks the rows of the subjects it changes
(`SubjectState`), then reads the nodes again. All roots share one numbering, so code
that creates or reorders subjects takes the global lock first. On SQLite the whole
transaction is the lock (``transaction_mode=IMMEDIATE``).
"""

from collections.abc import Iterable, Mapping

from django.utils.translation import gettext as _

from content.models import Node, SubjectState, TreeLock
from core.errors import StructureError


def lock_roots() -> None:
    """Lock the list of subjects until the transaction ends.

    Needed to create, reorder or delete subjects.
    """
    lock = TreeLock.objects.select_for_update().filter(pk=TreeLock.ROOTS)
    if not lock:
        # The row is created after every migrate. Two transactions that create it here
        # could each hold a lock that the other one needs.
        TreeLock.objects.get_or_create(pk=TreeLock.ROOTS)
        lock.get()


def lock_subjects(subject_pks: Iterable[int]) -> dict[int, SubjectState]:
    """Lock the trees of these subjects until the transaction ends.

    Rows are locked in the order of their keys, so two callers cannot deadlock. Lock all
    subjects in one call, after `lock_roots` if that is needed too. Call it inside a
    transaction, before reading what will be written.

    Returns:
        The states by primary key; a deleted subject is missing.
    """
    states = SubjectState.objects.select_for_update().order_by("pk")
    return {state.pk: state for state in states.filter(pk__in=set(subject_pks))}


def lock_all_subjects() -> dict[int, SubjectState]:
    """Call `lock_roots` and lock every subject: reordering renumbers other trees.

    Returns:
        The states by primary key.
    """
    lock_roots()
    return lock_subjects(Node.objects.subjects().values_list("pk", flat=True))


def lock_nodes(*nodes: Node) -> tuple[dict[int, SubjectState], list[Node]]:
    """Lock the subjects of these nodes; like `lock_subjects`.

    Returns:
        The states by primary key, and the nodes, read again.

    Raises:
        StructureError: a node was deleted, or moved to a subject that is not locked.
    """
    states = lock_subjects(node.subject_pk for node in nodes)
    current = reload_nodes(*nodes)
    require_locked(current, states)
    return states, current


def reload_nodes(*nodes: Node) -> list[Node]:
    """Return ``nodes`` as they are in the database now, in the same order.

    Raises:
        StructureError: a node was deleted.
    """
    found = Node.objects.in_bulk([node.pk for node in nodes])
    for node in nodes:
        if node.pk not in found:
            raise StructureError(
                _("“%(title)s” has been deleted. Reload the page.")
                % {"title": node.title}
            )
    return [found[node.pk] for node in nodes]


def require_locked(nodes: Iterable[Node], states: Mapping[int, SubjectState]) -> None:
    """Refuse to write to a subject that is not locked.

    Raises:
        StructureError: the subject of one of ``nodes`` is not in ``states``.
    """
    for node in nodes:
        if node.subject_pk not in states:
            raise StructureError(_not_locked(node))


def missing_state_message(subject: Node) -> str:
    """Return the message for a subject without `SubjectState`.

    It names the repair command.
    """
    return _(
        "The state row of the subject “%(title)s” is missing. An administrator can "
        "run “manage.py check_tree --repair”."
    ) % {"title": subject.title}


def _not_locked(node: Node) -> str:
    if not SubjectState.objects.filter(pk=node.subject_pk).exists():
        return missing_state_message(node.subject or node)
    # Locking that subject now, out of order, could deadlock with another editor.
    return _("“%(title)s” has been moved. Reload the page.") % {"title": node.title}
