"""An access token that all processes share, fetched by one of them at a time.

It is in Redis. Without Redis no token is read or fetched: `PeerUnavailableError`.

| key | value |
|---|---|
| ``registrar:token:ACCOUNT`` | The token, encrypted, until shortly before it expires |
| ``registrar:token:ACCOUNT:lock`` | Exists while one process fetches a token |
| ``registrar:token:ACCOUNT:fetched`` | The times of the fetches in the last ten minutes |
"""

import uuid
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from redis.exceptions import RedisError

from core import redis_client
from registrar.peers.errors import PeerBusyError
from registrar.peers.limits import answering

# Returns 0 when this process may fetch a token, else the milliseconds to wait and why;
# one millisecond when a token was stored since the caller looked.
_MAY_FETCH = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local window, most = tonumber(ARGV[3]), tonumber(ARGV[4])
if redis.call('EXISTS', KEYS[3]) == 1 then return {1, 'stored'} end
local locked = redis.call('PTTL', KEYS[1])
if locked > 0 then return {math.min(locked, 100), 'locked'} end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - window)
if redis.call('ZCARD', KEYS[2]) >= most then
  local oldest = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
  return {tonumber(oldest[2]) + window - now, 'limit'}
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('ZADD', KEYS[2], now, ARGV[1])
redis.call('PEXPIRE', KEYS[2], window)
return {0, ''}
"""
_DELETE_IF = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


@dataclass(frozen=True, kw_only=True)
class SharedToken:
    """The access token of one account, fetched by one process at a time.

    Args:
        peer: whose token it is; for errors.
        account: names the account and its credentials, without containing them.
        most_fetches, window: at most so many fetches in so many seconds.
    """

    peer: str
    account: str
    most_fetches: int = 10
    window: int = 600

    @property
    def _key(self) -> str:
        return f"registrar:token:{self.account}"

    def stored(self) -> str:
        """Return the stored value, as it was given to `store`; "" without one.

        Raises:
            PeerUnavailableError: Redis does not answer.
        """
        with answering(self.peer):
            found: Any = redis_client.client().get(self._key)
        return found.decode() if found else ""

    def store(self, value: str, *, seconds: float) -> None:
        """Store the encrypted ``value`` for ``seconds``.

        Raises:
            PeerUnavailableError: Redis does not answer.
        """
        with answering(self.peer):
            redis_client.client().set(
                self._key, value, px=max(1, round(seconds * 1000))
            )

    def forget(self, value: str) -> None:
        """Delete the stored value if it is still ``value``.

        Raises:
            PeerUnavailableError: Redis does not answer.
        """
        with answering(self.peer):
            redis_client.run_script(_DELETE_IF, [self._key], [value])

    def try_to_fetch(self, *, seconds: float) -> tuple[str, float]:
        """Return a lock for fetching a token, which expires after ``seconds``.

        Returns:
            the lock, and 0; or "" and the seconds to wait while another process
            fetches one, or has just stored it.

        Raises:
            PeerBusyError: the permitted number of fetches is used up.
            PeerUnavailableError: Redis does not answer.
        """
        lock = uuid.uuid4().hex
        with answering(self.peer):
            reply = redis_client.run_script(
                _MAY_FETCH,
                [f"{self._key}:lock", f"{self._key}:fetched", self._key],
                [lock, round(seconds * 1000), self.window * 1000, self.most_fetches],
            )
        wait, why = int(reply[0]) / 1000, reply[1].decode()
        if why == "limit":
            raise PeerBusyError(
                _("Access tokens were fetched too often in the last ten minutes."),
                peer=self.peer,
                reason="token_limit",
                retry_after=wait,
            )
        return ("", wait) if why else (lock, 0.0)

    def release(self, lock: str) -> None:
        """Let another process fetch a token. Without Redis the lock expires."""
        with suppress(RedisError):
            redis_client.run_script(_DELETE_IF, [f"{self._key}:lock"], [lock])
