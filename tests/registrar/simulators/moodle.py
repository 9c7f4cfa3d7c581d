"""A simulator of Moodle 4.5's web services, held to a real one by a recorded contract.

``MoodleSimulator(plugin=True)`` also offers the functions of ``local_moodle_zoho_sync``.
A test or a demo does what a teacher would do with `MoodleSimulator.run`: for example
``run("mod_assign_save_grade", …)``.
"""

import itertools
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from tests.registrar.simulators import (  # noqa: F401 - they register functions
    moodle_grading,
    moodle_people,
    moodle_rubrics,
)
from tests.registrar.simulators.moodle_protocol import (
    FUNCTIONS,
    Refusal,
    checked,
    function,
    invalid,
    missing,
    nested,
    refused,
)
from tests.registrar.simulators.server import Request, Response, Simulator

TOKEN = "0123456789abcdef0123456789abcdef"
ADMIN = 2
_PLUGIN = ("local_mzi_", "local_moodle_zoho_sync_")


class MoodleSimulator(Simulator):
    """A Moodle with an administrator, one category, and no courses."""

    def __init__(self, port: int = 0, *, plugin: bool = False) -> None:
        super().__init__(port)
        self.plugin = plugin
        self.withheld: set[str] = set()
        """Functions that exist and that the token may not call."""
        self.maintenance = False
        """Whether every address answers the page of ``maintenance.php --enable``."""
        self.upgrading = False
        """Whether every function is refused until an upgrade has ended."""
        self.web_services = True
        self.now: Callable[[], int] = lambda: int(time.time())
        self.users: dict[int, dict[str, Any]] = {}
        self.deleted_users: dict[int, dict[str, Any]] = {}
        self.courses: dict[int, dict[str, Any]] = {}
        self.categories: dict[int, str] = {1: "Category 1"}
        self.enrolments: dict[tuple[int, int], dict[str, Any]] = {}
        self.cohorts: dict[int, dict[str, Any]] = {}
        self.assignments: dict[int, dict[str, Any]] = {}
        self.areas: dict[tuple[int, str, str], dict[str, Any]] = {}
        """Grading areas by context, component and name."""
        self.attempts: dict[tuple[int, int], list[dict[str, Any]]] = {}
        """The attempts of a student by assignment and user, the first one first."""
        self.fillings: list[dict[str, Any]] = []
        self.scales: dict[int, list[str]] = {
            1: ["Mostly separate knowing", "Separate and connected"],
            2: ["Not yet competent", "Competent"],
        }
        """The items of the scales, by id; a new site has these two."""
        self.plugin_records: dict[str, dict[str, dict[str, Any]]] = {}
        """What the plugin has stored: by kind and Zoho's id."""
        self._numbers: dict[str, itertools.count[int]] = {}
        moodle_people.add_user(self, username="admin", email="admin@example.org")

    def number(self, kind: str) -> int:
        """The next id of a table."""
        first = ADMIN if kind == "user" else 2 if kind == "course" else 1
        return next(self._numbers.setdefault(kind, itertools.count(first)))

    def run(self, name: str, **parameters: Any) -> Any:
        """Carry out a function as the administrator; parameters as for our client."""
        with self.lock:
            return self._run(name, json.loads(json.dumps(parameters), parse_int=str))

    def answer(self, request: Request) -> Response:
        if self.maintenance:
            return Response(b"<!DOCTYPE html><title>under maintenance</title>", 503)
        if request.path == "/webservice/upload.php":
            return self._upload(request)
        if request.path != "/webservice/rest/server.php":
            return Response(b"Not found", 404)
        if not self.web_services:
            return Response(b"", 403)
        form = dict(request.form)
        token, name = form.pop("wstoken", ""), form.pop("wsfunction", "")
        form.pop("moodlewsrestformat", None)
        try:
            if token != TOKEN:
                raise refused("invalidtoken")
            if self.upgrading:
                raise refused("upgraderunning")
            return Response(_json(self._run(name, nested(form))))
        except Refusal as refusal:
            # An error of PHP has no code.
            code = {"errorcode": refusal.errorcode} if refusal.errorcode else {}
            said = refusal.errorcode or "Call to a member function on bool"
            return Response({"exception": refusal.exception, **code, "message": said})

    def offered(self) -> list[str]:
        """The names of the functions that the token may call."""
        return sorted(
            name
            for name in FUNCTIONS
            if name not in self.withheld
            and (self.plugin or not name.startswith(_PLUGIN))
        )

    def _run(self, name: str, parameters: Any) -> Any:
        if name not in FUNCTIONS or (name.startswith(_PLUGIN) and not self.plugin):
            raise missing()
        if name in self.withheld:
            raise Refusal("webservice_access_exception", "accessexception")
        run, form = FUNCTIONS[name]
        return run(self, **checked(_texts(parameters), form))

    def _upload(self, request: Request) -> Response:
        if request.form.get("token") != TOKEN:
            body = {"error": "Invalid token - token not found"}
            return Response(body | {"errorcode": "invalidtoken"})
        item = 100_000_000 + self.number("draft")
        return Response(
            [
                {
                    "component": "user",
                    "contextid": 5,
                    "userid": str(ADMIN),
                    "filearea": "draft",
                    "filename": name,
                    "filepath": "/",
                    "itemid": item,
                    "filesize": len(content),
                }
                for name, _kind, content in request.files.values()
            ]
        )


