"""Limits of the requests to one peer, shared by all processes.

They are in Redis. Without Redis no request is sent: `PeerUnavailableError`, nothing was
done.

| key | value |
|---|---|
| ``registrar:PEER:running`` | The requests under way, by the time at which each expires |
| ``registrar:PEER:next`` | When the next request may be sent, if there is a rate |
| ``registrar:PEER:credits`` | Credits used, by hour |
| ``registrar:PEER:pause`` | Exists while the peer asks us to wait |
"""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from django.utils.translation import gettext as _
from redis.exceptions import RedisError

from core import redis_client
from registrar.peers.errors import PeerBusyError, PeerUnavailableError

LEASE_SECONDS = 180
"""A request of a process that was killed counts as under way for this long; longer
than the longest request."""
WAIT_SECONDS = 20.0
"""How long a request waits for its turn before `PeerBusyError`."""

# Returns the milliseconds to wait, and why; 0 when the request may be sent.
_ENTER = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local id, lease = ARGV[1], tonumber(ARGV[2])
local concurrency, interval = tonumber(ARGV[3]), tonumber(ARGV[4])
local cost, credits = tonumber(ARGV[5]), tonumber(ARGV[6])
local paused = redis.call('PTTL', KEYS[4])
if paused > 0 then return {paused, 'pause'} end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= concurrency then return {50, 'concurrency'} end
if credits > 0 then
  local hour, used = math.floor(now / 3600000), 0
  local spent = redis.call('HGETALL', KEYS[3])
  for at = 1, #spent, 2 do
    if tonumber(spent[at]) <= hour - 24 then redis.call('HDEL', KEYS[3], spent[at])
    else used = used + tonumber(spent[at + 1]) end
  end
  if used + cost > credits then
    return {(hour + 1) * 3600000 - now, 'credits'}
  end
end
if interval > 0 then
  local next_at = tonumber(redis.call('GET', KEYS[2]) or '0')
  if next_at > now then return {next_at - now, 'rate'} end
  redis.call('SET', KEYS[2], now + interval, 'PX', interval + 1000)
end
if credits > 0 then
  redis.call('HINCRBY', KEYS[3], math.floor(now / 3600000), cost)
  redis.call('PEXPIRE', KEYS[3], 90000000)
end
redis.call('ZADD', KEYS[1], now + lease, id)
redis.call('PEXPIRE', KEYS[1], lease)
return {0, ''}
"""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a peer permits.

    Args:
        peer: ``zoho`` or ``moodle``; the name in the keys.
        concurrency: how many requests may be under way at once, of all processes.
        per_second: how many requests may start in a second; 0: any number.
        credits: how many credits requests may use in 24 hours; 0: any number. The
            window is counted in whole hours, so it is up to an hour longer than the
            peer's.
    """

    peer: str
    concurrency: int
    per_second: float = 0.0
    credits: int = 0

    def _keys(self) -> list[str]:
        parts = ("running", "next", "credits", "pause")
        return [f"registrar:{self.peer}:{part}" for part in parts]

    @contextmanager
    def turn(self, *, cost: int = 1, wait: float = WAIT_SECONDS) -> Iterator[None]:
        """Wait until a request that uses ``cost`` credits may be sent, and send it inside.

        Raises:
            PeerBusyError: its turn has not come within ``wait`` seconds, or cannot come
                in that time. ``reason`` is ``concurrency``, ``rate``, ``credits`` or
                ``pause``.
            PeerUnavailableError: Redis does not answer.
        """
        lease = uuid.uuid4().hex
        interval = round(1000 / self.per_second) if self.per_second else 0
        args: list[str | bytes | int | float] = [
            *(lease, LEASE_SECONDS * 1000, self.concurrency),
            *(interval, cost, self.credits),
        ]
        until = time.monotonic() + wait
        with answering(self.peer):
            while True:
                reply = redis_client.run_script(_ENTER, self._keys(), args)
                seconds, why = int(reply[0]) / 1000, reply[1].decode()
                if not why:
                    break
                if time.monotonic() + seconds > until:
                    raise self._busy(why, seconds)
                time.sleep(seconds)
        try:
            yield
        finally:
            # Without Redis the lease expires by itself.
            with suppress(RedisError):
                redis_client.client().zrem(self._keys()[0], lease)

    def pause(self, seconds: float) -> None:
        """Let no process send a request for ``seconds``: the peer has asked for it.

        Without Redis nothing happens; the next request asks Redis first anyway.
        """
        with suppress(RedisError):
            key = self._keys()[3]
            redis_client.client().set(key, 1, px=max(1, round(seconds * 1000)))

    def _busy(self, why: str, seconds: float) -> PeerBusyError:
        messages = {
            "concurrency": _("Too many requests to this system are under way."),
            "rate": _("Too many requests to this system were made in a short time."),
            "credits": _("The permitted requests of the last 24 hours are used up."),
            "pause": _("This system has asked us to wait."),
        }
        return PeerBusyError(
            messages[why], peer=self.peer, reason=why, retry_after=seconds
        )


@contextmanager
def answering(peer: str) -> Iterator[None]:
    """Turn an error of Redis inside into `PeerUnavailableError` of ``peer``."""
    try:
        yield
    except RedisError as error:
        raise PeerUnavailableError(
            _("Redis does not answer, so no request was sent."),
            peer=peer,
            reason="redis",
        ) from error
