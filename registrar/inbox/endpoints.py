"""The events that webhooks name, and what each one hints at. Plain Python."""

from dataclasses import dataclass

CHANGED, DELETED, LIST = "changed", "deleted", "list"
NOTIFICATION = "zoho/notifications"


@dataclass(frozen=True, slots=True)
class Event:
    """A module of Zoho, and an operation: ``changed``, ``deleted`` or ``list``."""

    module: str
    operation: str = CHANGED


_NOUNS = {
    "student": "BTEC_Students",
    "teacher": "BTEC_Teachers",
    "program": "Products",
    "unit": "BTEC_Units",
    "registration": "BTEC_Registrations",
    "class": "BTEC_Classes",
    "enrollment": "BTEC_Enrollments",
    "payment": "BTEC_Payments",
    "grade": "BTEC_Grades",
    "request": "BTEC_Student_Requests",
}
_VERBS = {"created": CHANGED, "updated": CHANGED, "deleted": DELETED}

EVENTS: dict[str, Event] = {
    **{
        f"{noun}_{verb}": Event(module, operation)
        for noun, module in _NOUNS.items()
        for verb, operation in _VERBS.items()
    },
    "payment_recorded": Event("BTEC_Payments"),
    "grade_submitted": Event("BTEC_Grades"),
    "request_status_changed": Event("BTEC_Student_Requests"),
}
"""The last part of ``webhooks/student-dashboard/<event>``."""

ALIASES: dict[str, Event] = {
    "events/zoho/student": Event("BTEC_Students"),
    "sync/programs": Event("Products", LIST),
    "sync/grades": Event("BTEC_Grades", LIST),
    "btec-templates/sync": Event("BTEC_Units", LIST),
}
"""Older entry points. Without a record in the body, those of ``LIST`` read the whole
module."""
