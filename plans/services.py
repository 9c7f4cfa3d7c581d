"""Changing a plan: the rules that need more than one row."""

import hashlib
from collections.abc import Iterable

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from content.models import Node
from plans.models import AcademicPlan, PlanOverride, PlanSubject, aspect_of


def lock(plan: AcademicPlan) -> AcademicPlan | None:
    """The plan as it is stored; its row is taken before a part of it refers to it.

    The other way round, MariaDB locks it twice, the second time more strongly, and a
    build that waits in between ends one of the two.
    """
    found: AcademicPlan | None = (
        AcademicPlan.objects.select_for_update().filter(pk=plan.pk).first()
    )
    return found


@transaction.atomic
def add_subject(*, plan: AcademicPlan, subject: Node) -> PlanSubject:
    """Put ``subject`` last in ``plan``; no change if it is there already.

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
    """Say one thing of ``target`` in ``plan``, replacing what was said of that aspect.

    Args:
        seen: the `version_of` what the plan said where this was asked for; "" where
            nobody looked.

    Raises:
        ValidationError: the target lies outside the plan's subjects, the value does
            not fit the action, or the plan says something else by now (``stale``).
    """
    lock(plan)
    require_inside(plan=plan, targets=[target])
    row = PlanOverride(plan=plan, target=target, action=action, value=value)
    row.clean_fields()
    row.clean()
    for said in _said_as_seen(plan, target, seen):
        if said.aspect == aspect_of(action):
            said.delete()
    row.save()
    return row


@transaction.atomic
def remove_override(
    *, plan: AcademicPlan, target: Node, aspect: str, seen: str = ""
) -> PlanOverride | None:
    """Take back what ``plan`` says of that `OverrideAspect` of ``target``.

    Args:
        seen: as in `set_override`.

    Returns:
        What it said; None: nothing.

    Raises:
        ValidationError: the plan says something else by now (``stale``).
    """
    lock(plan)
    for said in _said_as_seen(plan, target, seen):
        if said.aspect == aspect:
            said.delete()
            return said
    return None


def version_of(said: Iterable[tuple[str, str]]) -> str:
    """Changes when what a plan says of a node does: its actions and their values."""
    return hashlib.sha256(repr(sorted(said)).encode()).hexdigest()


def _said_as_seen(plan: AcademicPlan, target: Node, seen: str) -> list[PlanOverride]:
    """What ``plan``, which is locked, says of ``target``.

    Two publishers may look at the same: the second would replace what the first said
    without having read it.
    """
    found = list(PlanOverride.objects.filter(plan=plan, target=target))
    if seen and seen != version_of((row.action, row.value) for row in found):
        raise ValidationError(
            _(
                "Somebody else changed what this plan says of it after you opened it. "
                "Nothing of yours was saved: see what it says now, then choose again."
            ),
            code="stale",
        )
    return found


def require_inside(*, plan: AcademicPlan, targets: list[Node]) -> None:
    """Refuse targets outside the plan's subjects, naming each.

    Raises:
        ValidationError: one message per such target, code ``outside_plan``.
    """
    inside = set(
        PlanSubject.objects.filter(plan=plan).values_list("subject_id", flat=True)
    )
    raise_outside([node for node in targets if node.subject_pk not in inside])


def raise_outside(outside: list[Node]) -> None:
    """Refuse these targets, if there are any.

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
