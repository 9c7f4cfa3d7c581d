"""Schedule changes for a later time, and make those that are due.

Beat calls `apply_due` each minute. Each change is one transaction with the mark that it
is done, and its row is locked first: a run that is killed leaves neither, and of two
runs at the same time one finds nothing to do. A change whose time passed while beat was
down is made when beat is back.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.formats import date_format
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from content import locks, services as content_services, tree_updates
from content.history import recording
from content.models import Node
from content.tree_rows import Row
from core.badges import badge
from core.db import retry_on_conflict
from plans import labels, services
from plans.models import (
    AcademicPlan,
    OverrideAspect,
    PlanOverride,
    ScheduledAction,
    ScheduledChange,
    ScheduleReason,
    ScheduleState,
    aspect_of,
)

log = structlog.get_logger(__name__)

_LONGEST = timedelta(days=5 * 365)
_WAITING = ScheduleState.WAITING
_OVERRIDE_ACTIONS = (ScheduledAction.SET_OVERRIDE, ScheduledAction.REMOVE_OVERRIDE)


# --- Scheduling -----------------------------------------------------------------------


def may_schedule(user: Any, *, has_node: bool, has_plan: bool) -> bool:
    """Return whether the user may make such a change by hand, and so schedule it.

    A node without a plan, a plan without a node, or an override.
    """
    if not has_plan:
        return bool(user.has_perm("content.change_node"))
    needed = ["plans.change_academicplan"]
    if has_node:
        needed += [f"plans.{do}_planoverride" for do in ("add", "change", "delete")]
    return bool(user.has_perms(needed))


def schedule(
    *,
    action: str,
    due_at: datetime,
    now: datetime,
    by: Any,
    node: Node | None = None,
    plan: AcademicPlan | None = None,
    override: str = "",
    value: str = "",
    aspect: str = "",
) -> ScheduledChange:
    """Schedule a change of ``node``, of ``plan``, or of the plan's override on the node.

    Args:
        action: a `ScheduledAction`.
        due_at: seconds are dropped.
        by: the user; None for a command.
        override, value: what ``SET_OVERRIDE`` sets, as in `services.set_override`.
        aspect: the `OverrideAspect` that ``REMOVE_OVERRIDE`` removes.

    Raises:
        ValidationError: the time has passed or is years away, the action does not fit
            the target, or the override could not be set today.
    """
    due_at = due_at.replace(second=0, microsecond=0)
    if due_at <= now:
        raise ValidationError(_("This time has passed. Choose a later one."))
    if due_at > now + _LONGEST:
        raise ValidationError(_("Choose a time within the next five years."))
    _require_fits(action, node=node, plan=plan)
    if action == ScheduledAction.SET_OVERRIDE and node is not None and plan is not None:
        services.check_override(plan=plan, target=node, action=override, value=value)
        aspect = aspect_of(override)
    return ScheduledChange.objects.create(
        node=node,
        plan=plan,
        target_title=str(node or plan),
        action=action,
        override=override,
        value=value,
        aspect=aspect,
        due_at=due_at,
        created_by=by,
    )


def _require_fits(action: str, *, node: Node | None, plan: AcademicPlan | None) -> None:
    if node is not None and plan is not None:
        fits = action in _OVERRIDE_ACTIONS
    elif node is not None:
        fits = action not in _OVERRIDE_ACTIONS
    else:
        fits = action in (ScheduledAction.PUBLISH, ScheduledAction.UNPUBLISH)
    if not fits:
        raise ValidationError(_("Choose what will change."))


@transaction.atomic
def cancel(entry_pk: int, *, now: datetime) -> bool:
    """Cancel a scheduled change; return False if it is not waiting any more."""
    entry = _lock(entry_pk)
    if entry is None:
        return False
    _finish(entry, ScheduleState.CANCELLED, now)
    return True


# --- What waits -----------------------------------------------------------------------


def waiting_for_target(
    *, node: Node | None, plan: AcademicPlan | None
) -> list[ScheduledChange]:
    """Return the waiting changes of exactly this target, in order. One query."""
    return list(_waiting().filter(node=node, plan=plan))


def waiting_for_plan(
    plan: AcademicPlan, subjects: Collection[int]
) -> list[ScheduledChange]:
    """Return what waits for the plan, its overrides and its content. One query.

    Args:
        subjects: the primary keys of the plan's subjects.
    """
    inside = Q(node_id__in=subjects) | Q(node__subject_id__in=subjects)
    rows = _waiting().filter(Q(plan_id=plan.pk) | Q(plan__isnull=True) & inside)
    return list(rows)


def row_badges(rows: Sequence[Row]) -> Mapping[int, SafeString]:
    """Return badges with what waits for each node, by its key. One query."""
    pks = [row.node.pk for row in rows]
    return badges(_waiting().filter(node_id__in=pks, plan__isnull=True))


def badges(entries: Collection[ScheduledChange]) -> dict[int, SafeString]:
    """Return the badges of these entries, by the node's key."""
    found: dict[int, list[ScheduledChange]] = defaultdict(list)
    for entry in entries:
        if entry.node_id is not None:
            found[entry.node_id].append(entry)
    return {
        pk: format_html_join(" ", "{}", ((_badge(entry),) for entry in some))
        for pk, some in found.items()
    }


def _waiting() -> QuerySet[ScheduledChange]:
    rows = ScheduledChange.objects.filter(state=_WAITING)
    return rows.select_related("created_by", "plan").order_by("due_at", "pk")


