"""The part of an admin's add and change pages that stores and restores drafts."""

from typing import Any, cast

import orjson
from django.contrib import messages
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBadRequest,
    JsonResponse,
    QueryDict,
)
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from content import lesson_data
from content.drafts import presence, storage
from core.parsing import is_key

SAVE_SECONDS = 3
"""How often a changed form is stored."""
_NEW = "new"
_NOT_KEPT = ("csrfmiddlewaretoken",)


class DraftPages:
    """Mixin for a ``ModelAdmin``: its forms are stored while they change.

    A stored draft is shown, with its errors, as a refused form is. The form class has
    ``is_restored`` then.
    """

    def get_urls(self) -> list[URLPattern]:
        admin: Any = self
        view = admin.admin_site.admin_view(require_POST(self.draft_view))
        name = f"{admin.opts.app_label}_{admin.opts.model_name}_draft"
        own: list[URLPattern] = [path("draft/", view, name=name)]
        parent: Any = super()
        return [*own, *parent.get_urls()]

    def draft_view(self, request: HttpRequest) -> HttpResponse:
        """Store the draft of a page, or discard it; return who else has the page open.

        The body is JSON: ``page``, and ``fields`` (as in `FormDraft`), ``discard`` or
        ``discard_unfinished``; without these it is a heartbeat.
        """
        admin: Any = self
        if not (
            admin.has_change_permission(request) or admin.has_add_permission(request)
        ):
            raise PermissionDenied
        try:
            sent = orjson.loads(request.body)
            page, fields = str(sent["page"]), sent.get("fields")
            if fields is not None:
                fields = [(str(name), str(value)) for name, value in fields]
        except (ValueError, TypeError, KeyError, AttributeError):
            return HttpResponseBadRequest()
        self._require_right(request, page)
        now = timezone.now()
        who: Any = {"user_pk": request.user.pk, "page": self._key(page)}
        try:
            if sent.get("discard_unfinished"):
                self.discard_unfinished(page)
            elif sent.get("discard"):
                storage.discard(**who)
            elif fields is not None:
                kept = [field for field in fields if field[0] not in _NOT_KEPT]
                storage.save(**who, fields=kept, now=now)
        except ValidationError as error:
            return JsonResponse({"error": " ".join(error.messages)}, status=409)
        others = presence.sign(**who, now=now)
        saved = _("Draft kept at %(time)s") % {"time": clock(now)}
        return JsonResponse(
            {"saved": saved if fields is not None else "", "others": _names_of(others)}
        )

    def _require_right(self, request: HttpRequest, page: str) -> None:
        """Require the right to save the page.

        Raises:
            PermissionDenied: the user lacks it.
            Http404: there is no such row.
        """
        admin: Any = self
        key, _slash, parent = page.partition("/")
        if key == _NEW and (not parent or is_key(parent)):
            if not admin.has_add_permission(request):
                raise PermissionDenied
            return
        obj = admin.model._base_manager.filter(pk=key).first() if is_key(page) else None
        if obj is None:
            raise Http404
        if not admin.has_change_permission(request, obj):
            raise PermissionDenied

    def _key(self, page: str) -> str:
        admin: Any = self
        return f"{admin.opts.label_lower}/{page}"

    def _page_of(self, request: HttpRequest, object_id: str | None) -> str:
        """Return the name of the page; ``?parent=`` is part of a new entry's."""
        if object_id is not None:
            return object_id
        parent = request.GET.get("parent", "")
        return f"{_NEW}/{parent}" if is_key(parent) else _NEW

    # --- Showing a draft --------------------------------------------------------

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Show the page with the editor's draft, if there is one.

        Raises:
            PermissionDenied, Http404: as in Django's admin.
        """
        extra = dict(extra_context or {})
        page = self._page_of(request, object_id)
        request.draft_page = page  # type: ignore[attr-defined]
        if request.method == "GET" and self._may_save(request, object_id):
            data = self.unsaved_data(request, object_id, extra)
            request.restored_data = data  # type: ignore[attr-defined]
            others = storage.of_others(
                user_pk=cast(int, request.user.pk), page=self._key(page)
            )
            extra["drafts_of_others"] = [
                {"name": str(other.user), "time": clock(other.saved_at)}
                for other in others
            ]
        extra["draft_settings"] = self._draft_settings(page)
        return super().changeform_view(request, object_id, form_url, extra)  # type: ignore[misc]

    def unsaved_data(
        self, request: HttpRequest, object_id: str | None, extra: dict[str, Any]
    ) -> QueryDict | None:
        """Return the data to show in place of the stored one: the editor's draft.

        ``extra`` is the context for the notices about it.
        """
        page = self._page_of(request, object_id)
        draft = storage.load(user_pk=cast(int, request.user.pk), page=self._key(page))
        if draft is None:
            return None
        data = lesson_data.form_data(draft.data)
        self.before_restoring(request, object_id, data)
        extra["draft_time"] = clock(draft.saved_at)
        return data

    def discard_unfinished(self, page: str) -> None:
        """Delete what is shared and unfinished of the page, if there is such a thing."""

    def before_restoring(
        self, request: HttpRequest, object_id: str | None, data: QueryDict
    ) -> None:
        """Change a draft's data before it is shown.

        A row that another user saved after the draft began is said to be newer; saving
        the page then replaces it.
        """
        admin: Any = self
        row = None
        if object_id is not None:
            row = admin.get_object(request, object_id)
        if row is None or data.get("seen") == admin.form.version(row):
            return
        data["seen"] = admin.form.version(row)
        messages.warning(
            request,
            _(
                "Another user has saved this page since your unsaved changes. Saving "
                "them replaces the other user's."
            ),
        )

    def _may_save(self, request: HttpRequest, object_id: str | None) -> bool:
        admin: Any = self
        if object_id is None:
            return bool(admin.has_add_permission(request))
        return bool(admin.has_change_permission(request))

    def _draft_settings(self, page: str) -> dict[str, Any]:
        admin: Any = self
        name = f"admin:{admin.opts.app_label}_{admin.opts.model_name}_draft"
        return {
            "url": reverse(name),
            "page": page,
            "save_seconds": SAVE_SECONDS,
            "heartbeat_seconds": presence.HEARTBEAT_SECONDS,
            "texts": {
                "others": _("Also open on this page: %(names)s"),
                "discard_unfinished": _(
                    "Discard everything that was saved since the last complete version?"
                ),
                "not_kept": _("Your changes are not kept as a draft at the moment."),
            },
        }

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form = super().get_form(request, obj, change, **kwargs)  # type: ignore[misc]
        data = getattr(request, "restored_data", None)
        return form if data is None else _restored(form, data)

    def get_formset_kwargs(
        self, request: HttpRequest, obj: Any, inline: Any, prefix: str
    ) -> dict[str, Any]:
        options: dict[str, Any] = super().get_formset_kwargs(  # type: ignore[misc]
            request, obj, inline, prefix
        )
        data = getattr(request, "restored_data", None)
        return options if data is None else {**options, "data": data, "files": {}}

    # --- After saving -----------------------------------------------------------

    def response_add(self, request: HttpRequest, obj: Any, *args: Any) -> Any:
        self.discard_draft(request)
        return super().response_add(request, obj, *args)  # type: ignore[misc]

    def response_change(self, request: HttpRequest, obj: Any) -> Any:
        self.discard_draft(request)
        return super().response_change(request, obj)  # type: ignore[misc]

    def discard_draft(self, request: Any) -> None:
        """Delete the editor's draft of the page."""
        storage.discard(
            user_pk=cast(int, request.user.pk), page=self._key(request.draft_page)
        )


def _restored(form: Any, data: QueryDict) -> Any:
    """Return the form's class with a draft as its data."""

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        form.__init__(self, *args, **{**kwargs, "data": data, "files": {}})

    return type(form)(form.__name__, (form,), {"__init__": init, "is_restored": True})


def clock(moment: Any) -> str:
    """Return the time of day, with the date unless it is today."""
    local, today = timezone.localtime(moment), timezone.localdate()
    style = "TIME_FORMAT" if local.date() == today else "SHORT_DATETIME_FORMAT"
    return date_format(local, style)


def _names_of(user_pks: list[int]) -> list[str]:
    if not user_pks:
        return []
    users = get_user_model()._base_manager.filter(pk__in=user_pks).order_by("pk")
    return [str(user) for user in users]
