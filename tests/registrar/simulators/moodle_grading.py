"""The simulated Moodle's assignments, attempts and grades."""

from typing import TYPE_CHECKING, Any

from tests.registrar.simulators.moodle_protocol import (
    Refusal,
    escaped,
    function,
    missing,
    refused,
)
from tests.registrar.simulators.moodle_rubrics import (
    fill,
    module_place,
    save_definition,
)

if TYPE_CHECKING:
    from tests.registrar.simulators.moodle import MoodleSimulator as Site


def add_assignment(
    site: "Site", course_id: int, *, name: str, method: str = "rubric", grade: int = 100
) -> int:
    """Add an assignment that is reopened by the teacher; return its id.

    Args:
        grade: the highest one; of a scale its id, negative.
    """
    found = site.number("assignment")
    cm = site.number("module")
    site.assignments[found] = {"id": found, "cmid": cm, "course": course_id}
    site.assignments[found] |= {"name": name, "grade": grade}
    site.areas[module_place(cm)] = {"activemethod": method, "definition": None}
    return found


def add_template(site: "Site", *, shortname: str, criteria: tuple[str, ...]) -> int:
    """Add a course with one assignment, graded by a rubric; return the course's id."""
    course = add_course(site, fullname=shortname, shortname=shortname)
    assignment = site.assignments[add_assignment(site, course, name="Assignment")]
    levels = [{"score": 0.0, "definition": "Not met"}]
    levels.append({"score": 1.0, "definition": "Met"})
    rows = [
        {"sortorder": at, "description": name, "levels": levels}
        for at, name in enumerate(criteria, start=1)
    ]
    definition = {"method": "rubric", "name": "Unit 1", "status": 20, "description": ""}
    place = module_place(assignment["cmid"])
    save_definition(site, place, definition | {"rubric": {"rubric_criteria": rows}})
    return course


def add_course(site: "Site", **values: Any) -> int:
    """Add a course; return its id."""
    course = {"id": site.number("course"), "idnumber": "", "visible": True}
    course |= {"startdate": 0, "enddate": 0, "categoryid": 1, "format": "topics"}
    site.courses[course["id"]] = course | values
    return course["id"]


def copy_assignments(site: "Site", course_id: int, copy_id: int) -> None:
    for assignment in [
        a for a in site.assignments.values() if a["course"] == course_id
    ]:
        area = site.areas[module_place(assignment["cmid"])]
        name, grade = assignment["name"], assignment["grade"]
        method = area["activemethod"]
        copy = add_assignment(site, copy_id, name=name, grade=grade, method=method)
        place = module_place(site.assignments[copy]["cmid"])
        if area["definition"]:
            definition = {k: v for k, v in area["definition"].items() if k != "id"}
            rows = [
                _without_ids(row) for row in definition["rubric"]["rubric_criteria"]
            ]
            definition["rubric"] = {"rubric_criteria": rows}
            save_definition(site, place, definition)


def _without_ids(row: dict[str, Any]) -> dict[str, Any]:
    copy = {k: v for k, v in row.items() if k != "id"}
    copy["levels"] = [{k: v for k, v in x.items() if k != "id"} for x in row["levels"]]
    return copy


def _assignment(site: "Site", assignment_id: int) -> dict[str, Any]:
    if assignment_id not in site.assignments:
        raise missing()
    return site.assignments[assignment_id]


# --- Assignments ----------------------------------------------------------------------


@function(
    "mod_assign_get_assignments",
    optional_courseids=[int],
    optional_includenotenrolledcourses=bool,
)
def get_assignments(
    site: "Site", courseids: Any = (), includenotenrolledcourses: bool = False
) -> dict[str, Any]:
    courses, warnings = [], []
    for course_id in courseids:
        course = site.courses.get(course_id)
        is_in = includenotenrolledcourses or (course_id, 2) in site.enrolments
        if course is None or not is_in:
            code = "1" if course is None else "2"
            warning = {"item": "course", "itemid": course_id, "warningcode": code}
            warnings.append(warning | {"message": "no access"})
            continue
        rows = [
            {**one, "name": escaped(one["name"])}
            for one in site.assignments.values()
            if one["course"] == course_id
        ]
        names = {"fullname": course["fullname"], "shortname": course["shortname"]}
        courses.append({"id": course_id, **names, "assignments": rows})
    return {"courses": courses, "warnings": warnings}


@function("mod_assign_get_grades", assignmentids=[int], optional_since=int)
def get_grades(
    site: "Site", assignmentids: list[int], since: int = 0
) -> dict[str, Any]:
    found, warnings = [], []
    for assignment_id in assignmentids:
        grades = []
        for (other, _user), attempts in site.attempts.items():
            # Only the latest attempt: none while it is reopened and not graded again.
            grade = attempts[-1]["grade"]
            if other == assignment_id and grade and grade["timemodified"] >= since:
                grades.append(grade)
        if grades:
            found.append({"assignmentid": assignment_id, "grades": grades})
        else:
            warning = {"item": "assignment", "itemid": assignment_id}
            warnings.append(
                warning | {"warningcode": "3", "message": "No grades found"}
            )
    return {"assignments": found, "warnings": warnings}


