"""What plans lose before content, a plan or a product is deleted."""

from collections.abc import Sequence

from django.utils.translation import gettext as _, ngettext

from content.hooks import node_deletion_warnings, product_uses
from content.models import Node
from content.tree_updates import subtrees_of
from plans.hooks import plan_deletion_warnings
from plans.models import (
    AcademicPlan,
    OverrideAction,
    PlanOverride,
    PlanSubject,
    ScheduledChange,
    ScheduleState,
)


@node_deletion_warnings.add
def affected_plans_warning(nodes: Sequence[Node]) -> str:
    """Return how many plans offer any of these nodes. One query."""
    subjects = {node.subject_pk for node in nodes}
    rows = PlanSubject.objects.filter(subject_id__in=subjects)
    count = rows.order_by().values("plan_id").distinct().count()
    if not count:
        return ""
    return ngettext(
        "%(count)d plan contains it: its students will lose it at the next publish.",
        "%(count)d plans contain it: their students will lose it at the next publish.",
        count,
    ) % {"count": count}


@node_deletion_warnings.add
def node_overrides_warning(nodes: Sequence[Node]) -> str:
    """Return how many overrides are deleted with these nodes. One query."""
    count = PlanOverride.objects.filter(target__in=subtrees_of(nodes)).count()
    if not count:
        return ""
    return ngettext(
        "%(count)d override in plans will be deleted with it.",
        "%(count)d overrides in plans will be deleted with it.",
        count,
    ) % {"count": count}


@plan_deletion_warnings.add
def plan_overrides_warning(plans: Sequence[AcademicPlan]) -> str:
    """Return how many overrides are deleted with these plans. One query."""
    count = PlanOverride.objects.filter(plan__in=plans).count()
    if not count:
        return _("The content stays unchanged, in the tree and in other plans.")
    return ngettext(
        "The content stays unchanged; %(count)d override of it will be deleted.",
        "The content stays unchanged; %(count)d overrides of it will be deleted.",
        count,
    ) % {"count": count}


@product_uses.add
def overrides_with_product(code: str) -> str:
    """Return how many overrides sell this product, or are scheduled to. Two queries."""
    sold = {"value": code}
    count = PlanOverride.objects.filter(
        action=OverrideAction.SET_SOLD_SEPARATELY, **sold
    ).count()
    count += ScheduledChange.objects.filter(
        override=OverrideAction.SET_SOLD_SEPARATELY,
        state=ScheduleState.WAITING,
        **sold,
    ).count()
    if not count:
        return ""
    return ngettext(
        "%(count)d override of a plan", "%(count)d overrides of plans", count
    ) % {"count": count}
