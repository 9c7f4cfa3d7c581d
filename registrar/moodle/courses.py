"""Moodle's courses and categories.

``idnumber`` and ``shortname`` are unique: Moodle refuses a second course with the codes
``courseidnumbertaken`` and ``shortnametaken``.
"""

from dataclasses import dataclass
from typing import Any

from registrar.moodle.client import MoodleClient, check_warnings
from registrar.moodle.texts import plain


@dataclass(frozen=True, slots=True)
class Course:
    """A course. Times are Unix seconds, 0 for none."""

    id: int
    fullname: str
    shortname: str
    idnumber: str
    category_id: int
    visible: bool
    start: int
    end: int


@dataclass(frozen=True, kw_only=True)
class CourseValues:
    """What a course is created with; ``idnumber`` is Zoho's id of the class."""

    fullname: str
    shortname: str
    idnumber: str
    category_id: int
    start: int = 0
    end: int = 0
    visible: bool = True


def find(client: MoodleClient, *, field: str, value: str | int) -> Course | None:
    """Return the course with ``value`` in ``id``, ``idnumber`` or ``shortname``."""
    found = client.read("core_course_get_courses_by_field", field=field, value=value)
    rows = found["courses"]
    return _course(rows[0]) if rows else None


def create(client: MoodleClient, *, values: CourseValues) -> int:
    """Create an empty course and return its id.

    Raises:
        PeerRefusedError: ``courseidnumbertaken``, ``shortnametaken``, or
            ``errorcatcontextnotvalid``: there is no such category.
    """
    [row] = client.write("core_course_create_courses", courses=[_row(values)])
    return int(row["id"])


def duplicate(client: MoodleClient, *, template_id: int, values: CourseValues) -> int:
    """Copy a course without its users and return the copy's id.

    Moodle copies with a new short name only; a second call sets ``idnumber`` and the
    dates. A process that is killed between them leaves a copy without ``idnumber``: look
    up by ``shortname``, too, before repeating.

    Raises:
        PeerRefusedError: ``shortnametaken``; ``invalidcourseid``: no such template.
    """
    found = client.write(
        "core_course_duplicate_course",
        courseid=template_id,
        fullname=values.fullname,
        shortname=values.shortname,
        categoryid=values.category_id,
        visible=values.visible,
        options=[{"name": "users", "value": "0"}],
    )
    course_id = int(found["id"])
    row = _row(values)
    update(
        client,
        course_id=course_id,
        idnumber=row["idnumber"],
        startdate=row["startdate"],
        enddate=row["enddate"],
    )
    return course_id


def update(client: MoodleClient, *, course_id: int, **values: str | int | bool) -> None:
    """Change a course: fields by Moodle's names, such as ``fullname`` or ``visible``.

    Raises:
        PeerRefusedError: ``invalidrecord``: there is no such course; or as `create`.
    """
    row = {"id": course_id, **values}
    check_warnings(client.write("core_course_update_courses", courses=[row]))


def _row(values: CourseValues) -> dict[str, Any]:
    return {
        "fullname": values.fullname,
        "shortname": values.shortname,
        "idnumber": values.idnumber,
        "categoryid": values.category_id,
        "startdate": values.start,
        "enddate": values.end,
        "visible": values.visible,
    }


def _course(row: dict[str, Any]) -> Course:
    return Course(
        id=int(row["id"]),
        fullname=plain(str(row["fullname"])),
        shortname=plain(str(row["shortname"])),
        idnumber=str(row.get("idnumber", "")),
        category_id=int(row["categoryid"]),
        visible=bool(row.get("visible", True)),
        start=int(row.get("startdate", 0)),
        end=int(row.get("enddate", 0)),
    )
