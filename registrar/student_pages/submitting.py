"""Send a request: check the rules, store it, let the outbox create its record in Zoho."""

import uuid as uuids
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.core.files.base import File
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _, ngettext

from core.pictures import CleanPicture
from registrar import enqueuing, tasks
from registrar.mapping.modules import ACTIVE
from registrar.models import (
    Effect,
    Enrolment,
    Kind,
    RequestKind,
    Student,
    Submission,
)
from registrar.student_pages.windows import Window, windows

MODULE = "BTEC_Student_Requests"
DROP_DAYS = 31
"""A class may be dropped if the student was enrolled so many days ago at most."""
MAX_DROPS = 2
"""Classes that a student may drop while the window is open."""
MAX_A_DAY = 10
"""Requests of one student in 24 hours."""


class ClosedError(Exception):
    """Requests of this kind are not accepted now."""


class RefusedRequestError(Exception):
    """The request breaks a rule; the message is for the student."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a student asks for.

    Args:
        uuid: chosen with the form.
        class_ids: Zoho ids of classes to drop.
        receipt: a picture that `core.pictures` has made.
    """

    kind: RequestKind
    uuid: uuids.UUID
    description: str = ""
    class_ids: Sequence[str] = ()
    receipt: CleanPicture | None = None


def submit(student: Student, wanted: Wanted, *, now: datetime) -> Submission:
    """Store a request and add the effect that creates its record in the CRM.

    A request with a known ``uuid`` is returned as it was stored.

    Raises:
        ClosedError: its window is not open, or ``uuid`` belongs to another student.
        RefusedRequestError: it breaks another rule.
        OSError: the disk refuses the receipt; nothing is stored.
    """
    with transaction.atomic():
        # Requests of one student are checked one after another.
        Student.objects.select_for_update().get(pk=student.pk)
        known = Submission.objects.filter(uuid=wanted.uuid).first()
        if known is not None:
            if known.student_id != student.pk:
                raise ClosedError
            return known
        window = windows(now=now)[wanted.kind]
        if not window.is_open:
            raise ClosedError
        _require_few(student, now=now)
        _CHECKS.get(wanted.kind, _no_check)(student, wanted, window)
        submission = _store(student, wanted, now=now)
        _add_effect(submission, now=now)
    return submission


def droppable(student: Student) -> list[Enrolment]:
    """Return the places in classes that the student may drop today. One query."""
    since = timezone.localdate() - timedelta(days=DROP_DAYS)
    rows = Enrolment.objects.filter(
        student=student.zoho_id,
        status=ACTIVE,
        deleted_at=None,
        enrolled_on__gte=since,
        school_class__deleted_at=None,
    )
    return list(rows.select_related("school_class").order_by("-enrolled_on", "pk"))


def _require_few(student: Student, *, now: datetime) -> None:
    sent = Submission.objects.filter(
        student=student, created_at__gt=now - timedelta(days=1)
    )
    if sent.count() >= MAX_A_DAY:
        raise RefusedRequestError(
            _("You have sent many requests today. Send the next one tomorrow.")
        )


def _check_enrolment(student: Student, _wanted: Wanted, window: Window) -> None:
    if _in_window(student, RequestKind.ENROL, window):
        raise RefusedRequestError(_("You have sent this request already."))


def _check_drop(student: Student, wanted: Wanted, window: Window) -> None:
    chosen = set(wanted.class_ids)
    if not chosen or chosen - {one.school_class_id for one in droppable(student)}:
        raise RefusedRequestError(
            _("Choose one or two of the classes that you joined in the last month.")
        )
    for earlier in _in_window(student, RequestKind.DROP, window):
        chosen |= set(earlier.class_ids)
    if len(chosen) > MAX_DROPS:
        raise RefusedRequestError(
            ngettext(
                "You may drop %(count)d class.",
                "You may drop %(count)d classes.",
                MAX_DROPS,
            )
            % {"count": MAX_DROPS}
        )


def _in_window(student: Student, kind: str, window: Window) -> list[Submission]:
    """Return the student's requests of a kind since its window opened."""
    sent = Submission.objects.filter(student=student, kind=kind)
    if window.opens_at is not None:
        sent = sent.filter(created_at__gte=window.opens_at)
    return list(sent)


def _check_late(_student: Student, wanted: Wanted, _window: Window) -> None:
    if wanted.receipt is None:
        raise RefusedRequestError(_("Add a picture of the receipt."))


def _no_check(_student: Student, _wanted: Wanted, _window: Window) -> None:
    """Other kinds have no further rule."""


_CHECKS = {
    RequestKind.ENROL: _check_enrolment,
    RequestKind.DROP: _check_drop,
    RequestKind.LATE: _check_late,
}


def _store(student: Student, wanted: Wanted, *, now: datetime) -> Submission:
    submission = Submission(
        uuid=wanted.uuid,
        student=student,
        kind=wanted.kind,
        description=wanted.description,
        class_ids=sorted(wanted.class_ids),
        created_at=now,
    )
    if wanted.receipt is not None:
        file: File[bytes] = wanted.receipt
        submission.receipt.save(file.name or "receipt", file, save=False)
    submission.save()
    return submission


def _add_effect(submission: Submission, *, now: datetime) -> None:
    """Add the effect; a task tries it at once, later runs repeat it."""
    record_id = str(submission.uuid)
    Effect.objects.create(
        key=f"{Kind.REQUEST} {MODULE} {record_id} 1",
        kind=Kind.REQUEST,
        peer="zoho",
        module=MODULE,
        record_id=record_id,
        version=1,
        created_at=now,
        due_at=now,
    )
    transaction.on_commit(lambda: enqueuing.enqueue(tasks.run_effects))
