"""What the registrar relies on of Moodle, as a conversation that any Moodle can answer.

`converse` makes the same calls to a real site and to the simulator, and returns their
answers without what differs from site to site: ids, times, texts of messages and
everything that our client does not read. ``contract.json`` has those of a real
Moodle 4.5.

A real site needs a course with the short name ``contract`` and one assignment
``Assignment``: 100 points, online text, feedback comments, graded by a rubric ``Unit 1``
with the criteria ``P1`` and ``M1`` (levels ``Not met`` 0 and ``Met`` 1), additional
attempts granted manually; and a course ``contract-scale`` with such an assignment that
is graded by the ``Default competence scale`` (id 2) alone. The conversation works on
copies of them. The token's user is an administrator; use a site for tests, because
accounts and courses remain.
"""

import json
import time
import urllib.request
import uuid
from typing import Any
from urllib.parse import urlencode

from registrar.moodle.parameters import flatten

_KEPT = {
    *("exception", "errorcode", "warnings", "warningcode", "item"),
    *("id", "users", "username", "idnumber", "email", "firstname", "lastname", "city"),
    *("suspended", "courses", "fullname", "shortname", "categoryid", "visible"),
    *("startdate", "enddate", "cohorts", "name", "cohortid", "userids", "roles"),
    *("roleid", "assignments", "assignmentid", "grades", "grade", "cmid", "course"),
    *("userid", "attemptnumber", "grader", "lastattempt", "previousattempts"),
    *("feedback", "gradingstatus", "graded", "submission", "status", "plugins"),
    *("feedbackplugins", "editorfields", "text", "areas", "contextid", "component"),
    *("areaname", "activemethod", "definitions", "method", "rubric", "criteria"),
    *("rubric_criteria", "sortorder", "description", "levels", "score", "definition"),
    *(
        "instances",
        "submissions",
        "itemid",
        "criterionid",
        "levelid",
        "remark",
        "filename",
        "filesize",
    ),
}
_IDS = {
    *("id", "userid", "itemid", "courseid", "course", "cmid", "contextid", "cohortid"),
    *("userids", "assignmentid", "criterionid", "levelid"),
}


class Site:
    """A Moodle, called without our client."""

    def __init__(self, url: str, token: str) -> None:
        self._url, self._token = url.rstrip("/"), token

    def call(self, function: str, *, token: str = "", **parameters: Any) -> Any:
        form = {
            "wstoken": token or self._token,
            "wsfunction": function,
            "moodlewsrestformat": "json",
        }
        body = urlencode(form | flatten(parameters)).encode()
        return self._post("webservice/rest/server.php", body)

    def upload(self, *, token: str = "") -> Any:
        edge = uuid.uuid4().hex
        parts = {"token": token or self._token, "itemid": "0", "filepath": "/"}
        lines = [
            f'--{edge}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in parts.items()
        ]
        lines.append(
            f'--{edge}\r\nContent-Disposition: form-data; name="file_1"; '
            f'filename="receipt.txt"\r\nContent-Type: text/plain\r\n\r\npaid\r\n'
        )
        body = f"{''.join(lines)}--{edge}--\r\n".encode()
        kind = f"multipart/form-data; boundary={edge}"
        return self._post("webservice/upload.php", body, kind)

    def _post(self, path: str, body: bytes, kind: str = "") -> Any:
        headers = {"Content-Type": kind} if kind else {}
        request = urllib.request.Request(f"{self._url}/{path}", body, headers)  # noqa: S310
        with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310
            return json.loads(answer.read())


