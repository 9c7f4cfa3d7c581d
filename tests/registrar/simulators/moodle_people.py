"""The simulated Moodle's users, courses, enrolments and cohorts."""

import hashlib
from typing import TYPE_CHECKING, Any

from tests.registrar.simulators import moodle_grading
from tests.registrar.simulators.moodle_protocol import (
    Refusal,
    escaped,
    function,
    invalid,
    missing,
    refused,
)

if TYPE_CHECKING:
    from tests.registrar.simulators.moodle import MoodleSimulator as Site

_USER = {
    "username?": str,
    "password?": str,
    "createpassword?": bool,
    "auth?": str,
    "firstname?": str,
    "lastname?": str,
    "email?": str,
    "idnumber?": str,
    "city?": str,
    "suspended?": bool,
}
ROLES = {1: "manager", 3: "editingteacher", 4: "teacher", 5: "student"}


# --- Users ----------------------------------------------------------------------------


def add_user(site: "Site", **values: Any) -> int:
    user = {"firstname": "", "lastname": "", "email": "", "idnumber": "", "city": ""}
    user |= {"id": site.number("user"), "auth": "manual", "suspended": False}
    site.users[user["id"]] = user | values
    return user["id"]


def _user_row(user: dict[str, Any]) -> dict[str, Any]:
    row = {k: v for k, v in user.items() if k not in ("idnumber", "city") or v}
    row["fullname"] = f"{user['firstname']} {user['lastname']}".strip()
    return row | {"department": "", "confirmed": True, "lang": "en"}


@function("core_user_create_users", users=[_USER])
def create_users(site: "Site", users: list[dict[str, Any]]) -> list[dict[str, Any]]:
    names = {user["username"] for user in site.users.values()}
    emails = {user["email"].lower() for user in site.users.values()}
    for user in users:
        name, email = user.get("username", ""), user.get("email", "")
        if (
            not name
            or name != name.lower()
            or not (user.get("firstname") and user.get("lastname"))
            or "@" not in email
            or name in names
            or email.lower() in emails
            or not (user.get("password") or user.get("createpassword"))
        ):
            raise invalid()  # and none of them is created
        names.add(name)
        emails.add(email.lower())
    found = []
    for user in users:
        values = {
            k: v for k, v in user.items() if k not in ("password", "createpassword")
        }
        found.append({"id": add_user(site, **values), "username": user["username"]})
    return found


@function("core_user_update_users", users=[{"id": int, **_USER}])
def update_users(site: "Site", users: list[dict[str, Any]]) -> dict[str, Any]:
    warnings = []
    for row in users:
        user = site.users.get(row["id"])
        taken = row.get("email") and any(
            other["email"] == row["email"] and other["id"] != row["id"]
            for other in site.users.values()
        )
        code = (
            "invaliduserid" if user is None else "useremailduplicate" if taken else ""
        )
        if row["id"] in site.deleted_users:
            code = "usernotupdateddeleted"
        if code or user is None:
            warning = {"item": "user", "itemid": row["id"], "warningcode": code}
            warnings.append(warning | {"message": code})
        else:
            user |= row
    return {"warnings": warnings}


@function("core_user_get_users_by_field", field=str, values=[str])
def users_by_field(site: "Site", field: str, values: list[str]) -> list[dict[str, Any]]:
    if field not in ("id", "idnumber", "username", "email"):
        raise invalid()
    wanted = set(values)
    found = [u for u in site.users.values() if str(u[field]) in wanted]
    if field == "id":
        found += [u for u in site.deleted_users.values() if str(u["id"]) in wanted]
    return [_user_row(user) for user in sorted(found, key=lambda user: user["id"])]


@function("core_user_delete_users", userids=[int])
def delete_users(site: "Site", userids: list[int]) -> None:
    for user_id in userids:
        user = site.users.pop(user_id)
        # The row stays, with a digest in place of the address.
        digest = hashlib.md5(user["username"].encode()).hexdigest()  # noqa: S324
        name = f"{user['email']}.{site.now()}"
        gone = {"username": name, "email": digest, "idnumber": ""}
        site.deleted_users[user_id] = user | gone
        for members in (cohort["members"] for cohort in site.cohorts.values()):
            members.discard(user_id)
        for place in [one for one in site.enrolments if one[1] == user_id]:
            del site.enrolments[place]


