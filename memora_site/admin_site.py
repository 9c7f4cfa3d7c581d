"""The admin, as ours: its name, its templates, its choosers."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.apps import AdminConfig
from django.contrib.admin.views.autocomplete import AutocompleteJsonView
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

_APP_ORDER = ("content", "plans", "publishing", "players", "progress")


class LabelledAutocompleteView(AutocompleteJsonView):
    """A chooser's entries, worded by the model's admin (``autocomplete_label``)."""

    def serialize_result(self, obj: Model, to_field_name: str) -> dict[str, str]:
        entry: dict[str, str] = super().serialize_result(obj, to_field_name)
        label = getattr(self.model_admin, "autocomplete_label", None)
        return entry if label is None else {**entry, "text": label(obj)}


class MemoraAdminSite(admin.AdminSite):
    """Django's admin under Memora's name."""

    site_header = _("Memora")
    site_title = _("Memora")
    index_title = _("Home")
    site_url = None

    def get_app_list(
        self, request: HttpRequest, app_label: str | None = None
    ) -> list[dict[str, Any]]:
        """The apps in the order work flows through them; the framework's own last."""
        apps: list[dict[str, Any]] = super().get_app_list(request, app_label)
        order = {label: place for place, label in enumerate(_APP_ORDER)}
        return sorted(apps, key=lambda app: order.get(app["app_label"], len(order)))

    def autocomplete_view(self, request: HttpRequest) -> HttpResponse:
        view: Any = LabelledAutocompleteView.as_view(admin_site=self)
        response: HttpResponse = view(request)
        return response


class MemoraAdminConfig(AdminConfig):
    default_site = "memora_site.admin_site.MemoraAdminSite"
