"""The Redis side of publishing: who waits, and who builds.

Redis only saves work and time here. Losing it loses nothing: what must be built is
read from the database (``publishing.staleness``), and what protects a release is its
fence (``publishing.building.builds``).
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
    """Put plans among the waiting, once each.

    Returns:
        How many wait now; 0 when Redis is away (the periodic sweep will find them).
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


def waiting() -> set[int]:
    """The plans that wait; none when Redis is away."""
    try:
        return {int(member) for member in _client().smembers(PENDING_KEY)}
    except RedisError as error:
        log.warning("publish_queue_unread", error=type(error).__name__)
        return set()


def remove(plan_ids: Iterable[int]) -> None:
    """Take plans out of the waiting."""
    members = [str(plan_id) for plan_id in plan_ids]
    try:
        if members:
            _client().srem(PENDING_KEY, *members)
    except RedisError as error:
        log.warning("publish_wakeup_kept", error=type(error).__name__)


def is_reachable() -> bool:
    """Whether Redis does."""
    try:
        return bool(_client().ping())
    except RedisError as error:
        log.warning("redis_silent", error=type(error).__name__)
        return False


class Heartbeats(NamedTuple):
    """The last signs of life, as Unix times; None where there is none to be read.

    Beat's is that a worker did what beat had told it to.
    """

    worker: float | None
    beat: float | None


def record_worker_heartbeat(unix_time: float) -> None:
    """Say that a worker lives, whatever beat does."""
    _record_heartbeat({WORKER_KEY: unix_time})


def record_beat_heartbeat(unix_time: float) -> None:
    """Say that beat lives, and the worker that was told so."""
    _record_heartbeat({WORKER_KEY: unix_time, HEARTBEAT_KEY: unix_time})


def _record_heartbeat(times: dict[str, float]) -> None:
    try:
        _client().mset({key: repr(time) for key, time in times.items()})
    except RedisError as error:
        log.warning("heartbeat_lost", error=type(error).__name__)


def last_heartbeats() -> Heartbeats:
    """When worker and beat were last heard of. One round trip."""
    return read_signs() or Heartbeats(None, None)


def read_signs() -> Heartbeats | None:
    """As `last_heartbeats`; None when Redis does not answer. One round trip."""
    try:
        return _signs(_client().mget(WORKER_KEY, HEARTBEAT_KEY))
    except RedisError as error:
        log.warning("heartbeat_unread", error=type(error).__name__)
        return None


def watched_signs(unix_time: float) -> Heartbeats | None:
    """As `read_signs`, but a sign that is missing counts from the first time of asking.

    A Redis that has lost its keys has lost the signs, too; worker and beat then have as
    long to report as one whose last sign was just now. None when Redis does not answer.
    """
    pipeline = _client().pipeline(transaction=False)
    pipeline.set(WATCHED_SINCE_KEY, repr(unix_time), nx=True)
    pipeline.mget(WATCHED_SINCE_KEY, WORKER_KEY, HEARTBEAT_KEY)
    try:
        since, *found = pipeline.execute()[1]
    except RedisError as error:
        log.warning("heartbeat_unread", error=type(error).__name__)
        return None
    signs = _signs(found)
    return Heartbeats(*(float(since) if sign is None else sign for sign in signs))


def take_watch_turn(seconds: int) -> bool:
    """Whether nobody has taken this turn in the last ``seconds``; False without Redis."""
    try:
        return bool(_client().set(WATCH_TURN_KEY, "1", nx=True, ex=seconds))
    except RedisError as error:
        log.warning("watch_turn_lost", error=type(error).__name__)
        return False


def _signs(found: Iterable[bytes | str | None]) -> Heartbeats:
    return Heartbeats(*(float(time) if time else None for time in found))


def being_built(plan_ids: Iterable[int]) -> set[int] | None:
    """Those of the plans that a living builder has locked; None without Redis."""
    ids = list(plan_ids)
    try:
        pipeline = _client().pipeline(transaction=False)
        for plan_id in ids:
            pipeline.exists(_lock_name(plan_id))
        return {
            plan_id
            for plan_id, there in zip(ids, pipeline.execute(), strict=True)
            if there
        }
    except RedisError as error:
        log.warning("build_locks_unread", error=type(error).__name__)
        return None


def _lock_name(plan_id: int) -> str:
    return f"cdn_export:lock:{plan_id}"


@contextmanager
def build_lock(plan_id: int, *, patience: float = 0) -> Iterator[bool]:
    """Hold the right to build a plan; yields False when another builder has it.

    Args:
        patience: for how many seconds to wait for that one.

    Without Redis it yields True: two builders then do the same work twice, and the
    fence lets one of them finish.
    """
    with _held(_lock_name(plan_id), patience=patience) as held:
        yield held


@contextmanager
def distribution_lock() -> Iterator[bool]:
    """Hold the right to change what the CDN has; False when somebody else is at it.

    Without Redis it yields True: two distributors find out by their claims
    (`publishing.cdn.sync`).
    """
    with _held(DISTRIBUTION_LOCK) as held:
        yield held


@contextmanager
def _held(name: str, *, patience: float = 0) -> Iterator[bool]:
    """A lock that names its owner and is renewed while held.

    It runs out a minute after its owner died.
    """
    lock = _client().lock(
        name,
        timeout=_LOCK_SECONDS,
        blocking=False,
        thread_local=False,
    )
    try:
        if not lock.acquire(blocking=patience > 0, blocking_timeout=patience or None):
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
