"""One-time links for Moodle, which asks for them when a student opens their pages there."""

import time
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


@csrf_exempt
@require_POST
def create_link(request: HttpRequest) -> JsonResponse:
    """Return a one-time link for the student with ``{"moodle_id": 42}``.

    The body is signed as a webhook is, with a key of its own: who may send webhooks may
    not sign in as a student.

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
    student = Student.objects.filter(moodle_id=moodle_id, deleted_at=None).first()
    if student is None:
        return _refuse(HTTPStatus.NOT_FOUND, "student")
    token, expires_at = access.create_link(student, now=timezone.now())
    address = f"{settings.SITE_URL}{reverse('student-link')}?token={token}"
    answer = JsonResponse({"url": address, "expires_at": expires_at.isoformat()})
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
        "body": ("INVALID_BODY", _("The body names no record.")),
        "student": ("NOT_FOUND", _("Not found.")),
    }[reason]
    return JsonResponse({"error_code": code, "message": message}, status=status)
