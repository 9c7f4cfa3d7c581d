"""Faults of a running site: each strikes, lasts, and is repaired.

A stopped process (SIGSTOP) keeps its connections and answers nothing.
"""

import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

import redis

from tests.crash.site import Site, signal_group

LONG_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of fault.

    Attributes:
        part: "redis", "database", "web" or "worker": what does not answer.
        loses: whether Redis may lose or revert data.
        strike: causes it and repairs it; the last argument is how long it may last.
    """

    name: str
    part: str
    strike: Callable[[Site, random.Random, float], None]
    loses: bool = False
    kills: int = 0


@dataclass(frozen=True, slots=True)
class Episode:
    """A fault that happened; times are those of the monotonic clock."""

    fault: Fault
    started: float
    ended: float

    def touches(self, started: float, ended: float, *, after: float = 0.0) -> bool:
        """Return whether it overlaps this time, or ended ``after`` seconds before."""
        return self.started <= ended and started <= self.ended + after


def strike(site: Site, fault: Fault, dice: random.Random, seconds: float) -> Episode:
    """Cause the fault, for ``seconds`` where it lasts, and repair it."""
    started = time.monotonic()
    fault.strike(site, dice, seconds)
    return Episode(fault, started, time.monotonic())


def _redis_killed(site: Site, dice: random.Random, _seconds: float) -> None:
    site.redis.kill()
    time.sleep(dice.uniform(0.0, 2.0))
    site.redis.start()


def _redis_stopped(site: Site, _dice: random.Random, seconds: float) -> None:
    site.redis.pause()
    time.sleep(seconds)
    site.redis.resume()


def _redis_flushed(site: Site, _dice: random.Random, _seconds: float) -> None:
    _client(site).flushall()


def _redis_older(site: Site, dice: random.Random, _seconds: float) -> None:
    """Bring back what Redis had two to six seconds ago."""
    copy = site.copy_redis()
    time.sleep(dice.uniform(2.0, 6.0))
    site.restore_redis(copy)


def _redis_full(site: Site, dice: random.Random, seconds: float) -> None:
    """Let Redis evict keys, or refuse writes because nothing is left to evict."""
    client = _client(site)
    used = client.info("memory")["used_memory"]
    client.config_set(
        "maxmemory-policy", dice.choice(["allkeys-random", "allkeys-lru"])
    )
    client.config_set("maxmemory", dice.choice([used - 100_000, used, 1]))
    time.sleep(min(seconds, 4.0))
    client.config_set("maxmemory", 0)
    client.config_set("maxmemory-policy", "noeviction")


def _database_killed(site: Site, dice: random.Random, _seconds: float) -> None:
    assert site.database is not None
    site.database.kill()
    time.sleep(dice.uniform(0.0, 2.0))
    site.database.start()


def _database_stopped(site: Site, _dice: random.Random, seconds: float) -> None:
    assert site.database is not None
    site.database.pause()
    time.sleep(seconds)
    site.database.resume()


def _web_worker_killed(site: Site, dice: random.Random, _seconds: float) -> None:
    """Kill one, and sometimes the one in its place soon after its start."""
    for _again in range(2 if dice.random() < 0.3 else 1):
        before = site.web_workers()
        if not before:
            break
        victim = dice.choice(before)
        os.kill(victim, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            found = site.web_workers()
            if victim not in found and len(found) == site.workers:
                break
            time.sleep(0.05)
        time.sleep(dice.uniform(0.5, 3.0))
    site.wait_for_web()


def _web_worker_stopped(site: Site, dice: random.Random, seconds: float) -> None:
    victim = dice.choice(site.web_workers())
    os.kill(victim, signal.SIGSTOP)
    time.sleep(seconds)
    os.kill(victim, signal.SIGCONT)


def _worker_killed(site: Site, dice: random.Random, _seconds: float) -> None:
    site.kill_worker()
    time.sleep(dice.uniform(0.0, 2.0))
    site.start_worker()


def _worker_stopped(site: Site, _dice: random.Random, seconds: float) -> None:
    signal_group(site.worker, signal.SIGSTOP)
    time.sleep(seconds)
    signal_group(site.worker, signal.SIGCONT)


def _flushed_and_killed(site: Site, dice: random.Random, seconds: float) -> None:
    """Redis loses its data and a process stops at the same moment."""
    _redis_flushed(site, dice, seconds)
    _web_worker_killed(site, dice, seconds)


def _client(site: Site) -> redis.Redis:
    return redis.Redis.from_url(site.redis.url, socket_timeout=10)


FAULTS = (
    Fault("Redis killed", "redis", _redis_killed, kills=1),
    Fault("Redis stopped", "redis", _redis_stopped),
    Fault("Redis flushed", "redis", _redis_flushed, loses=True),
    Fault("Redis back, older", "redis", _redis_older, loses=True, kills=1),
    Fault("Redis full", "redis", _redis_full, loses=True),
    Fault("database killed", "database", _database_killed, kills=1),
    Fault("database stopped", "database", _database_stopped),
    Fault("web worker killed", "web", _web_worker_killed, kills=1),
    Fault("web worker stopped", "web", _web_worker_stopped),
    Fault("worker killed", "worker", _worker_killed, kills=1),
    Fault("worker stopped", "worker", _worker_stopped),
    Fault("flushed and killed", "web", _flushed_and_killed, loses=True, kills=1),
)
