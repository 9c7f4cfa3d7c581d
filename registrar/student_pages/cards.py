"""Student cards: generating one, and proving it by a signed address."""

import uuid as uuids
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from django.conf import settings
from django.core.files.base import File
from django.core.signing import BadSignature, Signer
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from registrar.models import (
    Registration,
    RequestKind,
    Student,
    StudentAccount,
    StudentCard,
)
from registrar.student_pages.submitting import Wanted, submit

_SALT = "registrar.student-card"


class CardState(StrEnum):
    """Whether a card is valid, and if not, why."""

    VALID = "valid"
    EXPIRED = "expired"
    REPLACED = "replaced"
    WITHDRAWN = "withdrawn"
    ENDED = "ended"
    """The student is no longer at the school."""


def generate(student: Student, *, uuid: uuids.UUID, now: datetime) -> StudentCard:
    """Make a card, which replaces the student's earlier ones, and its request to the CRM.

    The same ``uuid`` makes one card.

    Raises:
        ClosedError, RefusedRequestError: see `submitting.submit`.
    """
    with transaction.atomic():
        number = number_of(student)
        wanted = Wanted(kind=RequestKind.CARD, uuid=uuid, description=number)
        submission = submit(student, wanted, now=now)
        known = StudentCard.objects.filter(submission=submission).first()
        if known is not None:
            return known
        StudentCard.objects.filter(student=student, replaced_at=None).update(
            replaced_at=now
        )
        days = timedelta(days=settings.STUDENT_CARD_DAYS)
        return StudentCard.objects.create(
            student=student,
            submission=submission,
            number=number,
            issued_at=now,
            valid_until=timezone.localdate(now) + days,
        )


def withdraw(card: StudentCard, *, now: datetime) -> bool:
    """End a card for good; False if it was withdrawn already. The student may make a new one."""
    rows = StudentCard.objects.filter(pk=card.pk, withdrawn_at=None)
    return bool(rows.update(withdrawn_at=now))


def latest(student: Student) -> StudentCard | None:
    """Return the student's card; None before the first. One query."""
    return StudentCard.objects.filter(student=student, replaced_at=None).last()


def number_of(student: Student) -> str:
    """Return the number of the latest registration, else the id in Zoho. One query."""
    rows = Registration.objects.filter(student=student.zoho_id, deleted_at=None)
    found = rows.exclude(number="").order_by("-registered_on", "-pk").first()
    return found.number if found else student.zoho_id


def photo_of(student: Student) -> "File[bytes] | None":
    """Return the photo of the player that the student is; None without one. One query."""
    accounts = StudentAccount.objects.filter(student=student).select_related("player")
    account = accounts.first()
    return account.player.photo if account and account.player.photo else None


def address_of(card: StudentCard) -> str:
    """Return the full address that shows whether the card is valid: that of its QR code.

    It cannot be guessed: it contains a signature with the server's key.
    """
    path = reverse("student-card-check", args=[Signer(salt=_SALT).sign(str(card.pk))])
    return f"{settings.SITE_URL}{path}"


@dataclass(frozen=True, slots=True)
class Checked:
    """A card that was found by its address, and its state."""

    card: StudentCard
    state: CardState


def check(signed: str, *, now: datetime) -> Checked | None:
    """Return the card of an address; None if the signature is wrong. One query."""
    try:
        pk = int(Signer(salt=_SALT).unsign(signed))
    except (BadSignature, ValueError):
        return None
    card = StudentCard.objects.select_related("student").filter(pk=pk).first()
    return Checked(card, state_of(card, card.student, now=now)) if card else None


def state_of(card: StudentCard, student: Student, *, now: datetime) -> CardState:
    """Return the state of a card of this student."""
    if student.deleted_at is not None:
        return CardState.ENDED
    if card.withdrawn_at is not None:
        return CardState.WITHDRAWN
    if card.replaced_at is not None:
        return CardState.REPLACED
    if card.valid_until < timezone.localdate(now):
        return CardState.EXPIRED
    return CardState.VALID
