"""Services that change a plan, with the rules that involve several rows."""

import hashlib
from collections.abc import Iterable

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from content.models import Node
from plans.models import AcademicPlan, PlanOverride, PlanSubject, aspect_of


def lock(plan: AcademicPlan) -> AcademicPlan | None:
    """Lock and return the stored plan, or None. Call it before writing a part of it.

    Otherwise MariaDB locks the row twice: first for the part's foreign key, then more
    strongly for the plan's revision. A build that waits for the row in between causes a
    deadlock, and MariaDB aborts one of the two transactions.
    """
    found: AcademicPlan | None = (
        AcademicPlan.objects.select_for_update().filter(pk=plan.pk).first()
    )
    return found


@transaction.atomic
def add_subject(*, plan: AcademicPlan, subject: Node) -> PlanSubject:
    """Append ``subject`` to ``plan``; do nothing if the plan already has it.

    Raises:
        ValidationError: ``subject`` is not a subject.
    """
    lock(plan)
    existing: PlanSubject | None = PlanSubject.objects.filter(
        plan=plan, subject=subject
    ).first()
    if existing is not None:
        return existing
    last = PlanSubject.objects.filter(plan=plan).order_by("position").last()
    row = PlanSubject(
        plan=plan, subject=subject, position=last.position + 1 if last else 0
    )
    row.full_clean()
    row.save()
    return row


@transaction.atomic
def set_override(
    *, plan: AcademicPlan, target: Node, action: str, value: str = "", seen: str = ""
) -> PlanOverride:
    """Set an override on ``target``, replacing the one of the same aspect, if any.

    Args:
        seen: the `version_of` the overrides that the editor saw; "" to skip the check.

    Raises:
        ValidationError: the target is outside the plan's subjects, the value does not
            fit the action, or the overrides have changed since (code ``stale``).
    """
    lock(plan)
    row = check_override(plan=plan, target=target, action=action, value=value)
    for override in _overrides_if_current(plan, target, seen):
        if override.aspect == aspect_of(action):
            override.delete()
    row.save()
    return row


def check_override(
    *, plan: AcademicPlan, target: Node, action: str, value: str
) -> PlanOverride:
    """Return the override, not saved.

    Raises:
        ValidationError: the target is outside the plan's subjects, or the value does
            not fit the action.
    """
    require_inside(plan=plan, targets=[target])
    row = PlanOverride(plan=plan, target=target, action=action, value=value)
    row.clean_fields()
    row.clean()
    return row


@transaction.atomic
def remove_override(
    *, plan: AcademicPlan, target: Node, aspect: str, seen: str = ""
) -> PlanOverride | None:
    """Remove the override of ``target`` with this `OverrideAspect`.

    Args:
        seen: as in `set_override`.

    Returns:
        The removed override, or None if there was none.

    Raises:
        ValidationError: the overrides have changed since (code ``stale``).
    """
    lock(plan)
    for override in _overrides_if_current(plan, target, seen):
        if override.aspect == aspect:
            override.delete()
            return override
    return None


def version_of(overrides: Iterable[tuple[str, str]]) -> str:
    """Return a hash of the overrides on a node, as (action, value) pairs."""
    return hashlib.sha256(repr(sorted(overrides)).encode()).hexdigest()


def _overrides_if_current(
    plan: AcademicPlan, target: Node, seen: str
) -> list[PlanOverride]:
    """Return the overrides on ``target``; the plan must be locked.

    Raises:
        ValidationError: they differ from ``seen`` (code ``stale``). Otherwise an editor
            could replace another editor's override without having seen it.
    """
    found = list(PlanOverride.objects.filter(plan=plan, target=target))
    if seen and seen != version_of((row.action, row.value) for row in found):
        raise ValidationError(
            _(
                "Another user changed this plan's overrides of this content after you "
                "opened them. Your change was not saved: check the overrides, then "
                "choose again."
            ),
            code="stale",
        )
    return found


def require_inside(*, plan: AcademicPlan, targets: list[Node]) -> None:
    """Check that all targets are inside the plan's subjects.

    Raises:
        ValidationError: one message per outside target, code ``outside_plan``.
    """
    inside = set(
        PlanSubject.objects.filter(plan=plan).values_list("subject_id", flat=True)
    )
    raise_outside([node for node in targets if node.subject_pk not in inside])


def raise_outside(outside: list[Node]) -> None:
    """Raise an error for these targets, if there are any.

    Raises:
        ValidationError: one message per target, code ``outside_plan``.
    """
    if outside:
        raise ValidationError(
            [
                ValidationError(
                    _("“%(title)s” is not in any of this plan's subjects."),
                    code="outside_plan",
                    params={"title": node.title},
                )
                for node in outside
            ]
        )
