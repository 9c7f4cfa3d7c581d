"""The page with a plan's kept generations, and its rollback button."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from core.parsing import whole_number
from plans.models import AcademicPlan
from publishing.admin_views.labels import triggered_by
from publishing.building import rollback
from publishing.building.rollback import RollbackError


def link_to(plan_pk: int) -> SafeString:
    """Return a link to the page with a plan's generations."""
    url = reverse("admin:publishing_generations", args=[plan_pk])
    return format_html('<a href="{}">{}</a>', url, _("Kept generations"))


def page(
    request: HttpRequest,
    plan: AcademicPlan,
    context: dict[str, Any],
    *,
    may_change: bool,
) -> HttpResponse:
    """List the kept generations; a POST with ``generation`` makes that one current.

    Args:
        context: the context of every admin page.
        may_change: whether the user may change what students read.

    Raises:
        PermissionDenied: a POST by a user without that right.
    """
    if request.method == "POST":
        if not may_change:
            raise PermissionDenied
        _make_current(request, plan)
        return HttpResponseRedirect(request.path)
    rows: list[dict[str, Any]] | None = None
    try:
        rows = [
            {
                "kept": release,
                "asked_by": triggered_by(release.log) if release.log else "",
            }
            for release in rollback.kept_releases(plan.public_id)
        ]
    except OSError as error:
        message = _("The generations on the disk cannot be read: %(why)s")
        messages.error(request, message % {"why": error.strerror or error})
    context |= {
        "title": _("Kept generations of “%(plan)s”") % {"plan": plan.title},
        "plan": plan,
        "rows": rows,
        "may_change": may_change and plan.is_published,
    }
    return TemplateResponse(request, "admin/publishing/generations.html", context)


def _make_current(request: HttpRequest, plan: AcademicPlan) -> None:
    number = whole_number(request.POST.get("generation", ""))
    if number is None:
        messages.error(request, _("Choose a generation from the list."))
        return
    try:
        rollback.make_current(plan.public_id, number, by=_person(request))
    except RollbackError as error:
        messages.error(request, str(error))
    except OSError as error:
        messages.error(
            request,
            _(
                "The generation could not be made current: %(why)s. Students keep the "
                "current release."
            )
            % {"why": error.strerror or error},
        )
    else:
        message = _(
            "Generation %(generation)s is now current, and the plan is held: changes "
            "are kept and not published until you release it."
        )
        messages.success(request, message % {"generation": number})


def _person(request: HttpRequest) -> Any:
    return request.user
