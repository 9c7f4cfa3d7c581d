"""The registrar's tables: the mirror of Zoho CRM, and conflicts of its values."""

from registrar.models.classes import Enrolment, Grade, SchoolClass
from registrar.models.conflicts import Conflict
from registrar.models.people import Student, Teacher
from registrar.models.programs import Payment, Program, Registration, Unit
from registrar.models.requests import StudentRequest
from registrar.models.rows import MirrorRow, PushedRow

__all__ = [
    "Conflict",
    "Enrolment",
    "Grade",
    "MirrorRow",
    "Payment",
    "Program",
    "PushedRow",
    "Registration",
    "SchoolClass",
    "Student",
    "StudentRequest",
    "Teacher",
    "Unit",
]
