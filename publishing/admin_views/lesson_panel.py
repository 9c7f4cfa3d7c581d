"""The panel on a lesson's page that shows its state in each plan."""

from collections.abc import Container
from dataclasses import dataclass

from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from content.hooks import lesson_panels
from content.models import Node
from core.badges import badge
from plans.models import AcademicPlan
from publishing import staleness
from publishing.models import PlanLesson, Publication


@dataclass(frozen=True, slots=True)
class InPlan:
    """A plan that contains the lesson's subject, and the lesson's state there."""

    title: str
    url: str
    preview_url: str
    state: SafeString


@lesson_panels.add
def in_plans(request: HttpRequest, lesson: Node) -> SafeString:
    """Render the plans with this lesson's subject. Six queries for any number of plans.

    Returns an empty string if the user may not view plans.
    """
    if not request.user.has_perm("plans.view_academicplan"):
        return SafeString("")
    plans = list(
        AcademicPlan.objects.filter(subjects=lesson.subject_pk)
        .select_related("publication")
        .order_by("-is_published", "title", "pk")
    )
    if not plans:
        return _status([])
    pending = staleness.pending([plan.pk for plan in plans])
    plan_lessons = PlanLesson.objects.filter(lesson_id=lesson.public_id)
    offered = set(plan_lessons.values_list("publication__plan_id", flat=True))
    preview = reverse("admin:preview_lesson", args=[lesson.public_id])
    rows = [
        InPlan(
            title=plan.title,
            url=reverse("admin:plans_academicplan_change", args=[plan.pk]),
            preview_url=f"{preview}?plan={plan.public_id}",
            state=_state(plan, lesson, pending=plan.pk in pending, offered=offered),
        )
        for plan in plans
    ]
    return _status(rows)


def _status(rows: list[InPlan]) -> SafeString:
    template = "admin/content/node/lesson_plans.html"
    return SafeString(render_to_string(template, {"plans": rows}))


def _state(
    plan: AcademicPlan, lesson: Node, *, pending: bool, offered: Container[int | None]
) -> SafeString:
    if not plan.is_published:
        why = _("The plan is a draft and has no students yet.")
        return badge("○", _("Draft plan"), "quiet", why=why)
    publication: Publication | None = getattr(plan, "publication", None)
    if publication is not None and publication.rolled_back_at is not None:
        why = _("Students read an earlier generation until the plan is released.")
        return badge("↶", _("Held after a rollback"), "action", why=why)
    if pending and _has_pending_stages(plan, lesson):
        why = _(
            "Students will get the current version of this lesson at the next publish."
        )
        return badge("⟳", _("Waiting to publish"), "waiting", why=why)
    if pending:
        why = _(
            "The subject or the plan has other changes that will be published next."
        )
        return badge("⟳", _("Other changes waiting"), "waiting", why=why)
    if plan.pk in offered:
        return badge("●", _("Published"), "done")
    why = _(
        "This lesson, or an entry that contains it, is a draft or hidden in this plan."
    )
    return badge("⊘", _("Not shown"), "quiet", why=why)


def _has_pending_stages(plan: AcademicPlan, lesson: Node) -> bool:
    """Whether the lesson's stages may have changed since the plan's release was built.

    True also if the lesson has moved here from another subject since then.
    """
    publication = getattr(plan, "publication", None)
    built = dict(publication.built_from.get("subjects", ())) if publication else {}
    return int(lesson.stages_revision) > int(built.get(lesson.subject_pk, -1))
