"""Add effects. Level-triggered: from what a row is, not from what happened to it."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from registrar.models import (
    Effect,
    Enrolment,
    Kind,
    PushedRow,
    SchoolClass,
    Student,
    Teacher,
)
from registrar.models.work import WorkState

PUSHED: Mapping[str, tuple[type[PushedRow], Kind]] = {
    "BTEC_Students": (Student, Kind.USER),
    "BTEC_Teachers": (Teacher, Kind.USER),
    "BTEC_Classes": (SchoolClass, Kind.COURSE),
    "BTEC_Enrollments": (Enrolment, Kind.ENROLMENT),
}
"""Modules whose rows Moodle gets, parents first: the table, and the effect."""
_PEERS = {Kind.WRITE_BACK: "zoho"}


def add(
    *, kind: Kind, module: str, record_id: str, version: int, now: datetime
) -> bool:
    """Add an effect; False if the same one was added before.

    Args:
        version: the version of the mirror's row.
    """
    _effect, is_new = Effect.objects.get_or_create(
        key=f"{kind} {module} {record_id} {version}",
        defaults={
            "kind": kind,
            "peer": _PEERS.get(kind, "moodle"),
            "module": module,
            "record_id": record_id,
            "version": version,
            "created_at": now,
            "due_at": now,
        },
    )
    return is_new


def add_due(records: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Add the effects of these records, if Moodle lacks their version.

    Returns:
        the records that have a new effect.
    """
    found = []
    for module, record_id in records:
        if module in PUSHED:
            rows = _behind(module).filter(zoho_id=record_id)
            found += [(module, record_id) for row in rows if _add_push(module, row)]
    return found


def add_all_due(*, most: int) -> int:
    """Add effects for up to ``most`` rows that Moodle lacks; return how many.

    Rows with an effect of their version are left out, also when it is dead: a replay
    tries it again.
    """
    count = 0
    for module in PUSHED:
        of_version = Effect.objects.filter(
            module=module, record_id=OuterRef("zoho_id"), version=OuterRef("version")
        )
        for row in _behind(module).filter(~Exists(of_version))[: most - count]:
            count += _add_push(module, row)
    return count


def _behind(module: str) -> QuerySet[PushedRow]:
    rows = PUSHED[module][0]._default_manager
    return rows.exclude(pushed_version=F("version")).order_by("pk")


def _add_push(module: str, row: PushedRow) -> bool:
    now = timezone.now()
    with transaction.atomic():
        if not add(
            kind=PUSHED[module][1],
            module=module,
            record_id=row.zoho_id,
            version=row.version,
            now=now,
        ):
            return False
        # The new effect reads the row as it is now, so it stands for the older ones.
        Effect.objects.filter(
            module=module,
            record_id=row.zoho_id,
            version__lt=row.version,
            state__in=(WorkState.PENDING, WorkState.DEAD),
        ).update(
            state=WorkState.DONE,
            finished_at=now,
            waits_for="",
            result=_("A later effect stands for this one."),
        )
    return True
