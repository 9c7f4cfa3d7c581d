"""Redis for publishing: the set of waiting plans, build locks and heartbeats.

Redis only saves work and time here, and its data can be lost: the plans to build are
read from the database (``publishing.staleness``), and the build number protects a
release (``publishing.building.claims``).
"""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import NamedTuple

import structlog
from django.conf import settings
from redis import Redis
from redis.exceptions import LockError, RedisError

log = structlog.get_logger(__name__)

PENDING_KEY = "cdn_export:pending_plans"
HEARTBEAT_KEY = "cdn_export:heartbeat"
WORKER_KEY = "cdn_export:worker"
BEAT_SINCE_KEY = "cdn_export:beat_since"
WATCHED_SINCE_KEY = "cdn_export:watched_since"
WATCH_TURN_KEY = "cdn_export:watch_turn"
DISTRIBUTION_LOCK = "cdn_export:distribution"
_LOCK_SECONDS = 60.0
_RENEW_SECONDS = 15.0


def _client() -> Redis:
    return _client_for(settings.REDIS_URL)


@lru_cache(maxsize=4)
def _client_for(url: str) -> Redis:
    return Redis.from_url(url, socket_timeout=5, socket_connect_timeout=2)


def add(plan_ids: Iterable[int]) -> int:
    """Add plans to the set of waiting plans.

    Returns:
        The number of waiting plans; 0 when Redis is away (the periodic sweep then finds
        the plans).
    """
    members = [str(plan_id) for plan_id in plan_ids]
    if not members:
        return 0
    try:
        pipeline = _client().pipeline(transaction=False)
        pipeline.sadd(PENDING_KEY, *members)
        pipeline.scard(PENDING_KEY)
        return int(pipeline.execute()[1])
    except RedisError as error:
        log.warning("publish_wakeup_lost", error=type(error).__name__)
        return 0


def pending_plans() -> set[int]:
    """Return the waiting plans; empty when Redis is away."""
    try:
        return {int(member) for member in _client().smembers(PENDING_KEY)}
    except RedisError as error:
        log.warning("publish_queue_unread", error=type(error).__name__)
        return set()


def remove(plan_ids: Iterable[int]) -> None:
    """Remove plans from the set of waiting plans; only log when Redis is away."""
    members = [str(plan_id) for plan_id in plan_ids]
    try:
        if members:
            _client().srem(PENDING_KEY, *members)
    except RedisError as error:
        log.warning("publish_wakeup_kept", error=type(error).__name__)


def is_reachable() -> bool:
    """Return whether Redis answers."""
    try:
        return bool(_client().ping())
    except RedisError as error:
        log.warning("redis_silent", error=type(error).__name__)
        return False


class Heartbeats(NamedTuple):
    """The last heartbeats as Unix times; None where there is none.

    Beat's heartbeat means that a worker ran a task that beat had sent.
    """

    worker: float | None
    beat: float | None


def record_worker_heartbeat(unix_time: float) -> None:
    """Record that a worker runs, independently of beat."""
    _record_heartbeat({WORKER_KEY: unix_time})


def record_beat_heartbeat(unix_time: float) -> None:
    """Record that beat sends tasks and a worker runs them, and since when."""
    times = {WORKER_KEY: unix_time, HEARTBEAT_KEY: unix_time}
    if beat_running_since(unix_time) is None:
        times[BEAT_SINCE_KEY] = unix_time
    _record_heartbeat(times)


def beat_running_since(unix_time: float) -> float | None:
    """Return the time since which beat's heartbeats are unbroken. One round trip.

    Args:
        unix_time: now.

    Returns:
        Unix time; None when beat is silent (``HEARTBEAT_TIMEOUT_SECONDS``) or Redis is
        away.
    """
    try:
        since, last = _client().mget(BEAT_SINCE_KEY, HEARTBEAT_KEY)
    except RedisError as error:
        log.warning("heartbeat_unread", error=type(error).__name__)
        return None
    if since is None or last is None:
        return None
    is_unbroken = unix_time - float(last) < settings.HEARTBEAT_TIMEOUT_SECONDS
    return float(since) if is_unbroken else None


def _record_heartbeat(times: dict[str, float]) -> None:
    try:
        _client().mset({key: repr(time) for key, time in times.items()})
    except RedisError as error:
        log.warning("heartbeat_lost", error=type(error).__name__)


