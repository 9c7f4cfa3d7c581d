"""Counts refused deliveries, which leave no row: by reason, for all processes.

The counters are in Redis (``registrar:refused``). Without Redis nothing is counted.
"""

from contextlib import suppress
from typing import Any

from core import redis_client
from registrar.peers.errors import PeerUnavailableError
from registrar.peers.limits import answering

REASONS = ("signature", "body", "size")
_KEY = "registrar:refused"


def count(reason: str) -> None:
    """Count a refused delivery."""
    with suppress(PeerUnavailableError), answering("zoho"):
        redis_client.client().hincrby(_KEY, reason, 1)


def counts() -> dict[str, int]:
    """Return how many deliveries were refused since Redis was emptied, by reason.

    Empty while Redis is away.
    """
    with suppress(PeerUnavailableError), answering("zoho"):
        found: Any = redis_client.client().hgetall(_KEY)
        return {reason: int(found.get(reason.encode(), 0)) for reason in REASONS}
    return {}
