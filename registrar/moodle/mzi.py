"""Functions of the plugin ``local_moodle_zoho_sync``, where a site offers them.

Each takes one JSON text with our names of the fields (the blueprint's tables
``local_mzi_*``) and upserts by Zoho's id. A site without the plugin has none of them:
the registrar then uses Moodle's own functions, and the mirror alone serves the pages.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from registrar.moodle.client import MoodleClient

FUNCTIONS = {
    "student": ("local_mzi_update_student", "studentdata"),
    "teacher": ("local_mzi_sync_teacher", "teacherdata"),
    "program": ("local_mzi_upsert_program", "programdata"),
    "registration": ("local_mzi_create_registration", "registrationdata"),
    "payment": ("local_mzi_record_payment", "paymentdata"),
    "class": ("local_mzi_create_class", "classdata"),
    "enrollment": ("local_mzi_update_enrollment", "enrollmentdata"),
    "grade": ("local_mzi_submit_grade", "gradedata"),
    "request_status": ("local_mzi_update_request_status", "requestdata"),
    "request": ("local_mzi_submit_student_request", "requestdata"),
}
"""The function and the name of its parameter for each kind of record."""
_DEFINITION = "local_moodle_zoho_sync_create_btec_definition"


@dataclass(frozen=True, kw_only=True)
class BtecCriterion:
    """A criterion of the BTEC form. ``level``: 1 pass, 2 merit, 3 distinction."""

    short_name: str
    description: str
    level: int


def offers(client: MoodleClient, *, kind: str) -> bool:
    """Return whether the site takes records of ``kind`` (a key of `FUNCTIONS`)."""
    return client.offers(FUNCTIONS[kind][0])


def send(client: MoodleClient, *, kind: str, values: Mapping[str, Any]) -> Any:
    """Send one record and return the plugin's answer.

    Args:
        values: JSON values; decimals and dates as text.
    """
    function, parameter = FUNCTIONS[kind]
    return client.write(function, **{parameter: orjson.dumps(values).decode()})


def offers_btec_form(client: MoodleClient) -> bool:
    """Return whether the site can save definitions of the BTEC form."""
    return client.offers(_DEFINITION)


def save_btec_definition(
    client: MoodleClient,
    *,
    unit_id: str,
    name: str,
    criteria: Sequence[BtecCriterion],
) -> int:
    """Save a unit's definition, one for each Zoho id, and return its id in Moodle."""
    found = client.write(
        _DEFINITION,
        zoho_unit_id=unit_id,
        name=name,
        description="",
        criteria=[
            {
                "shortname": one.short_name,
                "description": one.description,
                "level": one.level,
                "sortorder": at,
            }
            for at, one in enumerate(criteria, start=1)
        ],
    )
    return int(found["definition_id"])
