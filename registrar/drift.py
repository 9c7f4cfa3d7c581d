"""Compare Moodle with the mirror: what staff or a restored backup changed there."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import models
from django.db.models import F
from django.utils.translation import gettext_lazy as _

from registrar.effects import cohorts as cohort_effects, users as user_effects
from registrar.effects.site import Site
from registrar.mapping.modules import ACTIVE, CANCELLED, MAPPINGS, WITHDRAWN
from registrar.models import Enrolment, LinkedRow, SchoolClass, Student, Teacher
from registrar.moodle import cohorts, courses, enrolments, users
from registrar.outbox.adding import push_again

_CHUNK = 100


class Problem(models.TextChoices):
    """How Moodle differs from a row."""

    MISSING = "missing", _("The account or course is not in Moodle.")
    VALUES = "values", _("Name or e-mail address differ.")
    ACCESS = "access", _("The account should be suspended, and is not.")
    PLACE = "place", _("The enrolment is missing, or suspended, or should be.")
    STAFF = "staff", _("The teacher is not in the course.")
    COHORT = "cohort", _("The cohort is missing, or has another name or other members.")


@dataclass(frozen=True, slots=True)
class Drift:
    """A row that Moodle had as it is, and has no longer."""

    module: str
    record_id: str
    problem: Problem


def find(site: Site) -> list[Drift]:
    """Return the drift of all rows that Moodle should have as they are; reads only.

    It takes a call for a hundred people, and three for a class, five with cohorts. Rows with an effect that
    is due are left out.

    Raises:
        PeerError: Moodle does not answer.
    """
    found = [*_people(site, "BTEC_Students"), *_people(site, "BTEC_Teachers")]
    for row in _pushed("BTEC_Classes").filter(deleted_at=None):
        found += _class(site, row)
    return found


def repair(found: Sequence[Drift]) -> list[tuple[str, str]]:
    """Let the effects of these rows be done again; return module and id of each."""
    records = list(dict.fromkeys((one.module, one.record_id) for one in found))
    for module, record_id in records:
        push_again(module, record_id)
    return records


def _pushed(module: str) -> Any:
    """Return the rows that Moodle should have as they are."""
    model: Any = MAPPINGS[module].model
    return model._default_manager.filter(
        pushed_version=F("version"), moodle_id__isnull=False
    )


def _people(site: Site, module: str) -> Iterator[Drift]:
    rows: list[LinkedRow] = list(_pushed(module).order_by("pk"))
    for at in range(0, len(rows), _CHUNK):
        part = rows[at : at + _CHUNK]
        accounts = {
            user.id: user
            for user in users.by_idnumber(
                site.moodle, idnumbers=[row.zoho_id for row in part]
            )
        }
        for row in part:
            account = accounts.get(row.moodle_id or 0)
            if account is None:
                if row.deleted_at is None:
                    yield Drift(module, row.zoho_id, Problem.MISSING)
            elif row.deleted_at is not None and not account.suspended:
                yield Drift(module, row.zoho_id, Problem.ACCESS)
            elif row.deleted_at is None and user_effects.changes(row, account):
                yield Drift(module, row.zoho_id, Problem.VALUES)


def _class(site: Site, row: SchoolClass) -> Iterator[Drift]:
    course = courses.find(site.moodle, field="idnumber", value=row.zoho_id)
    if course is None or row.moodle_id is None:
        yield Drift("BTEC_Classes", row.zoho_id, Problem.MISSING)
        return
    held = {
        one.user_id: one.suspended
        for one in enrolments.enrolled(site.moodle, course_id=course.id)
    }
    name, members = _cohort(site, row)
    if row.status != CANCELLED:
        if _lacks_teacher(row, held):
            yield Drift("BTEC_Classes", row.zoho_id, Problem.STAFF)
        if members is not None and name != cohort_effects.name_of(row):
            yield Drift("BTEC_Classes", row.zoho_id, Problem.COHORT)
    places = Enrolment.objects.filter(
        school_class_id=row.zoho_id, pushed_version=F("version")
    )
    moodle_ids = dict(
        Student.objects.filter(
            zoho_id__in=places.values("student_id"), moodle_id__isnull=False
        ).values_list("zoho_id", "moodle_id")
    )
    enrolled = {
        place.student_id
        for place in places
        if place.deleted_at is None and place.status == ACTIVE
    }
    for place in places:
        user_id = moodle_ids.get(place.student_id)
        if user_id is None:
            continue
        is_over = place.deleted_at is not None or place.status == WITHDRAWN
        if not is_over and place.status != ACTIVE:
            continue
        if is_over and place.student_id in enrolled:
            continue
        if (held.get(user_id) is False) == is_over:
            yield Drift("BTEC_Enrollments", place.zoho_id, Problem.PLACE)
        elif members is not None and (user_id in members) == is_over:
            yield Drift("BTEC_Enrollments", place.zoho_id, Problem.COHORT)


def _cohort(site: Site, row: SchoolClass) -> tuple[str, set[int] | None]:
    """Return name and members of a class's cohort; "" and an empty set if it is missing.

    The members are None if the class needs no cohort.
    """
    if not site.has_cohorts:
        return "", None
    found = cohorts.find(site.moodle, idnumber=row.zoho_id)
    if found is None:
        return "", None if row.status == CANCELLED else set()
    return found.name, cohorts.members(site.moodle, cohort_id=found.id)


def _lacks_teacher(row: SchoolClass, held: Mapping[int, bool]) -> bool:
    """Return whether the teacher has an account and is not in the course.

    Args:
        held: whether the users of the course are suspended, by id.
    """
    teacher = Teacher.objects.filter(zoho_id=row.teacher_id).first()
    user_id = teacher.moodle_id if teacher else None
    return user_id is not None and held.get(user_id) is not False
