"""Importing and exporting a subject as one file, ``memora-curriculum/1``.

An import is one transaction under the subject's lock: the whole file or nothing.
It reads the subject in a fixed number of queries, compares in memory, and writes
only what differs; new branches get their places computed and are inserted in bulk.

A file describes the nodes it names completely: what it leaves out of a node has its
default. Nodes and stages it does not name stay as they are, after those it names.
A named node that lay in the trash comes back from it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson
import structlog
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from content import history, kinds, locks, numbering, places, services
from content.curriculum_format import (
    CHILDREN_KEY,
    FORMAT,
    HEAD,
    LESSON_DEFAULTS,
    NODE_DEFAULTS,
    NodeSpec,
    StageSpec,
    file_faults,
    id_faults,
    parse,
    read,
    refused,
    walk,
)
from content.errors import MemoraError
from content.json_faults import Fault, path_text
from content.kinds import Kind
from content.models import LessonStage, Node, NodeKind, SubjectState
from content.numbering import Place
from content.queries import primary_keys
from content.stage_configs import ConfigError, clean_config
from content.stage_types import SCHEMAS

log = structlog.get_logger(__name__)

_BATCH = 500


@dataclass(frozen=True, slots=True)
class Counts:
    """How many were made, changed, or found as the file has them."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did, or with ``dry_run`` would do.

    ``revision`` is the subject's before it, 0 of a new one: as long as it stays, so does
    what an import of the file comes to.
    ``notes`` are ``(json_path, remark)``: what an editor may want to look at.
    ``kinds`` parts ``nodes`` by `Kind`, in the tree's order; kinds without any are left
    out.
    """

    subject_id: str
    title: str
    nodes: Counts
    stages: Counts
    revision: int
    notes: tuple[tuple[str, str], ...] = ()
    dry_run: bool = False
    kinds: tuple[tuple[Kind, Counts], ...] = ()


class SubjectNotFoundError(MemoraError):
    """No subject has this id, or it is in the trash."""

    code = "NOT_FOUND"


# --- What is there ----------------------------------------------------------


@dataclass(slots=True)
class _StoredNode:
    pk: int
    id: str
    kind: str
    parent: int | None
    place: Place
    is_trashed: bool
    bit_index: int | None
    fields: dict[str, Any]


@dataclass(slots=True)
class _StoredStage:
    pk: int
    id: str
    lesson: int
    position: int
    fields: dict[str, Any]


@dataclass(slots=True)
class _Stored:
    """A subject as the database has it."""

    nodes: dict[str, _StoredNode] = field(default_factory=dict)
    stages: dict[str, _StoredStage] = field(default_factory=dict)
    children: dict[int, list[int]] = field(default_factory=dict)
    stages_of: dict[int, list[_StoredStage]] = field(default_factory=dict)
    tree_id: int = 0


_STAGE_FIELDS = ("type", "title", "config", "weight", "target_time", "is_skippable")


def _load(subject_pk: int) -> _Stored:
    """Everything of one subject, in tree order. Two queries."""
    columns = tuple(LESSON_DEFAULTS)
    stored = _Stored()
    own = Node.objects.filter(Q(pk=subject_pk) | Q(subject_id=subject_pk))
    for pk, public_id, kind, parent, *rest in own.order_by("lft").values_list(
        *("pk", "public_id", "kind", "parent_id", "lft", "rght", "level"),
        *("tree_id", "trashed_at", "bit_index", "title", *columns),
    ):
        lft, rght, level, tree_id, trashed_at, bit_index, title, *values = rest
        fields = {"title": title, **dict(zip(columns, values, strict=True))}
        if kind != NodeKind.LESSON:
            del fields["base_xp"]
        place = Place(lft, rght, level)
        stored.tree_id = tree_id
        stored.nodes[public_id] = _StoredNode(
            pk,
            public_id,
            kind,
            parent,
            place,
            trashed_at is not None,
            bit_index,
            fields,
        )
        if parent is not None:
            stored.children.setdefault(parent, []).append(pk)
    stages = LessonStage.objects.filter(lesson__subject_id=subject_pk)
    for pk, public_id, lesson, position, *values in stages.order_by(
        "lesson_id", "position", "pk"
    ).values_list("pk", "public_id", "lesson_id", "position", *_STAGE_FIELDS):
        fields = dict(zip(_STAGE_FIELDS, values, strict=True))
        stage = _StoredStage(pk, public_id, lesson, position, fields)
        stored.stages[public_id] = stage
        stored.stages_of.setdefault(lesson, []).append(stage)
    return stored


# --- Export -----------------------------------------------------------------


def export_curriculum(subject_id: str) -> bytes:
    """The subject's file: everything but what is in the trash. Indented UTF-8 JSON.

    Raises:
        SubjectNotFoundError: there is no such subject, or it is in the trash.
    """
    subject = Node.objects.subjects().filter(public_id=subject_id).first()
    if subject is None:
        raise SubjectNotFoundError(_("There is no subject “%s”.") % subject_id)
    if subject.trashed_at is not None:
        raise SubjectNotFoundError(
            _("The subject “%s” is in the trash. Restore it first.") % subject_id
        )
    stored = _load(subject.pk)
    by_pk = {node.pk: node for node in stored.nodes.values()}
    head = SubjectState.objects.filter(pk=subject.pk).values(*HEAD).first() or {}
    document = {
        "format": FORMAT,
        **{key: value for key, value in head.items() if value},
        "subject": _exported(by_pk[subject.pk], stored, by_pk),
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n"


def _exported(
    node: _StoredNode, stored: _Stored, by_pk: dict[int, _StoredNode]
) -> dict[str, Any]:
    kind = Kind(node.kind)
    said: dict[str, Any] = {"id": node.id, "title": node.fields["title"]}
    for key, default in NODE_DEFAULTS.items():
        if key == "is_published" or node.fields[key] != default:
            said[key] = node.fields[key]
    if kind is Kind.LESSON:
        said["base_xp"] = node.fields["base_xp"]
        said["bit_index"] = node.bit_index
        said["stages"] = [
            {"id": stage.id, **stage.fields}
            for stage in stored.stages_of.get(node.pk, ())
        ]
        return said
    said[CHILDREN_KEY[kind]] = [
        _exported(by_pk[pk], stored, by_pk)
        for pk in stored.children.get(node.pk, ())
        if not by_pk[pk].is_trashed
    ]
    return said


# --- Import -----------------------------------------------------------------


def import_curriculum(data: bytes, *, dry_run: bool = False) -> ImportReport:
    """Make a subject what the file says; all of it or nothing.

    Args:
        data: the file.
        dry_run: do everything, say what it came to, and undo it.

    Raises:
        CurriculumError: with every fault of the file and its JSON path, first 50.
    """
    document = parse(data)
    faults = file_faults(document)
    root = read(document)
    if root is None:
        raise refused(faults, document)
    try:
        with transaction.atomic(), history.one_change(history.IMPORTED):
            report = _Import(document, root, faults).run(dry_run=dry_run)
            if dry_run:
                transaction.set_rollback(True)
    except IntegrityError as error:
        raise refused(
            [((), _("Somebody has just taken one of its ids. Import it again."))]
        ) from error
    log.info(
        "curriculum_imported",
        subject_id=report.subject_id,
        nodes_created=report.nodes.created,
        nodes_updated=report.nodes.updated,
        stages_created=report.stages.created,
        stages_updated=report.stages.updated,
        dry_run=dry_run,
    )
    return report


class _Import:
    """One import, inside its transaction. Each step is a method, in `run`'s order."""

    def __init__(self, document: Any, root: NodeSpec, faults: list[Fault]) -> None:
        self.document = document
        self.root = root
        self.specs = list(walk(root))
        self.faults = faults
        self.stored = _Stored()
        self.state: SubjectState | None = None
        self.revision = 0
        self.changed_nodes: set[int] = set()
        self.changed_stages: set[int] = set()
        self.new_nodes: list[NodeSpec] = []
        self.new_stages: dict[StageSpec, LessonStage] = {}
        self.pk_of: dict[NodeSpec, int] = {}
        self.is_touched = False

    def run(self, *, dry_run: bool) -> ImportReport:
        self._lock_and_load()
        self._check_ids()
        self._clean_configs()
        if self.faults:
            raise refused(self.faults, self.document)
        self._create_subject()
        self._write_head()
        self._place_nodes()
        self._update_nodes()
        self._write_stages()
        if self.is_touched or self.changed_nodes:
            # Places are written without a word; stages speak for themselves.
            SubjectState.touch({self.pk_of[self.root]})
        return self._report(dry_run=dry_run)

    # Reading and refusing.

    def _lock_and_load(self) -> None:
        """Hold the subject, or the right to make one, and read what is there."""
        found: Node | None = None
        if self.root.id:
            found = Node.objects.filter(public_id=self.root.id).first()
        if found is None:
            locks.lock_roots()
        elif found.kind == NodeKind.SUBJECT:
            states = locks.lock_subjects([found.pk])
            if found.pk not in states:
                raise refused([(("subject", "id"), _no_state(found))], self.document)
            self.state = states[found.pk]
            self.revision = self.state.revision
            self.stored = _load(found.pk)

    def _check_ids(self) -> None:
        """An id is this kind's and this subject's, or nobody's."""
        self.faults.extend(id_faults(self.root))
        labels = dict(NodeKind.choices)
        unknown: dict[str, NodeSpec] = {}
        for spec in self.specs:
            stored = self.stored.nodes.get(spec.id)
            if stored is None:
                if spec.id:
                    unknown.setdefault(spec.id, spec)
            elif stored.kind != spec.kind:
                self._fault_at_id(
                    spec, _("is the id of a %(kind)s") % {"kind": labels[stored.kind]}
                )
        for batch in _batches(list(unknown)):
            elsewhere = Node.objects.filter(public_id__in=batch)
            for node in elsewhere.select_related("subject"):
                self._fault_at_id(unknown[node.public_id], _taken_by(node, labels))
        self._check_stage_ids()

    def _check_stage_ids(self) -> None:
        unknown = {
            stage.id: stage
            for spec in self.specs
            for stage in spec.stages
            if stage.id and stage.id not in self.stored.stages
        }
        for batch in _batches(list(unknown)):
            elsewhere = LessonStage.objects.filter(public_id__in=batch)
            for stage in elsewhere.select_related("lesson"):
                self._fault_at_id(
                    unknown[stage.public_id],
                    _("is the id of a stage of the lesson “%(lesson)s” elsewhere")
                    % {"lesson": stage.lesson.title},
                )

    def _fault_at_id(self, spec: NodeSpec | StageSpec, reason: str) -> None:
        self.faults.append(((*spec.path, "id"), reason))

    def _clean_configs(self) -> None:
        """Make every stage's config ready to store; what is stored is clean already."""
        for stage in (stage for spec in self.specs for stage in spec.stages):
            fields = stage.fields
            if fields["type"] not in SCHEMAS or not isinstance(fields["config"], dict):
                continue  # said by `file_faults`
            stored = self.stored.stages.get(stage.id)
            same = stored is not None and stored.fields["type"] == fields["type"]
            previous = stored.fields["config"] if stored is not None and same else None
            if previous == fields["config"]:
                continue
            try:
                fields["config"] = clean_config(
                    fields["type"], fields["config"], previous=previous
                )
            except ConfigError as error:
                self.faults.extend(
                    ((*stage.path, "config", *path), reason)
                    for path, reason in error.faults
                )

    # Writing.

    def _create_subject(self) -> None:
        stored = self.stored.nodes.get(self.root.id)
        if stored is not None:
            self.pk_of[self.root] = stored.pk
            return
        try:
            subject = services.create_node(
                kind=Kind.SUBJECT, public_id=self.root.id, **self.root.fields
            )
        except ValidationError as error:
            reasons = " ".join(error.messages)
            raise refused([(("subject",), reasons)], self.document) from error
        self.root.id = subject.public_id
        self.pk_of[self.root] = subject.pk
        self.new_nodes.append(self.root)
        self.state = locks.lock_subjects([subject.pk])[subject.pk]
        self.stored = _load(subject.pk)

    def _write_head(self) -> None:
        """The file's own words about the whole: language, attribution, licence."""
        state = self._locked_state
        head = {key: self.document.get(key, "") for key in HEAD}
        changed = [key for key in HEAD if getattr(state, key) != head[key]]
        if not changed:
            return
        for key in changed:
            setattr(state, key, head[key])
        state.save(update_fields=changed)
        if self.root not in self.new_nodes:
            self.changed_nodes.add(self.pk_of[self.root])
        self.is_touched = True

    @property
    def _locked_state(self) -> SubjectState:
        if self.state is None:
            raise RuntimeError("the subject is locked before it is written")
        return self.state

    def _place_nodes(self) -> None:
        """Create what is new and put everything into the file's order."""
        stored = self.stored.nodes
        for spec in self.specs:
            if spec.id in stored:
                self.pk_of[spec] = stored[spec.id].pk
        children, moved = self._wanted_children()
        root = self.pk_of[self.root]
        current = {node.pk: node.place for node in stored.values()}
        wanted = numbering.number(root, children)
        self._insert_nodes(wanted)
        for parent, pks in moved.items():
            for batch in _batches(pks):
                Node.objects.filter(pk__in=batch).update(parent_id=self._pk(parent))
        stored_keys = {key: at for key, at in wanted.items() if isinstance(key, int)}
        places.write_places(current, stored_keys)

    def _pk(self, key: "int | NodeSpec") -> int:
        return key if isinstance(key, int) else self.pk_of[key]

    def _wanted_children(
        self,
    ) -> tuple[
        "dict[int | NodeSpec, list[int | NodeSpec]]", "dict[int | NodeSpec, list[int]]"
    ]:
        """Everybody's children as they shall be, and who changes parents.

        A stored node is named by its pk, a new one by its specification.
        """
        stored = self.stored
        key_of: dict[NodeSpec, int | NodeSpec] = {
            spec: self.pk_of.get(spec, spec) for spec in self.specs
        }
        by_pk = {node.pk: node for node in stored.nodes.values()}
        named = {key for key in key_of.values() if isinstance(key, int)}
        children: dict[int | NodeSpec, list[int | NodeSpec]] = {}
        for parent, pks in stored.children.items():
            children[parent] = [*pks]
        moved: dict[int | NodeSpec, list[int]] = {}
        for spec in self.specs:
            key = key_of[spec]
            for child in (key_of[below] for below in spec.children):
                if isinstance(child, int) and by_pk[child].parent != key:
                    moved.setdefault(key, []).append(child)
                    children[by_pk[child].parent or 0].remove(child)
                    self.changed_nodes.add(child)
        for spec in self.specs:
            key = key_of[spec]
            first = [key_of[below] for below in spec.children]
            before = children.get(key, [])
            kept = [pk for pk in before if isinstance(pk, int) and pk not in named]
            live = [pk for pk in kept if not by_pk[pk].is_trashed]
            visible = [pk for pk in before if pk in named or pk in set(live)]
            if visible == [*first, *live]:
                continue
            trashed = [pk for pk in kept if by_pk[pk].is_trashed]
            children[key] = [*first, *live, *trashed]
            old = [pk for pk in before if pk in named]
            new = [pk for pk in first if pk in set(old)]
            self.changed_nodes.update(
                pk
                for pk, other in zip(new, old, strict=True)
                if pk != other and isinstance(pk, int)
            )
            self.is_touched = True
        return children, moved

    def _insert_nodes(self, places: "dict[int | NodeSpec, Place]") -> None:
        """Insert the new nodes, level by level, each where ``places`` says."""
        now = timezone.now()
        new = [spec for spec in self.specs if spec not in self.pk_of]
        lessons = sum(spec.kind is Kind.LESSON for spec in new)
        bit = services.take_bits(self._locked_state, lessons) if lessons else 0
        parent_of = {below: spec for spec in self.specs for below in spec.children}
        rows: dict[Kind, list[tuple[NodeSpec, Node]]] = {}
        for spec in new:
            spec.id = spec.id or kinds.new_id(kinds.ID_PREFIXES[spec.kind])
            node = Node(
                public_id=spec.id,
                kind=spec.kind.value,
                subject_id=self.pk_of[self.root],
                tree_id=self.stored.tree_id,
                created_at=now,
                updated_at=now,
                **places[spec]._asdict(),
                **spec.fields,
            )
            if spec.kind is Kind.LESSON:
                node.bit_index, bit = bit, bit + 1
            rows.setdefault(spec.kind, []).append((spec, node))
        for kind in (kind for kind in Kind if kind in rows):
            for spec, node in rows[kind]:
                node.parent_id = self.pk_of[parent_of[spec]]
            made = Node.objects.bulk_create(
                [node for _spec, node in rows[kind]], batch_size=_BATCH
            )
            pks = primary_keys(made)
            self.pk_of.update((spec, pks[spec.id]) for spec, _node in rows[kind])
        self.new_nodes.extend(new)

    def _update_nodes(self) -> None:
        """Write the fields that differ, and bring back what lay in the trash."""
        now = timezone.now()
        rows: list[Node] = []
        columns: set[str] = set()
        for spec in self.specs:
            stored = self.stored.nodes.get(spec.id)
            if stored is None:
                continue
            differing = {
                key for key, value in spec.fields.items() if stored.fields[key] != value
            }
            if stored.is_trashed:
                differing.add("trashed_at")
            if differing:
                values = {**stored.fields, **spec.fields}
                rows.append(
                    Node(pk=stored.pk, trashed_at=None, updated_at=now, **values)
                )
                columns |= differing
                self.changed_nodes.add(stored.pk)
        if rows:
            Node.objects.bulk_update(
                rows, sorted(columns | {"updated_at"}), batch_size=_BATCH
            )

    def _write_stages(self) -> None:
        """Create, change, move and order the stages of every lesson in the file."""
        changed: dict[int, LessonStage] = {}
        named = {stage.id for spec in self.specs for stage in spec.stages if stage.id}
        for spec in self.specs:
            if spec.kind is Kind.LESSON and spec.stages:
                self._write_stages_of(spec, named, changed)
        if changed:
            LessonStage.objects.bulk_update(
                changed.values(), ["lesson", "position", *_STAGE_FIELDS], _BATCH
            )
        if self.new_stages:
            LessonStage.objects.bulk_create(
                list(self.new_stages.values()), batch_size=_BATCH
            )

    def _write_stages_of(
        self, spec: NodeSpec, named: set[str], changed: dict[int, LessonStage]
    ) -> None:
        lesson = self.pk_of[spec]
        before = self.stored.stages_of.get(lesson, [])
        order: list[StageSpec | _StoredStage] = [
            *spec.stages,
            *(stage for stage in before if stage.id not in named),
        ]
        now_there = [stage.id for stage in before if stage.id in named]
        staying = [stage.id for stage in spec.stages if stage.id in set(now_there)]
        wanted = [stage.id for stage in order]
        is_in_order = wanted == [stage.id for stage in before]
        for position, stage in enumerate(order):
            stored = self.stored.stages.get(stage.id) if stage.id else None
            if stored is None:
                self.new_stages[stage] = _stage_row(  # type: ignore[index]
                    stage.fields, lesson, position, public_id=stage.id
                )
                continue
            place = stored.position if is_in_order else position
            differs = stored.fields != stage.fields or stored.lesson != lesson
            if stage.id in staying:
                index = staying.index(stage.id)
                differs = differs or now_there[index] != stage.id
            if differs:
                self.changed_stages.add(stored.pk)
            if differs or place != stored.position:
                changed[stored.pk] = _stage_row(stage.fields, lesson, place, stored.pk)

    def _report(self, *, dry_run: bool) -> ImportReport:
        nodes, stages = len(self.specs), sum(len(spec.stages) for spec in self.specs)
        new, changed = len(self.new_nodes), len(self.changed_nodes)
        new_stages, changed_stages = len(self.new_stages), len(self.changed_stages)
        return ImportReport(
            subject_id=self.root.id,
            title=self.root.fields["title"],
            nodes=Counts(new, changed, nodes - new - changed),
            stages=Counts(
                new_stages, changed_stages, stages - new_stages - changed_stages
            ),
            revision=self.revision,
            notes=tuple(
                (
                    path_text((*spec.path, "title")),
                    _("is empty; the lesson is named after its topic, “%(title)s”")
                    % {"title": spec.fields["title"]},
                )
                for spec in self.specs
                if spec.is_named_after_topic
            ),
            dry_run=dry_run,
            kinds=tuple(self._counts_by_kind()),
        )

    def _counts_by_kind(self) -> Iterator[tuple[Kind, Counts]]:
        new = set(self.new_nodes)
        for kind in Kind:
            specs = [spec for spec in self.specs if spec.kind is kind]
            created = sum(spec in new for spec in specs)
            updated = sum(
                spec not in new and self.pk_of[spec] in self.changed_nodes
                for spec in specs
            )
            if specs:
                yield kind, Counts(created, updated, len(specs) - created - updated)


def _stage_row(
    fields: dict[str, Any],
    lesson: int,
    position: int,
    pk: int | None = None,
    public_id: str = "",
) -> LessonStage:
    return LessonStage(
        pk=pk,
        public_id=public_id or kinds.new_id(kinds.STAGE_PREFIX),
        lesson_id=lesson,
        position=position,
        **fields,
    )


def _batches(values: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(values), _BATCH):
        yield values[start : start + _BATCH]


def _taken_by(node: Node, labels: dict[str, Any]) -> str:
    if node.subject is None:
        return _("is the id of the subject “%(title)s”") % {"title": node.title}
    return _("is the id of a %(kind)s in the subject “%(subject)s”") % {
        "kind": labels[node.kind],
        "subject": node.subject.title,
    }


def _no_state(subject: Node) -> str:
    return _(
        "“%(title)s” has been deleted meanwhile, or has lost its state "
        "(manage.py check_tree --repair)"
    ) % {"title": subject.title}
