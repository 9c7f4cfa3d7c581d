"""The registrar's configuration. Without it the registrar is off.

Accounts and secrets are in the admin (`RegistrarSettings`). Where the admin has no Zoho
client id, no address of Moodle, or no secret of a kind, those of the environment apply.
How classes are placed in Moodle is in the environment only.
"""

from dataclasses import dataclass, field

import structlog
from django.conf import settings

from core import secrets
from core.secrets import SecretsError
from registrar.models import RegistrarSettings
from registrar.moodle.client import MoodleSite
from registrar.zoho.account import ZohoAccount

log = structlog.get_logger(__name__)


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


@dataclass(frozen=True, kw_only=True)
class Connections:
    """The peers' accounts, None without one, and the secrets of the inbox.

    ``is_unreadable``: a stored secret cannot be decrypted, so it is as if it were not
    there.
    """

    zoho: ZohoAccount | None
    moodle: MoodleSite | None
    webhooks: WebhookSecrets
    paused: frozenset[str] = frozenset()
    """Modules that staff have switched off."""
    is_unreadable: bool = False

    @property
    def is_on(self) -> bool:
        """Whether anything of the registrar is configured."""
        return self.webhooks.is_on or bool(self.zoho or self.moodle)


def connections() -> Connections:
    """Return the configured accounts and secrets. One query.

    Raises:
        django.db.Error: the database does not answer.
    """
    row = RegistrarSettings.objects.first() or RegistrarSettings()
    plain, is_unreadable = _decrypted(row)
    return Connections(
        zoho=_zoho(row, plain),
        moodle=_moodle(row, plain),
        webhooks=WebhookSecrets(
            hmac=_several(plain["hmac_keys"], settings.REGISTRAR_HMAC_KEYS),
            header=_several(plain["header_keys"], settings.REGISTRAR_HEADER_KEYS),
            token=_several(plain["tokens"], settings.REGISTRAR_TOKENS),
        ),
        paused=frozenset(row.paused_modules),
        is_unreadable=is_unreadable,
    )


def paused_modules() -> frozenset[str]:
    """Return the modules that staff have switched off. One query."""
    rows = RegistrarSettings.objects.values_list("paused_modules", flat=True)
    return frozenset(rows.first() or ())


def _decrypted(row: RegistrarSettings) -> tuple[dict[str, str], bool]:
    found, is_unreadable = dict.fromkeys(row.SECRETS, ""), False
    for name in row.SECRETS:
        try:
            found[name] = secrets.decrypt(getattr(row, name))
        except SecretsError:
            is_unreadable = True
            log.error("registrar_secret_unreadable", secret=name)
    return found, is_unreadable


def _zoho(row: RegistrarSettings, plain: dict[str, str]) -> ZohoAccount | None:
    if row.zoho_client_id:
        account = ZohoAccount(
            client_id=row.zoho_client_id,
            client_secret=plain["zoho_client_secret"],
            refresh_token=plain["zoho_refresh_token"],
            accounts_url=row.zoho_accounts_url,
        )
    else:
        account = ZohoAccount(
            client_id=settings.ZOHO_CLIENT_ID,
            client_secret=settings.ZOHO_CLIENT_SECRET,
            refresh_token=settings.ZOHO_REFRESH_TOKEN,
            accounts_url=settings.ZOHO_ACCOUNTS_URL,
        )
    return account if account.refresh_token else None


def _moodle(row: RegistrarSettings, plain: dict[str, str]) -> MoodleSite | None:
    if row.moodle_url:
        site = MoodleSite(url=row.moodle_url, token=plain["moodle_token"])
    else:
        site = MoodleSite(url=settings.MOODLE_URL, token=settings.MOODLE_TOKEN)
    return site if site.url and site.token else None


def _several(entered: str, otherwise: list[str]) -> tuple[str, ...]:
    """Return the secrets of a comma-separated text; the others if there is none."""
    found = tuple(one.strip() for one in entered.split(",") if one.strip())
    return found or tuple(otherwise)