def _json(value: Any) -> Any:
    """A success without a value is ``null``."""
    return b"null" if value is None else value


def _texts(value: Any) -> Any:
    """Parameters of `MoodleSimulator.run` as they would arrive: texts."""
    if isinstance(value, dict):
        return {k: _texts(below) for k, below in value.items() if below is not None}
    if isinstance(value, list):
        return [_texts(below) for below in value]
    return str(int(value)) if isinstance(value, bool) else str(value)


@function("core_webservice_get_site_info")
def site_info(site: MoodleSimulator) -> dict[str, Any]:
    return {
        "sitename": "Simulated Moodle",
        "username": "admin",
        "userid": ADMIN,
        "siteurl": site.url,
        "release": "4.5.6 (Build: 20250811)",
        "functions": [{"name": name, "version": "1"} for name in site.offered()],
    }


# --- The plugin -----------------------------------------------------------------------


def _upsert(kind: str, key: str) -> Callable[..., dict[str, Any]]:
    def run(site: MoodleSimulator, **texts: str) -> dict[str, Any]:
        [text] = texts.values()
        try:
            values = json.loads(text)
        except ValueError:
            raise invalid() from None
        if not isinstance(values, Mapping) or not values.get(key):
            raise invalid()
        stored = site.plugin_records.setdefault(kind, {})
        action = "updated" if values[key] in stored else "created"
        stored[values[key]] = {**stored.get(values[key], {}), **values}
        return {"success": True, "action": action, key: values[key], "message": action}

    return run


for _kind, _name, _parameter, _key in (
    ("student", "update_student", "studentdata", "zoho_student_id"),
    ("teacher", "sync_teacher", "teacherdata", "zoho_teacher_id"),
    ("program", "upsert_program", "programdata", "zoho_program_id"),
    ("registration", "create_registration", "registrationdata", "zoho_registration_id"),
    ("payment", "record_payment", "paymentdata", "zoho_payment_id"),
    ("class", "create_class", "classdata", "zoho_class_id"),
    ("enrollment", "update_enrollment", "enrollmentdata", "zoho_enrollment_id"),
    ("grade", "submit_grade", "gradedata", "zoho_grade_id"),
    ("request", "update_request_status", "requestdata", "zoho_request_id"),
    ("request", "submit_student_request", "requestdata", "zoho_request_id"),
):
    function(f"local_mzi_{_name}", **{_parameter: str})(_upsert(_kind, _key))


@function("local_mzi_get_moodle_ids", zoho_student_id=str, zoho_class_id=str)
def moodle_ids(
    site: MoodleSimulator, zoho_student_id: str, zoho_class_id: str
) -> dict[str, Any]:
    users = [u["id"] for u in site.users.values() if u["idnumber"] == zoho_student_id]
    courses = [c["id"] for c in site.courses.values() if c["idnumber"] == zoho_class_id]
    return {
        "moodle_user_id": users[0] if users and zoho_student_id else 0,
        "moodle_course_id": courses[0] if courses and zoho_class_id else 0,
    }


@function(
    "local_moodle_zoho_sync_create_btec_definition",
    name=str,
    description=str,
    zoho_unit_id=str,
    criteria=[{"shortname": str, "description": str, "level": int, "sortorder": int}],
)
def btec_definition(
    site: MoodleSimulator, zoho_unit_id: str, **values: Any
) -> dict[str, Any]:
    stored = site.plugin_records.setdefault("definition", {})
    old = stored.get(zoho_unit_id)
    found = old["id"] if old else site.number("definition")
    stored[zoho_unit_id] = {"id": found, **values}
    return {"success": True, "definition_id": found, "message": "saved"}
