"""Requests of the staff API that change something once, however often they are sent.

The answer of a request is stored under its Idempotency-Key in the transaction of its
changes, so both are there or neither. A refused request has changed nothing and is not
stored: a repeat runs again.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.db import IntegrityError, transaction

from core.db import retry_on_conflict
from core.idempotency import key_conflict
from players.models import StaffRequest


@dataclass(frozen=True, slots=True)
class Answered:
    """The status and the JSON value of an answer."""

    status: int
    answer: Any


@dataclass(frozen=True, slots=True)
class Made:
    """What a first request answers, and what its repeats get: without secrets."""

    first: Answered
    kept: Answered


def once(
    *, owner_id: int, key: str, request: bytes, run: Callable[[], Made]
) -> Answered:
    """Call ``run`` in a transaction, or return what it answered to the same request.

    Of two requests at once, the second waits for the first. Keys are deleted after a
    day (`players.services.retention`).

    Args:
        owner_id: the member of staff; each has their own keys.
        request: identifies the request: method, path and body.

    Raises:
        IdempotencyConflictError: the key was used for another request.
        OperationalError: the database does not answer; nothing has changed.
    """
    wanted = {
        "owner_id": owner_id,
        "key_hash": hashlib.sha256(key.encode()).hexdigest(),
    }
    request_hash = hashlib.sha256(request).hexdigest()
    made = retry_on_conflict(partial(_first, wanted, request_hash, run))
    if made is not None:
        return made
    held = StaffRequest.objects.filter(**wanted).first()
    if held is None:  # deleted since: the key is a day old
        return once(owner_id=owner_id, key=key, request=request, run=run)
    if held.request_hash != request_hash:
        raise key_conflict()
    return Answered(held.status, held.answer)


@transaction.atomic
def _first(
    wanted: dict[str, Any], request_hash: str, run: Callable[[], Made]
) -> Answered | None:
    """Claim the key and run; None if the key is taken."""
    try:
        with transaction.atomic():
            row = StaffRequest.objects.create(**wanted, request_hash=request_hash)
    except IntegrityError:
        return None
    made = run()
    row.status, row.answer = made.kept.status, made.kept.answer
    row.save(update_fields=["status", "answer"])
    return made.first