def _badge(entry: ScheduledChange) -> SafeString:
    # Isolate the text direction of each: a title may have the other one.
    words = f"\u2068{change_text(entry)}\u2069 · \u2068{time_text(entry.due_at)}\u2069"
    return badge("◷", words, "action")


def change_text(entry: Any) -> str:
    """Describe what an entry, or a row of its history, changes."""
    match entry.action:
        case ScheduledAction.PUBLISH:
            return _("Publish")
        case ScheduledAction.PUBLISH_INSIDE:
            return _("Publish with everything inside")
        case ScheduledAction.UNPUBLISH:
            return _("Change to draft")
        case ScheduledAction.SET_OVERRIDE:
            return labels.action_text(entry.override, entry.value)
    aspect = OverrideAspect(entry.aspect).label
    return _("Remove the override: %(aspect)s") % {"aspect": aspect}


def time_text(due_at: datetime) -> str:
    """Format the time of a change in the site's zone, to the minute."""
    return date_format(localtime(due_at), "SHORT_DATETIME_FORMAT")


# --- Making the changes ---------------------------------------------------------------


def apply_due(now: datetime) -> int:
    """Make the changes that are due; return how many changed something.

    They are made by their time; those of one time in the order in which they were
    scheduled. One that fails unexpectedly is logged, and tried again by the next run.
    """
    due = ScheduledChange.objects.filter(state=_WAITING, due_at__lte=now)
    changed = 0
    for pk in list(due.order_by("due_at", "pk").values_list("pk", flat=True)):
        try:
            changed += retry_on_conflict(partial(_apply, pk, now))
        except Exception:
            log.exception("scheduled_change_failed", entry=pk)
    return changed


@transaction.atomic
def _apply(entry_pk: int, now: datetime) -> bool:
    """Make one change, unless it was made or cancelled; return whether it was made."""
    entry = _lock(entry_pk)
    if entry is None:
        return False
    with recording.group_changes(recording.SCHEDULED, user_pk=entry.created_by_id):
        try:
            with transaction.atomic():
                reason = str(_change(entry) or "")
        except ValidationError as error:
            _finish(entry, ScheduleState.REFUSED, now, " ".join(error.messages))
        else:
            state = ScheduleState.UNCHANGED if reason else ScheduleState.DONE
            _finish(entry, state, now, reason)
    log.info("scheduled_change", entry=entry.pk, state=entry.state)
    return entry.state == ScheduleState.DONE


def _lock(entry_pk: int) -> ScheduledChange | None:
    """Lock and return the entry; None if it is not waiting."""
    rows = ScheduledChange.objects.select_for_update()
    return rows.filter(pk=entry_pk, state=_WAITING).first()


def _finish(
    entry: ScheduledChange, state: ScheduleState, now: datetime, reason: str = ""
) -> None:
    entry.state, entry.reason, entry.finished_at = state, reason[:255], now
    entry.save(update_fields=["state", "reason", "finished_at"])


def _change(entry: ScheduledChange) -> ScheduleReason | None:
    """Make the change; return why there was nothing to do, else None.

    Raises:
        ValidationError: the override does not fit any more.
    """
    if entry.plan_id is None:
        return _change_node(entry)
    plan = services.lock(AcademicPlan(pk=entry.plan_id))
    if plan is None:
        return ScheduleReason.PLAN_DELETED
    if entry.node_id is None:
        return _change_plan(entry, plan)
    target = Node.objects.filter(pk=entry.node_id).first()
    if target is None:
        return ScheduleReason.DELETED
    return _change_override(entry, plan, target)


def _change_node(entry: ScheduledChange) -> ScheduleReason | None:
    found = Node.objects.filter(pk=entry.node_id).first()
    if found is None:
        return ScheduleReason.DELETED
    _states, [node] = locks.lock_nodes(found)
    above = tree_updates.ancestors_of([node]).filter(trashed_at__isnull=False)
    if node.trashed_at is not None or above.exists():
        return ScheduleReason.IN_TRASH
    nodes = [node]
    if entry.action == ScheduledAction.PUBLISH_INSIDE:
        inside = tree_updates.subtrees_of([node])
        nodes = list(inside.filter(trashed_at__isnull=True, is_published=False))
    is_published = entry.action != ScheduledAction.UNPUBLISH
    changed = content_services.change_nodes(nodes=nodes, is_published=is_published)
    return None if changed else ScheduleReason.ALREADY


def _change_plan(entry: ScheduledChange, plan: AcademicPlan) -> ScheduleReason | None:
    is_published = entry.action == ScheduledAction.PUBLISH
    if plan.is_published == is_published:
        return ScheduleReason.ALREADY
    plan.is_published = is_published
    plan.save(update_fields=["is_published", "updated_at"])
    return None


def _change_override(
    entry: ScheduledChange, plan: AcademicPlan, target: Node
) -> ScheduleReason | None:
    if entry.action == ScheduledAction.REMOVE_OVERRIDE:
        removed = services.remove_override(
            plan=plan, target=target, aspect=entry.aspect
        )
        return None if removed else ScheduleReason.ALREADY
    same = PlanOverride.objects.filter(
        plan=plan, target=target, action=entry.override, value=entry.value
    )
    if same.exists():
        return ScheduleReason.ALREADY
    services.set_override(
        plan=plan, target=target, action=entry.override, value=entry.value
    )
    return None
