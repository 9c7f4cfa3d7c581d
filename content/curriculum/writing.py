"""Write the changes of an import in bulk, while the subject is locked."""

from django.utils import timezone

from content import kinds, products, services, tree_updates
from content.curriculum.loading import StoredSubject
from content.curriculum.planning import Key, NodeEdit, PlacedStage, Plan
from content.curriculum_format import NodeSpec
from content.field_lists import StageFields
from content.kinds import Kind
from content.models import LessonStage, Node, SubjectState
from content.queries import primary_keys
from core.batches import BATCH_SIZE, batches


def write(plan: Plan, stored: StoredSubject, state: SubjectState) -> None:
    """Write the plan to the subject.

    Args:
        state: the subject's state, locked.
    """
    products.ensure(spec.fields["required_item"] for spec in plan.key_of)
    _write_head(plan.head, state)
    pk_of: dict[Key, int] = {key: key for key in plan.places if isinstance(key, int)}
    _insert_nodes(plan, stored, state, pk_of)
    for parent, pks in plan.moved.items():
        for batch in batches(pks):
            Node.objects.filter(pk__in=batch).update(parent_id=pk_of[parent])
    tree_updates.write_intervals(
        {node.pk: node.place for node in stored.nodes.values()},
        {key: at for key, at in plan.places.items() if isinstance(key, int)},
    )
    _update_nodes(plan.edits)
    _write_stages(plan, pk_of)
    if plan.head or plan.is_reordered or plan.changed_nodes:
        # Writing places records no edit. Writing stages records its own.
        SubjectState.mark_changed({state.pk})


def _write_head(head: dict[str, str], state: SubjectState) -> None:
    if head:
        for name, text in head.items():
            setattr(state, name, text)
        state.save(update_fields=list(head))


def _insert_nodes(
    plan: Plan, stored: StoredSubject, state: SubjectState, pk_of: dict[Key, int]
) -> None:
    """Insert the new nodes level by level and add their keys to ``pk_of``."""
    now = timezone.now()
    new = plan.new_nodes
    lessons = sum(spec.kind is Kind.LESSON for spec in new)
    bit = services.allocate_bits(state, lessons) if lessons else 0
    parent_of = {
        below: key for spec, key in plan.key_of.items() for below in spec.children
    }
    rows: dict[Kind, list[tuple[NodeSpec, Node]]] = {}
    for spec in new:
        spec.id = spec.id or kinds.new_node_id(spec.kind)
        node = Node(
            public_id=spec.id,
            kind=spec.kind.value,
            subject_id=state.pk,
            tree_id=stored.tree_id,
            created_at=now,
            updated_at=now,
            **plan.places[spec]._asdict(),
            **spec.fields,
        )
        if spec.kind is Kind.LESSON:
            node.bit_index, bit = bit, bit + 1
        rows.setdefault(spec.kind, []).append((spec, node))
    for kind in (kind for kind in Kind if kind in rows):
        for spec, node in rows[kind]:
            node.parent_id = pk_of[parent_of[spec]]
        created = Node.objects.bulk_create(
            [node for _spec, node in rows[kind]], batch_size=BATCH_SIZE
        )
        pks = primary_keys(created)
        pk_of.update((spec, pks[spec.id]) for spec, _node in rows[kind])


def _update_nodes(edits: list[NodeEdit]) -> None:
    """Write the fields that differ; also restores the nodes from the trash."""
    now = timezone.now()
    columns = {name for edit in edits for name in edit.differing}
    if edits:
        Node.objects.bulk_update(
            [
                Node(pk=edit.pk, trashed_at=None, updated_at=now, **edit.fields)
                for edit in edits
            ],
            sorted(columns | {"updated_at"}),
            batch_size=BATCH_SIZE,
        )


def _write_stages(plan: Plan, pk_of: dict[Key, int]) -> None:
    if plan.stages:
        LessonStage.objects.bulk_update(
            [_stage_row(stage, pk_of) for stage in plan.stages],
            [*StageFields.PLACE, *StageFields.CONTENT],
            BATCH_SIZE,
        )
    if plan.new_stages:
        LessonStage.objects.bulk_create(
            [_stage_row(stage, pk_of) for stage in plan.new_stages],
            batch_size=BATCH_SIZE,
        )


def _stage_row(stage: PlacedStage, pk_of: dict[Key, int]) -> LessonStage:
    return LessonStage(
        pk=stage.pk,
        public_id=stage.id or kinds.new_id(kinds.STAGE_PREFIX),
        lesson_id=pk_of[stage.lesson],
        position=stage.position,
        **stage.fields,
    )
