"""The admin page of the publishing settings.

Secrets can be entered but not read. Settings that use the CDN in a new way are saved
only if the CDN passes the connection test.
"""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import models
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _, gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters
from solo.admin import SingletonModelAdmin

from core.secret_forms import SecretField, SecretsForm
from publishing.cdn import connection
from publishing.models import PublishingSettings


class PublishingSettingsForm(SecretsForm):
    """All settings; secrets can be entered, kept or removed, and are never shown."""

    SECRETS = PublishingSettings.SECRETS

    tested: connection.Result | None = None
    """The result of testing these settings; None if no test was needed."""

    cdn_access_key = SecretField(label=gettext_lazy("Access key id"))
    cdn_secret_key = SecretField(label=gettext_lazy("Secret access key"))
    cloudflare_token = SecretField(
        label=gettext_lazy("Cloudflare API token"),
        help_text=gettext_lazy("With the permission “Cache Purge” for this zone only."),
    )

    def clean(self) -> dict[str, Any]:
        """Validate, and refuse settings that have failed their test."""
        cleaned = super().clean()
        if self.tested is not None and not self.tested.ok:
            self.add_error(None, ValidationError(_refusal(self.tested)))
        return cleaned


def _refusal(tested: connection.Result) -> list[str]:
    """Return the reason why nothing was saved, and each failed step."""
    return [
        _(
            "The CDN test failed, so nothing was saved. Correct the settings listed "
            "here and enter new keys again, or turn off “use the CDN” to save the "
            "settings for later."
        ),
        *(f"{step.name}: {step.message}" for step in tested.steps if not step.ok),
    ]


class PublishingSettingsAdmin(SingletonModelAdmin):
    form = PublishingSettingsForm
    change_form_template = "admin/publishing/settings_form.html"
    formfield_overrides = {models.URLField: {"assume_scheme": "https"}}
    fieldsets = (
        (
            gettext_lazy("Delivery to students"),
            {"fields": ("local_domain", "local_fallback_mode")},
        ),
        (
            gettext_lazy("CDN"),
            {
                "fields": (
                    "cdn_enabled",
                    "cdn_base_url",
                    "cdn_endpoint",
                    "cdn_region",
                    "cdn_path_style",
                    "cdn_bucket",
                    "cdn_private_bucket",
                    "cdn_access_key",
                    "cdn_secret_key",
                    "cdn_gzip",
                    "cloudflare_zone",
                    "cloudflare_token",
                    "forget_secrets",
                )
            },
        ),
        (
            gettext_lazy("Publishing"),
            {
                "fields": (
                    "batch_threshold",
                    "search_shard_threshold",
                    "kept_generations",
                    "min_free_disk_percent",
                )
            },
        ),
        (
            gettext_lazy("Videos"),
            {"fields": ("signed_url_hours", "embed_signed_urls")},
        ),
    )

    def get_urls(self) -> list[URLPattern]:
        own = path(
            "test-connection/",
            self.admin_site.admin_view(self.test_connection),
            name="publishing_test_connection",
        )
        return [own, *super().get_urls()]

    @method_decorator(sensitive_post_parameters(*PublishingSettings.SECRETS))
    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Show or save the settings; test submitted ones first if `needs_test`.

        The test calls other servers, so it runs before Django's transaction, which
        would otherwise block all other writers.
        """
        if request.method == "POST" and self.has_change_permission(request):
            request.tested_cdn = self._tested(request)  # type: ignore[attr-defined]
        return super().changeform_view(request, *args, **kwargs)

    def _tested(self, request: HttpRequest) -> connection.Result | None:
        before, edited = PublishingSettings.get_solo(), PublishingSettings.get_solo()
        form = self.get_form(request, edited)(request.POST, instance=edited)
        if not form.is_valid() or not connection.needs_test(before, form.instance):
            return None
        return connection.check(form.instance)

    def get_form(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, *args, **kwargs)
        form.tested = getattr(request, "tested_cdn", None)
        return form

    def save_model(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().save_model(request, *args, **kwargs)
        if getattr(request, "tested_cdn", None) is not None:
            messages.success(request, _("The CDN connection test succeeded."))

    def test_connection(self, request: HttpRequest) -> HttpResponse:
        """Test the stored settings and show the result of each step.

        Raises:
            PermissionDenied: the user may not change the settings.
        """
        if not self.has_change_permission(request):
            raise PermissionDenied
        if request.method == "POST":
            for step in connection.check().steps:
                level = messages.SUCCESS if step.ok else messages.ERROR
                messages.add_message(request, level, f"{step.name}: {step.message}")
        return HttpResponseRedirect(
            reverse("admin:publishing_publishingsettings_change")
        )
