"""Who is signed in to the students' pages.

A session of these pages is a row of its own and opens nothing else: neither the admin
nor the app's API. Tokens are stored as hashes.
"""

import hashlib
import secrets
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import Q

from registrar.models import Student, StudentToken

LINK_AGE = timedelta(minutes=5)
"""How long a one-time link is valid."""
SESSION_AGE = timedelta(hours=8)
Purpose = StudentToken.Purpose


def may_open(student: str = "") -> Q:
    """Return the condition under which a student may open the pages.

    A student deleted in Zoho may not, nor one whose account in the app is switched off.

    Args:
        student: the path to the student, such as ``student__``.
    """
    account = f"{student}account"
    return Q(**{f"{student}deleted_at": None}) & (
        Q(**{account: None}) | Q(**{f"{account}__player__user__is_active": True})
    )


def create_link(student: Student, *, now: datetime) -> tuple[str, datetime]:
    """Return the token of a one-time link, and when it expires. Two queries.

    Args:
        student: may open the pages; the caller has checked who asks for the link.
    """
    return _create(student.pk, Purpose.LINK, now=now, age=LINK_AGE)


def use_request(
    student: Student, signature: str, *, now: datetime, until: datetime
) -> bool:
    """Return whether this is the first use of a signature; of several at once one is.

    Args:
        signature: of the sender, in one spelling.
        until: when the signature is too old anyway.
    """
    _forget_expired(now)
    try:
        with transaction.atomic():
            StudentToken.objects.create(
                student=student,
                purpose=Purpose.REQUEST,
                sha256=_hash(signature),
                created_at=now,
                expires_at=until,
            )
    except IntegrityError:
        return False
    return True


def use_link(token: str, *, now: datetime) -> str | None:
    """Use up a one-time link and return the token of a new session.

    Of several uses at once one succeeds.

    Returns:
        None if the link has expired, was used, or its student was deleted.
    """
    found = _valid(token, Purpose.LINK, now=now)
    if found is None:
        return None
    used, _rows = StudentToken.objects.filter(pk=found.pk).delete()
    return start_session(found.student, now=now) if used else None


def start_session(student: Student, *, now: datetime) -> str:
    """Return the token of a new session; it ends after `SESSION_AGE`."""
    token, _expires = _create(student.pk, Purpose.SESSION, now=now, age=SESSION_AGE)
    return token


def is_link(token: str, *, now: datetime) -> bool:
    """Return whether a one-time link is valid; it stays so."""
    return _valid(token, Purpose.LINK, now=now) is not None


def student_of(token: str, *, now: datetime) -> Student | None:
    """Return the student of a session; None without a valid one. One query."""
    found = _valid(token, Purpose.SESSION, now=now)
    return found.student if found else None


def end_session(token: str) -> None:
    """End a session."""
    StudentToken.objects.filter(sha256=_hash(token), purpose=Purpose.SESSION).delete()


def end_all(of: Q) -> None:
    """End all sessions and links of the students that a condition names."""
    StudentToken.objects.filter(of).exclude(purpose=Purpose.REQUEST).delete()


def _create(
    student_pk: int, purpose: str, *, now: datetime, age: timedelta
) -> tuple[str, datetime]:
    _forget_expired(now)
    token, expires_at = secrets.token_urlsafe(32), now + age
    StudentToken.objects.create(
        student_id=student_pk,
        purpose=purpose,
        sha256=_hash(token),
        created_at=now,
        expires_at=expires_at,
    )
    return token, expires_at


def _forget_expired(now: datetime) -> None:
    StudentToken.objects.filter(expires_at__lte=now).delete()


def _valid(token: str, purpose: str, *, now: datetime) -> StudentToken | None:
    if not token:
        return None
    tokens = StudentToken.objects.filter(
        may_open("student__"), sha256=_hash(token), purpose=purpose, expires_at__gt=now
    )
    return tokens.select_related("student").first()


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
