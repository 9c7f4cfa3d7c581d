"""What all handlers share: the row of an effect, and the id that Zoho gets."""

from typing import Any

from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from registrar.effects.site import Site
from registrar.mapping.modules import MAPPINGS
from registrar.mirror.applying import remember_moodle_id
from registrar.models import Effect, Enrolment, Kind, LinkedRow
from registrar.outbox.adding import add, push_again
from registrar.outbox.running import ImpossibleError
from registrar.zoho import records

ID_FIELDS = {
    "BTEC_Students": "Student_Moodle_ID",
    "BTEC_Teachers": "Teacher_Moodle_ID",
    "BTEC_Classes": "Moodle_Class_ID",
}
"""The field of Zoho that has Moodle's id."""


def row_of(effect: Effect) -> Any:
    """Return the row of an effect; None if there is none."""
    rows = MAPPINGS[effect.module].model._default_manager
    return rows.filter(zoho_id=effect.record_id).first()


def mark_pushed(effect: Effect) -> None:
    """Store that Moodle has the version of the row for which the effect was added.

    A later version has its own effect.
    """
    rows = MAPPINGS[effect.module].model._default_manager
    rows.filter(zoho_id=effect.record_id, pushed_version__lt=effect.version).update(
        pushed_version=effect.version
    )


def push_places_again(**of: str) -> None:
    """Let the places in a new course, or of a new account, be made once more.

    An effect of a place is done without one while the class is cancelled, or the student
    deleted, before Moodle has it. Call this before the new id is stored: after a crash in
    between, it is called again.

    Args:
        of: ``school_class`` or ``student``, a Zoho id.
    """
    rows = Enrolment.objects.filter(pushed_version=F("version"), **of)
    for record_id in list(rows.values_list("zoho_id", flat=True)):
        push_again("BTEC_Enrollments", record_id)


def add_write_back(effect: Effect, row: LinkedRow, moodle_id: int) -> None:
    """Add an effect that tells Zoho the id, if Zoho has another one."""
    if row.crm_moodle_id != str(moodle_id) and row.deleted_at is None:
        add(
            kind=Kind.WRITE_BACK,
            module=effect.module,
            record_id=effect.record_id,
            version=effect.version,
            now=timezone.now(),
            # An account that was lost and created again has another id.
            value=str(moodle_id),
        )


def write_back(effect: Effect, site: Site) -> str:
    """Write Moodle's id of a row into its record in Zoho; Zoho's workflows do not run.

    The notification of this write then finds nothing to change.

    Raises:
        ImpossibleError: Zoho is not configured.
    """
    row = row_of(effect)
    if row is None or row.deleted_at is not None or row.moodle_id is None:
        return _("There is nothing to write.")
    if site.zoho is None:
        raise ImpossibleError(_("Zoho CRM is not configured."))
    value = str(row.moodle_id)
    record = {"id": row.zoho_id, ID_FIELDS[effect.module]: value}
    [result] = records.update(
        site.zoho, module=effect.module, records=[record], run_workflows=False
    )
    result.checked()
    remember_moodle_id(row, value)
    return _("Zoho has the Moodle id %(id)s.") % {"id": value}
