"""What the pages show of a student, from the local database alone.

Each function makes a fixed number of queries, for any number of students and rows.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from registrar.models import (
    Enrolment,
    Grade,
    Payment,
    Registration,
    Student,
    StudentRequest,
    Submission,
)

_KEY = re.compile(r"\A([0-9]++)-([0-9]++)-[0-9]++-([0-9]++)\Z")
"""``Moodle_Grade_Composite_Key``: course, assignment, user, attempt (from 0)."""
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class RegistrationPart:
    """A registration with its payments, the newest first."""

    registration: Registration
    payments: list[Payment] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The name of the program."""
        program = self.registration.program
        return self.registration.program_name or (program.name if program else "")


def registrations(student: Student) -> tuple[list[RegistrationPart], list[Payment]]:
    """Return the registrations, the newest first, and payments without one.

    Two queries.
    """
    rows = Registration.objects.filter(student=student.zoho_id).select_related(
        "program"
    )
    parts = {
        row.zoho_id: RegistrationPart(row)
        for row in rows.order_by("-registered_on", "-pk")
    }
    others: list[Payment] = []
    payments = Payment.objects.filter(student=student.zoho_id)
    for payment in payments.order_by("-paid_on", "-pk"):
        part = parts.get(payment.registration_id or "")
        (part.payments if part else others).append(payment)
    return list(parts.values()), others


def enrolments(student: Student) -> list[Enrolment]:
    """Return the student's places in classes, the newest first. One query."""
    rows = Enrolment.objects.filter(student=student.zoho_id)
    rows = rows.select_related(
        "school_class", "school_class__unit", "school_class__teacher"
    )
    return list(rows.order_by("-enrolled_on", "-pk"))


@dataclass(frozen=True, slots=True)
class Attempt:
    """A grade and the number of its attempt, from 1."""

    grade: Grade
    number: int


@dataclass(frozen=True, slots=True)
class Assessment:
    """All attempts at one assignment, the latest first: that one counts."""

    attempts: tuple[Attempt, ...]

    @property
    def latest(self) -> Attempt:
        return self.attempts[0]

    @property
    def earlier(self) -> tuple[Attempt, ...]:
        return self.attempts[1:]


def assessments(student: Student) -> list[Assessment]:
    """Return the grades by assignment, the latest first. One query."""
    rows = Grade.objects.filter(student=student.zoho_id, deleted_at=None)
    rows = rows.select_related("school_class", "unit")
    return group_attempts(rows)


def group_attempts(grades: Iterable[Grade]) -> list[Assessment]:
    """Group grades by assignment.

    A grade whose key does not name one is grouped by class and unit; its attempts are
    numbered by the time at which they came into the CRM.
    """
    groups: dict[tuple[str, ...], list[tuple[int, datetime, Grade]]] = {}
    for grade in grades:
        named = _KEY.match(grade.composite_key)
        where = (
            (named[1], named[2])
            if named
            else ("", grade.school_class_id or "", grade.unit_id or "")
        )
        time = grade.created_time or grade.modified_time or _LONG_AGO
        number = int(named[3]) + 1 if named else 0
        groups.setdefault(where, []).append((number, time, grade))
    found = []
    for rows in groups.values():
        rows.sort(key=lambda row: (row[0], row[1], row[2].pk))
        numbered = [
            Attempt(grade, number or place)
            for place, (number, _time, grade) in enumerate(rows, start=1)
        ]
        found.append((max(time for _n, time, _g in rows), tuple(reversed(numbered))))
    found.sort(key=lambda one: one[0], reverse=True)
    return [Assessment(attempts) for _time, attempts in found]


@dataclass(frozen=True, slots=True)
class RequestPart:
    """A request: as it was sent here, as the CRM has it, or both."""

    submission: Submission | None
    record: StudentRequest | None

    @property
    def status(self) -> str:
        """The status in the CRM; "" before there is one."""
        return self.record.status if self.record else ""

    @property
    def is_sent(self) -> bool:
        """Whether the CRM has the request."""
        return self.record is not None or bool(
            self.submission and self.submission.zoho_id
        )


def requests(student: Student) -> list[RequestPart]:
    """Return the student's requests, the newest first. Two queries."""
    records = {
        row.zoho_id: row
        for row in StudentRequest.objects.filter(
            student=student.zoho_id, deleted_at=None
        )
    }
    by_subject = {row.subject: row for row in records.values()}
    parts = []
    for submission in Submission.objects.filter(student=student):
        # Its id is stored a moment after the CRM has the record.
        record = records.get(submission.zoho_id) or by_subject.get(submission.subject)
        if record is not None:
            records.pop(record.zoho_id, None)
        parts.append((submission.created_at, RequestPart(submission, record)))
    parts += [
        (row.created_time or row.read_at, RequestPart(None, row))
        for row in records.values()
    ]
    parts.sort(key=lambda part: part[0], reverse=True)
    return [part for _time, part in parts]
