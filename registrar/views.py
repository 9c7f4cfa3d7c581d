"""The addresses to which peers send: verify, store, answer."""

from django.db import transaction
from django.http import Http404, HttpRequest, JsonResponse
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from registrar import configuration, enqueuing, tasks
from registrar.inbox.endpoints import ALIASES, EVENTS, Event
from registrar.inbox.receiving import MAX_BYTES, RefusedDeliveryError, receive


@csrf_exempt
@require_POST
def webhook(request: HttpRequest, event: str) -> JsonResponse:
    """A webhook of the CRM; 404 for an event that there is not."""
    if event not in EVENTS:
        raise Http404
    return _answer(request, EVENTS[event])


@csrf_exempt
@require_POST
def alias(request: HttpRequest, name: str) -> JsonResponse:
    """An older address of a webhook."""
    return _answer(request, ALIASES[name])


@csrf_exempt
@require_POST
def notification(request: HttpRequest) -> JsonResponse:
    """A notification of the CRM (``/actions/watch``)."""
    return _answer(request, None)


def _answer(request: HttpRequest, event: Event | None) -> JsonResponse:
    secrets = configuration.connections().webhooks
    if not secrets.is_on:
        raise Http404
    try:
        received = receive(
            endpoint=request.path.removeprefix("/api/v1/").strip("/")[:80],
            event=event,
            secrets=secrets,
            headers=request.headers,
            # One byte too many is enough to know.
            body=request.read(MAX_BYTES + 1),
        )
    except RefusedDeliveryError as error:
        return _refusal(error)
    if received.is_new:
        transaction.on_commit(lambda: enqueuing.enqueue(tasks.process_inbox))
    return JsonResponse(
        {"accepted": len(received.records), "duplicate": not received.is_new}
    )


def _refusal(error: RefusedDeliveryError) -> JsonResponse:
    code, message = {
        400: ("INVALID_BODY", _("The body names no record.")),
        401: ("NOT_AUTHENTICATED", _("The signature is wrong, missing or too old.")),
        413: ("BODY_TOO_LARGE", _("The body is too large.")),
    }[error.status]
    return JsonResponse({"error_code": code, "message": message}, status=error.status)
