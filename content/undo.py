"""Undo and redo a move, a move to the trash or a change of values.

The browser gets a signed record of the change and sends it back with "Undo". The
inverse is an ordinary change through `content.services`. It is refused, with the
reason, if the nodes were changed again in the meantime. It returns the record of the
inverse, with which the browser redoes the change.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from django.core import signing
from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from content import locks, services
from content.models import Node, SubjectState
from content.tree_updates import TreePosition
from core.errors import StructureError

_SALT = "content.undo"
_MAX_AGE_SECONDS = 60 * 60


def positions(nodes: Sequence[Node]) -> dict[int, TreePosition]:
    """Return the positions of ``nodes`` by key, in tree order. Two queries."""
    pks = {node.pk for node in nodes}
    parents = list(Node.objects.filter(pk__in=pks).values_list("parent_id", flat=True))
    inside = Q(parent_id__in=[pk for pk in parents if pk is not None])
    if None in parents:
        inside |= Q(parent_id=None)
    siblings = Node.objects.filter(inside).order_by("tree_id", "lft")
    found: dict[int, TreePosition] = {}
    last: dict[int | None, int] = {}
    for pk, parent in siblings.values_list("pk", "parent_id"):
        if pk in pks:
            found[pk] = TreePosition(parent, last.get(parent))
        last[parent] = pk
    return found


@transaction.atomic
def move(
    *, nodes: Sequence[Node], target: Node, position: services.Position
) -> tuple[list[Node], str]:
    """Call `services.move_nodes` and record the move.

    Returns:
        The nodes, and the record; "" if no position changed.
    """
    services.lock_for_move(nodes, target)
    before = positions(nodes)
    moved = services.move_nodes(nodes=nodes, target=target, position=position)
    after = positions(nodes)
    return moved, "" if before == after else of_move(before, after)


def of_move(before: dict[int, TreePosition], after: dict[int, TreePosition]) -> str:
    """Return a record of a move, from the `positions` before and after it."""
    return _sign(
        {"move": [[pk, *position, *after[pk]] for pk, position in before.items()]}
    )


def of_trash(nodes: Sequence[Node]) -> str:
    """Return a record of nodes moved to the trash; "" if there are none."""
    stamps = [
        [node.pk, node.trashed_at and node.trashed_at.isoformat()] for node in nodes
    ]
    return _sign({"trash": stamps}) if stamps else ""


def of_change(field: str, now: Any, nodes: Sequence[Node]) -> str:
    """Return a record of ``nodes``, read before all of them got one value.

    "" if there are none.
    """
    old_values: dict[Any, list[int]] = defaultdict(list)
    for node in nodes:
        old_values[getattr(node, field)].append(node.pk)
    groups = [[before, now, pks] for before, pks in old_values.items()]
    return _sign({"change": {"field": field, "groups": groups}}) if nodes else ""


def _sign(record: dict[str, Any]) -> str:
    return signing.dumps(record, salt=_SALT, compress=True)


@transaction.atomic
def undo(record: str) -> tuple[list[Node], str]:
    """Undo the change in ``record``.

    Returns:
        The nodes, read again, and the record that undoes this undoing.

    Raises:
        StructureError: it cannot be undone any more; the message states the reason.
    """
    try:
        data = signing.loads(record, salt=_SALT, max_age=_MAX_AGE_SECONDS)
    except signing.BadSignature as error:
        raise StructureError(
            _("This can no longer be undone. See the history of each entry.")
        ) from error
    if "move" in data:
        return _move_back(data["move"])
    if "change" in data:
        return _change_back(**data["change"])
    if "restored" in data:
        return _trash_again(data["restored"])
    return _restore(data["trash"])


def _move_back(data: list[list[Any]]) -> tuple[list[Node], str]:
    moved = {
        pk: (TreePosition(*rest[:2]), TreePosition(*rest[2:])) for pk, *rest in data
    }
    nodes = _existing_nodes(list(moved))
    states, parents = _lock(nodes, {before.parent for before, _after in moved.values()})
    now = positions(nodes)
    for node in nodes:
        before, after = moved[node.pk]
        if now[node.pk] != after:
            raise StructureError(
                _("“%(title)s” has been moved again. Nothing was undone.")
                % {"title": node.title}
            )
        if before.parent is not None and before.parent not in parents:
            raise StructureError(
                _(
                    "The entry that contained “%(title)s” has been deleted. Nothing "
                    "was undone."
                )
                % {"title": node.title}
            )
    services.place_nodes({pk: before for pk, (before, _after) in moved.items()}, states)
    return locks.reload_nodes(*nodes), of_move(now, positions(nodes))


def _lock(
    nodes: Sequence[Node], parent_pks: set[int | None]
) -> tuple[Mapping[int, SubjectState], set[int]]:
    """Lock everything that moving back needs; also return the existing parents."""
    if None in parent_pks:
        return locks.lock_all_subjects(), set()
    parents = Node.objects.filter(pk__in=parent_pks)
    states, current = locks.lock_nodes(*nodes, *parents)
    return states, {node.pk for node in current}


def _change_back(
    field: str, groups: list[tuple[Any, Any, list[int]]]
) -> tuple[list[Node], str]:
    """Set the first value of each group on its nodes, which must have the second."""
    now = {pk: after for _before, after, pks in groups for pk in pks}
    locks.lock_subjects({node.subject_pk for node in _existing_nodes(list(now))})
    nodes = {node.pk: node for node in _existing_nodes(list(now))}
    for pk, node in nodes.items():
        if getattr(node, field) != now[pk]:
            raise StructureError(
                _("“%(title)s” has been changed again. Nothing was undone.")
                % {"title": node.title}
            )
    for before, _after, pks in groups:
        services.change_nodes(nodes=[nodes[pk] for pk in pks], **{field: before})
    inverse = [[after, before, pks] for before, after, pks in groups]
    return list(nodes.values()), _sign({"change": {"field": field, "groups": inverse}})


def _trash_again(pks: list[int]) -> tuple[list[Node], str]:
    nodes = _existing_nodes(pks)
    _states, nodes = locks.lock_nodes(*nodes)
    for node in nodes:
        if node.trashed_at is not None:
            raise _restored_or_trashed_again(node)
    trashed = services.trash_nodes(nodes=nodes)
    return trashed, of_trash(trashed)


def _restored_or_trashed_again(node: Node) -> StructureError:
    return StructureError(
        _(
            "“%(title)s” has been restored or moved to the trash again. Nothing was "
            "undone."
        )
        % {"title": node.title}
    )


def _restore(data: list[list[Any]]) -> tuple[list[Node], str]:
    stamps = dict(data)
    _states, nodes = locks.lock_nodes(*_existing_nodes(list(stamps)))
    for node in nodes:
        if node.trashed_at is None or node.trashed_at.isoformat() != stamps[node.pk]:
            raise _restored_or_trashed_again(node)
    restored = services.restore_nodes(nodes=nodes)
    return restored, _sign({"restored": [node.pk for node in restored]})


def _existing_nodes(pks: Sequence[int]) -> list[Node]:
    found: dict[int, Node] = Node.objects.in_bulk(pks)
    if len(found) < len(pks):
        raise StructureError(_("It has been deleted. Nothing was undone."))
    return [found[pk] for pk in pks]
