"""Compute what an import changes, from the file's nodes and the stored ones.

This module does not access the database.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from content import nested_sets
from content.curriculum.loading import StoredNode, StoredStage, StoredSubject
from content.curriculum_format import NodeSpec, StageSpec
from content.field_lists import SubjectStateFields
from content.kinds import Kind
from content.nested_sets import Interval

Key = int | NodeSpec
"""A stored node's primary key, or a new node's specification."""


@dataclass(frozen=True, slots=True)
class NodeEdit:
    """The new values of a stored node, and the names of the columns that differ."""

    pk: int
    fields: dict[str, Any]
    differing: frozenset[str]


@dataclass(frozen=True, slots=True)
class PlacedStage:
    """A stage to store; a new one has no ``pk``, and ``id`` may be ""."""

    pk: int | None
    id: str
    lesson: Key
    position: int
    fields: dict[str, Any]


@dataclass(slots=True)
class Plan:
    """The differences to write, and the nodes and stages to report as changed.

    ``places`` holds the intervals of all nodes. ``moved`` holds the nodes that get
    another parent, by the new parent.
    """

    key_of: dict[NodeSpec, Key]
    head: dict[str, str] = field(default_factory=dict)
    places: dict[Key, Interval] = field(default_factory=dict)
    moved: dict[Key, list[int]] = field(default_factory=dict)
    edits: list[NodeEdit] = field(default_factory=list)
    new_stages: list[PlacedStage] = field(default_factory=list)
    stages: list[PlacedStage] = field(default_factory=list)
    changed_nodes: set[int] = field(default_factory=set)
    changed_stages: set[int] = field(default_factory=set)
    is_reordered: bool = False

    @property
    def new_nodes(self) -> list[NodeSpec]:
        return [spec for spec, key in self.key_of.items() if spec is key]


def plan(
    specs: Sequence[NodeSpec],
    stored: StoredSubject,
    *,
    document: Mapping[str, Any],
    head: Mapping[str, str],
    is_merged: bool = False,
) -> Plan:
    """Compute what to write.

    Args:
        specs: the file's nodes, parents first; the first is the subject.
        stored: the subject; at least its own node exists.
        document: the file, for the fields of its header (`SubjectStateFields.HEADER`).
        head: the stored values of those fields.
        is_merged: the file is a part of the subject: a missing header stays, and stored
            children keep their order.
    """
    found = Plan(
        {
            spec: stored.nodes[spec.id].pk if spec.id in stored.nodes else spec
            for spec in specs
        }
    )
    new_header = {
        name: document.get(name, head[name] if is_merged else "")
        for name in SubjectStateFields.HEADER
    }
    found.head = {name: text for name, text in new_header.items() if head[name] != text}
    if found.head:
        found.changed_nodes.add(stored.nodes[specs[0].id].pk)
    children = _wanted_children(specs, stored, found, is_merged=is_merged)
    found.places = nested_sets.compute_intervals(found.key_of[specs[0]], children)
    _compare_fields(specs, stored, found)
    _place_stages(specs, stored, found)
    return found


def _wanted_children(
    specs: Sequence[NodeSpec], stored: StoredSubject, found: Plan, *, is_merged: bool
) -> dict[Key, list[Key]]:
    """Return the new children of each node; record moved and reordered nodes."""
    key_of = found.key_of
    by_pk = stored.by_pk()
    children: dict[Key, list[Key]] = {
        parent: [*pks] for parent, pks in stored.children.items()
    }
    for spec in specs:
        key = key_of[spec]
        for child in (key_of[below] for below in spec.children):
            if isinstance(child, int) and by_pk[child].parent != key:
                found.moved.setdefault(key, []).append(child)
                children[by_pk[child].parent or 0].remove(child)
                found.changed_nodes.add(child)
    ids_in_file = {key for key in key_of.values() if isinstance(key, int)}
    for spec in specs:
        key = key_of[spec]
        before = children.get(key, [])
        first = [key_of[below] for below in spec.children]
        new_order = (
            _merged_order(before, first)
            if is_merged
            else _in_the_files_order(before, first, ids_in_file, by_pk)
        )
        if new_order is None:
            continue
        children[key] = new_order
        found.is_reordered = True
        if is_merged:
            continue
        old = [pk for pk in before if isinstance(pk, int) and pk in ids_in_file]
        unmoved = set(old)
        new = [pk for pk in first if isinstance(pk, int) and pk in unmoved]
        pairs = zip(new, old, strict=True)
        found.changed_nodes.update(pk for pk, other in pairs if pk != other)
    return children


def _merged_order(before: list[Key], first: list[Key]) -> list[Key] | None:
    """Return the new order of children; None if there is no new one.

    The stored children keep their order. A new child follows the child that precedes it in the file, if that one is stored.
    """
    place = {key: at for at, key in enumerate(before)}
    after: dict[int, list[Key]] = {}
    at = len(before) - 1
    for key in first:
        if key in place:
            at = place[key]
        else:
            after.setdefault(at, []).append(key)
    if not after:
        return None
    order = list(after.get(-1, []))
    for number, key in enumerate(before):
        order += [key, *after.get(number, [])]
    return order


def _in_the_files_order(
    before: list[Key],
    first: list[Key],
    ids_in_file: set[int],
    by_pk: Mapping[int, StoredNode],
) -> list[Key] | None:
    """Return the new order of children; None if the order is already right.

    The file's children come first, then the others, then those in the trash.
    """
    not_in_file = [pk for pk in before if isinstance(pk, int) and pk not in ids_in_file]
    live = [pk for pk in not_in_file if not by_pk[pk].is_trashed]
    trashed = [pk for pk in not_in_file if by_pk[pk].is_trashed]
    unseen = set(trashed)
    if [pk for pk in before if pk not in unseen] == [*first, *live]:
        return None
    return [*first, *live, *trashed]


def _compare_fields(
    specs: Sequence[NodeSpec], stored: StoredSubject, found: Plan
) -> None:
    """Record the fields that differ and the nodes to restore from the trash."""
    for spec in specs:
        node = stored.nodes.get(spec.id)
        if node is None:
            continue
        differing = {
            name for name, value in spec.fields.items() if node.fields[name] != value
        }
        if node.is_trashed:
            differing.add("trashed_at")
        if differing:
            fields = {**node.fields, **spec.fields}
            found.edits.append(NodeEdit(node.pk, fields, frozenset(differing)))
            found.changed_nodes.add(node.pk)


def _place_stages(
    specs: Sequence[NodeSpec], stored: StoredSubject, found: Plan
) -> None:
    """Record the stages of the file's lessons to create, change, move or reorder."""
    ids_in_file = {stage.id for spec in specs for stage in spec.stages if stage.id}
    for spec in specs:
        if spec.kind is Kind.LESSON and spec.stages:
            _place_stages_of(spec, ids_in_file, stored, found)


