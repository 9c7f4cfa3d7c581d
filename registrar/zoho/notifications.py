"""Channels through which Zoho notifies us of changes (``/actions/watch``).

A channel names modules and operations, carries a token that each notification repeats,
and expires after a week at most. Notifications contain ids, not records.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from registrar.zoho.answers import error_of, unreadable
from registrar.zoho.client import ZohoClient
from registrar.zoho.values import parse_timestamp, timestamp

MAX_SECONDS = 7 * 24 * 3600
"""The longest life of a channel."""
MAX_TOKEN = 50
_PATH = "actions/watch"


@dataclass(frozen=True, kw_only=True)
class Channel:
    """A channel, as we ask for it or as Zoho has it.

    Args:
        id: a number of ours, as text.
        events: ``MODULE.create``, ``.edit``, ``.delete`` or ``.all``.
        notify_url: where Zoho sends the notifications.
        expires: at most a week from now.
    """

    id: str
    events: tuple[str, ...]
    notify_url: str
    expires: datetime | None


def enable(client: ZohoClient, *, channel: Channel, token: str) -> None:
    """Open a channel.

    Args:
        token: at most 50 characters; each notification repeats it.

    Raises:
        PeerRefusedError: Zoho refuses the channel.
    """
    _checked(client.write("POST", _PATH, json=_body(channel, token)))


def renew(client: ZohoClient, *, channel: Channel, token: str) -> None:
    """Set all details of an open channel, so also the time at which it expires.

    Raises:
        PeerRefusedError: there is no such channel (any more): open it again.
    """
    _checked(client.write("PUT", _PATH, json=_body(channel, token)))


def disable(client: ZohoClient, *, channel_ids: Sequence[str]) -> None:
    """Close channels. A channel that does not exist is refused."""
    _checked(
        client.write("DELETE", _PATH, params={"channel_ids": ",".join(channel_ids)})
    )


def get(client: ZohoClient, *, channel_id: str) -> Channel | None:
    """Return an open channel; None if it has expired or does not exist."""
    body = client.get(_PATH, params={"channel_id": channel_id})
    rows = _rows(body) if body is not None else []
    if not rows:
        return None
    return Channel(
        id=str(rows[0].get("channel_id", "")),
        events=tuple(
            str(row["resource_name"]) + ".all"
            if "resource_name" in row and not row.get("events")
            else str(event)
            for row in rows
            for event in row.get("events") or [""]
        ),
        notify_url=str(rows[0].get("notify_url", "")),
        expires=parse_timestamp(rows[0].get("channel_expiry")),
    )


def _body(channel: Channel, token: str) -> dict[str, Any]:
    if len(token) > MAX_TOKEN:
        raise ValueError(f"the token has more than {MAX_TOKEN} characters")
    row: dict[str, Any] = {
        "channel_id": channel.id,
        "events": list(channel.events),
        "token": token,
        "notify_url": channel.notify_url,
    }
    if channel.expires is not None:
        row["channel_expiry"] = timestamp(channel.expires)
    return {"watch": [row]}


def _rows(body: Any) -> list[dict[str, Any]]:
    found = body.get("watch") if isinstance(body, dict) else None
    if not isinstance(found, list):
        raise unreadable("watch")
    return found


def _checked(body: Any) -> None:
    for row in _rows(body):
        if row.get("status") != "success":
            raise error_of(str(row.get("code", "")), row.get("details"))
