"""Admin of what staff decide: accounts and secrets, and when requests are open."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import models
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _, gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters
from solo.admin import SingletonModelAdmin

from core.secret_forms import SecretField, SecretsForm
from registrar import connecting
from registrar.checks import MAX_TOKEN, MIN_SECRET
from registrar.mapping.modules import MAPPINGS
from registrar.models import RegistrarSettings, RequestWindow

_SEVERAL = gettext_lazy(
    "Separate the new and the old one by a comma while they change. Each has at least "
    "24 characters."
)


_OTHERWISE = gettext_lazy("Where this is empty, the server's environment applies.")


class RegistrarSettingsForm(SecretsForm):
    """All accounts and secrets; an account is entered completely or not at all."""

    SECRETS = RegistrarSettings.SECRETS

    zoho_client_secret = SecretField(label=gettext_lazy("Client secret"))
    zoho_refresh_token = SecretField(label=gettext_lazy("Refresh token"))
    moodle_token = SecretField(
        label=gettext_lazy("Token"),
        help_text=gettext_lazy("Of a user who may call the web services."),
    )
    hmac_keys = SecretField(
        label=gettext_lazy("Keys of signatures"), help_text=_SEVERAL
    )
    header_keys = SecretField(
        label=gettext_lazy("Values of the header X-Registrar-Key"), help_text=_SEVERAL
    )
    paused_modules = forms.MultipleChoiceField(
        label=gettext_lazy("Modules that are switched off"),
        required=False,
        choices=[(module, module) for module in MAPPINGS],
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy(
            "They are neither read from Zoho nor sent. What arrives for them waits."
        ),
    )
    tokens = SecretField(
        label=gettext_lazy("Tokens of Zoho's notifications"),
        help_text=gettext_lazy("At most 50 characters each, which Zoho requires."),
    )

    def clean(self) -> dict[str, Any]:
        for name in ("hmac_keys", "header_keys", "tokens"):
            self._check_secrets(name)
        cleaned = super().clean()
        zoho = ("zoho_client_id", "zoho_client_secret", "zoho_refresh_token")
        for account in (zoho, ("moodle_url", "moodle_token")):
            missing = [name for name in account if not cleaned.get(name)]
            if missing and len(missing) < len(account):
                for name in missing:
                    self.add_error(
                        name, _("Enter it, too, or leave the whole account empty.")
                    )
        return cleaned

    def _check_secrets(self, name: str) -> None:
        most = MAX_TOKEN if name == "tokens" else 500
        entered = str(self.cleaned_data.get(name) or "")
        for one in filter(None, (part.strip() for part in entered.split(","))):
            if not MIN_SECRET <= len(one) <= most:
                self.add_error(
                    name,
                    ValidationError(
                        _("A secret has %(least)d to %(most)d characters.")
                        % {"least": MIN_SECRET, "most": most}
                    ),
                )


@admin.register(RegistrarSettings)
class RegistrarSettingsAdmin(SingletonModelAdmin):
    form = RegistrarSettingsForm
    change_form_template = "admin/registrar/settings_form.html"
    formfield_overrides: ClassVar[Any] = {models.URLField: {"assume_scheme": "https"}}
    fieldsets = (
        (
            gettext_lazy("Zoho CRM"),
            {
                "description": _OTHERWISE,
                "fields": (
                    *("zoho_client_id", "zoho_client_secret", "zoho_refresh_token"),
                    "zoho_accounts_url",
                ),
            },
        ),
        (
            gettext_lazy("Moodle"),
            {"description": _OTHERWISE, "fields": ("moodle_url", "moodle_token")},
        ),
        (
            gettext_lazy("Who may send webhooks"),
            {
                "description": _OTHERWISE,
                "fields": ("hmac_keys", "header_keys", "tokens", "forget_secrets"),
            },
        ),
        (gettext_lazy("Modules"), {"fields": ("paused_modules",)}),
    )

    def get_urls(self) -> list[URLPattern]:
        own = path(
            "test/<str:peer>/",
            self.admin_site.admin_view(self.test_connection),
            name="registrar_test_connection",
        )
        return [own, *super().get_urls()]

    @method_decorator(sensitive_post_parameters(*RegistrarSettings.SECRETS))
    def changeform_view(self, *args: Any, **kwargs: Any) -> Any:
        return super().changeform_view(*args, **kwargs)

    def test_connection(self, request: HttpRequest, peer: str) -> HttpResponse:
        """Test the stored account of a peer and tell the result.

        Raises:
            PermissionDenied: the user may not change the settings.
            Http404: there is no such peer.
        """
        if not self.has_change_permission(request):
            raise PermissionDenied
        if peer not in connecting.PEERS:
            raise Http404
        if request.method == "POST":
            tested = connecting.try_connection(peer)
            level = messages.SUCCESS if tested.ok else messages.ERROR
            messages.add_message(request, level, tested.message)
        return HttpResponseRedirect(reverse("admin:registrar_registrarsettings_change"))


@admin.register(RequestWindow)
class RequestWindowAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """When students may send requests of a kind; a window is closed, not deleted."""

    list_display = ("kind", "is_enabled", "opens_at", "closes_at", "updated_at")
    fields = ("kind", "is_enabled", "opens_at", "closes_at")

    def has_delete_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        return False