def _place_stages_of(
    spec: NodeSpec, ids_in_file: set[str], stored: StoredSubject, found: Plan
) -> None:
    lesson = found.key_of[spec]
    before = stored.stages_of.get(lesson, []) if isinstance(lesson, int) else []
    order: list[StageSpec | StoredStage] = [
        *spec.stages,
        *(stage for stage in before if stage.id not in ids_in_file),
    ]
    now_there = [stage.id for stage in before if stage.id in ids_in_file]
    current_ids = set(now_there)
    unmoved = [stage.id for stage in spec.stages if stage.id in current_ids]
    # A stage of this lesson that moves to another lesson is counted there.
    pairs = zip(unmoved, now_there, strict=False)
    displaced = {stage for stage, other in pairs if stage != other}
    is_in_order = [stage.id for stage in order] == [stage.id for stage in before]
    for position, stage in enumerate(order):
        row = stored.stages.get(stage.id) if stage.id else None
        if row is None:
            found.new_stages.append(
                PlacedStage(None, stage.id, lesson, position, stage.fields)
            )
            continue
        place = row.position if is_in_order else position
        differs = (
            row.fields != stage.fields or row.lesson != lesson or stage.id in displaced
        )
        if differs:
            found.changed_stages.add(row.pk)
        if differs or place != row.position:
            found.stages.append(
                PlacedStage(row.pk, row.id, lesson, place, stage.fields)
            )
