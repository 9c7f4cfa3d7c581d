"""Add effects. Level-triggered: from what a row is, not from what happened to it."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from registrar import queues
from registrar.mapping.modules import MAPPINGS
from registrar.models import (
    GRADE_KINDS,
    GRADES,
    Effect,
    Kind,
    MirrorRow,
    MoodleGrade,
)
from registrar.models.work import WorkState

PUSHED: Mapping[str, Kind] = {
    "BTEC_Students": Kind.USER,
    "BTEC_Teachers": Kind.USER,
    "BTEC_Units": Kind.TEMPLATE,
    "BTEC_Classes": Kind.COURSE,
    "BTEC_Enrollments": Kind.ENROLMENT,
    "Products": Kind.RECORD,
    "BTEC_Registrations": Kind.RECORD,
    "BTEC_Payments": Kind.RECORD,
    "BTEC_Grades": Kind.RECORD,
    "BTEC_Student_Requests": Kind.RECORD,
}
"""The effect that brings a module's rows to Moodle, parents first."""
EVERY_SITE = tuple(one for one, kind in PUSHED.items() if kind != Kind.RECORD)
"""Modules that every Moodle gets; the others need the plugin's functions."""
_PART = 1000
"""Keys of one query."""
_PEERS = {
    Kind.WRITE_BACK: "zoho",
    Kind.GRADE: "zoho",
    Kind.CRITERIA: "zoho",
}


def add(
    *,
    kind: Kind,
    module: str,
    record_id: str,
    version: int,
    now: datetime,
    value: str = "",
) -> bool:
    """Add an effect; False if the same one was added before.

    Args:
        version: the version of the mirror's row.
        value: what distinguishes effects of the same version.
    """
    _effect, is_new = Effect.objects.get_or_create(
        key=f"{kind} {module} {record_id} {version} {value}".strip(),
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


def add_due(
    records: Iterable[tuple[str, str]], *, modules: Collection[str] = EVERY_SITE
) -> list[tuple[str, str]]:
    """Add the effects of these records, if Moodle lacks their version.

    Args:
        modules: those that Moodle gets.

    Returns:
        the records that have a new effect.
    """
    found = []
    for module, record_id in records:
        if module in modules:
            rows = _behind(module).filter(zoho_id=record_id)
            found += [(module, record_id) for row in rows if _add_push(module, row)]
    return found


def add_all_due(*, most: int, modules: Collection[str] = EVERY_SITE) -> int:
    """Add effects for up to ``most`` rows that Moodle lacks; return how many.

    Rows with an effect of their version are left out, also when it is dead: a replay
    tries it again.
    """
    count = 0
    for module in (one for one in PUSHED if one in modules):
        of_version = Effect.objects.filter(
            module=module, record_id=OuterRef("zoho_id"), version=OuterRef("version")
        )
        for row in _behind(module).filter(~Exists(of_version))[: most - count]:
            count += _add_push(module, row)
    return count


def add_grades_due(*, most: int) -> int:
    """Add effects for up to ``most`` grades that Zoho lacks; return how many.

    A grade waits while Zoho has no such student or class. One with an effect of its
    version is left out, also when that has failed.
    """
    of_version = Effect.objects.filter(
        kind=Kind.GRADE,
        module=GRADES,
        record_id=OuterRef("composite_key"),
        version=OuterRef("version"),
    )
    unsent = MoodleGrade.objects.exclude(enriched_version=F("version"))
    # The index alone has their keys: the rows of grades that were sent are not read.
    keys = sorted(unsent.values_list("pk", flat=True))
    count = 0
    for at in range(0, len(keys), _PART):
        part = MoodleGrade.objects.filter(pk__in=keys[at : at + _PART])
        rows = part.sendable().filter(~Exists(of_version)).order_by("pk")
        for row in rows[: most - count]:
            count += _add_latest(Kind.GRADE, GRADES, row.composite_key, row.version)
        if count >= most:
            break
    return count


def send_grades_again(rows: Iterable[MoodleGrade]) -> int:
    """Let the effects of these grades be done again; return of how many grades.

    Grades without an effect are left out: they get one by themselves.
    """
    count, now = 0, timezone.now()
    for row in rows:
        effects = Effect.objects.filter(
            kind__in=GRADE_KINDS,
            module=GRADES,
            record_id=row.composite_key,
            version=row.version,
        )
        count += bool(queues.replay(effects, now=now))
    return count


def push_again(module: str, record_id: str) -> None:
    """Let the effect of a row's version be done once more, although Moodle had it."""
    rows = MAPPINGS[module].model._default_manager.filter(zoho_id=record_id)
    for row in rows:
        rows.update(pushed_version=0)
        if not _add_push(module, row):
            effects = Effect.objects.filter(
                kind=PUSHED[module],
                module=module,
                record_id=record_id,
                version=row.version,
            )
            queues.replay(effects, now=timezone.now())


def _behind(module: str) -> QuerySet[MirrorRow]:
    rows = MAPPINGS[module].model._default_manager
    return rows.exclude(pushed_version=F("version")).order_by("pk")


def _add_push(module: str, row: MirrorRow) -> bool:
    return _add_latest(PUSHED[module], module, row.zoho_id, row.version)


def _add_latest(kind: Kind, module: str, record_id: str, version: int) -> bool:
    """Add an effect of a version, in place of those of older versions that are not done."""
    now = timezone.now()
    with transaction.atomic():
        if not add(
            kind=kind, module=module, record_id=record_id, version=version, now=now
        ):
            return False
        # The new effect reads the row as it is now, so it stands for the older ones.
        Effect.objects.filter(
            module=module,
            record_id=record_id,
            version__lt=version,
            state__in=(WorkState.PENDING, WorkState.DEAD),
        ).update(
            state=WorkState.DONE,
            finished_at=now,
            waits_for="",
            result=_("A later effect stands for this one."),
        )
    return True
