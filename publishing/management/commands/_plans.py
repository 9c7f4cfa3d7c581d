"""Parse plan ids given on a command line."""

from django.utils.translation import gettext as _

from core.reporting_command import ReportingCommand
from plans.models import AcademicPlan


def published_plans(command: ReportingCommand, ids: list[str]) -> list[AcademicPlan]:
    """Return the published plans with these ids, in order; all of them for no ids.

    Raises:
        CommandError: a plan is unknown or a draft.
    """
    published = AcademicPlan.objects.filter(is_published=True)
    if not ids:
        return list(published.order_by("pk"))
    found = {plan.public_id: plan for plan in published.filter(public_id__in=ids)}
    if missing := [plan_id for plan_id in ids if plan_id not in found]:
        command.misused(
            _("There is no published plan %(ids)s.") % {"ids": ", ".join(missing)}
        )
    return [found[plan_id] for plan_id in dict.fromkeys(ids)]
