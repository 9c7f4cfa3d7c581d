"""Two students of a school in the mirror, and a browser for each."""

import itertools
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone

from registrar.models import (
    Enrolment,
    Grade,
    Payment,
    Registration,
    SchoolClass,
    Student,
)
from registrar.student_pages import access

READ = datetime(2026, 1, 1, tzinfo=UTC)
_ids = itertools.count(5_000_000_000_000_000_001)


def new_id() -> str:
    return str(next(_ids))


@dataclass
class Person:
    """A student with one of each record, and their own browser."""

    student: Student
    client: Client = field(default_factory=Client)

    @classmethod
    def make(cls, name: str, **values) -> "Person":
        student = Student.objects.create(
            zoho_id=new_id(), read_at=READ, display_name=name, **values
        )
        return cls(student)

    def sign_in(self) -> "Person":
        token, _expires = access.create_link(self.student, now=timezone.now())
        answer = self.client.post(f"/student/link/?token={token}")
        assert answer.status_code == 302
        return self

    def add(self, model, **values):
        return model.objects.create(
            zoho_id=new_id(), read_at=READ, student_id=self.student.zoho_id, **values
        )

    def enrol(self, name: str, *, days_ago: int = 3, status="Active") -> Enrolment:
        school_class = SchoolClass.objects.create(
            zoho_id=new_id(), read_at=READ, name=name, unit_name=f"Unit of {name}"
        )
        return self.add(
            Enrolment,
            school_class_id=school_class.zoho_id,
            status=status,
            enrolled_on=timezone.localdate() - timedelta(days=days_ago),
        )

    def register(self, number: str = "R-1") -> Registration:
        registration = self.add(
            Registration,
            program_name=f"Networks {number}",
            number=number,
            registered_on=date(2026, 9, 1),
            total_fees="1500.500",
            currency="JOD",
        )
        self.add(
            Payment,
            registration_id=registration.zoho_id,
            amount="500.250",
            paid_on=date(2026, 9, 2),
            method="Cash",
            note=f"first of {number}",
        )
        return registration

    def grade(self, mark: str, key: str = "", **values) -> Grade:
        return self.add(Grade, grade=mark, composite_key=key, **values)


@pytest.fixture
def layla(db) -> Person:
    return Person.make(
        "ليلى حداد", academic_email="layla@school.example", city="نابلس"
    ).sign_in()


@pytest.fixture
def omar(db) -> Person:
    return Person.make("Omar Khalil", academic_email="omar@school.example").sign_in()
