"""Apply records of Zoho to the mirror: any number of times, in any order.

- A record changes its row only if it is not older than the copy that the row has:
  first by ``Modified_Time``; with the same time, by when it was read from Zoho.
- A record whose mapped values are those of the row changes no value and no version. So
  the notification of our own write does nothing.
- A value that the mapping does not accept becomes a `Conflict`; its column keeps the
  former value. A field that the record lacks keeps its value, too.
- A deletion keeps the row, with ``deleted_at`` and the module's final status.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from django.db import DatabaseError, transaction

from registrar.mapping.modules import MAPPINGS, ModuleMapping, digest
from registrar.mirror.converting import Converted, convert
from registrar.mirror.decisions import Decision, Outcome
from registrar.models import Conflict, LinkedRow, MirrorRow
from registrar.models.rows import ID_LENGTH

Record = Mapping[str, Any]


def apply_record(module: str, record: Record, *, read_at: datetime) -> Decision:
    """Insert or update the row of ``record``.

    Args:
        module: a key of `MAPPINGS`.
        record: Zoho's JSON object; it may lack fields.
        read_at: when the read began that returned the record.

    Raises:
        ValueError: the record has no id.
        DatabaseError: the database refuses it; nothing was changed.
    """
    mapping, zoho_id = MAPPINGS[module], _id_of(record)
    with transaction.atomic():
        row, is_new = _locked(mapping, zoho_id, read_at)
        decision = _change(mapping, row, record, read_at=read_at, is_new=is_new)
        if decision.outcome != Outcome.STALE:
            row.save()
        [decision] = _only_missing([decision])
        return decision


def apply_records(
    module: str, records: Sequence[Record], *, read_at: datetime
) -> list[Decision]:
    """Insert or update the rows of a page of records, as `apply_record` does for each.

    One transaction: a query for all rows, one for all new rows, one for all rows that
    were only read again, one for the parents of a module, and one for each changed row.
    If the database refuses the page, for example because another process has inserted
    one of the records meanwhile, the records are applied one by one.

    Returns:
        the decisions, in the order of ``records``.

    Raises:
        as `apply_record`; the records before that one may be applied.
    """
    try:
        with transaction.atomic():
            return _apply_page(MAPPINGS[module], records, read_at)
    except DatabaseError:
        return [apply_record(module, record, read_at=read_at) for record in records]


def apply_deletion(module: str, zoho_id: str, *, read_at: datetime) -> Decision:
    """Mark the row of a record that Zoho no longer has.

    Args:
        read_at: when the read began that did not find the record.
    """
    mapping = MAPPINGS[module]
    with transaction.atomic():
        row = mapping.model._default_manager.select_for_update().filter(zoho_id=zoho_id)
        found = row.first()
        if found is None:
            return Decision(Outcome.UNKNOWN)
        if found.read_at > read_at:
            return Decision(Outcome.STALE)
        if found.deleted_at is not None:
            return Decision(Outcome.UNCHANGED)
        for column, value in mapping.on_deletion.items():
            setattr(found, column, value)
        found.deleted_at = found.read_at = read_at
        # The next record restores the row, even one with the same values.
        found.mapped_hash = ""
        found.version += 1
        found.save()
        return Decision(Outcome.DELETED, tuple(mapping.on_deletion))


def remember_moodle_id(row: LinkedRow, value: str) -> None:
    """Store that Zoho has ``value`` as the row's Moodle id: we have just written it.

    The notification of that write then finds nothing to change.
    """
    mapping = next(one for one in MAPPINGS.values() if isinstance(row, one.model))
    with transaction.atomic():
        locked = type(row)._default_manager.select_for_update().get(pk=row.pk)
        values = mapping.values_of(locked) | {"crm_moodle_id": value}
        # "" marks a deleted record, whose next copy must apply.
        locked.mapped_hash = locked.mapped_hash and digest(values)
        locked.crm_moodle_id = value
        locked.save(update_fields=["mapped_hash", "crm_moodle_id"])


def _id_of(record: Record) -> str:
    found = str(record.get("id") or "")
    if not found or len(found) > ID_LENGTH:
        raise ValueError("a record needs an id")
    return found


def _apply_page(
    mapping: ModuleMapping, records: Sequence[Record], read_at: datetime
) -> list[Decision]:
    ids = [_id_of(record) for record in records]
    # In the order of the ids, so that two pages with the same records cannot deadlock.
    locked = mapping.model._default_manager.select_for_update().order_by("zoho_id")
    rows = {row.zoho_id: row for row in locked.filter(zoho_id__in=ids)}
    held = {zoho_id: _columns(row) for zoho_id, row in rows.items()}
    new: list[MirrorRow] = []
    decisions = []
    for zoho_id, record in zip(ids, records, strict=True):
        row, is_new = rows.get(zoho_id), False
        if row is None:
            row, is_new = mapping.model(zoho_id=zoho_id, read_at=read_at), True
            rows[zoho_id] = row
            new.append(row)
        decisions.append(_change(mapping, row, record, read_at=read_at, is_new=is_new))
    mapping.model._default_manager.bulk_create(new)
    only_read = []
    for zoho_id, before in held.items():
        row = rows[zoho_id]
        changed = [
            name for name, value in _columns(row).items() if value != before[name]
        ]
        if changed == ["read_at"]:
            only_read.append(row.pk)
        elif changed:
            row.save(update_fields=changed)
    if only_read:
        mapping.model._default_manager.filter(pk__in=only_read).update(read_at=read_at)
    return _only_missing(decisions)


def _columns(row: MirrorRow) -> dict[str, Any]:
    return {one.attname: getattr(row, one.attname) for one in row._meta.concrete_fields}


def _change(
    mapping: ModuleMapping,
    row: MirrorRow,
    record: Record,
    *,
    read_at: datetime,
    is_new: bool,
) -> Decision:
    """Set the values of a row, which the caller saves unless the record is stale.

    ``missing`` of the decision names all parents (`_only_missing`).
    """
    modified = _moment(record.get("Modified_Time"))
    if not is_new and _is_stale(row, modified, read_at):
        return Decision(Outcome.STALE)
    converted = convert(mapping, record)
    outcome, changed = _write(mapping, row, converted, is_new=is_new)
    _write_times(row, record, modified, read_at)
    conflicts = _update_conflicts(mapping, row, converted, read_at)
    parents = tuple(dict.fromkeys(mapping.parents_of(row)))
    return Decision(outcome, changed, conflicts, parents)


def _locked(
    mapping: ModuleMapping, zoho_id: str, read_at: datetime
) -> tuple[MirrorRow, bool]:
    """Return the locked row of a record, and whether it was inserted for it."""
    rows = mapping.model._default_manager
    row, is_new = rows.get_or_create(zoho_id=zoho_id, defaults={"read_at": read_at})
    if is_new:
        return row, True
    return rows.select_for_update().get(pk=row.pk), False


def _is_stale(row: MirrorRow, modified: datetime | None, read_at: datetime) -> bool:
    if row.deleted_at is not None and read_at <= row.deleted_at:
        return True
    if row.modified_time is None or modified is None:
        return read_at < row.read_at
    if modified == row.modified_time:
        return read_at < row.read_at
    return modified < row.modified_time


def _write(
    mapping: ModuleMapping, row: MirrorRow, converted: Converted, *, is_new: bool
) -> tuple[Outcome, tuple[str, ...]]:
    """Set the values; return the outcome and the columns that changed."""
    old = mapping.values_of(row)
    new = old | converted.values
    changed = tuple(sorted(name for name in new if new[name] != old[name]))
    mapping.write(row, {name: new[name] for name in changed})
    hashed, before = digest(new), row.mapped_hash
    row.mapped_hash = hashed
    if is_new:
        return Outcome.CREATED, ()
    if row.deleted_at is not None:
        for column in mapping.on_deletion.keys() - old.keys():
            setattr(row, column, "")
        row.deleted_at = None
        row.version += 1
        return Outcome.RESTORED, changed
    if hashed == before:
        return Outcome.UNCHANGED, ()
    row.version += 1
    return Outcome.UPDATED, changed


def _write_times(
    row: MirrorRow, record: Record, modified: datetime | None, read_at: datetime
) -> None:
    row.read_at = max(read_at, row.read_at)
    row.modified_time = modified or row.modified_time
    row.created_time = _moment(record.get("Created_Time")) or row.created_time


def _update_conflicts(
    mapping: ModuleMapping, row: MirrorRow, converted: Converted, now: datetime
) -> tuple[str, ...]:
    """Store the problems of this record, and delete those that it has solved."""
    if not row.has_conflict and not converted.problems:
        return ()
    of_record = Conflict.objects.filter(module=mapping.module, record_id=row.zoho_id)
    if row.has_conflict:
        of_record.filter(api_name__in=converted.understood).delete()
    for api_name, (value, reason) in sorted(converted.problems.items()):
        of_record.update_or_create(
            module=mapping.module,
            record_id=row.zoho_id,
            api_name=api_name,
            defaults={"value": value, "reason": reason},
            create_defaults={"value": value, "reason": reason, "since": now},
        )
    row.has_conflict = of_record.exists()
    return tuple(sorted(converted.problems))


def _only_missing(decisions: Sequence[Decision]) -> list[Decision]:
    """Leave out the parents that the mirror has. One query for each module of parents."""
    wanted: dict[str, set[str]] = defaultdict(set)
    for one in decisions:
        for module, zoho_id in one.missing:
            wanted[module].add(zoho_id)
    known = {
        (module, zoho_id)
        for module, ids in wanted.items()
        for zoho_id in MAPPINGS[module]
        .model._default_manager.filter(zoho_id__in=ids)
        .values_list("zoho_id", flat=True)
    }
    return [
        replace(one, missing=tuple(each for each in one.missing if each not in known))
        for one in decisions
    ]


def _moment(value: Any) -> datetime | None:
    """Return an aware time; None for an empty or wrong one, or one without an offset."""
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return found.astimezone(UTC) if found.tzinfo else None
