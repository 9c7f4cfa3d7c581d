"""Adding rows at the positions after the state that they were decided on."""

import hashlib
import secrets
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from types import NoneType
from typing import Any

import orjson
from django.db import (
    IntegrityError,
    InterfaceError,
    OperationalError,
    connection,
    transaction,
)
from django.db.models import Field

from core import time_budget
from core.db import (
    is_conflict,
    is_connection_lost,
    is_duplicate_error,
    is_foreign_key_error,
    is_null_error,
    parameter_marks,
)
from progress.models import ArchivedInteraction, InteractionLog
from progress.services.ledger.rows import event, fields


class PositionTakenError(Exception):
    """Another write was first: decide again, on the rows that it added.

    A row with this position, event id or first completion exists, or the database ended
    one of several concurrent writes.
    """


class PlayerDeletedError(Exception):
    """The player has been deleted."""


def client_event(idempotency_key: str) -> str:
    """Return the event id of a request with the client's key."""
    return hashlib.sha256(idempotency_key.encode()).hexdigest()


def server_event() -> str:
    """Return the event id of a request without a key."""
    return secrets.token_hex(32)


def lock(player_ids: Collection[int]) -> list[int]:
    """Let nobody else write rows or cards of players until the transaction ends.

    One query. The lock is on the profiles' rows, which every row that refers to a player
    needs. Their erasure and statistics lock them first, too, in the same order.

    Returns:
        The players who are left: not deleted or erased.
    """
    if not player_ids:
        return []
    statement = (
        "SELECT id FROM players_playerprofile "  # noqa: S608 - marks
        f"WHERE id IN ({parameter_marks(len(player_ids))}) AND erased_at IS NULL "
        "ORDER BY id"
    )
    # SQLite has no other writer during a transaction.
    if connection.features.has_select_for_update:
        statement += " FOR UPDATE"
    with connection.cursor() as cursor:
        cursor.execute(statement, list(player_ids))
        return [player_id for (player_id,) in cursor.fetchall()]


def append(rows: Sequence[InteractionLog]) -> None:
    """Commit rows at their positions, all or none. One statement.

    When the connection breaks during the commit, the rows are looked up by the first
    one's event id.

    Raises:
        PositionTakenError: another write was first.
        PlayerDeletedError: the player has been deleted.
        OperationalError, InterfaceError: the database is away. The rows may be
            committed only if the look-up failed, too.
        RuntimeError: a transaction is open. Its rollback would remove the rows after
            Redis was updated.
    """
    try:
        if connection.in_atomic_block:
            with transaction.atomic(durable=True):
                insert(rows)
        else:
            insert(rows)
    except (IntegrityError, OperationalError, InterfaceError) as error:
        if not is_connection_lost(error):
            raise conflict(error) from error
        connection.close()
        if event(rows[0].player_id, rows[0].event_id) is None:
            raise


def conflict(error: Exception) -> Exception:
    """Return what a write's error means: another write was first, or no player.

    Else the error itself; also once the request's time is used up (`core.time_budget`).
    """
    if isinstance(error, IntegrityError):
        is_archived = is_null_error(error) and "event_id" in str(error)
        if is_duplicate_error(error) or is_archived:
            return PositionTakenError()
        if is_foreign_key_error(error):
            return PlayerDeletedError()
    # MariaDB ends one of several concurrent inserts of a key as a deadlock.
    elif isinstance(error, OperationalError) and is_conflict(error):
        return error if time_budget.is_used_up() else PositionTakenError()
    return error


def insert(rows: Sequence[InteractionLog]) -> None:
    """Insert rows of one player with one statement: half the cost of ``Model.save``.

    The constraints of the table do not know archived rows. So the statement looks for
    the events and first completions in the archive, and gives the first row no event id
    if it finds one. ``INSERT … SELECT`` would lock the table's next key against all
    other writers on MariaDB.

    Raises:
        IntegrityError: see `conflict`.
    """
    vendor = connection.vendor
    into, marks, guarded, archive = _statement(vendor)
    values = _values(rows, vendor)
    known: list[Any] = []
    conditions = []
    for name in ("event_id", "first_of"):
        own = [one for row in rows if (one := getattr(row, name)) is not None]
        if own:
            conditions.append(
                f"EXISTS (SELECT 1 FROM {archive} "  # noqa: S608 - marks
                f"WHERE player_id = %s AND {name} IN ({parameter_marks(len(own))}))"
            )
            known += [rows[0].player_id, *own]
    first = guarded.replace("{guard}", " OR ".join(conditions))
    place = [name for name, _adapt in _columns(vendor)].index("event_id")
    statement = f"{into} VALUES {', '.join([first, *[marks] * (len(rows) - 1)])}"
    with connection.cursor() as cursor:
        cursor.execute(statement, [*values[:place], *known, *values[place:]])


def insert_new(rows: Sequence[InteractionLog]) -> None:
    """Insert rows of any players, who are locked; none of them is archived.

    Raises:
        IntegrityError: see `conflict`.
    """
    vendor = connection.vendor
    into, marks, _guarded, _archive = _statement(vendor)
    values = _values(rows, vendor)
    with connection.cursor() as cursor:
        cursor.execute(f"{into} VALUES {', '.join([marks] * len(rows))}", values)


def _values(rows: Sequence[InteractionLog], vendor: str) -> list[Any]:
    columns = _columns(vendor)
    return [
        value
        if type(value := getattr(row, name)) in _STORED_AS_THEY_ARE
        else adapt(value)
        for row in rows
        for name, adapt in columns
    ]


_STORED_AS_THEY_ARE = (int, str, NoneType)
"""Types whose values no field of the ledger changes for the database."""


@lru_cache(maxsize=4)
def _columns(_vendor: str) -> list[tuple[str, Callable[[Any], Any]]]:
    """Return the attribute of each column, and how its value becomes the database's.

    Django's fields first convert times and details from what a form may contain.
    """
    own: dict[str, Callable[[Any], Any]] = {
        "data": lambda value: orjson.dumps(value).decode(),
        "occurred_at": connection.ops.adapt_datetimefield_value,
        "received_at": connection.ops.adapt_datetimefield_value,
        "device_time": connection.ops.adapt_datetimefield_value,
        "day": connection.ops.adapt_datefield_value,
    }
    return [
        (field.attname, own.get(field.name) or _by_field(field)) for field in fields()
    ]


def _by_field(field: "Field[Any, Any]") -> Callable[[Any], Any]:
    return lambda value: field.get_db_prep_save(value, connection)


@lru_cache(maxsize=4)
def _statement(_vendor: str) -> tuple[str, str, str, str]:
    """Return the INSERT without its values, the marks of a row, and the archive.

    And the marks of a row without an event id if its ``{guard}`` is true.
    """
    quote = connection.ops.quote_name
    names = [field.column or "" for field in fields()]
    guarded = [
        "CASE WHEN {guard} THEN NULL ELSE %s END" if name == "event_id" else "%s"
        for name in names
    ]
    table, archive = (
        quote(model._meta.db_table) for model in (InteractionLog, ArchivedInteraction)
    )
    into = f"INSERT INTO {table} ({', '.join(map(quote, names))})"
    return into, f"({parameter_marks(len(names))})", f"({', '.join(guarded)})", archive
