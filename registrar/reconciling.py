"""Compare the mirror with Zoho, module by module, and repair it.

A full comparison reads every record. First the differences are collected; then, only if
they are not too many, they are applied. So a half-empty answer changes nothing.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Max
from django.utils import timezone

from registrar.mapping.modules import MAPPINGS
from registrar.mirror.applying import apply_deletion, apply_records
from registrar.mirror.comparing import Difference, compare
from registrar.mirror.decisions import CHANGES
from registrar.models import MirrorRow
from registrar.sources import Record, RecordSource

MOST_SHARE = 0.1
"""Changed and deleted rows beyond this share of a module's rows need a person."""
ALWAYS_PERMITTED = 20
"""So many changed and deleted rows are applied in any case."""
OVERLAP = timedelta(minutes=5)
"""How far a delta reaches back before the newest change that the mirror has."""
DELETIONS_WITHIN = timedelta(days=1)
"""How far the list of deletions reaches back: it is read every 15 minutes, and again after
a failure."""
_CHUNK = 100


@dataclass(slots=True)
class ModuleReport:
    """What a comparison of one module has found and done.

    ``stopped`` is True if there were too many changes, so that none was applied.
    """

    module: str
    read: int = 0
    rows: int = 0
    new: list[str] = field(default_factory=list)
    changed: list[Difference] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    applied: list[tuple[str, str]] = field(default_factory=list)
    stopped: bool = False

    @property
    def changed_rows(self) -> int:
        """How many rows differ from their record."""
        return len({one.record_id for one in self.changed})


def reconcile_module(
    *,
    source: RecordSource,
    module: str,
    apply: bool,
    permit_many: bool = False,
    progress: Callable[[int], None] = lambda _read: None,
) -> ModuleReport:
    """Compare all records of a module with the mirror, and apply the differences.

    Safe beside the inbox: a row that it has changed meanwhile is newer and stays.

    Args:
        apply: False writes nothing.
        permit_many: apply more changes than `MOST_SHARE` permits.
        progress: called with the number of records read after each page.

    Raises:
        PeerError: a page could not be read; nothing was applied.
    """
    model, started = MAPPINGS[module].model, timezone.now()
    report, seen = ModuleReport(module), set[str]()
    due: list[tuple[list[Record], datetime]] = []
    report.rows = model._default_manager.filter(deleted_at=None).count()
    for records, read_at in _timed_pages(source, module):
        rows, different = _rows_of(model, records), list[Record]()
        for record in records:
            record_id = str(record["id"])
            if record_id in seen:
                continue
            seen.add(record_id)
            row = rows.get(record_id)
            found = compare(module, record, row)
            report.changed += found
            if row is None or row.deleted_at is not None:
                report.new.append(record_id)
            if row is None or row.deleted_at is not None or found:
                different.append(record)
        due.append((different, read_at))
        report.read = len(seen)
        progress(report.read)
    gone = model._default_manager.filter(deleted_at=None, read_at__lt=started)
    report.gone = [
        one for one in gone.values_list("zoho_id", flat=True) if one not in seen
    ]
    if not apply:
        return report
    if not permit_many and _is_too_much(report):
        report.stopped = True
        return report
    for records, read_at in due:
        report.applied += _apply(module, records, read_at)
    report.gone, deleted = _delete(source, module, report.gone)
    report.applied += deleted
    return report


def apply_changes(*, source: RecordSource, module: str) -> list[tuple[str, str]]:
    """Apply the records that Zoho has changed since the mirror's newest change.

    Deletions are left to `apply_deletions`.

    Returns:
        the records that changed a row.

    Raises:
        PeerError: a page could not be read; the pages before it are applied.
    """
    rows = MAPPINGS[module].model._default_manager
    newest = rows.aggregate(newest=Max("modified_time"))["newest"]
    since = newest - OVERLAP if newest else None
    changed = []
    for records, read_at in _timed_pages(source, module, since=since):
        changed += _apply(module, records, read_at)
    return changed


def apply_deletions(*, source: RecordSource, module: str) -> list[tuple[str, str]]:
    """Apply what Zoho lists as deleted in the last day, and no longer has.

    Older deletions are found by `reconcile_module`. A listed record that Zoho still has
    was restored, so its row stays.

    Returns:
        the records whose row has changed.

    Raises:
        PeerError: Zoho does not answer; what was applied before stays.
    """
    rows = MAPPINGS[module].model._default_manager.filter(deleted_at=None)
    if not rows.exists():
        return []
    listed = source.deleted(module=module, since=timezone.now() - DELETIONS_WITHIN)
    here: list[str] = []
    for at in range(0, len(listed), _CHUNK):
        part = rows.filter(zoho_id__in=listed[at : at + _CHUNK])
        here += part.values_list("zoho_id", flat=True)
    return _delete(source, module, here)[1]


def _timed_pages(
    source: RecordSource, module: str, *, since: datetime | None = None
) -> Iterator[tuple[list[Record], datetime]]:
    """Iterate over pages, each with the time at which its read began."""
    pages = source.pages(module=module, since=since)
    while True:
        read_at = timezone.now()
        records = next(pages, None)
        if records is None:
            return
        yield records, read_at


def _apply(
    module: str, records: list[Record], read_at: datetime
) -> list[tuple[str, str]]:
    """Apply records that were read at once; return those that changed a row."""
    decisions = apply_records(module, records, read_at=read_at)
    return [
        (module, str(record["id"]))
        for record, decision in zip(records, decisions, strict=True)
        if decision.outcome in CHANGES
    ]


def _rows_of(model: type[MirrorRow], records: list[Record]) -> Mapping[str, Any]:
    ids = [str(record["id"]) for record in records]
    rows = model._default_manager.filter(zoho_id__in=ids)
    return {row.zoho_id: row for row in rows}


def _is_too_much(report: ModuleReport) -> bool:
    changes = report.changed_rows + len(report.gone)
    return changes > max(ALWAYS_PERMITTED, report.rows * MOST_SHARE)


def _delete(
    source: RecordSource, module: str, ids: list[str]
) -> tuple[list[str], list[tuple[str, str]]]:
    """Delete the rows whose records Zoho does not have when asked by id.

    Returns:
        the ids that Zoho does not have, and the records whose row has changed.
    """
    gone, changed = [], []
    for at in range(0, len(ids), _CHUNK):
        part = ids[at : at + _CHUNK]
        read_at = timezone.now()
        found = source.get_many(module=module, ids=part)
        for record_id in part:
            record = found.get(record_id) or source.get(
                module=module, record_id=record_id
            )
            if record is not None:
                continue
            gone.append(record_id)
            decision = apply_deletion(module, record_id, read_at=read_at)
            if decision.outcome in CHANGES:
                changed.append((module, record_id))
    return gone, changed
