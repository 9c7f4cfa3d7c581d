"""A plan's history: its own fields, its subjects and its overrides."""

from typing import Any

from django.utils.translation import gettext as _

from content.history.changes import Edit, Names, Source, collect_edits
from plans import labels
from plans.models import AcademicPlan, PlanOverride, PlanSubject


def plan_edits(plan: AcademicPlan) -> list[Edit]:
    """Return the plan's edits, newest first.

    Three queries, and one per table of names.
    """
    return collect_edits(
        [
            Source(
                AcademicPlan.history.filter(id=plan.pk),
                what=lambda _row: _("plan"),
                title=lambda row, _names: str(row.title),
            ),
            Source(
                PlanSubject.history.filter(plan_id=plan.pk),
                what=lambda _row: _("subject"),
                title=lambda row, names: names.of("subject", row),
            ),
            Source(
                PlanOverride.history.filter(plan_id=plan.pk),
                what=lambda _row: _("override"),
                title=_override,
            ),
        ]
    )


def _override(row: Any, names: Names) -> str:
    """Describe an override and its node."""
    text = labels.action_text(row.action, row.value)
    # Isolate the text direction of each: titles are often Arabic, actions are not.
    return f"\u2068{names.of('target', row)}\u2069 — \u2068{text}\u2069"
