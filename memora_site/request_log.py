"""The log of requests: an id for each, its status, and who sent it.

`RequestLogMiddleware` is for the site's whole chain. `begin` and `end` are for the
students' API: one line for each request, at a hundredth of the cost.
"""

import logging
import os
import re
from datetime import UTC, datetime
from typing import Any

import structlog
from django.http import HttpRequest
from django_structlog.middlewares import RequestMiddleware

from memora_site import logs

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


def begin() -> None:
    """Give the request an id, which all its log lines contain."""
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=os.urandom(16).hex())


def end(request: HttpRequest, status: int, seconds: float) -> None:
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
        **structlog.contextvars.get_contextvars(),
        "level": "warning" if status >= 400 else "info",
        "logger": logs.REQUESTS,
        "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
    }
    _REQUESTS.handle(
        _REQUESTS.makeRecord(
            logs.REQUESTS,
            level,
            "",
            0,
            event,
            (),
            None,
            extra={"_logger": _REQUESTS, "_name": event["level"]},
        )
    )
