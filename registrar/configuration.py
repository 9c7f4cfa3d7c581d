"""The registrar's settings, from the environment. Without them the registrar is off."""

from dataclasses import dataclass, field

from django.conf import settings


@dataclass(frozen=True, kw_only=True)
class WebhookSecrets:
    """Who may send to the inbox; each kind may have several, the old and the new.

    Args:
        hmac: keys with which a sender signs time and body.
        header: values of the header ``X-Registrar-Key``.
        token: tokens that Zoho's notifications repeat.
    """

    hmac: tuple[str, ...] = field(default=(), repr=False)
    header: tuple[str, ...] = field(default=(), repr=False)
    token: tuple[str, ...] = field(default=(), repr=False)

    @property
    def is_on(self) -> bool:
        """Whether anything can be verified."""
        return bool(self.hmac or self.header or self.token)


def webhook_secrets() -> WebhookSecrets:
    """Return the secrets of the inbox."""
    return WebhookSecrets(
        hmac=tuple(settings.REGISTRAR_HMAC_KEYS),
        header=tuple(settings.REGISTRAR_HEADER_KEYS),
        token=tuple(settings.REGISTRAR_TOKENS),
    )


def has_zoho() -> bool:
    """Return whether Zoho CRM is configured."""
    return bool(settings.ZOHO_REFRESH_TOKEN)


def has_moodle() -> bool:
    """Return whether Moodle is configured."""
    return bool(settings.MOODLE_URL and settings.MOODLE_TOKEN)


def is_on() -> bool:
    """Return whether anything of the registrar is configured."""
    return webhook_secrets().is_on or has_zoho() or has_moodle()
