"""What a build needs to know of a plan."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any

from content.kinds import Kind
from content.models import Node
from content.tree import ContentNode
from plans.access import Level, Override
from plans.models import LINEAR_VALUES, AcademicPlan, OverrideAction, PlanOverride


def load_overrides(plan_pk: int) -> dict[int, Override]:
    """A plan's overrides, joined into one value per node pk. One query."""
    fields: dict[int, dict[str, object]] = {}
    rows = PlanOverride.objects.filter(plan_id=plan_pk).order_by("pk")
    for target, action, value in rows.values_list("target_id", "action", "value"):
        fields.setdefault(target, {}).update(_meaning(action, value))
    return {target: Override(**said) for target, said in fields.items()}  # type: ignore[arg-type]


def _meaning(action: str, value: str) -> Mapping[str, object]:
    match action:
        case OverrideAction.HIDE:
            return {"hide": True}
        case OverrideAction.SET_FREE:
            return {"level": Level.FREE_PREVIEW}
        case OverrideAction.SET_SOLD_SEPARATELY:
            return {"level": Level.PAID, "item": value}
        case OverrideAction.SET_ACCESS_LEVEL:
            return {"level": Level(value)}
        case OverrideAction.SET_LINEAR:
            return {"is_linear": LINEAR_VALUES[value]}
        case OverrideAction.RENAME:
            return {"title": value}
    raise ValueError(f"unknown override action {action!r}")


def subject_pks(plan_pk: int) -> list[int]:
    """The plan's subjects, in the plan's order. One query."""
    return list(
        AcademicPlan.subjects.through.objects.filter(plan_id=plan_pk)
        .order_by("position", "pk")
        .values_list("subject_id", flat=True)
    )


def plans_of_subjects(subject_ids: list[int]) -> list[int]:
    """The plans any of these subjects is in. One query."""
    return list(
        AcademicPlan.subjects.through.objects.filter(subject_id__in=subject_ids)
        .values_list("plan_id", flat=True)
        .distinct()
    )


_OUTLINE = (
    "pk",
    "parent_id",
    "public_id",
    "kind",
    "title",
    "is_published",
    "trashed_at",
    "is_linear",
    "is_public",
    "is_free_preview",
    "required_item",
)


def load_outlines(subject_pks: Collection[int]) -> dict[int, ContentNode]:
    """These subjects' trees with what decides who sees them, and no more. Two queries.

    Descriptions, images and stages are left out: ten times cheaper than a build's tree.
    """
    children: dict[int, list[ContentNode]] = defaultdict(list)
    below = Node.objects.filter(subject_id__in=subject_pks).order_by("-lft")
    for row in below.values_list(*_OUTLINE):
        children[row[1]].append(_outline(row, children.pop(row[0], [])))
    roots = Node.objects.filter(pk__in=subject_pks)
    return {
        row[0]: _outline(row, children.pop(row[0], []))
        for row in roots.values_list(*_OUTLINE)
    }


def load_subject_rows(subject_pks: Collection[int]) -> dict[int, ContentNode]:
    """These subjects as `load_outlines` gives them, with nothing inside. One query."""
    roots = Node.objects.filter(pk__in=subject_pks)
    return {row[0]: _outline(row, []) for row in roots.values_list(*_OUTLINE)}


def _outline(row: tuple[Any, ...], children: list[ContentNode]) -> ContentNode:
    """A node of a row; ``children`` are in reverse order."""
    pk, _parent, public_id, kind, title, published, trashed, *rest = row
    linear, public, free, item = rest
    return ContentNode(
        pk=pk,
        id=public_id,
        kind=Kind(kind),
        title=title,
        description="",
        image="",
        color_code="",
        is_published=published,
        is_trashed=trashed is not None,
        is_linear=linear,
        is_public=public,
        is_free_preview=free,
        required_item=item,
        base_xp=0,
        bit_index=None,
        children=tuple(reversed(children)),
    )
