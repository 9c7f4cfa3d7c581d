"""Places of students in courses (D5)."""

from django.utils.translation import gettext as _

from registrar.effects import cohorts, plugin, pushing
from registrar.effects.site import Site
from registrar.mapping.modules import ACTIVE, CANCELLED, WITHDRAWN
from registrar.models import Effect, Enrolment, SchoolClass, Student
from registrar.moodle import courses, enrolments
from registrar.outbox.running import NotYetError


def push_enrolment(effect: Effect, site: Site) -> str:
    """Enrol a student, or suspend the enrolment: that keeps the grades.

    A status that is neither ``Active`` nor ``Withdrawn`` changes nothing. A place that
    the record no longer names is ended in any case.

    Raises:
        NotYetError: the student has no account yet, or the class no course.
    """
    row: Enrolment | None = pushing.row_of(effect)
    if row is None:
        return _("There is no such record any more.")
    _end_former_place(row, site)
    is_over = row.deleted_at is not None or row.status == WITHDRAWN
    if not is_over and row.status != ACTIVE:
        pushing.mark_pushed(effect)
        return _("This status changes nothing in Moodle.")
    if is_over and _is_kept(row, row.student_id, row.school_class_id):
        pushing.mark_pushed(effect)
        return _("The student has another enrolment in this class.")
    student, school_class = _named(row.student_id, row.school_class_id)
    if _has_no_place(student, school_class):
        pushing.mark_pushed(effect)
        return _("The student or the class was deleted before it was in Moodle.")
    user_id = _moodle_id(student, "BTEC_Students", row.student_id)
    course_id = _moodle_id(school_class, "BTEC_Classes", row.school_class_id)
    # Stored first: after a crash in between, a later change ends the place.
    _store_place(row, row.student_id, row.school_class_id)
    if is_over:
        done = _end(user_id, course_id, site)
    else:
        enrolments.enrol(
            site.moodle,
            course_id=course_id,
            user_ids=[user_id],
            role_id=site.student_role,
        )
        done = _("The student is enrolled.")
    if site.has_cohorts and school_class is not None:
        cohorts.set_member(
            school_class, user_id=user_id, is_member=not is_over, site=site
        )
    # The plugin removes a withdrawn student from the course, and with them the grades.
    if not is_over or site.unenrols:
        plugin.send_if_offered(effect, row, site)
    pushing.mark_pushed(effect)
    return done


def _end_former_place(row: Enrolment, site: Site) -> None:
    """End the place of a record that now names another class or another student.

    The place is forgotten after it has ended: a repeated effect ends it again.
    """
    former = row.placed_student_id, row.placed_class_id
    if former in ((None, None), (row.student_id, row.school_class_id)):
        return
    student, school_class = _named(*former)
    user_id = student.moodle_id if student else None
    course_id = school_class.moodle_id if school_class else None
    if user_id and course_id and school_class and not _is_kept(row, *former):
        # A course that staff have deleted must not keep the student out of the new one.
        if courses.find(site.moodle, field="id", value=course_id):
            _end(user_id, course_id, site)
        if site.has_cohorts:
            cohorts.set_member(
                school_class, user_id=user_id, is_member=False, site=site
            )
    _store_place(row, None, None)


def _store_place(row: Enrolment, student: str | None, school_class: str | None) -> None:
    Enrolment.objects.filter(pk=row.pk).update(
        placed_student=student, placed_class=school_class
    )


def _end(user_id: int, course_id: int, site: Site) -> str:
    """Suspend a place, or remove it if the school wants that; return what was done."""
    if site.unenrols:
        enrolments.unenrol(site.moodle, course_id=course_id, user_ids=[user_id])
        return _("The student was removed from the course.")
    enrolments.enrol(
        site.moodle,
        course_id=course_id,
        user_ids=[user_id],
        role_id=site.student_role,
        suspended=True,
    )
    return _("The enrolment is suspended; grades are kept.")


def _named(
    student: str | None, school_class: str | None
) -> tuple[Student | None, SchoolClass | None]:
    return (
        Student.objects.filter(zoho_id=student).first(),
        SchoolClass.objects.filter(zoho_id=school_class).first(),
    )


def _is_kept(row: Enrolment, student: str | None, school_class: str | None) -> bool:
    """Return whether another record enrols the student in the class.

    Effects of two records are done in any order, and Moodle has one place for both.
    """
    same = Enrolment.objects.filter(
        student__zoho_id=student,
        school_class__zoho_id=school_class,
        status=ACTIVE,
        deleted_at=None,
    )
    return same.exclude(pk=row.pk).exists()


def _has_no_place(student: Student | None, school_class: SchoolClass | None) -> bool:
    """Return whether one of them will never be in Moodle."""
    if student is not None and student.moodle_id is None and student.deleted_at:
        return True
    return (
        school_class is not None
        and school_class.moodle_id is None
        and (bool(school_class.deleted_at) or school_class.status == CANCELLED)
    )


def _moodle_id(
    row: Student | SchoolClass | None, module: str, record_id: str | None
) -> int:
    if row is None or row.moodle_id is None:
        raise NotYetError(
            _("The student has no account in Moodle yet.")
            if module == "BTEC_Students"
            else _("The class has no course in Moodle yet."),
            module=module,
            record_id=record_id or "",
        )
    return row.moodle_id