def last_heartbeats() -> Heartbeats:
    """Return the last heartbeats; None for both when Redis is away. One round trip."""
    return read_heartbeats() or Heartbeats(None, None)


def read_heartbeats() -> Heartbeats | None:
    """As `last_heartbeats`, but return None when Redis is away. One round trip."""
    try:
        return _heartbeats(_client().mget(WORKER_KEY, HEARTBEAT_KEY))
    except RedisError as error:
        log.warning("heartbeat_unread", error=type(error).__name__)
        return None


def heartbeats_since_first_check(unix_time: float) -> Heartbeats | None:
    """As `read_heartbeats`, but a missing heartbeat counts from the first call.

    When Redis has lost its keys, the heartbeats are lost, too; worker and beat then
    have as long to report as after a heartbeat just now. None when Redis is away.
    """
    pipeline = _client().pipeline(transaction=False)
    pipeline.set(WATCHED_SINCE_KEY, repr(unix_time), nx=True)
    pipeline.mget(WATCHED_SINCE_KEY, WORKER_KEY, HEARTBEAT_KEY)
    try:
        since, *found = pipeline.execute()[1]
    except RedisError as error:
        log.warning("heartbeat_unread", error=type(error).__name__)
        return None
    signs = _heartbeats(found)
    return Heartbeats(*(float(since) if sign is None else sign for sign in signs))


def claim_check(seconds: int) -> bool:
    """Claim the check for ``seconds``; False if it is claimed or Redis is away."""
    try:
        return bool(_client().set(WATCH_TURN_KEY, "1", nx=True, ex=seconds))
    except RedisError as error:
        log.warning("watch_turn_lost", error=type(error).__name__)
        return False


def _heartbeats(found: Iterable[bytes | str | None]) -> Heartbeats:
    return Heartbeats(*(float(time) if time else None for time in found))


def locked_plans(plan_ids: Iterable[int]) -> set[int] | None:
    """Return those of the plans whose build lock is held; None when Redis is away."""
    ids = list(plan_ids)
    try:
        pipeline = _client().pipeline(transaction=False)
        for plan_id in ids:
            pipeline.exists(_lock_name(plan_id))
        return {
            plan_id
            for plan_id, is_locked in zip(ids, pipeline.execute(), strict=True)
            if is_locked
        }
    except RedisError as error:
        log.warning("build_locks_unread", error=type(error).__name__)
        return None


def _lock_name(plan_id: int) -> str:
    return f"cdn_export:lock:{plan_id}"


@contextmanager
def build_lock(plan_id: int, *, wait_seconds: float = 0) -> Iterator[bool]:
    """Hold the lock to build a plan; yield False when another builder holds it.

    When Redis is away it yields True: two builders may then do the same work, and the
    build number lets only one of them switch.

    Args:
        wait_seconds: how many seconds to wait for the other builder.
    """
    with _held(_lock_name(plan_id), wait_seconds=wait_seconds) as acquired:
        yield acquired


@contextmanager
def distribution_lock() -> Iterator[bool]:
    """Hold the lock to change the CDN; yield False when another distributor holds it.

    When Redis is away it yields True: two distributors then detect each other by their
    claims (`publishing.cdn.sync`).
    """
    with _held(DISTRIBUTION_LOCK) as acquired:
        yield acquired


@contextmanager
def _held(name: str, *, wait_seconds: float = 0) -> Iterator[bool]:
    """Hold a lock that has a unique owner and is renewed while held.

    The lock expires one minute after its owner has stopped.
    """
    lock = _client().lock(
        name,
        timeout=_LOCK_SECONDS,
        blocking=False,
        thread_local=False,
    )
    try:
        if not lock.acquire(
            blocking=wait_seconds > 0, blocking_timeout=wait_seconds or None
        ):
            yield False
            return
    except RedisError as error:
        log.warning("build_lock_unavailable", error=type(error).__name__)
        yield True
        return
    done = threading.Event()

    def renew() -> None:
        while not done.wait(_RENEW_SECONDS):
            try:
                lock.reacquire()
            except (LockError, RedisError) as error:
                log.warning("build_lock_not_renewed", error=type(error).__name__)

    renewer = threading.Thread(target=renew, name="build-lock", daemon=True)
    renewer.start()
    try:
        yield True
    finally:
        done.set()
        renewer.join()
        try:
            lock.release()
        except (LockError, RedisError) as error:
            log.warning("build_lock_not_released", error=type(error).__name__)
