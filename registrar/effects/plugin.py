"""Records for the plugin ``local_moodle_zoho_sync``, where a site offers its functions.

The plugin's pages show them to students inside Moodle. It upserts by Zoho's id, so a
record may be sent any number of times.
"""

from dataclasses import dataclass
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from registrar import breakers
from registrar.effects import pushing
from registrar.effects.site import Site
from registrar.mapping.modules import MAPPINGS
from registrar.models import Effect, LinkedRow, MirrorRow
from registrar.moodle import mzi
from registrar.peers.errors import PeerError


@dataclass(frozen=True, slots=True)
class _Table:
    """A kind of records of the plugin, and its names of our columns."""

    kind: str
    key: str
    moodle_id: str = ""


_TABLES = {
    "BTEC_Students": _Table("student", "zoho_student_id", "moodle_user_id"),
    "BTEC_Teachers": _Table("teacher", "zoho_teacher_id", "moodle_user_id"),
    "Products": _Table("program", "zoho_program_id"),
    "BTEC_Registrations": _Table("registration", "zoho_registration_id"),
    "BTEC_Payments": _Table("payment", "zoho_payment_id"),
    "BTEC_Classes": _Table("class", "zoho_class_id", "moodle_class_id"),
    "BTEC_Enrollments": _Table("enrollment", "zoho_enrollment_id"),
    "BTEC_Grades": _Table("grade", "zoho_grade_id"),
    "BTEC_Student_Requests": _Table("request_status", "zoho_request_id"),
}
_RENAMED = {
    "national_number": "national_id",
    "student_id": "zoho_student_id",
    "program_id": "zoho_program_id",
    "registration_id": "zoho_registration_id",
    "school_class_id": "zoho_class_id",
    "teacher_id": "zoho_teacher_id",
    "unit_id": "zoho_unit_id",
}


def modules(site: Site) -> tuple[str, ...]:
    """Return the modules whose records the site takes; none while it does not answer."""
    now = timezone.now()
    if not breakers.may_try("moodle", now=now):
        return ()
    try:
        return tuple(
            module
            for module, table in _TABLES.items()
            if mzi.offers(site.moodle, kind=table.kind)
        )
    except PeerError as error:
        breakers.record_failure("moodle", error, now=now)
        return ()


def push_record(effect: Effect, site: Site) -> str:
    """Send a row that only the plugin has a table for."""
    row = pushing.row_of(effect)
    if row is None:
        return _("There is no such record any more.")
    is_sent = send_if_offered(effect, row, site)
    pushing.mark_pushed(effect)
    if not is_sent:
        return _("Moodle has no function for this record.")
    return _("Moodle's plugin has the record.")


def send_if_offered(effect: Effect, row: MirrorRow, site: Site) -> bool:
    """Send a row to the plugin; False if the site has no function for it."""
    table = _TABLES[effect.module]
    if not mzi.offers(site.moodle, kind=table.kind):
        return False
    mzi.send(site.moodle, kind=table.kind, values=_values(effect.module, row, table))
    return True


def _values(module: str, row: MirrorRow, table: _Table) -> dict[str, Any]:
    """Return the row with the plugin's names; decimals and dates as texts."""
    found = {
        _RENAMED.get(column, column): _json(value)
        for column, value in MAPPINGS[module].values_of(row).items()
        if column != "crm_moodle_id"
    }
    found[table.key] = row.zoho_id
    # A payment's status is ours alone.
    for column in MAPPINGS[module].on_deletion:
        found[column] = getattr(row, column)
    if table.moodle_id and isinstance(row, LinkedRow):
        found[table.moodle_id] = row.moodle_id
    return found


def _json(value: Any) -> Any:
    if value is None or isinstance(value, str | int | list):
        return value
    return str(value)
