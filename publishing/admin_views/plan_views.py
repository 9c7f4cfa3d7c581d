"""The publishing part of a plan's admin page: state, "Publish now", upcoming changes.

The plans app must not import publishing; `publishing.admin` adds these pages to its
admin.
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from content.models import LessonStage, Node
from core.errors import StructureError
from core.parsing import as_key
from plans.models import AcademicPlan, PlanOverride, PlanSubject
from publishing import staleness, sync_log
from publishing.admin_views.labels import HELD_MESSAGE, fault_message
from publishing.admin_views.run_outcome import outcome_of
from publishing.admin_views.task_dispatch import enqueue, notify_publishing
from publishing.building import release_diff, rollback
from publishing.format.validation import InvalidDocumentError
from publishing.models import Publication, SyncLog, SyncStatus
from publishing.monitoring import schedule, silence
from publishing.tasks import publish_plan

_UNFINISHED = (
    SyncStatus.QUEUED,
    SyncStatus.PROCESSING,
    SyncStatus.FAILED,
    SyncStatus.DEAD_LETTER,
)


@dataclass(frozen=True, slots=True)
class State:
    """The state of a plan's release.

    ``is_pending``: it needs a build. ``is_held``: it was rolled back and not released.
    ``edits`` is the number of edits by users and jobs since the release was built or
    made current again, None if unknown. ``sources`` names what differs: subjects, or the
    plan itself.
    """

    plan: AcademicPlan
    publication: Publication | None
    is_pending: bool
    is_held: bool
    edits: int | None
    sources: list[str]
    run: SyncLog | None
    """The last run, if it is unfinished or has failed."""
    last_build: SyncLog | None
    """The last run that built a release."""

    @property
    def is_out(self) -> bool:
        return self.publication is not None and self.publication.generation is not None

    @property
    def is_building(self) -> bool:
        return self.run is not None and self.run.status == SyncStatus.PROCESSING

    @property
    def failure(self) -> SyncLog | None:
        return self.run if self.run is not None and self.run.error else None

    @property
    def build_seconds(self) -> float | None:
        """The build duration of the current release in seconds, None if unknown."""
        if self.last_build is None or self.publication is None:
            return None
        is_out = self.last_build.generation == self.publication.generation
        return self.last_build.duration_seconds if is_out else None


def state_of(plan: AcademicPlan) -> State:
    """Return the plan's state. At most 14 queries."""
    publication = Publication.objects.filter(plan=plan).first()
    is_held = publication is not None and publication.rolled_back_at is not None
    changed = staleness.waiting_in_held if is_held else staleness.pending
    sources = changed([plan.pk]).get(plan.pk)
    last = SyncLog.objects.filter(plan=plan).order_by("-pk").first()
    run = last if last is not None and last.status in _UNFINISHED else None
    last_build = (
        last if last is None or last.built_at is not None else _last_build(plan)
    )
    edits: int | None = None
    differing: list[str] = []
    if sources is not None and publication is not None and publication.built_from:
        differing = _differing(publication.built_from, sources)
        built_from_time = None if last_build is None else last_build.read_at
        if is_held:
            built_from_time = publication.rolled_back_at
        edits = (
            None
            if built_from_time is None
            else _edits_since(plan, built_from_time) or None
        )
    return State(
        plan=plan,
        publication=publication,
        is_pending=sources is not None and not is_held,
        is_held=is_held and plan.is_published,
        edits=edits,
        sources=differing,
        run=run,
        last_build=last_build,
    )


def _differing(built: staleness.Sources, current: staleness.Sources) -> list[str]:
    """Return the names of the sources that have changed since the release was built."""
    before = dict(built.get("subjects") or ())
    moved = [pk for pk, revision in current["subjects"] if before.get(pk) != revision]
    titles = dict(Node.objects.filter(pk__in=moved).values_list("pk", "title"))
    names = [titles[pk] for pk in moved if pk in titles]
    removed_subjects = before.keys() - {pk for pk, _revision in current["subjects"]}
    if built.get("plan") != current["plan"] or removed_subjects:
        names.append(_("this plan"))
    built_settings = built.get("settings") or {}
    if built_settings != current["settings"]:
        only_base = {
            **built_settings,
            "base_url": current["settings"]["base_url"],
        } == current["settings"]
        names.append(
            _("the base URL of the files")
            if only_base
            else _("the publishing settings")
        )
    if built.get("search_folding") != current["search_folding"]:
        names.append(_("the search rules"))
    if built.get("format") != current["format"]:
        names.append(_("the format of the files"))
    return names


