"""Insert, or insert or update, many rows, with the SQL of each database.

Django's ``bulk_create`` is portable but takes four times as long, mostly to create and
compile model instances.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from django.db import connection
from django.db.models import Model


def insert(
    model: type[Model], fields: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    """Insert ``rows``, which are as those of `upsert`.

    Raises:
        IntegrityError: a constraint refuses a row.
    """
    values = list(rows)
    if values:
        with connection.cursor() as cursor:
            cursor.executemany(_insert_statement(model, fields), values)


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
    values = list(rows)
    if not values:
        return
    quote = connection.ops.quote_name
    column_of = {name: _column(model, name) for name in fields}
    unique = [column_of[name] for name in key]
    written = [column for column in column_of.values() if column not in unique]
    if connection.vendor == "mysql":
        new = {c: f"VALUES({quote(c)})" for c in written}
        if version:
            # MariaDB assigns in this order, and the conditions need the old version.
            last = column_of[version]
            written = [c for c in written if c != last] + [last]
            is_newer = f"{new[last]} >= {quote(last)}"
            new = {c: f"IF({is_newer}, {new[c]}, {quote(c)})" for c in written}
        changes = ", ".join(f"{quote(c)} = {new[c]}" for c in written)
        conflict = f"ON DUPLICATE KEY UPDATE {changes}"
    else:
        target = ", ".join(map(quote, unique))
        changes = ", ".join(f"{quote(c)} = excluded.{quote(c)}" for c in written)
        conflict = f"ON CONFLICT ({target}) DO UPDATE SET {changes}"
        if version:
            column = quote(column_of[version])
            table = quote(model._meta.db_table)
            conflict += f" WHERE excluded.{column} >= {table}.{column}"
    with connection.cursor() as cursor:
        cursor.executemany(f"{_insert_statement(model, fields)} {conflict}", values)


def _insert_statement(model: type[Model], fields: Sequence[str]) -> str:
    quote = connection.ops.quote_name
    columns = [quote(_column(model, name)) for name in fields]
    return (
        f"INSERT INTO {quote(model._meta.db_table)} "  # noqa: S608 - names of our own
        f"({', '.join(columns)}) VALUES ({', '.join(['%s'] * len(columns))})"
    )


def _column(model: type[Model], field: str) -> str:
    column = model._meta.get_field(field).column  # type: ignore[union-attr]
    assert isinstance(column, str)
    return column
