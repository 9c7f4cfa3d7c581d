"""Taking back a move or a trashing, as long as nobody has built upon it.

What was done is told to the browser as a signed record and comes back with "Undo".
The inverse is an ordinary change through `content.services`; where what was moved no
longer lies where that move put it, it is refused, with the reason.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from django.core import signing
from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from content import services
from content.errors import StructureError
from content.models import Node

_SALT = "content.undo"
_MAX_AGE_SECONDS = 60 * 60


class Spot(NamedTuple):
    """Where a node lies: inside whom, and after whom; None for nobody."""

    parent: int | None
    after: int | None


def spots(nodes: Sequence[Node]) -> dict[int, Spot]:
    """Where each of ``nodes`` lies now, by key in tree order. Two queries."""
    wanted = {node.pk for node in nodes}
    parents = list(
        Node.objects.filter(pk__in=wanted).values_list("parent_id", flat=True)
    )
    inside = Q(parent_id__in=[pk for pk in parents if pk is not None])
    if None in parents:
        inside |= Q(parent_id=None)
    siblings = Node.objects.filter(inside).order_by("tree_id", "lft")
    found: dict[int, Spot] = {}
    last: dict[int | None, int] = {}
    for pk, parent in siblings.values_list("pk", "parent_id"):
        if pk in wanted:
            found[pk] = Spot(parent, last.get(parent))
        last[parent] = pk
    return found


@transaction.atomic
def move(
    *, nodes: Sequence[Node], target: Node, position: services.Position
) -> tuple[list[Node], str]:
    """`services.move_nodes`, with the record of it; "" where nothing changed place."""
    services.lock_for_move(nodes, target)
    before = spots(nodes)
    moved = services.move_nodes(nodes=nodes, target=target, position=position)
    after = spots(nodes)
    return moved, "" if before == after else of_move(before, after)


def of_move(before: dict[int, Spot], after: dict[int, Spot]) -> str:
    """A record of a move: ``spots`` before and after it."""
    return _sign({"move": [[pk, *spot, *after[pk]] for pk, spot in before.items()]})


def of_trash(nodes: Sequence[Node]) -> str:
    """A record of what was put into the trash."""
    stamps = [
        [node.pk, node.trashed_at and node.trashed_at.isoformat()] for node in nodes
    ]
    return _sign({"trash": stamps})


def _sign(record: dict[str, Any]) -> str:
    return signing.dumps(record, salt=_SALT, compress=True)


@transaction.atomic
def undo(record: str) -> list[Node]:
    """Take back what ``record`` tells.

    Returns:
        The nodes, as they now are.

    Raises:
        StructureError: it cannot be taken back any more, and why.
    """
    try:
        told = signing.loads(record, salt=_SALT, max_age=_MAX_AGE_SECONDS)
    except signing.BadSignature as error:
        raise StructureError(
            _("This can no longer be undone. The history of each entry has it.")
        ) from error
    if "move" in told:
        return _move_back(told["move"])
    return _restore(told["trash"])


def _move_back(told: list[list[Any]]) -> list[Node]:
    moved = {pk: (Spot(*rest[:2]), Spot(*rest[2:])) for pk, *rest in told}
    nodes = _still_there(list(moved))
    neighbours = {pk for spot, _now in moved.values() for pk in spot}
    around = Node.objects.in_bulk(neighbours - {None})
    _lock(nodes, around)
    now = spots(list(nodes.values()))
    for pk, (_before, after) in moved.items():
        if now[pk] != after:
            raise StructureError(
                _("“%(title)s” has been moved again meanwhile. Nothing was undone.")
                % {"title": nodes[pk].title}
            )
    return [_back(nodes[pk], before, around) for pk, (before, _after) in moved.items()]


def _lock(nodes: dict[int, Node], around: dict[int, Node]) -> None:
    """Everything the moves back will need, at once (`services.lock_subjects`)."""
    if any(node.parent_id is None for node in nodes.values()):
        services.lock_roots()
        subjects = Node.objects.subjects().values_list("pk", flat=True)
        services.lock_subjects(subjects)
    else:
        services.lock_nodes(*nodes.values(), *around.values())


def _back(node: Node, spot: Spot, around: dict[int, Node]) -> Node:
    # Read again: it may be one that has just gone back itself.
    neighbour = Node.objects.filter(pk=spot.after, parent=spot.parent).first()
    if neighbour is not None:
        return services.move_node(node=node, target=neighbour, position="right")
    if spot.parent is None:
        first = Node.objects.subjects().first()
        return services.move_node(node=node, target=first, position="left")
    parent = around.get(spot.parent)
    if parent is None:
        raise StructureError(
            _("What “%(title)s” lay in has been deleted meanwhile. Nothing was undone.")
            % {"title": node.title}
        )
    return services.move_node(node=node, target=parent, position="first-child")


def _restore(told: list[list[Any]]) -> list[Node]:
    nodes = _still_there([pk for pk, _stamp in told])
    services.lock_subjects(node.subject_pk for node in nodes.values())
    nodes = _still_there([pk for pk, _stamp in told])
    for pk, stamp in told:
        trashed_at = nodes[pk].trashed_at
        if trashed_at is None or trashed_at.isoformat() != stamp:
            raise StructureError(
                _("“%(title)s” has been restored or trashed again meanwhile.")
                % {"title": nodes[pk].title}
            )
    return [services.restore_node(node=node) for node in nodes.values()]


def _still_there(pks: list[int]) -> dict[int, Node]:
    found: dict[int, Node] = Node.objects.in_bulk(pks)
    if len(found) < len(pks):
        raise StructureError(_("It has been deleted meanwhile. Nothing was undone."))
    return {pk: found[pk] for pk in pks}