def _last_build(plan: AcademicPlan) -> SyncLog | None:
    """Return the last run that built a release, uploaded or not."""
    runs = SyncLog.objects.filter(plan=plan, built_at__isnull=False)
    return runs.order_by("-pk").first()


def _edits_since(plan: AcademicPlan, since: datetime) -> int:
    """Return the number of edits of the plan and its subjects. Five queries."""
    subjects = list(plan.subjects.values_list("pk", flat=True))
    found = set()
    for rows in (
        AcademicPlan.history.filter(id=plan.pk),
        PlanSubject.history.filter(plan_id=plan.pk),
        PlanOverride.history.filter(plan_id=plan.pk),
        Node.history.filter(Q(subject_id__in=subjects) | Q(id__in=subjects)),
        LessonStage.history.filter(lesson__subject_id__in=subjects),
    ):
        later = rows.filter(history_date__gt=since).order_by()
        found.update(later.values_list("change", flat=True).distinct())
    return len(found)


def head(
    request: HttpRequest, plan: AcademicPlan, *, current_tab: str, may_publish: bool
) -> SafeString:
    """Render the top of every page of a plan: state, buttons, tabs.

    With ``?run=``, the primary key of a run of the plan, it tells what became of it.

    Args:
        current_tab: the name of the page's own tab, one of `_TABS`.
    """
    user: Any = request.user
    now = timezone.now()
    run = request.GET.get("run", "")
    asked = SyncLog.objects.filter(plan=plan, pk=as_key(run)).first() if run else None
    query = urlencode({"tab": current_tab, **({"run": run} if asked else {})})
    state = state_of(plan)
    may_see_quality = not state.is_out and user.has_perm("content.view_node")
    context = {
        "state": state,
        "plan": plan,
        # Their quality reports are linked until the first publish.
        "unchecked_subjects": _subjects(plan) if may_see_quality else (),
        "here": current_tab,
        "may_publish": may_publish,
        "may_see_releases": user.has_perm("publishing.view_publication"),
        "may_see_log": user.has_perm("publishing.view_synclog"),
        "fault": fault_message(silence.fault(now)),
        "asked": None if asked is None else outcome_of(asked),
        "head_url": f"{reverse('admin:publishing_plan_head', args=[plan.pk])}?{query}",
        "minutes": math.ceil((schedule.next_run(now) - now) / timedelta(minutes=1)),
        "preview_url": _preview_url(plan),
    }
    return render_to_string("admin/plans/plan_header.html", context, request)


def _subjects(plan: AcademicPlan) -> QuerySet[Node]:
    found: QuerySet[Node] = Node.objects.untrashed().filter(plan_subjects__plan=plan)
    return found.order_by("plan_subjects__position", "plan_subjects__pk")


def _preview_url(plan: AcademicPlan) -> str:
    try:
        return reverse("admin:preview_plan", args=[plan.public_id])
    except NoReverseMatch:
        return ""