class Conversation:
    """The exchanges so far. ``mark`` makes the names of this run unique."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.mark = str(time.time_ns())[-10:]
        self.exchanges: dict[str, Any] = {}

    def ask(self, label: str, function: str, **parameters: Any) -> Any:
        """Call a function, keep its cleaned answer under ``label``, return it whole."""
        return self.keep(label, self.site.call(function, **parameters))

    def keep(self, label: str, answer: Any) -> Any:
        assert label not in self.exchanges, label
        self.exchanges[label] = _Cleaner(self.mark).clean(answer)
        return answer


_ONLY_IN = {
    "sortorder": {"rubric_criteria"},
    "description": {"rubric_criteria", "definitions"},
    "plugins": {"feedback"},
    "gradingstatus": {"lastattempt"},
}
"""Where alone a key is kept: the key of the object that has it."""


class _Cleaner:
    def __init__(self, mark: str) -> None:
        self._mark = mark
        self._seen: dict[tuple[str, Any], str] = {}

    def clean(self, value: Any, key: str = "", of: str = "") -> Any:
        if isinstance(value, dict):
            return {
                name: self.clean(value[name], name, key)
                for name in sorted(value)
                if name in _KEPT and key in _ONLY_IN.get(name, {key})
            }
        if isinstance(value, list):
            return [self.clean(below, key, of) for below in value]
        if key in _IDS and value is not None:
            # Ids of different tables may be equal: "levels.id 1", "submission.id 1".
            kind = f"{of}.{key}" if of else key
            label = f"{kind} {sum(name == kind for name, _ in self._seen) + 1}"
            return self._seen.setdefault((kind, value), label)
        return value.replace(self._mark, "~") if isinstance(value, str) else value


def converse(site: Site) -> dict[str, Any]:
    """Make all calls; return the cleaned answers by label, in their order."""
    talk = Conversation(site)
    _protocol(talk)
    user = _users(talk)
    course = _courses(talk)
    _enrolments(talk, course, user)
    _cohorts(talk, user)
    _deletions(talk, course)
    _grading(talk, user)
    _leaving(talk, _scales(talk, user))
    return talk.exchanges


def _protocol(talk: Conversation) -> None:
    ask = talk.ask
    ask("wrong token", "core_webservice_get_site_info", token="wrong")
    ask("unknown function", "core_no_such_function")
    ask("missing parameter", "core_user_get_users_by_field", field="id")
    ask(
        "unknown parameter", "core_user_get_users_by_field", field="id", values=[2], x=1
    )
    ask("unknown nested parameter", "core_user_update_users", users=[{"id": 2, "x": 1}])
    talk.keep("upload", talk.site.upload())
    talk.keep("upload with a wrong token", talk.site.upload(token="wrong"))


def _new_user(talk: Conversation, name: str, **values: Any) -> dict[str, Any]:
    user = {"username": f"{name}{talk.mark}", "email": f"{name}{talk.mark}@example.org"}
    user |= {"firstname": "ليلى", "lastname": "سالم", "createpassword": True}
    return user | values


def _users(talk: Conversation) -> int:
    ask, mark = talk.ask, talk.mark
    user = _new_user(talk, "a", idnumber=f"z{mark}")
    [created] = ask("create a user", "core_user_create_users", users=[user])
    user_id = created["id"]
    ask("create the same user", "core_user_create_users", users=[user])
    upper = _new_user(talk, "B", email=f"upper{mark}@example.org")
    ask("create an upper-case user name", "core_user_create_users", users=[upper])
    taken = _new_user(talk, "c", email=user["email"])
    ask("create with a used address", "core_user_create_users", users=[taken])
    bad = _new_user(talk, "d", email="nobody")
    ask("create with a bad address", "core_user_create_users", users=[bad])
    nameless = _new_user(talk, "e", firstname="")
    ask("create without a name", "core_user_create_users", users=[nameless])
    no_password = {**_new_user(talk, "f"), "createpassword": None}
    ask("create without a password", "core_user_create_users", users=[no_password])
    batch = [_new_user(talk, "g"), user]
    ask("create two of which one exists", "core_user_create_users", users=batch)
    field = "core_user_get_users_by_field"
    names = [f"g{mark}"]
    ask("the other was not created", field, field="username", values=names)
    twin = _new_user(talk, "h", idnumber=f"z{mark}")
    ask("create with a used idnumber", "core_user_create_users", users=[twin])
    ask("both have the idnumber", field, field="idnumber", values=[f"z{mark}", "none"])
    change = {"id": user_id, "city": "غزة", "suspended": 1}
    ask("suspend a user", "core_user_update_users", users=[change])
    ask("the user is suspended", field, field="id", values=[user_id, 99999999])
    gone = {"id": 99999999, "city": "x"}
    ask("update a user that does not exist", "core_user_update_users", users=[gone])
    used = {"id": user_id, "email": twin["email"]}
    ask("update to a used address", "core_user_update_users", users=[used])
    ask("find by an unknown field", field, field="phone1", values=["1"])
    criteria = [{"key": "idnumber", "value": f"z{mark}"}]
    ask("search users", "core_user_get_users", criteria=criteria)
    change = {"id": user_id, "suspended": 0}
    ask("let the user in again", "core_user_update_users", users=[change])
    return int(user_id)


def _courses(talk: Conversation) -> int:
    ask, mark = talk.ask, talk.mark
    course = {"fullname": "صف أ", "shortname": f"A{mark}", "idnumber": f"k{mark}"}
    course |= {"categoryid": 1, "startdate": 1764460800, "enddate": 0, "visible": 1}
    create = "core_course_create_courses"
    [created] = ask("create a course", create, courses=[course])
    course_id = created["id"]
    ask("create the same course", create, courses=[course])
    other = course | {"shortname": f"B{mark}"}
    ask("create with a used course idnumber", create, courses=[other])
    lost = other | {"idnumber": "", "categoryid": 99999999}
    ask("create in no category", create, courses=[lost])
    update = "core_course_update_courses"
    hide = {"id": course_id, "fullname": "صف ب", "visible": 0}
    ask("hide a course", update, courses=[hide])
    gone = {"id": 99999999, "fullname": "x"}
    ask("update a course that does not exist", update, courses=[gone])
    field = "core_course_get_courses_by_field"
    ask("find a course", field, field="idnumber", value=f"k{mark}")
    ask("find no course", field, field="idnumber", value=f"none{mark}")
    signs = course | {"fullname": 'R & D < "x"', "shortname": f"& {mark}"}
    [odd] = talk.site.call(create, courses=[signs | {"idnumber": ""}])
    ask("a course name with signs", field, field="id", value=odd["id"])
    ask("find a short name with a sign", field, field="shortname", value=f"& {mark}")
    return int(course_id)


def _enrolments(talk: Conversation, course: int, user: int) -> None:
    ask = talk.ask
    enrol, users = "enrol_manual_enrol_users", "core_enrol_get_enrolled_users"
    row = {"roleid": 5, "userid": user, "courseid": course}
    ask("enrol", enrol, enrolments=[row])
    ask("enrol again", enrol, enrolments=[row])
    ask("enrol nobody", enrol, enrolments=[row | {"userid": 99999999}])
    ask("enrol in no course", enrol, enrolments=[row | {"courseid": 99999999}])
    ask("enrol with no role", enrol, enrolments=[row | {"roleid": 99}])
    ask("list the enrolled", users, courseid=course)
    ask("suspend an enrolment", enrol, enrolments=[row | {"suspend": 1}])
    active = [{"name": "onlyactive", "value": 1}]
    ask("nobody is active", users, courseid=course, options=active)
    held = [{"name": "onlysuspended", "value": 1}]
    ask("one is suspended", users, courseid=course, options=held)
    ask("all are listed", users, courseid=course)
    ask("enrol after a suspension", enrol, enrolments=[row])
    ask("one is active again", users, courseid=course, options=active)
    leave = {"userid": user, "courseid": course}
    ask("unenrol", "enrol_manual_unenrol_users", enrolments=[leave])
    ask("unenrol again", "enrol_manual_unenrol_users", enrolments=[leave])
    ask("nobody is enrolled", users, courseid=course)
    ask("list a course that does not exist", users, courseid=99999999)


def _cohorts(talk: Conversation, user: int) -> None:
    ask, mark = talk.ask, talk.mark
    row = {"categorytype": {"type": "system", "value": ""}, "name": "فوج"}
    row["idnumber"] = f"q{mark}"
    [created] = ask("create a cohort", "core_cohort_create_cohorts", cohorts=[row])
    ask("create the same cohort", "core_cohort_create_cohorts", cohorts=[row])
    renamed = row | {"id": created["id"], "name": "فوج ب"}
    ask("rename a cohort", "core_cohort_update_cohorts", cohorts=[renamed])
    search = {"context": {"contextlevel": "system", "instanceid": 0}, "includes": "all"}
    ask("find a cohort", "core_cohort_search_cohorts", query=f"q{mark}", **search)
    ask("find no cohort", "core_cohort_search_cohorts", query=f"no{mark}", **search)
    add = "core_cohort_add_cohort_members"
    member = {
        "cohorttype": {"type": "id", "value": created["id"]},
        "usertype": {"type": "id", "value": user},
    }
    ask("add a member", add, members=[member])
    ask("add a member again", add, members=[member])
    nobody = member | {"usertype": {"type": "id", "value": 99999999}}
    ask("add nobody", add, members=[nobody])
    nowhere = member | {"cohorttype": {"type": "id", "value": 99999999}}
    ask("add to no cohort", add, members=[nowhere])
    members = "core_cohort_get_cohort_members"
    ask("list members", members, cohortids=[created["id"]])
    leave = {"cohortid": created["id"], "userid": user}
    remove = "core_cohort_delete_cohort_members"
    ask("remove a member", remove, members=[leave])
    ask("remove a member again", remove, members=[leave])
    ask("no members are left", members, cohortids=[created["id"]])
    ask("members of no cohort", members, cohortids=[99999999])


def _deletions(talk: Conversation, course: int) -> None:
    """Delete an account of a course and of a cohort: it is still found by its id."""
    ask, mark = talk.ask, talk.mark
    row = {"categorytype": {"type": "system", "value": ""}, "name": "R & D < x"}
    row["idnumber"] = f"r{mark}"
    [cohort] = ask(
        "create a name with signs", "core_cohort_create_cohorts", cohorts=[row]
    )
    user = _new_user(talk, "i", idnumber=f"y{mark}", firstname="A & B < C")
    [created] = talk.site.call("core_user_create_users", users=[user])
    key = created["id"]
    place = {"roleid": 5, "userid": key, "courseid": course}
    talk.site.call("enrol_manual_enrol_users", enrolments=[place])
    member = {
        "cohorttype": {"type": "id", "value": cohort["id"]},
        "usertype": {"type": "id", "value": key},
    }
    add = "core_cohort_add_cohort_members"
    talk.site.call(add, members=[member])
    field = "core_user_get_users_by_field"
    ask("a name with signs", field, field="id", values=[key])
    ask("delete a user", "core_user_delete_users", userids=[key])
    [gone] = talk.site.call(field, field="id", values=[key])
    talk.keep("a deleted user is found by id", gone["id"] == key)
    talk.keep("and has a digest for an address", len(gone["email"]) == 32)
    talk.keep("and is not suspended", gone["suspended"])
    ask("not by the idnumber", field, field="idnumber", values=[f"y{mark}"])
    ask("not by the address", field, field="email", values=[user["email"]])
    criteria = [{"key": "id", "value": str(key)}]
    ask("not by a search", "core_user_get_users", criteria=criteria)
    change = {"id": key, "idnumber": "x"}
    ask("update a deleted user", "core_user_update_users", users=[change])
    ask("enrol a deleted user", "enrol_manual_enrol_users", enrolments=[place])
    ask("the course lost it", "core_enrol_get_enrolled_users", courseid=course)
    members = "core_cohort_get_cohort_members"
    ask("the cohort lost it", members, cohortids=[cohort["id"]])
    ask("add a deleted user to a cohort", add, members=[member])
    leave = {"userid": key, "courseid": course}
    unenrol = "enrol_manual_unenrol_users"
    ask("unenrol a deleted user", unenrol, enrolments=[leave])
    ask("unenrol in no course", unenrol, enrolments=[leave | {"courseid": 99999999}])
    ask("the same address again", "core_user_create_users", users=[user])


def _template(talk: Conversation, shortname: str) -> int:
    field = "core_course_get_courses_by_field"
    found = talk.site.call(field, field="shortname", value=shortname)
    return int(found["courses"][0]["id"])


def _grading(talk: Conversation, user: int) -> None:
    ask, mark = talk.ask, talk.mark
    template = _template(talk, "contract")
    names = {"fullname": "نسخة", "shortname": f"D{mark}", "categoryid": 1}
    options = [{"name": "users", "value": 0}]
    duplicate = "core_course_duplicate_course"
    copy = ask("duplicate", duplicate, courseid=template, options=options, **names)[
        "id"
    ]
    ask("duplicate again", duplicate, courseid=template, **names)
    ask("duplicate no course", duplicate, courseid=99999999, **names)
    lost = names | {"shortname": f"E{mark}", "categoryid": 99999999}
    ask("duplicate into no category", duplicate, courseid=template, **lost)
    listed = "mod_assign_get_assignments"
    ask("assignments of others' courses", listed, courseids=[copy])
    everyone = {"includenotenrolledcourses": 1}
    ask("assignments of no course", listed, courseids=[99999999], **everyone)
    courses = ask("assignments", listed, courseids=[copy], **everyone)["courses"]
    assignment = courses[0]["assignments"][0]
    enrolment = {"roleid": 5, "userid": user, "courseid": copy}
    talk.site.call("enrol_manual_enrol_users", enrolments=[enrolment])
    _rubrics(talk, assignment["cmid"])
    _attempts(talk, assignment, user)


def _row(at: int, description: str, old: Any = None) -> dict[str, Any]:
    levels = [{"score": 0, "definition": "Not met"}, {"score": 1, "definition": "Met"}]
    row = {"sortorder": at, "description": description, "descriptionformat": 1}
    if old:
        row["id"] = old["id"]
        for level, known in zip(levels, old["levels"], strict=True):
            level["id"] = known["id"]
    return row | {"levels": [level | {"definitionformat": 1} for level in levels]}


def _area(place: dict[str, Any], rows: list[Any], **values: Any) -> dict[str, Any]:
    now = int(time.time())
    definition = {"method": "rubric", "name": "Unit 2", "status": 20, "description": ""}
    definition |= {"timecreated": now, "usercreated": 2, "timemodified": now}
    definition |= {"usermodified": 2, "rubric": {"rubric_criteria": rows}}
    return place | {"activemethod": "rubric", "definitions": [definition | values]}


def _rubrics(talk: Conversation, cm_id: int) -> None:
    ask = talk.ask
    get, save = "core_grading_get_definitions", "core_grading_save_definitions"
    where = {"cmids": [cm_id], "areaname": "submissions"}
    found = ask("the copy has the rubric", get, **where)["areas"][0]
    place = {"cmid": cm_id, "contextid": found["contextid"], "component": "mod_assign"}
    place["areaname"] = "submissions"
    old = found["definitions"][0]
    rows = old["rubric"]["rubric_criteria"]
    changed = [_row(1, "P1 يشرح", rows[0]), _row(2, "M1", rows[1]), _row(3, "D1")]
    ask("change a rubric", save, areas=[_area(place, changed, id=old["id"])])
    now = ask("the rubric is changed", get, **where)["areas"][0]["definitions"][0]
    kept = [row["id"] for row in now["rubric"]["rubric_criteria"][:2]]
    talk.keep("criteria with ids keep them", kept == [row["id"] for row in rows])
    ask("save without ids", save, areas=[_area(place, changed[:1])])
    bare = [{**_row(1, "P1 يشرح")}, {**_row(2, "M1")}, {**_row(3, "D1")}]
    ask("save without ids again", save, areas=[_area(place, bare)])
    new = ask("the rubric is replaced", get, **where)["areas"][0]["definitions"][0]
    talk.keep("the definition stays one", new["id"] == old["id"])
    ids = {row["id"] for row in new["rubric"]["rubric_criteria"]}
    talk.keep("criteria without ids are new", not ids & set(kept))
    shared = {"cmid": 0, "contextid": 1, "component": "core_grading"}
    shared["areaname"] = f"unit{talk.mark}"
    ask("save a shared rubric", save, areas=[_area(shared, bare)])
    ask("save a shared rubric again", save, areas=[_area(shared, bare)])
    nowhere = place | {"contextid": 99999999}
    ask("save in no context", save, areas=[_area(nowhere, bare)])
    ask("save an unknown form", save, areas=[_area(place, bare, method="btec")])
    ask("the rubric of no module", get, cmids=[99999999], areaname="submissions")
    text = 'P1 a & b < c <script>x</script>"d"\ne'
    signs = [_row(1, text), _row(2, "M1"), _row(3, "D1")]
    ask("save texts with signs as HTML", save, areas=[_area(place, signs)])
    ask("HTML is cleaned", get, **where)
    for row in signs:
        row["descriptionformat"] = 2
        for level in row["levels"]:
            level |= {"definition": "a & b < c <b>d</b>", "definitionformat": 2}
    ask("save texts with signs as plain text", save, areas=[_area(place, signs)])
    ask("plain text is escaped", get, **where)


def _attempts(talk: Conversation, assignment: dict[str, Any], user: int) -> None:
    ask, key = talk.ask, assignment["id"]
    status, grades = "mod_assign_get_submission_status", "mod_assign_get_grades"
    where = {"cmids": [assignment["cmid"]], "areaname": "submissions"}
    area = talk.site.call("core_grading_get_definitions", **where)["areas"][0]
    definition = area["definitions"][0]

    def save(label: str, *, level: int, add: int, assignment_id: int = key) -> None:
        criteria = [
            {
                "criterionid": row["id"],
                "fillings": [
                    {
                        "criterionid": row["id"],
                        "levelid": row["levels"][level]["id"],
                        "remark": f"ملاحظة {level} a & b < c",
                        "remarkformat": 1,
                    }
                ],
            }
            for row in definition["rubric"]["rubric_criteria"]
        ]
        comment = {"text": f"تعليق {level}", "format": 1}
        ask(
            label,
            "mod_assign_save_grade",
            assignmentid=assignment_id,
            userid=user,
            grade=0,
            attemptnumber=-1,
            addattempt=add,
            workflowstate="",
            applytoall=1,
            plugindata={"assignfeedbackcomments_editor": comment},
            advancedgradingdata={"rubric": {"criteria": criteria}},
        )

    ask("no attempt", status, assignid=key, userid=user)
    ask("no grades", grades, assignmentids=[key])
    save("grade the first attempt and reopen", level=0, add=1)
    ask("a reopened submission", "mod_assign_get_submissions", assignmentids=[key])
    ask("a reopened attempt", status, assignid=key, userid=user)
    ask("no grade while it is reopened", grades, assignmentids=[key])
    save("grade the second attempt", level=1, add=0)
    ask("two attempts", status, assignid=key, userid=user)
    ask("the grade of the latest attempt alone", grades, assignmentids=[key, 99999999])
    ask("no grades since tomorrow", grades, assignmentids=[key], since=9999999999)
    instances = "core_grading_get_gradingform_instances"
    ask("the criteria of both attempts", instances, definitionid=definition["id"])
    ask("criteria of no definition", instances, definitionid=99999999)
    ask("attempts of nobody", status, assignid=key, userid=99999999)
    ask("attempts in no assignment", status, assignid=99999999, userid=user)
    save("grade in no assignment", level=0, add=0, assignment_id=99999999)


def _scales(talk: Conversation, user: int) -> dict[str, Any]:
    """Grade by a scale: the grade is the number of an item. Return the assignment."""
    ask = talk.ask
    values = "core_competency_get_scale_values"
    ask("the items of a scale", values, scaleid=2)
    ask("the items of no scale", values, scaleid=99999999)
    copy = talk.site.call(
        "core_course_duplicate_course",
        courseid=_template(talk, "contract-scale"),
        fullname="سلّم",
        shortname=f"S{talk.mark}",
        categoryid=1,
        options=[{"name": "users", "value": 0}],
    )["id"]
    enrolment = {"roleid": 5, "userid": user, "courseid": copy}
    talk.site.call("enrol_manual_enrol_users", enrolments=[enrolment])
    where = {"courseids": [copy], "includenotenrolledcourses": 1}
    listed = talk.site.call("mod_assign_get_assignments", **where)
    assignment = listed["courses"][0]["assignments"][0]
    talk.keep("a scale is a negative grade", assignment["grade"])
    area = {"cmids": [assignment["cmid"]], "areaname": "submissions"}
    ask("it has no rubric", "core_grading_get_definitions", **area)
    status = "mod_assign_get_submission_status"
    key = assignment["id"]
    for label, grade, add in (
        *(("the first item", 1, 1), ("the second item", 2, 0)),
        *(("beyond the scale", 3, 0), ("no grade", -1, 0)),
    ):
        values = _simple_grade(key, user, grade) | {"addattempt": add}
        ask(label, "mod_assign_save_grade", **values)
        ask(f"{label} is stored", status, assignid=key, userid=user)
    return dict(assignment)


def _simple_grade(assignment_id: int, user: int, grade: int) -> dict[str, Any]:
    return {
        "assignmentid": assignment_id,
        "userid": user,
        "grade": grade,
        "attemptnumber": -1,
        "addattempt": 0,
        "workflowstate": "",
        "applytoall": 1,
        "plugindata": {"assignfeedbackcomments_editor": {"text": "x", "format": 1}},
    }


def _leaving(talk: Conversation, assignment: dict[str, Any]) -> None:
    """Unenrol and delete a graded user: the grade is listed, and cannot be read."""
    ask, key, course = talk.ask, assignment["id"], assignment["course"]
    new = _new_user(talk, "j")
    [created] = talk.site.call("core_user_create_users", users=[new])
    user = created["id"]
    place = {"userid": user, "courseid": course}
    enrol = "enrol_manual_enrol_users"
    talk.site.call(enrol, enrolments=[place | {"roleid": 5}])
    talk.site.call("mod_assign_save_grade", **_simple_grade(key, user, 2))
    status, grades = "mod_assign_get_submission_status", "mod_assign_get_grades"
    talk.site.call(enrol, enrolments=[place | {"roleid": 5, "suspend": 1}])
    ask("attempts of a suspended user", status, assignid=key, userid=user)
    talk.site.call("enrol_manual_unenrol_users", enrolments=[place])
    ask("attempts of a user who left", status, assignid=key, userid=user)
    ask("the grade of a user who left", grades, assignmentids=[key])
    talk.site.call("core_user_delete_users", userids=[user])
    ask("attempts of a deleted user", status, assignid=key, userid=user)
    ask("the grade of a deleted user", grades, assignmentids=[key])
