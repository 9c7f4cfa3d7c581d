"""A plan's history: its own fields, its subjects and its overrides."""

from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from content.history.changes import Edit, Names, Source, collect_edits
from content.hooks import node_history
from content.models import Node
from plans import labels, scheduling
from plans.models import AcademicPlan, PlanOverride, PlanSubject, ScheduledChange


def plan_edits(plan: AcademicPlan) -> list[Edit]:
    """Return the plan's edits, newest first.

    Four queries, and one per table of names.
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
            _scheduled(ScheduledChange.history.filter(plan_id=plan.pk)),
        ]
    )


@node_history.add
def scheduled_changes(node: Node) -> Source:
    """Return what was scheduled for a node itself, for its history."""
    return _scheduled(
        ScheduledChange.history.filter(node_id=node.pk, plan_id__isnull=True)
    )


def _scheduled(rows: QuerySet[Any]) -> Source:
    return Source(
        rows,
        what=lambda _row: _("scheduled change"),
        title=_scheduled_title,
    )


def _scheduled_title(row: Any, names: Names) -> str:
    """Describe a scheduled change: the node of an override, the change, the time."""
    parts = [scheduling.change_text(row), scheduling.time_text(row.due_at)]
    if row.plan_id is not None and row.node_id is not None:
        parts.insert(0, names.of("node", row))
    return " — ".join(f"\u2068{part}\u2069" for part in parts)


def _override(row: Any, names: Names) -> str:
    """Describe an override and its node."""
    text = labels.action_text(row.action, row.value)
    # Isolate the text direction of each: titles are often Arabic, actions are not.
    return f"\u2068{names.of('target', row)}\u2069 — \u2068{text}\u2069"
