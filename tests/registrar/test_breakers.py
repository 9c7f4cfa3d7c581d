"""A peer that fails is left alone for a while; the pause grows."""

from datetime import UTC, datetime, timedelta

import pytest

from registrar import breakers
from registrar.models import PeerState
from registrar.peers.errors import (
    PeerBusyError,
    PeerCredentialsError,
    PeerRefusedError,
    PeerUnavailableError,
)

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def fail(error=PeerUnavailableError, at=NOW, **options):
    breakers.record_failure("zoho", error("x", peer="zoho", **options), now=at)


def pause() -> float:
    until = PeerState.objects.get(peer="zoho").open_until
    return (until - NOW).total_seconds() if until else 0.0


def test_the_breaker_opens_after_three_failures_and_its_pauses_grow():
    pauses = []
    for _ in range(8):
        fail()
        pauses.append(pause())
    assert pauses == [0, 0, 10, 30, 60, 120, 120, 120]
    assert not breakers.may_try("zoho", now=NOW + timedelta(seconds=119))
    assert breakers.may_try("zoho", now=NOW + timedelta(seconds=121))
    assert breakers.may_try("moodle", now=NOW)


def test_a_success_closes_it():
    for _ in range(5):
        fail()
    breakers.record_success("zoho")
    assert breakers.may_try("zoho", now=NOW)
    fail()
    assert breakers.may_try("zoho", now=NOW)


def test_wrong_credentials_open_it_at_once():
    fail(PeerCredentialsError)
    assert pause() == breakers.CREDENTIALS_PAUSE


def test_a_request_to_wait_is_kept_and_shortens_no_longer_pause():
    fail(PeerBusyError, retry_after=90)
    assert pause() == 90
    fail(PeerBusyError, retry_after=5)
    assert pause() == 90


def test_a_refused_record_says_nothing_of_the_peer():
    for _ in range(5):
        fail(PeerRefusedError)
    assert not PeerState.objects.exists()
