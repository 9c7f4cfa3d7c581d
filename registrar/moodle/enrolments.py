"""Enrolments in courses, by the method ``manual``.

A suspended user keeps grades and submissions and cannot enter the course; unenrolling
destroys them. All calls may be repeated.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from registrar.moodle.client import MoodleClient

STUDENT, EDITING_TEACHER, MANAGER = 5, 3, 1
"""The ids of Moodle's roles in a new site."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A user in a course; ``roles`` are role ids."""

    user_id: int
    roles: frozenset[int]
    suspended: bool


def enrol(
    client: MoodleClient,
    *,
    course_id: int,
    user_ids: Sequence[int],
    role_id: int = STUDENT,
    suspended: bool = False,
) -> None:
    """Enrol users, or set whether those who are enrolled are suspended.

    Either all are enrolled or none. At most 1,200 users in a call.

    Raises:
        PeerRefusedError: ``invaliduser``; ``wsusercannotassign``: the token's user may
            not give this role; ``invalidparameter``: no such course.
    """
    rows = [
        {
            "roleid": role_id,
            "userid": user_id,
            "courseid": course_id,
            "suspend": suspended,
        }
        for user_id in user_ids
    ]
    if rows:
        client.write("enrol_manual_enrol_users", enrolments=rows)


def unenrol(client: MoodleClient, *, course_id: int, user_ids: Sequence[int]) -> None:
    """Remove users from a course: their grades in it are lost."""
    rows = [{"userid": user_id, "courseid": course_id} for user_id in user_ids]
    if rows:
        client.write("enrol_manual_unenrol_users", enrolments=rows)


def enrolled(client: MoodleClient, *, course_id: int) -> list[Enrolment]:
    """Return all users of a course, in two calls: Moodle lists the suspended apart.

    Raises:
        PeerRefusedError: ``invalidrecord``: there is no such course.
    """
    function = "core_enrol_get_enrolled_users"
    options = [{"name": "onlysuspended", "value": "1"}]
    held = client.read(function, courseid=course_id, options=options)
    suspended = {int(row["id"]) for row in held}
    return [
        Enrolment(
            int(row["id"]),
            frozenset(int(role["roleid"]) for role in row.get("roles", ())),
            int(row["id"]) in suspended,
        )
        for row in client.read(function, courseid=course_id)
    ]
