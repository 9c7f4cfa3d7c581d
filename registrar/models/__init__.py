"""The registrar's tables: the mirror of Zoho CRM, its conflicts, inbox and outbox."""

from registrar.models.classes import Enrolment, Grade, SchoolClass
from registrar.models.conflicts import Conflict
from registrar.models.inbox import Delivery, Hint, Operation
from registrar.models.outbox import Effect, Kind
from registrar.models.peers import PeerState
from registrar.models.people import Student, Teacher
from registrar.models.programs import Payment, Program, Registration, Unit
from registrar.models.requests import StudentRequest
from registrar.models.rows import LinkedRow, MirrorRow

__all__ = [
    "Conflict",
    "Delivery",
    "Effect",
    "Enrolment",
    "Grade",
    "Hint",
    "Kind",
    "LinkedRow",
    "MirrorRow",
    "Operation",
    "Payment",
    "PeerState",
    "Program",
    "Registration",
    "SchoolClass",
    "Student",
    "StudentRequest",
    "Teacher",
    "Unit",
]
