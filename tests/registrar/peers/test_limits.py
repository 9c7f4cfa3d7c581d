"""Limits and access tokens that all processes share, with a real Redis."""

import threading
import time

import pytest

from registrar.peers import limits as limits_module
from registrar.peers.errors import PeerBusyError, PeerUnavailableError
from registrar.peers.limits import Limits
from registrar.peers.shared_tokens import SharedToken


@pytest.fixture
def no_redis(settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"


def limits(**options) -> Limits:
    return Limits(**{"peer": "zoho", "concurrency": 2, **options})


def test_at_most_so_many_requests_are_under_way_at_once():
    allowed = limits(concurrency=3)
    under_way, most, lock = 0, 0, threading.Lock()

    def request() -> None:
        nonlocal under_way, most
        with allowed.turn(wait=30):
            with lock:
                under_way += 1
                most = max(most, under_way)
            time.sleep(0.01)
            with lock:
                under_way -= 1

    threads = [threading.Thread(target=request) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 3


def test_a_request_without_a_place_is_refused_with_the_reason():
    allowed = limits(concurrency=1)
    with allowed.turn(), pytest.raises(PeerBusyError) as refused, allowed.turn(wait=0):
        pass
    assert refused.value.reason == "concurrency"
    assert not refused.value.permanent
    assert not refused.value.may_have_happened


def test_a_failed_request_gives_its_place_back():
    allowed = limits(concurrency=1)
    with pytest.raises(ZeroDivisionError), allowed.turn():
        raise ZeroDivisionError
    with allowed.turn(wait=0):
        pass


def test_a_request_of_a_killed_process_gives_its_place_back(monkeypatch):
    monkeypatch.setattr(limits_module, "LEASE_SECONDS", 0.05)
    allowed = limits(concurrency=1)
    killed = allowed.turn()
    killed.__enter__()
    with allowed.turn(wait=5):
        pass


def test_peers_do_not_share_their_limits():
    with limits(concurrency=1).turn(), limits(peer="moodle", concurrency=1).turn():
        pass


def test_requests_start_at_the_permitted_rate():
    allowed = limits(concurrency=9, per_second=0.1)
    with allowed.turn():
        pass
    with pytest.raises(PeerBusyError) as refused, allowed.turn(wait=1):
        pass
    assert refused.value.reason == "rate"
    assert 0 < refused.value.retry_after <= 10


def test_credits_are_counted_and_not_exceeded():
    allowed = limits(credits=12)
    with allowed.turn(cost=10):
        pass
    with pytest.raises(PeerBusyError) as refused, allowed.turn(cost=10, wait=0):
        pass
    assert refused.value.reason == "credits"
    with allowed.turn(cost=2, wait=0):
        pass
    with pytest.raises(PeerBusyError), allowed.turn(cost=1, wait=0):
        pass


def test_credits_are_free_again_after_a_day(redis_client):
    allowed = limits(credits=10)
    day_ago = int(time.time() // 3600) - 24
    redis_client.hset("registrar:zoho:credits", mapping={day_ago: 10})
    with allowed.turn(cost=10, wait=0):
        pass
    assert redis_client.hlen("registrar:zoho:credits") == 1


def test_a_pause_holds_back_the_requests_of_all_processes():
    limits().pause(30)
    with pytest.raises(PeerBusyError) as refused, limits().turn(wait=0):
        pass
    assert refused.value.reason == "pause"
    assert 0 < refused.value.retry_after <= 30


def test_a_short_pause_is_waited_for():
    limits().pause(0.05)
    with limits().turn(wait=5):
        pass


@pytest.mark.usefixtures("no_redis")
def test_without_redis_no_request_is_sent():
    with pytest.raises(PeerUnavailableError) as refused, limits().turn():
        pass
    assert refused.value.reason == "redis"


# --- Tokens ---------------------------------------------------------------------------


def token(**options) -> SharedToken:
    return SharedToken(**{"peer": "zoho", "account": "a", **options})


def test_one_process_fetches_a_token_while_others_wait():
    lock, wait = token().try_to_fetch(seconds=30)
    assert (bool(lock), wait) == (True, 0)
    other, wait = token().try_to_fetch(seconds=30)
    assert other == ""
    assert 0 < wait <= 0.1
    token().release(lock)
    assert token().try_to_fetch(seconds=30)[0]


def test_a_lock_is_released_by_its_holder_only():
    lock, _ = token().try_to_fetch(seconds=30)
    token().release("another")
    assert token().try_to_fetch(seconds=30)[0] == ""
    token().release(lock)


def test_tokens_are_not_fetched_too_often():
    for _ in range(10):
        lock, _ = token().try_to_fetch(seconds=30)
        token().release(lock)
    with pytest.raises(PeerBusyError) as refused:
        token().try_to_fetch(seconds=30)
    assert refused.value.reason == "token_limit"
    assert 0 < refused.value.retry_after <= 600
    assert token(account="b").try_to_fetch(seconds=30)[0], "another account may"


def test_a_token_is_forgotten_only_if_it_is_still_the_same():
    token().store("new", seconds=60)
    token().forget("old")
    assert token().stored() == "new"
    token().forget("new")
    assert token().stored() == ""


@pytest.mark.usefixtures("no_redis")
def test_without_redis_no_token_is_read():
    with pytest.raises(PeerUnavailableError):
        token().stored()
