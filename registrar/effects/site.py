"""How classes and people are placed in Moodle."""

from dataclasses import dataclass

from registrar.moodle.client import MoodleClient
from registrar.zoho.client import ZohoClient


@dataclass(frozen=True, kw_only=True)
class Site:
    """The two peers, and the school's choices.

    Args:
        category_id: of new courses.
        template_id: the course that is copied for a class; 0: courses start empty.
        manager_ids: Moodle's ids of users who are enrolled in each course.
        manager_role, teacher_role, student_role: Moodle's ids of roles.
        hides_cancelled: whether the course of a cancelled class is hidden.
        has_cohorts: whether each class has a cohort with its students.
        unenrols: whether a withdrawal removes the student, and with them the grades,
            instead of suspending the enrolment.
    """

    moodle: MoodleClient
    zoho: ZohoClient | None = None
    category_id: int = 1
    template_id: int = 0
    manager_ids: tuple[int, ...] = ()
    manager_role: int = 1
    teacher_role: int = 3
    student_role: int = 5
    hides_cancelled: bool = True
    has_cohorts: bool = False
    unenrols: bool = False