@function(
    "mod_assign_get_submissions",
    assignmentids=[int],
    optional_status=str,
    optional_since=int,
)
def get_submissions(
    site: "Site", assignmentids: list[int], status: str = "", since: int = 0
) -> dict[str, Any]:
    found = []
    for assignment_id in assignmentids:
        rows = [
            attempts[-1]["submission"]
            for (other, _user), attempts in site.attempts.items()
            if other == assignment_id
            and attempts[-1]["submission"]["timemodified"] >= since
            and status in ("", attempts[-1]["submission"]["status"])
        ]
        if rows:
            found.append({"assignmentid": assignment_id, "submissions": rows})
    return {"assignments": found, "warnings": []}


@function("mod_assign_get_submission_status", assignid=int, optional_userid=int)
def submission_status(site: "Site", assignid: int, userid: int = 2) -> dict[str, Any]:
    course = _assignment(site, assignid)["course"]
    if userid in site.deleted_users:
        raise refused("userdeleted")
    if userid not in site.users:
        raise missing("invaliduser")
    if (course, userid) not in site.enrolments:
        raise Refusal("core\\exception\\required_capability_exception", "nopermission")
    attempts = site.attempts.get((assignid, userid), [])
    last: dict[str, Any] = {"gradingstatus": "notgraded", "graded": False}
    found: dict[str, Any] = {"lastattempt": last, "warnings": []}
    if not attempts:
        return found
    if attempts[-1]["submission"]:
        last["submission"] = attempts[-1]["submission"]
    graded = [a for a in attempts if a["grade"]]
    if attempts[-1]["grade"]:
        if float(attempts[-1]["grade"]["grade"]) >= 0:
            last |= {"gradingstatus": "graded", "graded": True}
        feedback = {"grade": attempts[-1]["grade"], "plugins": _feedback(attempts[-1])}
        found["feedback"] = feedback
    elif graded:
        found["feedback"] = {"gradefordisplay": graded[-1]["grade"]["grade"]}
    if len(attempts) > 1:
        found["previousattempts"] = [
            {
                "attemptnumber": one["number"],
                "submission": one["submission"],
                **({"grade": one["grade"]} if one["grade"] else {}),
                "feedbackplugins": _feedback(one),
            }
            for one in attempts[:-1]
        ]
    return found


def _feedback(attempt: dict[str, Any]) -> list[dict[str, Any]]:
    field = {"name": "comments", "text": attempt["feedback"], "format": 1}
    return [{"type": "comments", "name": "Feedback comments", "editorfields": [field]}]


_FILLING = {"criterionid": int, "levelid?": int, "remark?": str, "remarkformat?": int}


@function(
    "mod_assign_save_grade",
    assignmentid=int,
    userid=int,
    grade=float,
    attemptnumber=int,
    addattempt=bool,
    workflowstate=str,
    applytoall=bool,
    optional_plugindata={
        "assignfeedbackcomments_editor?": {"text": str, "format": int}
    },
    optional_advancedgradingdata={
        "rubric?": {"criteria": [{"criterionid": int, "fillings": [_FILLING]}]}
    },
)
def save_grade(
    site: "Site",
    assignmentid: int,
    userid: int,
    grade: float,
    attemptnumber: int,
    addattempt: bool,
    workflowstate: str = "",
    applytoall: bool = True,
    plugindata: Any = None,
    advancedgradingdata: Any = None,
) -> None:
    assignment = _assignment(site, assignmentid)
    if userid not in site.users:
        raise missing("invaliduser")
    attempts = site.attempts.setdefault((assignmentid, userid), [])
    if not attempts:
        attempts.append(_new_attempt(site, assignmentid, userid, 0, "new"))
    attempt = attempts[attemptnumber]
    now = site.now()
    row = attempt["grade"] or {"id": site.number("grade"), "timecreated": now}
    attempt["grade"] = row
    row |= {"assignment": assignmentid, "userid": userid, "timemodified": now}
    row |= {"attemptnumber": attempt["number"], "grader": 2}
    editor = (plugindata or {}).get("assignfeedbackcomments_editor", {})
    attempt["feedback"] = editor.get("text", attempt["feedback"])
    rubric = (advancedgradingdata or {}).get("rubric")
    if rubric:
        grade = fill(site, assignment, row["id"], rubric["criteria"])
    # A number beyond the scale changes nothing.
    if grade <= _most(site, assignment) or "grade" not in row:
        row["grade"] = f"{grade:.5f}"
    if addattempt:
        number = attempt["number"] + 1
        attempts.append(_new_attempt(site, assignmentid, userid, number, "reopened"))


def _most(site: "Site", assignment: dict[str, Any]) -> int:
    scale = -int(assignment["grade"])
    return len(site.scales[scale]) if scale > 0 else -scale


def _new_attempt(
    site: "Site", assignment_id: int, user_id: int, number: int, status: str
) -> dict[str, Any]:
    now = site.now()
    submission = {"id": site.number("submission"), "userid": user_id, "status": status}
    submission |= {"attemptnumber": number, "assignment": assignment_id}
    submission |= {"timecreated": now, "timemodified": now}
    return {"number": number, "submission": submission, "grade": None, "feedback": ""}
