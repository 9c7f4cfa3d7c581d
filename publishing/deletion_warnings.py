"""Warnings about published files before a plan is deleted."""

from collections.abc import Sequence

from django.utils.translation import ngettext

from plans.hooks import plan_deletion_warnings
from plans.models import AcademicPlan
from publishing.models import Publication


@plan_deletion_warnings.add
def published_plans_warning(plans: Sequence[AcademicPlan]) -> str:
    """Return how many of these plans students can read now. One query."""
    out = Publication.objects.filter(plan__in=plans, generation__isnull=False)
    count = out.count()
    if not count:
        return ""
    return ngettext(
        "Its published files are removed at the next run.",
        "The published files of %(count)d plans are removed at the next run.",
        count,
    ) % {"count": count}
