"""Retrying admin requests that conflict with a concurrent write.

When two requests change the same rows, the database can end one of them, or refuse the
second by a constraint. A retry reads what the other request saved: most often it
succeeds, else its form shows the error at the field. Every admin view is one
transaction, so nothing of the failed run remains.
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
"""Seconds after which a request is not retried: one wait for a lock can take much
longer, and the user needs a response."""
_SECRET_FIELDS = ("token", "password", "secret", "access_key")
"""Parts of field names whose values the page does not send back."""

View = Callable[..., HttpResponse]


def retry_on_conflict(view: View) -> View:
    """Wrap ``view`` so that it runs at most three times while it loses write conflicts.

    After the last one, and when a content rule refuses the request, the response is a
    page or JSON (409) that gives the reason and keeps the user's input.
    """

    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
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
                # An uploaded file has already been read, and may have been moved.
                if left and is_early and not request.FILES:
                    continue
                log.warning("admin_race_lost", exc_info=True)
                return _refused(request, _error_text(error))
        raise AssertionError("a run answers, or raises")

    return wrapper


def _error_text(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return " ".join(error.messages)
    return _(
        "Another user changed the same data at the same time. Nothing was saved: try "
        "again."
    )


def _refused(request: HttpRequest, message: str) -> HttpResponse:
    """Return JSON for scripts, or a page that repeats the user's input."""
    if "text/html" not in request.headers.get("Accept", ""):
        return JsonResponse({"error": message}, status=409)
    context = {
        **admin.site.each_context(request),
        "title": _("Not saved"),
        "message": message,
        "is_sent": request.method == "POST",
        "typed": [
            (name, value)
            for name, values in request.POST.lists()
            for value in values
            if not any(part in name.lower() for part in _SECRET_FIELDS)
        ],
        "files": request.FILES,
    }
    return TemplateResponse(request, "admin/not_saved.html", context, status=409)
