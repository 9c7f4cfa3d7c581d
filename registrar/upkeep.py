"""What a task checks and renews at Zoho twice a day, so that no page has to ask.

- Which fields the mapping reads and the CRM no longer has.
- The channel through which Zoho notifies us of changes; it lives a week at most.

Both are stored in the `PeerState` of Zoho.
"""

from datetime import datetime, timedelta

from django.conf import settings
from django.urls import reverse

from registrar import configuration
from registrar.mapping.modules import MAPPINGS
from registrar.mirror.health import missing_names
from registrar.models import PeerState
from registrar.peers.errors import PeerRefusedError
from registrar.zoho import metadata, notifications
from registrar.zoho.client import ZohoClient
from registrar.zoho.notifications import Channel

CHANNEL_ID = "1000000068001"
"""Ours; Zoho wants a number."""
_LIFE = timedelta(seconds=notifications.MAX_SECONDS) - timedelta(hours=1)


def check_names(client: ZohoClient, *, now: datetime) -> None:
    """Store which fields the CRM lacks: one call per module.

    A module that the CRM refuses lacks all its fields.

    Raises:
        PeerError: Zoho does not answer; what was stored stays.
    """
    found: dict[str, set[str]] = {}
    for module in MAPPINGS:
        try:
            found[module] = set(metadata.fields(client, module=module))
        except PeerRefusedError:
            found[module] = set()
    PeerState.objects.update_or_create(
        peer="zoho",
        defaults={"missing_names": missing_names(found), "names_checked_at": now},
    )


def keep_channel(client: ZohoClient, *, now: datetime) -> bool:
    """Renew the channel of notifications, or open it; False if there is no token for it.

    Raises:
        PeerError: Zoho has not renewed and not opened it; the old one stays until it
            expires.
    """
    tokens = configuration.connections().webhooks.token
    if not tokens:
        return False
    channel = Channel(
        id=CHANNEL_ID,
        events=tuple(f"{module}.all" for module in MAPPINGS),
        notify_url=settings.SITE_URL + reverse("registrar-notification"),
        expires=now + _LIFE,
    )
    try:
        notifications.renew(client, channel=channel, token=tokens[0])
    except PeerRefusedError:
        notifications.enable(client, channel=channel, token=tokens[0])
    PeerState.objects.update_or_create(
        peer="zoho", defaults={"channel_expires_at": channel.expires}
    )
    return True