@function("core_user_get_users", criteria=[{"key": str, "value": str}])
def get_users(site: "Site", criteria: list[dict[str, str]]) -> dict[str, Any]:
    found = list(site.users.values())
    for one in criteria:
        key, value = one["key"], one["value"].strip("%")
        found = [u for u in found if value.lower() in str(u.get(key, "")).lower()]
    return {"users": [_user_row(user) for user in found], "warnings": []}


# --- Courses --------------------------------------------------------------------------

_COURSE = {
    "fullname?": str,
    "shortname?": str,
    "idnumber?": str,
    "categoryid?": int,
    "startdate?": int,
    "enddate?": int,
    "visible?": bool,
    "format?": str,
}


def _taken(site: "Site", row: dict[str, Any], course_id: int) -> str:
    for field, code in (
        ("shortname", "shortnametaken"),
        ("idnumber", "courseidnumbertaken"),
    ):
        if row.get(field) and any(
            other[field] == row[field] and other["id"] != course_id
            for other in site.courses.values()
        ):
            return code
    return ""


@function("core_course_create_courses", courses=[_COURSE])
def create_courses(site: "Site", courses: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for row in courses:
        if not row.get("fullname") or not row.get("shortname"):
            raise invalid()
        if row.get("categoryid") not in site.categories:
            raise refused("errorcatcontextnotvalid")
        if code := _taken(site, row, 0):
            raise refused(code)
        found.append(
            {
                "id": moodle_grading.add_course(site, **row),
                "shortname": row["shortname"],
            }
        )
    return found


@function("core_course_update_courses", courses=[{"id": int, **_COURSE}])
def update_courses(site: "Site", courses: list[dict[str, Any]]) -> dict[str, Any]:
    warnings = []
    for row in courses:
        course = site.courses.get(row["id"])
        code = "invalidrecord" if course is None else _taken(site, row, row["id"])
        if code or course is None:
            warning = {"item": "course", "itemid": row["id"], "warningcode": code}
            warnings.append(warning | {"message": code})
        else:
            course |= row
    return {"warnings": warnings}


@function("core_course_get_courses_by_field", optional_field=str, optional_value=str)
def courses_by_field(site: "Site", field: str = "", value: str = "") -> dict[str, Any]:
    if field not in ("", "id", "idnumber", "shortname", "category"):
        raise invalid()
    found = [
        {
            **course,
            **{name: escaped(course[name]) for name in ("fullname", "shortname")},
            "visible": int(course["visible"]),
        }
        for course in site.courses.values()
        if not field or str(course[field]) == value
    ]
    return {"courses": found, "warnings": []}


@function("core_course_get_categories")
def get_categories(site: "Site") -> list[dict[str, Any]]:
    return [{"id": at, "name": name} for at, name in site.categories.items()]


@function(
    "core_course_duplicate_course",
    courseid=int,
    fullname=str,
    shortname=str,
    categoryid=int,
    optional_visible=bool,
    optional_options=[{"name": str, "value": str}],
)
def duplicate_course(
    site: "Site",
    courseid: int,
    fullname: str,
    shortname: str,
    categoryid: int,
    visible: bool = True,
    options: Any = (),
) -> dict[str, Any]:
    if courseid not in site.courses:
        raise refused("invalidcourseid")
    if _taken(site, {"shortname": shortname}, 0):
        raise refused("shortnametaken")
    if categoryid not in site.categories:
        raise missing()
    names = {"fullname": fullname, "shortname": shortname}
    copy = moodle_grading.add_course(
        site, **names, categoryid=categoryid, visible=visible
    )
    moodle_grading.copy_assignments(site, courseid, copy)
    return {"id": copy, "shortname": shortname}


# --- Enrolments -----------------------------------------------------------------------


@function(
    "enrol_manual_enrol_users",
    enrolments=[{"roleid": int, "userid": int, "courseid": int, "suspend?": bool}],
)
def enrol_users(site: "Site", enrolments: list[dict[str, Any]]) -> None:
    for row in enrolments:
        if row["courseid"] not in site.courses:
            raise invalid()
        _check_enrollable(site, row["userid"])
        if row["roleid"] not in ROLES:
            raise refused("wsusercannotassign")
    for row in enrolments:
        found = site.enrolments.setdefault(
            (row["courseid"], row["userid"]), {"roles": set()}
        )
        found["roles"].add(row["roleid"])
        found["suspended"] = row.get("suspend", False)


def _check_enrollable(site: "Site", user_id: int) -> None:
    if user_id in site.deleted_users:
        raise refused("userdeleted")
    if user_id not in site.users:
        raise missing("invaliduser")


@function(
    "enrol_manual_unenrol_users",
    enrolments=[{"userid": int, "courseid": int, "roleid?": int}],
)
def unenrol_users(site: "Site", enrolments: list[dict[str, Any]]) -> None:
    for row in enrolments:
        if row["courseid"] not in site.courses:
            raise missing()
        _check_enrollable(site, row["userid"])
        site.enrolments.pop((row["courseid"], row["userid"]), None)


@function(
    "core_enrol_get_enrolled_users",
    courseid=int,
    optional_options=[{"name": str, "value": str}],
)
def enrolled_users(site: "Site", courseid: int, options: Any = ()) -> list[Any]:
    if courseid not in site.courses:
        raise missing()
    wanted = {row["name"] for row in options if row["value"] == "1"}
    found = []
    for (course_id, user_id), row in site.enrolments.items():
        state = "onlysuspended" if row["suspended"] else "onlyactive"
        if course_id == courseid and wanted <= {state}:
            roles = [
                {"roleid": role, "name": "", "shortname": ROLES[role]}
                for role in sorted(row["roles"])
            ]
            found.append(_user_row(site.users[user_id]) | {"roles": roles})
    for user in found:
        del user["suspended"]
    return found


# --- Cohorts --------------------------------------------------------------------------

_COHORT = {
    "categorytype": {"type": str, "value": str},
    "name": str,
    "idnumber": str,
}


@function("core_cohort_create_cohorts", cohorts=[_COHORT])
def create_cohorts(site: "Site", cohorts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for row in cohorts:
        if any(c["idnumber"] == row["idnumber"] for c in site.cohorts.values()):
            raise invalid()
        cohort = {"id": site.number("cohort"), "name": row["name"]}
        cohort |= {"idnumber": row["idnumber"], "members": set()}
        site.cohorts[cohort["id"]] = cohort
        found.append(_cohort_row(cohort))
    return found


def _cohort_row(cohort: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in cohort.items() if k != "members"} | {"visible": True}


@function("core_cohort_update_cohorts", cohorts=[{"id": int, **_COHORT}])
def update_cohorts(site: "Site", cohorts: list[dict[str, Any]]) -> None:
    for row in cohorts:
        _cohort(site, row["id"]).update(name=row["name"], idnumber=row["idnumber"])


@function(
    "core_cohort_search_cohorts",
    query=str,
    context={"contextlevel": str, "instanceid": int},
    optional_includes=str,
    optional_limitnum=int,
)
def search_cohorts(site: "Site", query: str, **_rest: Any) -> dict[str, Any]:
    rows = site.cohorts.values()
    return {
        "cohorts": [
            _cohort_row(c) for c in rows if query in c["idnumber"] or query in c["name"]
        ]
    }


_MEMBER = {"type": str, "value": str}


@function(
    "core_cohort_add_cohort_members",
    members=[{"cohorttype": _MEMBER, "usertype": _MEMBER}],
)
def add_members(site: "Site", members: list[dict[str, Any]]) -> dict[str, Any]:
    warnings = []
    for row in members:
        cohorts = [c for c in site.cohorts.values() if _is(c, row["cohorttype"])]
        users = [u for u in site.users.values() if _is(u, row["usertype"])]
        if not cohorts or not users:
            warnings.append({"warningcode": "2", "message": "not exists"})
        elif users[0]["id"] in cohorts[0]["members"]:
            warnings.append({"warningcode": "3", "message": "record already exists"})
        else:
            cohorts[0]["members"].add(users[0]["id"])
    return {"warnings": warnings}


def _is(row: dict[str, Any], wanted: dict[str, str]) -> bool:
    return str(row.get(wanted["type"])) == wanted["value"]


def _cohort(site: "Site", cohort_id: int) -> dict[str, Any]:
    if cohort_id not in site.cohorts:
        raise missing()
    return site.cohorts[cohort_id]


@function(
    "core_cohort_delete_cohort_members", members=[{"cohortid": int, "userid": int}]
)
def delete_members(site: "Site", members: list[dict[str, Any]]) -> None:
    for row in members:
        cohort = _cohort(site, row["cohortid"])
        if row["userid"] not in site.users:
            raise Refusal("dml_missing_record_exception", "invaliduser")
        cohort["members"].discard(row["userid"])


@function("core_cohort_get_cohort_members", cohortids=[int])
def cohort_members(site: "Site", cohortids: list[int]) -> list[dict[str, Any]]:
    return [
        {"cohortid": one, "userids": sorted(_cohort(site, one)["members"])}
        for one in cohortids
    ]
