"""Queries for the plan data that a build needs."""

from collections.abc import Mapping

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
