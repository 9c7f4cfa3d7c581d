"""Assignments and their grades, with all attempts.

``mod_assign_get_grades`` has the latest attempt of each student only, and nothing of a
student whose latest attempt is reopened and not graded yet. So `changed` also asks for
the submissions, and `attempts` reads all attempts of one student.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from registrar.moodle.client import MoodleClient
from registrar.moodle.texts import plain


@dataclass(frozen=True, slots=True)
class Assignment:
    """An assignment; ``cm_id`` is its course module, which the rubric belongs to.

    ``max_grade`` is 0 if it is graded by a scale, ``scale_id`` 0 if it is not.
    """

    id: int
    cm_id: int
    course_id: int
    name: str
    max_grade: int
    scale_id: int = 0


@dataclass(frozen=True, slots=True)
class Grade:
    """The grade of one attempt. ``value`` is None for "no grade". Times: Unix seconds."""

    id: int
    user_id: int
    attempt: int
    value: Decimal | None
    grader_id: int
    modified: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt, the first with number 0. ``grade`` is None before it is graded.

    ``status`` is Moodle's: ``new``, ``draft``, ``submitted`` or ``reopened``.
    """

    number: int
    status: str
    grade: Grade | None
    feedback: str


@dataclass(frozen=True, slots=True)
class Change:
    """A student with a new grade or attempt.

    Args:
        time: of the newest change, Unix seconds of Moodle's clock.
        mark: another one after a further change, also in the same second if the grade
            or the number of attempts differs.
    """

    assignment_id: int
    user_id: int
    time: int
    mark: str

    @property
    def key(self) -> tuple[int, int]:
        return self.assignment_id, self.user_id

    def joined(self, other: "Change") -> "Change":
        """Return both changes of the same student as one."""
        return Change(
            self.assignment_id,
            self.user_id,
            max(self.time, other.time),
            f"{self.mark}|{other.mark}",
        )


def assignments(client: MoodleClient, *, course_ids: Sequence[int]) -> list[Assignment]:
    """Return the assignments of courses; a course that does not exist has none."""
    if not course_ids:
        return []
    found = client.read(
        "mod_assign_get_assignments",
        courseids=course_ids,
        # Else only those of courses in which the token's user is enrolled.
        includenotenrolledcourses=True,
    )
    return [
        Assignment(
            id=int(row["id"]),
            cm_id=int(row["cmid"]),
            course_id=int(row["course"]),
            name=plain(str(row["name"])),
            max_grade=max(0, int(row["grade"])),
            # A scale is a negative number.
            scale_id=max(0, -int(row["grade"])),
        )
        for course in found["courses"]
        for row in course["assignments"]
    ]


def changed(
    client: MoodleClient, *, assignment_ids: Sequence[int], since: int
) -> dict[tuple[int, int], Change]:
    """Return the students with new grades, by assignment and user id.

    Args:
        since: a Unix time of Moodle's clock. A grade may get an earlier time while a call
            runs: overlap with the last call by some minutes.
    """
    if not assignment_ids:
        return {}
    asked: dict[str, Any] = {"assignmentids": assignment_ids, "since": since}
    # Their warnings say only that an assignment has no grades.
    graded = client.read("mod_assign_get_grades", **asked)
    submitted = client.read("mod_assign_get_submissions", **asked)
    found = [
        _change(
            row, grade, *(grade.get(name) for name in ("id", "attemptnumber", "grade"))
        )
        for row in graded["assignments"]
        for grade in row["grades"]
    ]
    found += [
        _change(
            row, submission, submission["attemptnumber"], submission.get("status", "")
        )
        for row in submitted["assignments"]
        for submission in row["submissions"]
        # A later attempt: the ones before it have been graded.
        if int(submission["attemptnumber"]) > 0
    ]
    changes: dict[tuple[int, int], Change] = {}
    for one in found:
        known = changes.get(one.key)
        changes[one.key] = known.joined(one) if known else one
    return changes


def _change(row: dict[str, Any], one: dict[str, Any], *marks: Any) -> Change:
    time = int(one["timemodified"])
    return Change(
        assignment_id=int(row["assignmentid"]),
        user_id=int(one["userid"]),
        time=time,
        mark=" ".join(map(str, (time, *marks))),
    )


def attempts(
    client: MoodleClient, *, assignment_id: int, user_id: int
) -> list[Attempt]:
    """Return all attempts of a student, the first one first; none before a submission.

    Raises:
        PeerRefusedError: ``invaliduser`` or ``userdeleted``; ``invalidrecord``: no such
            assignment.
        PeerCredentialsError: ``nopermission``: the user is not in the course.
    """
    found = client.read(
        "mod_assign_get_submission_status", assignid=assignment_id, userid=user_id
    )
    all_attempts = [
        _attempt(row["attemptnumber"], row.get("submission"), row)
        for row in found.get("previousattempts", ())
    ]
    latest = found.get("lastattempt", {})
    # Of a group's work only the group's submission says whether it was handed in.
    last = latest.get("teamsubmission") or latest.get("submission")
    feedback = found.get("feedback", {})
    if last or feedback.get("grade"):
        number = (last or feedback["grade"])["attemptnumber"]
        all_attempts.append(_attempt(number, last, feedback))
    return sorted(all_attempts, key=lambda one: one.number)


def _attempt(
    number: Any, submission: dict[str, Any] | None, graded: dict[str, Any]
) -> Attempt:
    grade = graded.get("grade")
    # The feedback of a reopened attempt repeats the grade of the attempt before.
    if grade and int(grade["attemptnumber"]) != int(number):
        grade = None
    plugins = graded.get("feedbackplugins") or graded.get("plugins") or ()
    texts = [
        str(editor.get("text", ""))
        for plugin in plugins
        if plugin.get("type") == "comments"
        for editor in plugin.get("editorfields", ())
    ]
    return Attempt(
        number=int(number),
        status=str((submission or {}).get("status", "")),
        grade=_grade(grade) if grade else None,
        feedback=texts[0] if texts else "",
    )


def _grade(row: dict[str, Any]) -> Grade:
    return Grade(
        id=int(row["id"]),
        user_id=int(row["userid"]),
        attempt=int(row["attemptnumber"]),
        value=_value(row.get("grade")),
        grader_id=int(row["grader"]),
        modified=int(row["timemodified"]),
    )


def _value(text: Any) -> Decimal | None:
    """The grade as a number; Moodle writes "no grade" as -1 or ""."""
    try:
        found = Decimal(str(text))
    except InvalidOperation:
        return None
    return found if found >= 0 else None
