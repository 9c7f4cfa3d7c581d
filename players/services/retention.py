"""Deleting data whose retention time has passed."""

from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.contrib.sessions.models import Session as AdminSession

from players.models import (
    PasswordResetCode,
    SecurityEvent,
    StaffRequest,
    StudentImport,
)

log = structlog.get_logger(__name__)

IMPORT_AGE = timedelta(days=1)
"""After this time an import of students is deleted, with its encrypted file."""
REQUEST_AGE = timedelta(days=1)
"""After this time an Idempotency-Key of the staff API is forgotten."""


def apply(*, now: datetime) -> None:
    """Delete old security events, reset codes, imports, keys, expired admin sessions.

    ``SECURITY_EVENT_DAYS`` is the age limit of security events; 0 keeps them for good.
    Ended sessions of students have their own limit
    (`players.services.sessions.end_expired`).

    Raises:
        DatabaseError: the database does not answer; run it again.
    """
    events = 0
    if settings.SECURITY_EVENT_DAYS:
        before = now - timedelta(days=settings.SECURITY_EVENT_DAYS)
        events = SecurityEvent.objects.expire(before=before)
    codes, _by_model = PasswordResetCode.objects.filter(expires_at__lte=now).delete()
    StudentImport.objects.filter(created_at__lt=now - IMPORT_AGE).delete()
    StaffRequest.objects.filter(created_at__lt=now - REQUEST_AGE).delete()
    sessions, _by_model = AdminSession.objects.filter(expire_date__lt=now).delete()
    if events or codes or sessions:
        log.info(
            "retention_applied",
            security_events=events,
            reset_codes=codes,
            admin_sessions=sessions,
        )
