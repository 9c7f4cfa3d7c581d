"""Insert, or insert or update, many rows, with the SQL of each database.

Django's ``bulk_create`` is portable but takes four times as long, mostly to create and
compile model instances.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import orjson
from django.db import connection, transaction
from django.db.models import DateTimeField, ForeignKey, Model

from core.db import parameter_marks

_MAX_DOCUMENT_BYTES = 1_000_000
"""Of one statement: short locks, and far below MariaDB's ``max_allowed_packet``."""


def insert(
    model: type[Model], fields: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    """Insert ``rows``, which are as those of `upsert`.

    Raises:
        IntegrityError: a constraint refuses a row.
    """
    _insert_values(model, fields, list(rows))


def upsert(
    model: type[Model],
    fields: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    key: Sequence[str],
    version: str = "",
) -> None:
    """Insert ``rows``; where ``key`` exists, update the other fields.

    No signals are sent and no ``save()`` is called. It runs in the caller's
    transaction.

    Args:
        fields: names of fields (``publication_id``, not ``publication``).
        rows: one value per field, in a type of the database (str, int, None,
            datetime).
        key: the fields of a unique constraint, all among ``fields``.
        version: a field of numbers; a row with a lower number changes nothing.

    Raises:
        IntegrityError: another constraint refuses a row.
    """
    conflict = _on_conflict(model, fields, key=key, version=version)
    _insert_values(model, fields, list(rows), conflict)


def upsert_children(
    model: type[Model],
    fields: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    key: Sequence[str],
    version: str,
    parent: str,
    ended: str,
) -> int:
    """As `upsert`, but only rows whose parent exists and has not ended.

    The parents are locked until the commit: nobody can end or delete them meanwhile.
    Rows that refer to them can be inserted, because a foreign key needs only a shared
    lock. Without a transaction of the caller, each statement is one.

    Args:
        rows: in the order of their parents, then of ``key``, so that concurrent calls
            lock in the same order. Values are str, int, None, dates and times in UTC.
        parent: the foreign key to the parent (``player``); its column is in ``fields``.
        ended: a field of the parent that is NULL until it ends (``erased_at``).

    Returns:
        How many rows have such a parent, also those that changed nothing.

    Raises:
        DatabaseError: the database refuses a row. Without a transaction of the caller,
            the first parts of more than 1 MB of rows may be written.
    """
    if not rows:
        return 0
    foreign_key = model._meta.get_field(parent)
    assert isinstance(foreign_key, ForeignKey)
    conflict = _on_conflict(model, fields, key=key, version=version)
    if connection.vendor == "mysql":
        return _insert_documents(model, fields, rows, foreign_key, ended, conflict)
    place = fields.index(foreign_key.attname)
    # No other process can write during a transaction of SQLite.
    with transaction.atomic():
        parents = foreign_key.related_model._base_manager.filter(
            pk__in={row[place] for row in rows}, **{ended: None}
        )
        found = set(parents.values_list("pk", flat=True))
        kept = [row for row in rows if row[place] in found]
        _insert_values(model, fields, kept, conflict)
    return len(kept)


def _insert_values(
    model: type[Model],
    fields: Sequence[str],
    rows: Sequence[Sequence[Any]],
    conflict: str = "",
) -> None:
    if not rows:
        return
    marks = parameter_marks(len(fields))
    statement = f"{_insert_into(model, fields)} VALUES ({marks}) {conflict}"
    with connection.cursor() as cursor:
        cursor.executemany(statement, rows)


def _insert_documents(
    model: type[Model],
    fields: Sequence[str],
    rows: Sequence[Sequence[Any]],
    foreign_key: "ForeignKey[Any, Any]",
    ended: str,
    conflict: str,
) -> int:
    """Insert the rows as JSON documents, which MariaDB's ``JSON_TABLE`` reads.

    One statement locks the parents, looks at them and writes. It takes half the time of
    a statement with a parameter for each value.
    """
    quote = connection.ops.quote_name
    owner = foreign_key.related_model
    assert owner._meta.pk is not None
    # Texts, which the table refuses if they do not fit: JSON_TABLE would cut a value to
    # its type. The number of the parent is found by an index.
    columns = ", ".join(
        f"{quote(_column(model, name))} "
        f"{'bigint' if name == foreign_key.attname else 'longtext'} "
        f"PATH '$[{place}]' ERROR ON ERROR"
        for place, name in enumerate(fields)
    )
    selected = ", ".join(_selected(model, name) for name in fields)
    # STRAIGHT_JOIN: locks are taken in the order of the rows.
    statement = (
        f"{_insert_into(model, fields)} SELECT {selected} "  # noqa: S608 - own names
        f"FROM JSON_TABLE(%s, '$[*]' COLUMNS ({columns})) AS new "
        f"STRAIGHT_JOIN {quote(owner._meta.db_table)} AS parent "
        f"ON parent.{quote(_column(owner, owner._meta.pk.name))} "
        f"= new.{quote(foreign_key.column)} "
        f"WHERE parent.{quote(_column(owner, ended))} IS NULL "
        f"LOCK IN SHARE MODE {conflict} RETURNING 1"
    )
    count = 0
    with connection.cursor() as cursor:
        for document in _documents(rows):
            cursor.execute(statement, [document])
            count += len(cursor.fetchall())
    return count


def _documents(rows: Sequence[Sequence[Any]]) -> Iterator[str]:
    document = orjson.dumps(rows)
    if len(document) <= _MAX_DOCUMENT_BYTES or len(rows) == 1:
        yield document.decode()
        return
    middle = len(rows) // 2
    yield from _documents(rows[:middle])
    yield from _documents(rows[middle:])


def _selected(model: type[Model], field: str) -> str:
    column = f"new.{connection.ops.quote_name(_column(model, field))}"
    if isinstance(model._meta.get_field(field), DateTimeField):
        # MariaDB's times have no offset; it refuses any other one.
        return f"TRIM(TRAILING '+00:00' FROM {column})"
    return column


def _insert_into(model: type[Model], fields: Sequence[str]) -> str:
    quote = connection.ops.quote_name
    columns = ", ".join(quote(_column(model, name)) for name in fields)
    return f"INSERT INTO {quote(model._meta.db_table)} ({columns})"


def _on_conflict(
    model: type[Model], fields: Sequence[str], *, key: Sequence[str], version: str
) -> str:
    """Return the clause that updates all fields but ``key``."""
    quote = connection.ops.quote_name
    table = quote(model._meta.db_table)
    written = [name for name in fields if name not in key and name != version]
    if version:
        # MariaDB assigns in this order, and the conditions need the old version.
        written.append(version)
    columns = [quote(_column(model, name)) for name in written]
    if connection.vendor == "mysql":
        new = {column: f"VALUES({column})" for column in columns}
        if version:
            last = columns[-1]
            is_newer = f"{new[last]} >= {table}.{last}"
            new = {c: f"IF({is_newer}, {new[c]}, {table}.{c})" for c in columns}
        changes = ", ".join(f"{table}.{column} = {new[column]}" for column in columns)
        return f"ON DUPLICATE KEY UPDATE {changes}"
    target = ", ".join(quote(_column(model, name)) for name in key)
    changes = ", ".join(f"{column} = excluded.{column}" for column in columns)
    clause = f"ON CONFLICT ({target}) DO UPDATE SET {changes}"
    if version:
        clause += f" WHERE excluded.{columns[-1]} >= {table}.{columns[-1]}"
    return clause


def _column(model: type[Model], field: str) -> str:
    column = model._meta.get_field(field).column  # type: ignore[union-attr]
    assert isinstance(column, str)
    return column
