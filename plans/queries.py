"""Queries for the plan data that a build needs, and for what products open."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.db.models import Min

from content.models import Node
from content.tree_rows import outside_trash
from plans.access import Level, Override
from plans.models import LINEAR_VALUES, AcademicPlan, OverrideAction, PlanOverride


def load_overrides(plan_pk: int) -> dict[int, Override]:
    """Return a plan's overrides, merged into one value per node pk. One query."""
    fields: dict[int, dict[str, object]] = {}
    rows = PlanOverride.objects.filter(plan_id=plan_pk).order_by("pk")
    for target, action, value in rows.values_list("target_id", "action", "value"):
        fields.setdefault(target, {}).update(_meaning(action, value))
    return {target: Override(**values) for target, values in fields.items()}  # type: ignore[arg-type]


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
    """Return the keys of the plan's subjects, in the plan's order. One query."""
    return list(
        AcademicPlan.subjects.through.objects.filter(plan_id=plan_pk)
        .order_by("position", "pk")
        .values_list("subject_id", flat=True)
    )


def plans_of_subjects(subject_ids: list[int]) -> list[int]:
    """Return the keys of the plans that contain any of these subjects. One query."""
    return list(
        AcademicPlan.subjects.through.objects.filter(subject_id__in=subject_ids)
        .values_list("plan_id", flat=True)
        .distinct()
    )


@dataclass(frozen=True, slots=True)
class SoldContent:
    """A product code, with the kind and title of the first content that needs it."""

    code: str
    kind: str
    title: str


def sold_content() -> list[SoldContent]:
    """Return what the products open that content or an override needs, by code.

    Content in the trash is left out. Three queries.
    """
    nodes = Node.objects.filter(outside_trash()).exclude(required_item="")
    sold = PlanOverride.objects.filter(
        action=OverrideAction.SET_SOLD_SEPARATELY
    ).exclude(value="")
    # Parents usually have smaller keys than what is below them.
    first = nodes.order_by().values("required_item").annotate(first=Min("pk"))
    by_node = {row["required_item"]: row["first"] for row in first}
    first_sold = sold.order_by().values("value").annotate(first=Min("target_id"))
    by_override = {row["value"]: row["first"] for row in first_sold}
    found = by_override | by_node
    titles = Node.objects.only("kind", "title").in_bulk({0, *found.values()})
    return [
        SoldContent(code, titles[pk].get_kind_display(), titles[pk].title)
        for code, pk in sorted(found.items())
        if pk in titles
    ]
