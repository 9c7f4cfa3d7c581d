"""Teachers and managers in the courses of classes (D4).

Zoho says who teaches a class. Whom people have enrolled in Moodle by hand stays: only a
teacher whom we enrolled ourselves is ended when the class gets another one.
"""

from django.utils.translation import gettext as _

from registrar.effects import pushing
from registrar.effects.site import Site
from registrar.models import Effect, SchoolClass, Teacher
from registrar.moodle import enrolments
from registrar.outbox.running import NotYetError


def push_staff(effect: Effect, site: Site) -> str:
    """Enrol the managers and the teacher of a class, and end a former teacher.

    Raises:
        NotYetError: the teacher has no account yet.
    """
    row: SchoolClass | None = pushing.row_of(effect)
    if row is None or row.moodle_id is None:
        return _("There is no course.")
    enrolments.enrol(
        site.moodle,
        course_id=row.moodle_id,
        user_ids=site.manager_ids,
        role_id=site.manager_role,
    )
    teacher = Teacher.objects.filter(zoho_id=row.teacher_id).first()
    user_id = teacher.moodle_id if teacher else None
    if row.taught_by != user_id:
        _change(row, row.moodle_id, user_id, site)
    if not row.teacher_id:
        return _("The managers are enrolled.")
    if user_id is None:
        raise NotYetError(
            _("The teacher has no account in Moodle yet."),
            module="BTEC_Teachers",
            record_id=row.teacher_id,
        )
    enrolments.enrol(
        site.moodle,
        course_id=row.moodle_id,
        user_ids=[user_id],
        role_id=site.teacher_role,
    )
    return _("The teacher is enrolled.")


def _change(row: SchoolClass, course_id: int, user_id: int | None, site: Site) -> None:
    """End the teacher whom we enrolled, and store whom we are going to enrol.

    It is stored before the enrolment: if the process is killed between the two, the
    repeated effect enrols, and a later change ends it.
    """
    held = {
        one.user_id: one
        for one in enrolments.enrolled(site.moodle, course_id=course_id)
    }
    former = held.get(row.taught_by or 0)
    if former is not None and _is_only_teacher(former, site):
        _end(former.user_id, course_id, site)
    there = held.get(user_id or 0)
    by_hand = there is not None and not there.suspended
    row.taught_by = None if by_hand else user_id
    SchoolClass.objects.filter(pk=row.pk).update(taught_by=row.taught_by)


def _is_only_teacher(one: enrolments.Enrolment, site: Site) -> bool:
    """Return whether a person is in the course only because we enrolled them.

    Another role was given by hand, or is a manager's.
    """
    return one.user_id not in site.manager_ids and one.roles <= {site.teacher_role}


def _end(user_id: int, course_id: int, site: Site) -> None:
    if site.unenrols:
        enrolments.unenrol(site.moodle, course_id=course_id, user_ids=[user_id])
        return
    enrolments.enrol(
        site.moodle,
        course_id=course_id,
        user_ids=[user_id],
        role_id=site.teacher_role,
        suspended=True,
    )
