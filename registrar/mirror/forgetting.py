"""Erase the personal data of students whom Zoho deleted long ago.

The rows stay: registrations and payments are the school's books. A student who is restored
in Zoho gets their values back from there.
"""

from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models import F, Q, QuerySet

from core import statement_guard
from registrar.models import (
    Conflict,
    Effect,
    Hint,
    Payment,
    Student,
    StudentRequest,
    StudentToken,
    Submission,
)
from registrar.models.work import UNFINISHED

PERSONAL = (
    *("first_name", "last_name", "display_name", "academic_email", "phone_number"),
    *("address", "city", "nationality", "gender", "national_number"),
    *("emergency_contact_name", "emergency_phone_number"),
)
"""Texts of a student that say who they are; the date of birth is another column."""
_MODULE = "BTEC_Students"
_BATCH = 200


def erase_deleted(*, now: datetime) -> int:
    """Erase students whom Zoho deleted more than ``REGISTRAR_ERASE_DAYS`` ago.

    At most 200 in a call, each in a transaction. 0 days: nobody is erased.

    Returns:
        how many were erased.
    """
    if not settings.REGISTRAR_ERASE_DAYS:
        return 0
    before = now - timedelta(days=settings.REGISTRAR_ERASE_DAYS)
    keys = list(_due(before).order_by("pk").values_list("pk", flat=True)[:_BATCH])
    return sum(_erase(pk, before=before, now=now) for pk in keys)


def _due(before: datetime) -> QuerySet[Student]:
    """Return the students to erase; one who was restored and deleted again is one."""
    return Student.objects.filter(
        Q(erased_at=None) | Q(erased_at__lt=F("deleted_at")), deleted_at__lt=before
    )


@transaction.atomic
def _erase(pk: int, *, before: datetime, now: datetime) -> bool:
    # Zoho may have restored the student since they were listed.
    student = _due(before).filter(pk=pk).select_for_update().first()
    if student is None:
        return False
    about = {"module": _MODULE, "record_id": student.zoho_id}
    Student.objects.filter(pk=pk).update(
        erased_at=now, birth_date=None, **dict.fromkeys(PERSONAL, "")
    )
    Payment.objects.filter(student=student.zoho_id).update(note="")
    StudentRequest.objects.filter(student=student.zoho_id).update(description="")
    sent = Submission.objects.filter(student=student)
    for submission in sent.exclude(receipt=""):
        submission.receipt.delete(save=True)
    sent.update(description="")
    StudentToken.objects.filter(student=student).delete()
    Conflict.objects.filter(**about).delete()
    Hint.objects.filter(**about).exclude(state__in=UNFINISHED).delete()
    Effect.objects.filter(**about).exclude(state__in=UNFINISHED).update(
        result="", last_error=""
    )
    with statement_guard.rewriting():
        QuerySet(LogEntry).filter(
            content_type=ContentType.objects.get_for_model(Student), object_id=str(pk)
        ).update(object_repr=student.zoho_id)
    return True
