"""The log of requests: an id for each, its status, and who sent it.

`RequestLogMiddleware` is for the site's whole chain. `begin` and `end` are for the
students' API: one line for each request, at a hundredth of the cost.
"""

import logging
import os
import re
import time
from functools import lru_cache
from typing import Any

import structlog
from django.http import HttpRequest
from django_structlog.middlewares import RequestMiddleware

from memora_site import logs
from players.services.sessions import Player

_REQUESTS = logging.getLogger(logs.REQUESTS)
_PLAIN_PATH = re.compile(r"[A-Za-z0-9/_-]{1,200}", re.ASCII)
"""Paths in which `logs.redact` finds nothing; they are logged without asking it."""


class RequestLogMiddleware(RequestMiddleware):
    """django-structlog's middleware, which does not load the session to log its user.

    That would cost each request two queries, and make it fail while the database is
    away.
    """

    @staticmethod
    def bind_user_id(request: HttpRequest) -> None:
        """Log the member of staff, if the request has already loaded them."""
        if (user := getattr(request, "_cached_user", None)) is not None:
            structlog.contextvars.bind_contextvars(user_id=user.pk)


class _Record(logging.LogRecord):
    """A record without the place in the code, which costs more than the line."""

    def __init__(self, level: int, event: dict[str, Any]) -> None:
        # For structlog's formatter, `_logger` and `_name` mark an event of structlog.
        self.__dict__ = {
            **_NO_PLACE,
            "levelno": level,
            "levelname": logging.getLevelName(level),
            "msg": event,
            "_name": event["level"],
        }


_NO_PLACE = logging.makeLogRecord(
    {"name": logs.REQUESTS, "_logger": _REQUESTS}
).__dict__


def begin() -> str:
    """Return a new id for a request; all its log lines contain it."""
    request_id = os.urandom(16).hex()
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=request_id)
    return request_id


def end(request: HttpRequest, request_id: str, status: int, seconds: float) -> None:
    """Log the answered request, unless its exception was logged."""
    if "_raised_exception" in request.__dict__:
        return
    level = logging.WARNING if status >= 400 else logging.INFO
    if not _REQUESTS.isEnabledFor(level):
        return
    path = request.path_info
    if not _PLAIN_PATH.fullmatch(path):
        path = logs.redact(path)
    event: dict[str, Any] = {
        "event": "request_finished",
        "request": f"{request.method} {path}",
        "code": status,
        "ms": round(seconds * 1000, 1),
        "request_id": request_id,
        "level": "info" if level == logging.INFO else "warning",
        "logger": logs.REQUESTS,
        "timestamp": _now(),
    }
    user = request.__dict__.get("user")
    if isinstance(user, Player):
        event["player_id"] = user.id
    _REQUESTS.handle(_Record(level, event))


def _now() -> str:
    now = time.time()
    return f"{_second(int(now))}.{int(now % 1 * 1_000_000):06d}Z"


@lru_cache(maxsize=4)
def _second(unix_time: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(unix_time))
