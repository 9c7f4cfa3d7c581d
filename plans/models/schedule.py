"""Changes of nodes, plans and overrides that are made at a set time."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from content.history import recording
from content.models import Node
from plans.models.plans import AcademicPlan, OverrideAction, OverrideAspect


class ScheduledAction(models.TextChoices):
    """What is done; the two last ones concern an override of a plan on a node."""

    PUBLISH = "publish", _("publish")
    PUBLISH_INSIDE = "publish_inside", _("publish with everything inside")
    UNPUBLISH = "unpublish", _("change to draft")
    SET_OVERRIDE = "set_override", _("set an override")
    REMOVE_OVERRIDE = "remove_override", _("remove an override")


class ScheduleState(models.TextChoices):
    WAITING = "waiting", _("scheduled")
    DONE = "done", _("done")
    UNCHANGED = "unchanged", _("nothing to do")
    REFUSED = "refused", _("refused")
    CANCELLED = "cancelled", _("cancelled")


class ScheduleReason(models.TextChoices):
    """Why a change that was due did nothing."""

    DELETED = "deleted", _("the content was deleted")
    IN_TRASH = "in_trash", _("the content is in the trash")
    PLAN_DELETED = "plan_deleted", _("the plan was deleted")
    ALREADY = "already", _("it was already so")


class ScheduledChange(models.Model):
    """A change of a node (without a plan), of a plan (without a node), or of a plan's
    override on a node.

    Its history shows who scheduled it, who cancelled it and what it did.
    """

    # Without a constraint in the database, a deletion of the target leaves the row, which
    # then says so.
    node = models.ForeignKey(
        Node,
        models.DO_NOTHING,
        null=True,
        db_constraint=False,
        related_name="+",
        verbose_name=_("content"),
    )
    plan = models.ForeignKey(
        AcademicPlan,
        models.DO_NOTHING,
        null=True,
        db_constraint=False,
        related_name="+",
        verbose_name=_("plan"),
    )
    target_title = models.CharField(_("content or plan"), max_length=255)
    """The title of the node, else of the plan, when it was scheduled."""
    action = models.CharField(
        _("change"), max_length=15, choices=ScheduledAction.choices
    )
    override = models.CharField(
        _("override"), max_length=20, blank=True, choices=OverrideAction.choices
    )
    """What `ScheduledAction.SET_OVERRIDE` sets."""
    value = models.CharField(_("value"), max_length=255, blank=True)
    """As `PlanOverride.value`."""
    aspect = models.CharField(
        _("about"), max_length=10, blank=True, choices=OverrideAspect.choices
    )
    """What `ScheduledAction.REMOVE_OVERRIDE` removes."""
    due_at = models.DateTimeField(_("time"))
    state = models.CharField(
        _("state"),
        max_length=9,
        choices=ScheduleState.choices,
        default=ScheduleState.WAITING,
    )
    reason = models.CharField(
        _("reason"), max_length=255, blank=True, choices=ScheduleReason.choices
    )
    """A `ScheduleReason`; for `ScheduleState.REFUSED`, the message of the refusal."""
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name=_("scheduled by"),
    )
    created_at = models.DateTimeField(_("scheduled at"), auto_now_add=True)
    finished_at = models.DateTimeField(_("finished"), null=True)

    history = recording.Records(
        excluded_fields=["target_title", "finished_at"],
        no_db_index=["created_by"],
    )

    class Meta:
        verbose_name = _("scheduled change")
        verbose_name_plural = _("scheduled changes")
        # Two changes at one time are made in the order in which they were scheduled.
        ordering = ["due_at", "pk"]
        constraints = [
            # Nothing would be changed, and nobody could say what was meant.
            models.CheckConstraint(
                condition=Q(node__isnull=False) | Q(plan__isnull=False),
                name="plans_schedule_has_target",
            ),
        ]
        indexes = [
            models.Index(fields=["state", "due_at"], name="plans_schedule_due"),
        ]

    def __str__(self) -> str:
        return f"{self.target_title}: {self.get_action_display()}"
