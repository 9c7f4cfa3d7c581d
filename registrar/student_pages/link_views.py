"""One-time links for Moodle, which asks for them when a student opens their pages there."""

import time
from datetime import timedelta
from http import HTTPStatus

import orjson
import structlog
from django.conf import settings
from django.http import Http404, HttpRequest, JsonResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from registrar.inbox import verifiers
from registrar.models import Student
from registrar.student_pages import access

log = structlog.get_logger(__name__)

_MAX_BYTES = 1_000
_MAX_ID = 2**63 - 1
_SIGNATURE_AGE = timedelta(seconds=2 * verifiers.WINDOW_SECONDS + 1)
"""How long a signature may be accepted: its time may be ahead of ours."""


def address_of(token: str) -> str:
    """Return the address that uses a one-time link."""
    return f"{settings.SITE_URL}{reverse('student-link')}?token={token}"


@csrf_exempt
@require_POST
def create_link(request: HttpRequest) -> JsonResponse:
    """Return a one-time link for the student with ``{"moodle_id": 42}``.

    The body is signed as a webhook is, with a key of its own: who may send webhooks may
    not sign in as a student. A signature is accepted once: who has seen a request gets no
    link with it.

    Raises:
        Http404: there is no key.
    """
    if not settings.STUDENT_LINK_KEYS:
        raise Http404
    body = request.read(_MAX_BYTES + 1)
    if len(body) > _MAX_BYTES:
        return _refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "size")
    keys = settings.STUDENT_LINK_KEYS
    if not verifiers.is_signed(request.headers, body, keys=keys, now=time.time()):
        return _refuse(HTTPStatus.UNAUTHORIZED, "signature")
    moodle_id = _moodle_id(body)
    if moodle_id is None:
        return _refuse(HTTPStatus.BAD_REQUEST, "body")
    student = Student.objects.filter(access.may_open(), moodle_id=moodle_id).first()
    if student is None:
        return _refuse(HTTPStatus.NOT_FOUND, "student")
    now = timezone.now()
    used = access.use_request(
        student,
        verifiers.sent_signature(request.headers),
        now=now,
        until=now + _SIGNATURE_AGE,
    )
    if not used:
        return _refuse(HTTPStatus.UNAUTHORIZED, "used")
    token, expires_at = access.create_link(student, now=now)
    answer = JsonResponse(
        {"url": address_of(token), "expires_at": expires_at.isoformat()}
    )
    answer["Cache-Control"] = "no-store"
    return answer


def _moodle_id(body: bytes) -> int | None:
    """Return the id that a body names; None if it names none."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    found = value.get("moodle_id") if isinstance(value, dict) else None
    if isinstance(found, bool) or not isinstance(found, int):
        return None
    return found if 0 < found <= _MAX_ID else None


def _refuse(status: HTTPStatus, reason: str) -> JsonResponse:
    log.warning("student_link_refused", reason=reason)
    code, message = {
        "size": ("BODY_TOO_LARGE", _("The body is too large.")),
        "signature": (
            "NOT_AUTHENTICATED",
            _("The signature is wrong, missing or too old."),
        ),
        "used": (
            "NOT_AUTHENTICATED",
            _("The signature was used. Sign each request with another nonce."),
        ),
        "body": ("INVALID_BODY", _("The body names no record.")),
        "student": ("NOT_FOUND", _("Not found.")),
    }[reason]
    return JsonResponse({"error_code": code, "message": message}, status=status)
