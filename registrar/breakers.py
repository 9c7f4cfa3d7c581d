"""A circuit breaker per peer: after failures in a row, nothing is sent for a while.

It closes by itself: after the pause the next row is tried, and its success resets the
count. Only failures of the peer as a whole count; a refused record does not.
"""

from datetime import datetime, timedelta

from django.db.models import F

from registrar.models import PeerState
from registrar.peers.errors import (
    PeerBusyError,
    PeerCredentialsError,
    PeerError,
    PeerUnavailableError,
)

FAILURES = 3
"""After so many failures in a row the breaker opens."""
PAUSES = (10, 30, 60, 120)
"""Seconds of the pause after each further failure; the last one repeats."""
CREDENTIALS_PAUSE = 300
"""Seconds after an error that only staff can solve: the first one opens the breaker."""


def may_try(peer: str, *, now: datetime) -> bool:
    """Return whether requests to ``peer`` may be tried."""
    return not PeerState.objects.filter(peer=peer, open_until__gt=now).exists()


def record_success(peer: str) -> None:
    """The peer has answered: close its breaker."""
    PeerState.objects.filter(peer=peer, failures__gt=0).update(
        failures=0, open_until=None, needs_staff=False
    )


def record_failure(peer: str, error: Exception, *, now: datetime) -> None:
    """Count a failure of the peer; other errors do not count."""
    if not isinstance(error, PeerUnavailableError | PeerCredentialsError):
        if isinstance(error, PeerBusyError) and error.retry_after:
            _pause(peer, error, until=now + timedelta(seconds=error.retry_after))
        return
    state, _created = PeerState.objects.get_or_create(peer=peer)
    PeerState.objects.filter(pk=state.pk).update(
        failures=F("failures") + 1,
        needs_staff=isinstance(error, PeerCredentialsError),
        last_error=error.message,
        failed_at=now,
    )
    if isinstance(error, PeerCredentialsError):
        _pause(peer, error, until=now + timedelta(seconds=CREDENTIALS_PAUSE))
        return
    beyond = state.failures + 1 - FAILURES
    if beyond >= 0:
        seconds = PAUSES[min(beyond, len(PAUSES) - 1)]
        _pause(peer, error, until=now + timedelta(seconds=seconds))


def _pause(peer: str, error: PeerError, *, until: datetime) -> None:
    state, _created = PeerState.objects.get_or_create(peer=peer)
    # A longer pause stays.
    PeerState.objects.filter(pk=state.pk).exclude(open_until__gt=until).update(
        open_until=until, last_error=error.message
    )
