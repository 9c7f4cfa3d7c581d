"""Grades of Moodle become records of ``BTEC_Grades`` in Zoho (D7A).

First the grade is sent, then the criteria are added. The record is found by our own key,
so both steps may be repeated at any time.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from registrar.mapping.locked_names import CRITERIA_SUBFORM
from registrar.models import Effect, Kind, MoodleGrade, SchoolClass, Student
from registrar.outbox.adding import add
from registrar.outbox.running import ImpossibleError
from registrar.zoho import records
from registrar.zoho.client import ZohoClient
from registrar.zoho.values import to_lookup

_KEY = "Moodle_Grade_Composite_Key"
_ACHIEVED = {True: "Achieved", False: "Not Achieved"}


def push_grade(effect: Effect, *, zoho: ZohoClient) -> str:
    """Create or update the record of a grade, and add the effect for its criteria.

    Zoho's workflows run: they may tell the student.

    Raises:
        ImpossibleError: Zoho has no such student or class any more.
    """
    row = MoodleGrade.objects.filter(composite_key=effect.record_id).first()
    if row is None:
        return _("There is no such record any more.")
    [result] = records.upsert(
        zoho,
        module=effect.module,
        records=[_record(row)],
        by=[_KEY],
        run_workflows=True,
    )
    zoho_id = result.checked()
    with transaction.atomic():
        rows = MoodleGrade.objects.filter(pk=row.pk)
        rows.update(zoho_id=zoho_id)
        rows.filter(sent_version__lt=effect.version).update(
            sent_version=effect.version, sent_at=timezone.now()
        )
        add(
            kind=Kind.CRITERIA,
            module=effect.module,
            record_id=effect.record_id,
            version=effect.version,
            now=timezone.now(),
        )
    return _("Zoho has the grade: %(id)s.") % {"id": zoho_id}


def push_criteria(effect: Effect, *, zoho: ZohoClient) -> str:
    """Make the criteria of a record those of the grade.

    Zoho adds rows that come without an id, so the record is read first: a criterion that
    an earlier attempt has added is found by its code.

    Raises:
        ImpossibleError: the CRM has no table for criteria.
    """
    row = MoodleGrade.objects.filter(composite_key=effect.record_id).first()
    if row is None:
        return _("There is no such record any more.")
    record = records.get(zoho, module=effect.module, record_id=row.zoho_id)
    if record is None:
        _mark_enriched(effect)
        return _("The record was deleted in Zoho.")
    if row.criteria and CRITERIA_SUBFORM not in record:
        raise ImpossibleError(
            _("BTEC_Grades has no subform %(name)s in Zoho. Add it there.")
            % {"name": CRITERIA_SUBFORM}
        )
    changes = _changes(row.criteria, record.get(CRITERIA_SUBFORM) or [])
    if changes:
        update = {"id": row.zoho_id, CRITERIA_SUBFORM: changes}
        [result] = records.update(
            zoho, module=effect.module, records=[update], run_workflows=False
        )
        result.checked()
    _mark_enriched(effect)
    if not row.criteria:
        return _("The grade has no criteria.")
    return _("Zoho has the criteria: %(codes)s.") % {
        "codes": ", ".join(one["code"] for one in row.criteria)
    }


def _record(row: MoodleGrade) -> dict[str, Any]:
    student = Student.objects.filter(moodle_id=row.user_id, deleted_at=None).first()
    school_class = SchoolClass.objects.filter(
        moodle_id=row.course_id, deleted_at=None
    ).first()
    if student is None:
        raise ImpossibleError(_("No student in Zoho has this account of Moodle."))
    if school_class is None:
        raise ImpossibleError(_("No class in Zoho has this course of Moodle."))
    return {
        _KEY: row.composite_key,
        "Student": to_lookup(student.zoho_id),
        "Class": to_lookup(school_class.zoho_id),
        "BTEC_Unit": to_lookup(school_class.unit_id or ""),
        "Grade": row.grade or None,
        "Moodle_Course_ID": str(row.course_id),
        "Moodle_User_ID": str(row.user_id),
    }


def _changes(
    criteria: Iterable[Mapping[str, Any]], held: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return the rows to write; none if the record has these criteria already.

    Rows that stay are named, too, with their ids.
    """
    by_code: dict[str, list[Mapping[str, Any]]] = {}
    for row in held:
        by_code.setdefault(str(row.get("LO_Code")), []).append(row)
    found, is_same = [], True
    for one in criteria:
        values = _values(one)
        of_code = by_code.get(values["LO_Code"])
        before = of_code.pop(0) if of_code else {}
        is_same &= all((before.get(name) or "") == values[name] for name in values)
        found.append({"id": before["id"], **values} if before else values)
    gone = [
        {"id": row["id"], "_delete": None} for rows in by_code.values() for row in rows
    ]
    return [] if is_same and not gone else [*found, *gone]


def _values(one: Mapping[str, Any]) -> dict[str, str]:
    return {
        "LO_Code": one["code"],
        "LO_Title": one["title"],
        "LO_Score": _ACHIEVED[one["is_achieved"]],
        "LO_Definition": one["definition"],
        "LO_Feedback": one["feedback"],
    }


def _mark_enriched(effect: Effect) -> None:
    MoodleGrade.objects.filter(
        composite_key=effect.record_id, enriched_version__lt=effect.version
    ).update(enriched_version=effect.version)
