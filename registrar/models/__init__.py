"""The registrar's tables: the mirror of Zoho CRM, both queues, the students' pages."""

from registrar.models.classes import Enrolment, Grade, SchoolClass
from registrar.models.conflicts import Conflict
from registrar.models.inbox import Delivery, Hint, Operation
from registrar.models.moodle_grades import GradePoll, GradeState, MoodleGrade
from registrar.models.outbox import GRADE_KINDS, GRADES, Effect, Kind
from registrar.models.peers import PeerState, UnlinkedAccount
from registrar.models.people import Student, Teacher
from registrar.models.player_access import GivenAccess, ProgramAccess
from registrar.models.programs import Payment, Program, Registration, Template, Unit
from registrar.models.requests import StudentRequest
from registrar.models.rows import LinkedRow, MirrorRow
from registrar.models.settings import RegistrarSettings
from registrar.models.student_pages import (
    CRM_TYPES,
    WINDOWED,
    RequestKind,
    RequestWindow,
    StudentAccount,
    StudentCard,
    StudentToken,
    Submission,
)

__all__ = [
    "CRM_TYPES",
    "GRADES",
    "GRADE_KINDS",
    "WINDOWED",
    "Conflict",
    "Delivery",
    "Effect",
    "Enrolment",
    "GivenAccess",
    "Grade",
    "GradePoll",
    "GradeState",
    "Hint",
    "Kind",
    "LinkedRow",
    "MirrorRow",
    "MoodleGrade",
    "Operation",
    "Payment",
    "PeerState",
    "Program",
    "ProgramAccess",
    "RegistrarSettings",
    "Registration",
    "RequestKind",
    "RequestWindow",
    "SchoolClass",
    "Student",
    "StudentAccount",
    "StudentCard",
    "StudentRequest",
    "StudentToken",
    "Submission",
    "Teacher",
    "Template",
    "Unit",
    "UnlinkedAccount",
]
