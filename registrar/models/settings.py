"""The accounts and secrets that the registrar's staff enter in the admin."""

from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _
from solo.models import SingletonModel

from core import private_hosts


def _secret(name: Any) -> "models.TextField[str, str]":
    """Return a column for a secret, which `core.secrets` has encrypted."""
    return models.TextField(name, blank=True)


class RegistrarSettings(SingletonModel):
    """The single row of accounts and secrets; what it lacks, the environment has
    (`registrar.configuration`)."""

    SECRETS: ClassVar[tuple[str, ...]] = (
        *("zoho_client_secret", "zoho_refresh_token", "moodle_token"),
        *("hmac_keys", "header_keys", "tokens"),
    )

    zoho_client_id = models.CharField(
        _("client id"), max_length=120, default="", blank=True
    )
    zoho_client_secret = _secret(_("client secret"))
    zoho_refresh_token = _secret(_("refresh token"))
    zoho_accounts_url = models.URLField(
        _("accounts server"),
        default="https://accounts.zoho.com",
        help_text=_("Of the region of the account, such as https://accounts.zoho.eu."),
    )
    moodle_url = models.URLField(_("address"), default="", blank=True)
    moodle_token = _secret(_("token"))
    hmac_keys = _secret(_("keys of signatures"))
    header_keys = _secret(_("values of the header X-Registrar-Key"))
    tokens = _secret(_("tokens of notifications"))
    paused_modules = models.JSONField(
        _("modules that are switched off"), default=list, blank=True
    )
    """Modules of Zoho that are neither read nor sent; what arrives for them waits."""

    class Meta:
        verbose_name = _("registrar settings")
        verbose_name_plural = _("registrar settings")

    def __str__(self) -> str:
        return str(self._meta.verbose_name)

    def clean(self) -> None:
        """Refuse addresses that the registrar may not call.

        Raises:
            ValidationError: an address is not https, or its host is not permitted.
        """
        wrong = {
            name: _("Enter an address with https.")
            for name in ("zoho_accounts_url", "moodle_url")
            if getattr(self, name)
            and not private_hosts.is_permitted(getattr(self, name))
        }
        if wrong:
            raise ValidationError(wrong)
