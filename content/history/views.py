"""The history pages of the admin, and the revert of lessons."""

from abc import abstractmethod
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.formats import localize
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from content.history import revert as history_revert
from content.history.changes import Edit
from content.models import Node, NodeKind
from core.admin_mixins import AbstractAdmin
from core.errors import MemoraError
from core.parsing import as_key

EDITS_PER_PAGE = 25
_STAGE_RIGHTS = ("add", "change", "delete")


class HistoryPages(metaclass=AbstractAdmin):
    """Mixin for a ``ModelAdmin``: its history page shows `edits_of`."""

    @abstractmethod
    def edits_of(self, obj: Any) -> list[Edit]:
        """Return the edits to show, newest first."""

    def can_go_back(self, request: HttpRequest, obj: Any) -> bool:
        """Return whether the user may revert to an earlier version."""
        return False

    def history_view(
        self,
        request: HttpRequest,
        object_id: str,
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Replace Django's page, which shows only changes made in the admin.

        Raises:
            PermissionDenied: the user may not view the object.
        """
        admin: Any = self
        obj = get_object_or_404(admin.model, pk=as_key(object_id))
        if not admin.has_view_permission(request, obj):
            raise PermissionDenied
        edits = self.edits_of(obj)
        page = Paginator(edits, EDITS_PER_PAGE).get_page(request.GET.get("page"))
        context = {
            **admin.admin_site.each_context(request),
            "title": _("History of “%(title)s”") % {"title": obj},
            "opts": admin.opts,
            "object": obj,
            "module_name": str(admin.opts.verbose_name_plural),
            "page": page,
            "newest": edits[0].id if edits else None,
            "can_go_back": self.can_go_back(request, obj),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/history.html", context)


class NodeHistory(HistoryPages):
    """The history of nodes; users can revert lessons there."""

    def can_go_back(self, request: HttpRequest, obj: Node) -> bool:
        admin: Any = self
        user: Any = request.user
        return (
            obj.kind == NodeKind.LESSON
            and admin.has_change_permission(request, obj)
            and all(user.has_perm(f"content.{do}_lessonstage") for do in _STAGE_RIGHTS)
        )

    def get_urls(self) -> list[URLPattern]:
        parent: Any = super()
        admin: Any = self
        revert = path(
            "<int:pk>/history/<uuid:change>/revert/",
            admin.admin_site.admin_view(require_POST(self.revert_view)),
            name="content_node_revert",
        )
        return [revert, *parent.get_urls()]

    def revert_view(self, request: HttpRequest, pk: int, change: UUID) -> HttpResponse:
        """POST: revert the lesson to its version after that edit.

        Raises:
            PermissionDenied: the user may not revert it.
            Http404: the lesson or the edit does not exist.
        """
        lesson = get_object_or_404(Node, pk=pk)
        if not self.can_go_back(request, lesson):
            raise PermissionDenied
        edit = next((e for e in self.edits_of(lesson) if e.id == change), None)
        if edit is None:
            raise Http404
        when = localize(localtime(edit.at))
        try:
            changed = history_revert.revert_lesson(lesson=lesson, moment=edit.at)
        except MemoraError as refusal:
            messages.error(request, refusal.message)
        else:
            message = (
                _("The lesson and its stages were restored to their state on %(when)s.")
                if changed
                else _("The lesson is the same as on %(when)s. Nothing was restored.")
            )
            messages.success(request, message % {"when": when})
        return HttpResponseRedirect(reverse("admin:content_node_history", args=[pk]))
