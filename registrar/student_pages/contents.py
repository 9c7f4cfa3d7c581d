"""What each page of a student shows, for the student and for staff who look at it."""

from typing import Any

from django.utils import timezone
from django.utils.safestring import mark_safe

from registrar.models import RequestKind, Student
from registrar.student_pages import card_pdf, cards, reading
from registrar.student_pages.windows import windows


def programs(student: Student) -> dict[str, Any]:
    """Registrations with their payments. Two queries."""
    parts, others = reading.registrations(student)
    return {"parts": parts, "other_payments": others}


def classes(student: Student) -> dict[str, Any]:
    """Places in classes. One query."""
    return {"enrolments": reading.enrolments(student)}


def grades(student: Student) -> dict[str, Any]:
    """Grades with all attempts. One query."""
    return {"assessments": reading.assessments(student)}


def requests(student: Student) -> dict[str, Any]:
    """The kinds of requests, and the requests sent so far. Three queries."""
    open_kinds = windows(now=timezone.now())
    return {
        "kinds": [(kind, open_kinds[kind]) for kind in RequestKind],
        "parts": reading.requests(student),
    }


def card(student: Student) -> dict[str, Any]:
    """The card with its state and its code. Three queries at most."""
    found = cards.latest(student)
    if found is None:
        return {"card": None}
    return {
        "card": found,
        "state": cards.state_of(found, student, now=timezone.now()),
        "program": program_of(student),
        # Made of our own address alone.
        "code": mark_safe(card_pdf.svg(cards.address_of(found))),  # noqa: S308
    }


def program_of(student: Student) -> str:
    """Return the name of the program of the latest registration. Two queries."""
    parts, _others = reading.registrations(student)
    return next((str(part.name) for part in parts), "")


def of(name: str, student: Student) -> dict[str, Any]:
    """Return what the page with this name shows; the profile needs the student alone."""
    found = {
        "programs": programs,
        "classes": classes,
        "grades": grades,
        "requests": requests,
        "card": card,
    }
    return found[name](student) if name in found else {}
