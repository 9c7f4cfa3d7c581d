"""Store a delivery: after that, and only then, it is answered with 200."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import orjson
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from core import json_limits
from registrar.configuration import WebhookSecrets
from registrar.inbox import refusals, verifiers
from registrar.inbox.bodies import BodyError, NamedRecord, named_records
from registrar.inbox.endpoints import LIST, Event
from registrar.mapping.modules import MAPPINGS
from registrar.models import Delivery, Hint

MAX_BYTES = 256 * 1024
_FORM = "application/x-www-form-urlencoded"
_OPERATIONS = {"insert": "changed", "update": "changed", "delete": "deleted"}


class RefusedDeliveryError(Exception):
    """A delivery that is not stored; ``status`` is the HTTP status to answer."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        refusals.count(reason)


@dataclass(frozen=True, slots=True)
class Received:
    """A stored delivery; ``is_new`` is False for one that was stored before."""

    records: tuple[tuple[str, str], ...]
    is_new: bool


def receive(
    *,
    endpoint: str,
    event: Event | None,
    secrets: WebhookSecrets,
    headers: Mapping[str, str],
    body: bytes,
) -> Received:
    """Verify and store a webhook or a notification with the records that it names.

    Args:
        endpoint: its address, for staff.
        event: what it hints at; None for a notification, which has its own module.
        secrets: what a sender must know.
        headers: with case-insensitive names.

    Raises:
        RefusedDeliveryError: 401: nobody we know has sent it; 400: it names no record.
            Nothing is stored; `refusals` counts it.
        DatabaseError: it could not be stored.
    """
    if len(body) > MAX_BYTES:
        raise RefusedDeliveryError(413, "size")
    verifier = _verified_by(headers, body, secrets, is_notification=event is None)
    if not verifier:
        raise RefusedDeliveryError(401, "signature")
    value = _parsed(headers, body)
    if event is None:
        event = _event_of(value)
    try:
        named = named_records(value)
    except BodyError:
        raise RefusedDeliveryError(400, "body") from None
    operation = event.operation
    if named and operation == LIST:
        operation = "changed"
    if not named and operation != LIST:
        raise RefusedDeliveryError(400, "body")
    event = Event(event.module, operation)
    return _store(endpoint, event, named, verifier=verifier, body=body, value=value)


def _verified_by(
    headers: Mapping[str, str],
    body: bytes,
    secrets: WebhookSecrets,
    *,
    is_notification: bool,
) -> str:
    """Return the verifier that accepts the request; "" if there is none."""
    if verifiers.is_signed(headers, body, keys=secrets.hmac, now=time.time()):
        return "hmac"
    if verifiers.has_key(headers, keys=secrets.header):
        return "header"
    if is_notification and secrets.token:
        # The token is in the body: parse it, within limits, before it is verified.
        try:
            value = json_limits.loads(body, max_bytes=MAX_BYTES)
        except ValueError:
            return ""
        if verifiers.has_token(value, tokens=secrets.token):
            return "token"
    return ""


def _parsed(headers: Mapping[str, str], body: bytes) -> Any:
    if headers.get("Content-Type", "").lower().startswith(_FORM):
        try:
            return dict(parse_qsl(body.decode(), max_num_fields=100))
        except ValueError:
            raise RefusedDeliveryError(400, "body") from None
    try:
        return json_limits.loads(body, max_bytes=MAX_BYTES) if body.strip() else {}
    except (json_limits.JSONLimitError, orjson.JSONDecodeError):
        raise RefusedDeliveryError(400, "body") from None


def _event_of(notification: Any) -> Event:
    found = notification if isinstance(notification, Mapping) else {}
    module = found.get("module")
    if isinstance(module, Mapping):
        module = module.get("api_name")
    operation = found.get("operation")
    if module not in MAPPINGS or operation not in _OPERATIONS:
        raise RefusedDeliveryError(400, "body")
    return Event(str(module), _OPERATIONS[str(operation)])


def _store(
    endpoint: str,
    event: Event,
    named: Sequence[NamedRecord],
    *,
    verifier: str,
    body: bytes,
    value: Any,
) -> Received:
    now = timezone.now()
    ids = tuple((event.module, one.id) for one in named) or ((event.module, ""),)
    start = f"{event.module} {event.operation} ".encode()
    key = hashlib.sha256(start + body).hexdigest()
    try:
        with transaction.atomic():
            delivery = Delivery.objects.create(
                endpoint=endpoint,
                verifier=verifier,
                body=body,
                dedup_key=key,
                has_version=_has_version(named, value),
                received_at=now,
            )
            Hint.objects.bulk_create(
                Hint(
                    delivery=delivery,
                    module=event.module,
                    record_id=one.id,
                    operation=event.operation,
                    not_before=one.modified,
                    created_at=now,
                    due_at=now,
                )
                for one in (named or [NamedRecord("")])
            )
    except IntegrityError:
        # The same delivery once more.
        Delivery.objects.filter(dedup_key=key).update(times=F("times") + 1)
        return Received(ids, is_new=False)
    return Received(ids, is_new=True)


def _has_version(named: Sequence[NamedRecord], value: Any) -> bool:
    """Return whether the next change of the same records has another body.

    Else a body such as ``{"id": 1}`` stands for the next change, too, as soon as we have
    begun to read the record.
    """
    if isinstance(value, Mapping) and value.get("server_time"):
        return True
    return bool(named) and all(one.modified for one in named)
