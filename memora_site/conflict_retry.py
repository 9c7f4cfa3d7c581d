"""The admin's doors when somebody else got there first.

Two who change the same at once can make the database end one of the two, or refuse the
second by a constraint. Run again, that door sees what the other saved, and most often
simply succeeds; or its form says what is wrong at the field. Every door is one
transaction, so nothing of the lost run is left.
"""

import time
from collections.abc import Callable
from functools import wraps
from typing import Any

import structlog
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db import IntegrityError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from core.db import is_conflict
from core.errors import MemoraError

log = structlog.get_logger(__name__)

_RUNS = 3
_PATIENCE = 10.0
"""Seconds after which a request is not run again: a lock can be waited for much longer,
and who waits for the page wants to know."""
_NEVER_SENT_BACK = ("token", "password", "secret", "access_key")
"""Fields that a page does not repeat, by what their names hold."""

View = Callable[..., HttpResponse]


def retry_on_conflict(view: View) -> View:
    """``view``, run at most twice again after a lost race; then, and when the content's
    rules refuse, a page or JSON (409) that says why and keeps what was typed."""

    @wraps(view)
    def door(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        started = time.monotonic()
        for left in reversed(range(_RUNS)):
            try:
                return view(request, *args, **kwargs)
            except MemoraError as refusal:
                return _refused(request, refusal.message)
            except (OperationalError, IntegrityError, ValidationError) as error:
                if isinstance(error, OperationalError) and not is_conflict(error):
                    raise
                is_early = time.monotonic() - started < _PATIENCE
                # A file that was sent has been read, and may have been moved.
                if left and is_early and not request.FILES:
                    continue
                log.warning("admin_race_lost", exc_info=True)
                return _refused(request, _error_text(error))
        raise AssertionError("a run answers, or raises")

    return door


def _error_text(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return " ".join(error.messages)
    return _(
        "Somebody else changed the same at this moment. Nothing was saved: try again."
    )


def _refused(request: HttpRequest, said: str) -> HttpResponse:
    """Scripts get JSON; people a page with what they sent, to be sent again."""
    if "text/html" not in request.headers.get("Accept", ""):
        return JsonResponse({"refused": said}, status=409)
    context = {
        **admin.site.each_context(request),
        "title": _("Not saved"),
        "said": said,
        "is_sent": request.method == "POST",
        "typed": [
            (name, value)
            for name, values in request.POST.lists()
            for value in values
            if not any(part in name.lower() for part in _NEVER_SENT_BACK)
        ],
        "files": request.FILES,
    }
    return TemplateResponse(request, "admin/not_saved.html", context, status=409)
