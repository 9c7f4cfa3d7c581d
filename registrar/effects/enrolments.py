"""Places of students in courses (D5)."""

from django.utils.translation import gettext as _

from registrar.effects import cohorts, plugin, pushing
from registrar.effects.site import Site
from registrar.mapping.modules import ACTIVE, CANCELLED, WITHDRAWN
from registrar.models import Effect, Enrolment, SchoolClass, Student
from registrar.moodle import enrolments
from registrar.outbox.running import NotYetError


def push_enrolment(effect: Effect, site: Site) -> str:
    """Enrol a student, or suspend the enrolment: that keeps the grades.

    A status that is neither ``Active`` nor ``Withdrawn`` changes nothing.

    Raises:
        NotYetError: the student has no account yet, or the class no course.
    """
    row: Enrolment | None = pushing.row_of(effect)
    if row is None:
        return _("There is no such record any more.")
    is_over = row.deleted_at is not None or row.status == WITHDRAWN
    if not is_over and row.status != ACTIVE:
        pushing.mark_pushed(effect)
        return _("This status changes nothing in Moodle.")
    if is_over and _is_kept(row):
        pushing.mark_pushed(effect)
        return _("The student has another enrolment in this class.")
    student = Student.objects.filter(zoho_id=row.student_id).first()
    school_class = SchoolClass.objects.filter(zoho_id=row.school_class_id).first()
    if _has_no_place(student, school_class):
        pushing.mark_pushed(effect)
        return _("The student or the class was deleted before it was in Moodle.")
    user_id = _moodle_id(student, "BTEC_Students", row.student_id)
    course_id = _moodle_id(school_class, "BTEC_Classes", row.school_class_id)
    if is_over and site.unenrols:
        enrolments.unenrol(site.moodle, course_id=course_id, user_ids=[user_id])
        done = _("The student was removed from the course.")
    else:
        enrolments.enrol(
            site.moodle,
            course_id=course_id,
            user_ids=[user_id],
            role_id=site.student_role,
            suspended=is_over,
        )
        done = (
            _("The enrolment is suspended; grades are kept.")
            if is_over
            else _("The student is enrolled.")
        )
    if site.has_cohorts and school_class is not None:
        cohorts.set_member(
            school_class, user_id=user_id, is_member=not is_over, site=site
        )
    # The plugin removes a withdrawn student from the course, and with them the grades.
    if not is_over or site.unenrols:
        plugin.send_if_offered(effect, row, site)
    pushing.mark_pushed(effect)
    return done


def _is_kept(row: Enrolment) -> bool:
    """Return whether another record enrols the same student in the same class.

    Effects of two records are done in any order, and Moodle has one place for both.
    """
    same = Enrolment.objects.filter(
        student=row.student_id,
        school_class=row.school_class_id,
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
