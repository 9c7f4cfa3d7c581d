"""Test the connection to a peer, when staff ask for it: one call with short time limits.

Nothing else in a request of the admin calls a peer.
"""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from django.utils.translation import gettext as _

from registrar import breakers, configuration
from registrar.moodle import client as moodle_client
from registrar.moodle.client import MoodleClient
from registrar.peers.errors import PeerError
from registrar.peers.http import PeerClient
from registrar.zoho import client as zoho_client, metadata
from registrar.zoho.client import ZohoClient

CONNECT_SECONDS, READ_SECONDS = 3.0, 8.0


@dataclass(frozen=True, slots=True)
class Tested:
    """Whether the peer has answered, and what to tell staff."""

    ok: bool
    message: str


def try_connection(peer: str) -> Tested:
    """Call the peer with the stored account; a success closes its circuit breaker.

    Args:
        peer: a key of `PEERS`.
    """
    try:
        message = PEERS[peer]()
    except PeerError as error:
        return Tested(False, error.message)
    if not message:
        return Tested(False, _("Not configured: enter the account first."))
    breakers.record_success(peer)
    return Tested(True, message)


def _zoho() -> str:
    account = configuration.connections().zoho
    if account is None:
        return ""
    http = PeerClient(
        zoho_client.DEFAULT_LIMITS, connect=CONNECT_SECONDS, read=READ_SECONDS
    )
    with closing(ZohoClient(account, http=http)) as client:
        name = metadata.organisation(client)
    return _("Zoho CRM answers: the organisation is %(name)s.") % {"name": name}


def _moodle() -> str:
    site = configuration.connections().moodle
    if site is None:
        return ""
    http = PeerClient(
        moodle_client.DEFAULT_LIMITS, connect=CONNECT_SECONDS, read=READ_SECONDS
    )
    with closing(MoodleClient(site, http=http)) as client:
        info = client.info()
    return _(
        "Moodle answers: %(name)s, version %(release)s; the token may call %(count)d "
        "functions."
    ) % {
        "name": info.name,
        "release": info.release,
        "count": len(info.functions),
    }


PEERS: dict[str, Callable[[], str]] = {"zoho": _zoho, "moodle": _moodle}
