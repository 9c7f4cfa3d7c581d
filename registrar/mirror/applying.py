"""Apply records of Zoho to the mirror: any number of times, in any order.

- A record changes its row only if it is not older than the copy that the row has:
  first by ``Modified_Time``; with the same time, by when it was read from Zoho.
- A record whose mapped values are those of the row changes no value and no version. So
  the notification of our own write does nothing.
- A value that the mapping does not accept becomes a `Conflict`; its column keeps the
  former value. A field that the record lacks keeps its value, too.
- A deletion keeps the row, with ``deleted_at`` and the module's final status.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django.db import transaction

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
    converted = convert(mapping, record)
    with transaction.atomic():
        row, is_new = _locked(mapping, zoho_id, read_at)
        modified = _moment(record.get("Modified_Time"))
        if not is_new and _is_stale(row, modified, read_at):
            return Decision(Outcome.STALE)
        outcome, changed = _write(mapping, row, converted, is_new=is_new)
        _write_times(row, record, modified, read_at)
        conflicts = _update_conflicts(mapping, row, converted, read_at)
        row.save()
        return Decision(outcome, changed, conflicts, _missing_parents(mapping, row))


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
    if row.has_conflict or converted.problems:
        row.has_conflict = of_record.exists()
    return tuple(sorted(converted.problems))


def _missing_parents(
    mapping: ModuleMapping, row: MirrorRow
) -> tuple[tuple[str, str], ...]:
    wanted = dict.fromkeys(mapping.parents_of(row))
    return tuple(
        (module, zoho_id)
        for module, zoho_id in wanted
        if not MAPPINGS[module].model._default_manager.filter(zoho_id=zoho_id).exists()
    )


def _moment(value: Any) -> datetime | None:
    """Return an aware time; None for an empty or wrong one, or one without an offset."""
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return found.astimezone(UTC) if found.tzinfo else None
