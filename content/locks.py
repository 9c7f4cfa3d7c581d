"""The locks of the content tree (DESIGN 2).

django-mptt keeps a tree in intervals and corrupts it, silently, when two writers
change it at once. So whatever writes structure first locks the rows of the subjects it
touches (`SubjectState`), and reads the nodes again after that. Roots share one
numbering, so whatever makes or reorders subjects takes the global lock first.
On SQLite the whole transaction is that lock (``transaction_mode=IMMEDIATE``).
"""

from collections.abc import Iterable, Mapping

from django.utils.translation import gettext as _

from content.models import Node, SubjectState, TreeLock
from core.errors import StructureError


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


def lock_order() -> dict[int, SubjectState]:
    """As `lock_roots`, with every subject: a new order renumbers the trees between."""
    lock_roots()
    return lock_subjects(Node.objects.subjects().values_list("pk", flat=True))


def lock_nodes(*nodes: Node) -> tuple[dict[int, SubjectState], list[Node]]:
    """Lock the subjects these nodes lie in; the nodes as they are now. As
    `lock_subjects`.

    Raises:
        StructureError: one was deleted, or moved to a subject that is not locked.
    """
    states = lock_subjects(node.subject_pk for node in nodes)
    fresh = reread(*nodes)
    require_locked(fresh, states)
    return states, fresh


def reread(*nodes: Node) -> list[Node]:
    """``nodes`` as they are now; their places may have been written by others.

    Raises:
        StructureError: one was deleted meanwhile.
    """
    found = Node.objects.in_bulk([node.pk for node in nodes])
    for node in nodes:
        if node.pk not in found:
            raise StructureError(
                _("“%(title)s” has been deleted meanwhile. Reload the page.")
                % {"title": node.title}
            )
    return [found[node.pk] for node in nodes]


def require_locked(nodes: Iterable[Node], states: Mapping[int, SubjectState]) -> None:
    """Refuse to write where nobody waits for us.

    Raises:
        StructureError: one of ``nodes`` lies in a subject that is not in ``states``.
    """
    for node in nodes:
        if node.subject_pk not in states:
            raise StructureError(_not_locked(node))


def lost_state(subject: Node) -> str:
    """What to say, and to do, where a subject has no `SubjectState`."""
    return _(
        "The subject “%(title)s” has lost its state. An administrator can run "
        "“manage.py check_tree --repair”."
    ) % {"title": subject.title}


def _not_locked(node: Node) -> str:
    if not SubjectState.objects.filter(pk=node.subject_pk).exists():
        return lost_state(node.subject or node)
    # To lock that subject too, now, could make two editors wait for each other.
    return _("“%(title)s” has been moved meanwhile. Reload the page.") % {
        "title": node.title
    }
