"""Read the records that the inbox names, and apply them to the mirror.

A hint says only that a record may have changed. Several hints of one record that wait
together need one read.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import DatabaseError
from django.utils import timezone
from django.utils.translation import gettext as _

from registrar import breakers, configuration, queues
from registrar.mapping.modules import MAPPINGS
from registrar.mirror.applying import apply_deletion, apply_record, apply_records
from registrar.mirror.decisions import CHANGES, Decision
from registrar.models import Delivery, Hint, Operation
from registrar.models.work import UNFINISHED, WorkState
from registrar.peers.errors import PeerError
from registrar.sources import RecordSource

log = structlog.get_logger(__name__)

BATCH = 100
"""Records of one call to Zoho."""
MAX_DEPTH = 4
"""Payment, registration, student: no chain of parents is longer."""
MAX_STALE_READS = 5
"""How often a record is read again because Zoho answers an older copy than announced."""


@dataclass(slots=True)
class Processed:
    """How many hints were tried, the records that changed, and the modules that were read
    as a whole."""

    tried: int = 0
    changed: list[tuple[str, str]] = field(default_factory=list)
    listed: set[str] = field(default_factory=set)


def process(*, source: RecordSource) -> Processed:
    """Process up to 100 due hints; safe to run in several workers at once.

    Returns:
        no tries when nothing is due, or while Zoho is away.
    """
    found, now = Processed(), timezone.now()
    if not breakers.may_try("zoho", now=now):
        return found
    due = queues.claimable(Hint, now=now).exclude(
        module__in=configuration.paused_modules()
    )
    claimed = [row for row in due[:BATCH] if queues.claim(row, now=now)]
    by_module: dict[str, list[Hint]] = defaultdict(list)
    for row in claimed:
        if row.operation == Operation.LIST:
            _process_list(row, source, found)
        else:
            by_module[row.module].append(row)
    for module, rows in by_module.items():
        _process_records(module, rows, source, found)
    found.tried = len(claimed)
    return found


def _process_records(
    module: str, rows: list[Hint], source: RecordSource, found: Processed
) -> None:
    followers = _followers(module, rows)
    _reopen_deliveries([*rows, *(one for some in followers.values() for one in some)])
    read_at = timezone.now()
    try:
        records = source.get_many(module=module, ids=[row.record_id for row in rows])
    except PeerError as error:
        _fail(rows, error)
        return
    breakers.record_success("zoho")
    for row in rows:
        waiting = followers.get(row.record_id, [])
        try:
            record = records.get(row.record_id) or source.get(
                module=module, record_id=row.record_id
            )
            decision = _apply(module, row.record_id, record, read_at=read_at)
        except (PeerError, DatabaseError) as error:
            _fail([row], error)
            continue
        if decision.outcome in CHANGES:
            found.changed.append((module, row.record_id))
        _add_parents(row, decision)
        _finish(row, waiting, decision, record)


def _apply(
    module: str, record_id: str, record: dict[str, Any] | None, *, read_at: datetime
) -> Decision:
    if record is None:
        return apply_deletion(module, record_id, read_at=read_at)
    return apply_record(module, record, read_at=read_at)


def _process_list(row: Hint, source: RecordSource, found: Processed) -> None:
    read_at, applied = timezone.now(), 0
    try:
        for records in source.pages(module=row.module):
            decisions = apply_records(row.module, records, read_at=read_at)
            applied += len(records)
            for record, decision in zip(records, decisions, strict=True):
                if decision.outcome in CHANGES:
                    found.changed.append((row.module, str(record["id"])))
                _add_parents(row, decision)
            read_at = timezone.now()
    except (PeerError, DatabaseError) as error:
        _fail([row], error)
        return
    found.listed.add(row.module)
    queues.finish(row, now=timezone.now(), decision={"records": applied})


def _followers(module: str, rows: Iterable[Hint]) -> dict[str, list[Hint]]:
    """Return the hints that wait behind ``rows``: the coming read is for them, too."""
    found: dict[str, list[Hint]] = defaultdict(list)
    heads = {row.record_id: row.pk for row in rows}
    waiting = Hint.objects.filter(
        module=module, record_id__in=heads, state=WorkState.PENDING
    )
    for row in waiting:
        if row.pk > heads[row.record_id]:
            found[row.record_id].append(row)
    return found


def _reopen_deliveries(rows: Iterable[Hint]) -> None:
    """Let bodies without a version count as new from now on: the read begins."""
    ids = {row.delivery_id for row in rows if row.delivery_id}
    for pk in Delivery.objects.filter(pk__in=ids, has_version=False).values_list(
        "pk", flat=True
    ):
        Delivery.objects.filter(pk=pk).update(dedup_key=f"read {pk}")


def _finish(
    row: Hint, waiting: list[Hint], decision: Decision, record: dict[str, Any] | None
) -> None:
    now = timezone.now()
    announced = [one.not_before for one in (row, *waiting) if one.not_before]
    if record and announced and row.attempts < MAX_STALE_READS:
        held = MAPPINGS[row.module].model._default_manager.filter(zoho_id=row.record_id)
        modified = held.values_list("modified_time", flat=True).first()
        if modified is not None and modified < max(announced):
            seconds = queues.DELAYS[row.attempts]
            queues.postpone(
                row,
                until=now + timedelta(seconds=seconds),
                reason=_("Zoho still answers an older copy."),
                attempts=row.attempts + 1,
            )
            return
    document = decision.document()
    queues.finish(row, now=now, decision=document)
    queues.finish_all(waiting, now=now, decision=document)


def _add_parents(row: Hint, decision: Decision) -> None:
    """Add hints for parents that the mirror lacks, up to `MAX_DEPTH` above a child."""
    if row.depth >= MAX_DEPTH:
        return
    now = timezone.now()
    for module, record_id in decision.missing:
        of_parent = Hint.objects.filter(module=module, record_id=record_id)
        if of_parent.filter(state__in=UNFINISHED).exists():
            continue
        Hint.objects.create(
            module=module,
            record_id=record_id,
            operation=Operation.CHANGED,
            depth=row.depth + 1,
            created_at=now,
            due_at=now,
        )


def _fail(rows: list[Hint], error: Exception) -> None:
    now = timezone.now()
    breakers.record_failure("zoho", error, now=now)
    for row in rows:
        state = queues.fail(row, error, now=now)
        log.warning(
            "registrar_hint_failed",
            module=row.module,
            hint=row.pk,
            state=str(state),
            error=type(error).__name__,
            reason=getattr(error, "reason", ""),
        )
