"""Connections to Redis for the requests of students: one per thread, with short waits.

Limits, so that a request never waits long for a Redis that is away:

- Connecting, and each answer, may take `TIMEOUT_SECONDS`. The wait uses up the budget of
  a student's request (`core.time_budget`). Once that is used up, every call fails at
  once.
- A command on a connection that the server has closed is sent once more, on a new one.
  A command that timed out is not: Redis may still carry it out.
- After a failure, this process does not ask the same Redis for `PAUSE_SECONDS`: every
  call fails at once with the same error. Then one call tries, and all others keep
  failing until it has succeeded.

Answers are bytes (no decoding). Use the client of `publishing.queue` where waiting
longer is right.
"""

import hashlib
import os
import threading
from collections.abc import Sequence
from functools import lru_cache
from types import TracebackType
from typing import Any, Self

from django.conf import settings
from hiredis import pack_command
from redis import Redis
from redis.backoff import NoBackoff
from redis.client import Pipeline
from redis.exceptions import (
    ConnectionError as RedisConnectionError,
    NoScriptError,
    TimeoutError as RedisTimeoutError,
)
from redis.retry import Retry

from core.pause import Pause
from core.time_budget import WAIT, is_used_up

TIMEOUT_SECONDS = 0.8
PAUSE_SECONDS = 1.0


class _Guard(Pause):
    """A context manager around each call of one Redis."""

    _error: type[Exception] = RedisConnectionError

    def __enter__(self) -> Self:
        if is_used_up():
            raise self._error("This request has waited too long")
        if not self.is_over(try_seconds=TIMEOUT_SECONDS + PAUSE_SECONDS):
            raise self._error("Redis did not answer a moment ago")
        WAIT.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        WAIT.__exit__(kind, error, traceback)
        if isinstance(error, RedisConnectionError | RedisTimeoutError):
            self._error = (
                RedisTimeoutError
                if isinstance(error, RedisTimeoutError)
                else RedisConnectionError
            )
            self.begin(PAUSE_SECONDS)
        elif kind is None or issubclass(kind, Exception):
            self.end()


@lru_cache(maxsize=8)
def _guard_for(_url: str) -> _Guard:
    return _Guard()


class _ThreadClient(Redis):
    """A client with one connection; used by the thread that made it only."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.guard: _Guard | None = None
        super().__init__(*args, **options)

    def execute_command(self, *args: Any, **options: Any) -> Any:
        assert self.guard is not None
        with self.guard:
            return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> Pipeline:
        pipeline = _ThreadPipeline(
            self.connection_pool, self.response_callbacks, transaction, shard_hint
        )
        pipeline.guard = self.guard
        return pipeline


class _ThreadPipeline(Pipeline):
    guard: _Guard | None = None

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        assert self.guard is not None
        with self.guard:
            return super().execute(raise_on_error)


class _Local(threading.local):
    url = ""
    pid = 0
    client: _ThreadClient


_local = _Local()


def client() -> Redis:
    """Return this thread's client for ``settings.REDIS_URL``.

    Do not pass it to another thread. The first call of a thread connects.

    Raises:
        redis.TimeoutError, redis.ConnectionError: Redis does not answer, or did not
            a moment ago; the commands of the client raise them, too.
    """
    return _thread_client()


def _thread_client() -> _ThreadClient:
    url = settings.REDIS_URL
    # After a fork the child must not use the socket of its parent.
    if _local.url != url or _local.pid != os.getpid():
        with _guard_for(url) as guard:
            _local.client = _connected(url, guard)
        _local.url, _local.pid = url, os.getpid()
    return _local.client


def _connected(url: str, guard: _Guard) -> _ThreadClient:
    client = _ThreadClient.from_url(
        url,
        single_connection_client=True,
        socket_connect_timeout=TIMEOUT_SECONDS,
        socket_timeout=TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
        # A new connection then costs one round trip at most.
        protocol=2,
        driver_info=None,
    )
    assert isinstance(client, _ThreadClient)
    client.guard = guard
    return client


@lru_cache(maxsize=128)
def _sha1(source: str) -> str:
    return hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


def run_script(
    source: str, keys: Sequence[str | bytes], args: Sequence[str | bytes | int | float]
) -> Any:
    """Run a Lua script and return its reply: bytes, int, None or lists of these.

    One round trip; one more when Redis does not have the script yet. When the server
    has closed the connection, the script is sent again, so it may run twice.

    Raises:
        redis.TimeoutError, redis.ConnectionError: Redis does not answer, or did not
            a moment ago.
        redis.ResponseError: the script failed, or Redis refuses writes.
    """
    client = _thread_client()
    assert client.guard is not None
    with client.guard:
        # The connection is used directly: redis-py's `evalsha` costs half as much again.
        try:
            return _send(client, "EVALSHA", _sha1(source), keys, args)
        except NoScriptError:
            return _send(client, "EVAL", source, keys, args)


def _send(
    client: _ThreadClient, command: str, script: str, keys: Sequence[Any], args: Any
) -> Any:
    connection: Any = client.connection
    # redis-py's own packing goes through each argument in Python first.
    packed = (pack_command((command, script, len(keys), *keys, *args)),)
    try:
        connection.send_packed_command(packed)
        return connection.read_response()
    except RedisConnectionError:
        connection.disconnect()
    connection.send_packed_command(packed)
    return connection.read_response()


def end_pause() -> None:
    """Ask Redis again at once, in spite of a failure a moment ago (for tests)."""
    _guard_for(settings.REDIS_URL).end()