class ReleasePages:
    """Mixin for the `ModelAdmin` of plans: "Publish now" and the upcoming changes."""

    def get_urls(self) -> list[URLPattern]:
        parent: Any = super()
        admin: Any = self
        own = (
            ("upcoming/", self.upcoming_view, "publishing_upcoming"),
            ("head/", self.head_view, "publishing_plan_head"),
            ("publish/", self.publish_view, "publishing_publish_plan"),
            ("release/", self.release_view, "publishing_release_plan"),
        )
        pages = [
            path(f"<int:plan_pk>/{route}", admin.admin_site.admin_view(view), name=name)
            for route, view, name in own
        ]
        return [*pages, *parent.get_urls()]

    def plan_head(
        self, request: HttpRequest, plan: AcademicPlan, current_tab: str
    ) -> SafeString:
        """Call `head` with the user's permissions."""
        admin: Any = self
        may_publish = admin.has_publish_permission(request)
        return head(request, plan, current_tab=current_tab, may_publish=may_publish)

    def upcoming_view(self, request: HttpRequest, plan_pk: int) -> HttpResponse:
        """Show the files that the next publish adds, changes and removes."""
        admin: Any = self
        plan = get_object_or_404(AcademicPlan, pk=plan_pk)
        if not admin.has_view_permission(request, plan):
            raise PermissionDenied
        found: release_diff.ReleaseDiff | None = None
        fault: Exception | None = None
        try:
            found = release_diff.of_plan(plan)
        except (InvalidDocumentError, StructureError, OSError) as error:
            fault = error
        context = {
            **admin.admin_site.each_context(request),
            "title": _("Upcoming changes of “%(plan)s”") % {"plan": plan.title},
            "opts": admin.opts,
            "plan": plan,
            "plan_head": self.plan_head(request, plan, "upcoming"),
            "upcoming": found,
            "may_publish": admin.has_publish_permission(request),
            "fault": fault,
            "sorts": _sorts(found) if found is not None else [],
        }
        return TemplateResponse(request, "admin/plans/upcoming_changes.html", context)

    def head_view(self, request: HttpRequest, plan_pk: int) -> HttpResponse:
        """Render the head alone, for the script that follows a publish."""
        admin: Any = self
        plan = get_object_or_404(AcademicPlan, pk=plan_pk)
        if not admin.has_view_permission(request, plan):
            raise PermissionDenied
        tab = request.GET.get("tab", "")
        return HttpResponse(
            self.plan_head(request, plan, tab if tab in _TABS else "plan")
        )

    def publish_view(self, request: HttpRequest, plan_pk: int) -> HttpResponse:
        """On POST, enqueue the build of the plan, and follow it on the same tab.

        With ``offer``, a draft plan is marked as published first.
        """
        plan = self._posted_plan(request, plan_pk)
        if plan is None:
            return HttpResponseRedirect(_page(plan_pk, "plan"))
        if not plan.is_published and "offer" in request.POST:
            plan.is_published = True
            plan.save(update_fields=["is_published", "updated_at"])
        if not plan.is_published:
            message = _("“%(title)s” is a draft: tick “published” on its page first.")
            messages.warning(request, message % {"title": plan.title})
        elif rollback.is_held(plan.pk):
            messages.warning(request, HELD_MESSAGE % {"title": plan.title})
        else:
            return self._publish(request, plan, "admin")
        return HttpResponseRedirect(_page(plan.pk, request.POST.get("tab", "")))

    def release_view(self, request: HttpRequest, plan_pk: int) -> HttpResponse:
        """On POST, release a held plan and enqueue its build."""
        plan = self._posted_plan(request, plan_pk)
        if plan is not None and rollback.release(plan.pk):
            return self._publish(request, plan, "release")
        if plan is not None:
            messages.info(request, _("The plan is not held any more."))
        return HttpResponseRedirect(_page(plan_pk, request.POST.get("tab", "")))

    def _posted_plan(self, request: HttpRequest, plan_pk: int) -> AcademicPlan | None:
        """Return the plan that a POST publishes; None for another method.

        Raises:
            PermissionDenied: the user may not publish.
        """
        admin: Any = self
        plan = get_object_or_404(AcademicPlan, pk=plan_pk)
        if not admin.has_publish_permission(request):
            raise PermissionDenied
        return plan if request.method == "POST" else None

    def _publish(
        self, request: HttpRequest, plan: AcademicPlan, trigger: str
    ) -> HttpResponse:
        """Enqueue the build; redirect to the page that follows its run."""
        user_pk = cast(int, request.user.pk)
        tab = request.POST.get("tab", "")
        run = sync_log.record_request(plan.pk, trigger=trigger, by=user_pk)
        if run is None:
            messages.info(request, _("Nothing has changed: the release is up to date."))
            return HttpResponseRedirect(_page(plan.pk, tab))
        if enqueue(request, publish_plan, plan.pk, trigger, user_pk):
            notify_publishing(request, 1)
        return HttpResponseRedirect(f"{_page(plan.pk, tab)}?run={run.pk}")


_TABS = {
    "plan": "admin:plans_academicplan_change",
    "upcoming": "admin:publishing_upcoming",
    "generations": "admin:publishing_generations",
    "history": "admin:plans_academicplan_history",
}
"""The pages of a plan, by the name of their tab."""


def _page(plan_pk: int, tab: str) -> str:
    return reverse(_TABS.get(tab, _TABS["plan"]), args=[plan_pk])


def _sorts(found: release_diff.ReleaseDiff) -> list[dict[str, Any]]:
    """Return the kinds of file changes, each with the number and the files."""
    return [
        {
            "what": what,
            "title": title,
            "files": files,
            "count": count,
            "more": count - len(files),
        }
        for what, title, files, count in (
            ("added", _("Added"), found.added, len(found.preview.added)),
            (
                "rewritten",
                _("Missing on the disk, will be written again"),
                found.rewritten,
                len(found.preview.rewritten),
            ),
            ("removed", _("Removed"), found.removed, len(found.preview.removed)),
        )
        if count
    ]
