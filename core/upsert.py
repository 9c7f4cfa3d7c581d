"""Writing many rows at once: the one place that knows each database's own upsert.

Django's ``bulk_create(update_conflicts=True)`` is the portable form; it costs four
times as much, most of it in making model instances and compiling them.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from django.db import connection
from django.db.models import Model


def upsert(
    model: type[Model],
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    key: Sequence[str],
) -> None:
    """Insert ``rows``; where ``key`` is there already, write the other columns.

    No signals are sent and no ``save()`` runs. Part of the caller's transaction.

    Args:
        columns: the table's column names (``publication_id``, not ``publication``).
        rows: a value per column, as the database takes it (str, int, None, datetime).
        key: the columns of a unique constraint, all among ``columns``.

    Raises:
        IntegrityError: another constraint forbids a row.
    """
    values = list(rows)
    if not values:
        return
    quote = connection.ops.quote_name
    written = [column for column in columns if column not in key]
    if connection.vendor == "mysql":
        changes = ", ".join(f"{quote(c)} = VALUES({quote(c)})" for c in written)
        conflict = f"ON DUPLICATE KEY UPDATE {changes}"
    else:
        target = ", ".join(map(quote, key))
        changes = ", ".join(f"{quote(c)} = excluded.{quote(c)}" for c in written)
        conflict = f"ON CONFLICT ({target}) DO UPDATE SET {changes}"
    statement = (
        f"INSERT INTO {quote(model._meta.db_table)} "  # noqa: S608 - names of our own
        f"({', '.join(map(quote, columns))}) "
        f"VALUES ({', '.join(['%s'] * len(columns))}) {conflict}"
    )
    with connection.cursor() as cursor:
        cursor.executemany(statement, values)
