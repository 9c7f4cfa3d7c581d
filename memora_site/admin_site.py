"""Memora's admin site: its name, its order of apps, its own pages."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib import admin
from django.contrib.admin import actions
from django.contrib.admin.apps import AdminConfig
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.autocomplete import AutocompleteJsonView
from django.contrib.admin.views.main import ChangeList
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

_APP_ORDER = ("content", "plans", "publishing", "players", "progress", "registrar")


class LabelledAutocompleteView(AutocompleteJsonView):
    """Autocomplete results, labelled by the model admin's ``autocomplete_label``."""

    def serialize_result(self, obj: Model, to_field_name: str) -> dict[str, str]:
        entry: dict[str, str] = super().serialize_result(obj, to_field_name)
        label = getattr(self.model_admin, "autocomplete_label", None)
        return entry if label is None else {**entry, "text": label(obj)}


@admin.action(
    permissions=["delete"],
    description=getattr(actions.delete_selected, "short_description"),  # noqa: B009
)
def delete_selected(
    model_admin: Any, request: HttpRequest, queryset: QuerySet[Any]
) -> HttpResponse | None:
    """Django's action in one transaction: all objects are deleted or none."""
    with transaction.atomic():
        page: HttpResponse | None = actions.delete_selected(
            model_admin, request, queryset
        )
    return page


class CheckedFilters(ChangeList):
    """A change list that ignores invalid filter values.

    Django passes a number that no column can hold (``?created_at__year=-1``) to the
    database. Here it is handled like any other invalid filter: the list is shown
    without it.
    """

    def get_filters(self, request: HttpRequest) -> Any:
        with _as_wrong_filter():
            return super().get_filters(request)

    def get_results(self, request: HttpRequest) -> None:
        with _as_wrong_filter():
            super().get_results(request)


class CheckedLists:
    """`ModelAdmin` mixin: the change list is a `CheckedFilters`."""

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        found = super().get_changelist(request, **kwargs)  # type: ignore[misc]
        return type("CheckedChangeList", (CheckedFilters, found), {})


@contextmanager
def _as_wrong_filter() -> Iterator[None]:
    try:
        yield
    except (ValueError, OverflowError) as error:
        raise IncorrectLookupParameters(error) from error


class MemoraAdminSite(admin.AdminSite):
    """Django's admin with Memora's name and pages."""

    site_header = _("Memora")
    site_title = _("Memora")
    index_title = _("Home")
    site_url = None

    def __init__(self, name: str = "admin") -> None:
        super().__init__(name)
        self.add_action(delete_selected)

    def register(
        self, model_or_iterable: Any, admin_class: Any = None, **options: Any
    ) -> None:
        """Register models with `CheckedFilters` in their lists."""
        base = admin_class or admin.ModelAdmin
        checked = type(base.__name__, (CheckedLists, base), {})
        checked.__module__ = base.__module__
        super().register(model_or_iterable, checked, **options)

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """Wrap every admin view: retry it after a write conflict, and explain a refused
        method."""
        from memora_site.conflict_retry import retry_on_conflict
        from memora_site.error_views import explain_method_not_allowed

        return super().admin_view(
            explain_method_not_allowed(retry_on_conflict(view)), cacheable
        )

    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Django's page with a form that audits refused accounts."""
        from players.forms import StaffSignInForm

        self.login_form = StaffSignInForm
        return super().login(request, extra_context)

    def password_change(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse:
        """Django's page with a form that limits wrong old passwords."""
        from django.contrib.auth.views import PasswordChangeView

        from players.forms import OwnPasswordForm

        request.current_app = self.name
        view: Any = PasswordChangeView.as_view(
            form_class=OwnPasswordForm,
            success_url=reverse("admin:password_change_done", current_app=self.name),
            extra_context={**self.each_context(request), **(extra_context or {})},
        )
        answer: TemplateResponse = view(request)
        return answer

    def get_app_list(
        self, request: HttpRequest, app_label: str | None = None
    ) -> list[dict[str, Any]]:
        """Return the apps in the order of the work; Django's own apps come last."""
        apps: list[dict[str, Any]] = super().get_app_list(request, app_label)
        for app in apps:
            app["models"][:0] = self._dashboard_entry(request, app["app_label"])
            if app["app_label"] == "players":
                app["models"] += self._import_entry(request)
        order = {label: place for place, label in enumerate(_APP_ORDER)}
        return sorted(apps, key=lambda app: order.get(app["app_label"], len(order)))

    def index(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse:
        """The home page, with the parts for the user's role (`home`)."""
        from memora_site import home

        return super().index(
            request, {**home.context(request), **(extra_context or {})}
        )

    def get_urls(self) -> list[Any]:
        """Add the pages that belong to no model."""
        # Imported here: they import models, which this module is loaded before.
        from content import import_export_views
        from players import (
            dashboard_views as player_dashboard,
            student_import_views,
        )
        from progress import grant_views, statistics_views, student_views
        from publishing.admin_views import dashboard_views, preview_views, upload_views
        from registrar.admin import pages as registrar_pages

        pages = (
            *(dashboard_views, import_export_views, player_dashboard),
            *(grant_views, preview_views, registrar_pages, statistics_views),
            *(student_import_views, student_views, upload_views),
        )
        own = [url for module in pages for url in module.urls(self)]
        return [*own, *super().get_urls()]

    def _import_entry(self, request: HttpRequest) -> list[dict[str, Any]]:
        """Return the import of students as an entry of the app list."""
        from players import student_import_views

        if not student_import_views.can_import(request):
            return []
        entry = {
            "name": _("Import students"),
            "object_name": "ImportStudents",
            "admin_url": reverse("admin:import_students"),
            "add_url": None,
            "view_only": True,
            "perms": {"view": True},
        }
        return [entry]

    def _dashboard_entry(
        self, request: HttpRequest, app_label: str
    ) -> list[dict[str, Any]]:
        """Return the app's dashboard as an entry of the app list, if it has one."""
        from players import (
            dashboard_views as player_dashboard,
        )
        from publishing.admin_views import dashboard_views
        from registrar.admin import pages as registrar_pages

        pages: dict[str, tuple[Any, Any]] = {
            "publishing": (dashboard_views, _("Publishing dashboard")),
            "players": (player_dashboard, _("Player dashboard")),
            "registrar": (registrar_pages, _("Registrar dashboard")),
        }
        views, name = pages.get(app_label, (None, None))
        if views is None or not views.can_view(request):
            return []
        entry = {
            "name": name,
            "object_name": "Dashboard",
            "admin_url": reverse(f"admin:{app_label}_dashboard"),
            "add_url": None,
            "view_only": True,
            "perms": {"view": True},
        }
        return [entry]

    def autocomplete_view(self, request: HttpRequest) -> HttpResponse:
        view: Any = LabelledAutocompleteView.as_view(admin_site=self)
        response: HttpResponse = view(request)
        return response


class MemoraAdminConfig(AdminConfig):
    default_site = "memora_site.admin_site.MemoraAdminSite"
