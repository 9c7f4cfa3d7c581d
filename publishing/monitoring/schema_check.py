"""Compare the database's schema with the models.

Reads the database's catalogue on SQLite and MariaDB, and changes nothing. Indexes and
constraints are compared by their columns, not by name: each database generates some
names itself.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db import connection, models
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
from django.db.utils import IntegrityError
from django.utils.translation import gettext as _

Progress = Callable[[int, int], None]
"""Called with the number of finished steps and the total."""
_NOT_OURS = {"sqlite_sequence", "sqlite_stat1", "sqlite_stat4"}
"""SQLite's own tables; it makes the last two for ANALYZE."""


@dataclass(frozen=True, slots=True)
class SchemaFault:
    """One difference: a code for programs, the object's name, and a description."""

    code: str
    table: str
    what: str
    why: str


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    nullable: bool


@dataclass(frozen=True, slots=True)
class _Table:
    """A table as the database's catalogue describes it."""

    columns: dict[str, _Column]
    unique: set[frozenset[str]]
    indexed: set[tuple[str, ...]]
    references: dict[str, tuple[str, str]]
    names: set[str]
    """The names of its constraints and indexes."""


def find_faults(
    *, rows: bool = False, progress: Progress = lambda _done, _of: None
) -> list[SchemaFault]:
    """Return every difference between the database and the models, tables in order.

    Args:
        rows: also find rows with a dangling foreign key; this reads all tables.
        progress: called with the number of finished steps and the total.
    """
    with connection.cursor() as cursor:
        listed = connection.introspection.get_table_list(cursor)
        tables = {table.name for table in listed if table.type == "t"} - _NOT_OURS
        found = list(_unapplied())
        expected = {model._meta.db_table: model for model in _models()}
        steps = len(expected) * (2 if rows else 1)
        for done, (name, model) in enumerate(sorted(expected.items())):
            progress(done, steps)
            if name in tables:
                found += _table_faults(model, _read_table(cursor, name))
            else:
                why = _("the table is missing")
                found.append(SchemaFault("missing_table", name, "", why))
        known = expected.keys() | {MigrationRecorder.Migration._meta.db_table}
        for name in sorted(tables - known):
            why = _("no model has this table")
            found.append(SchemaFault("extra_table", name, "", why))
    if rows:
        for done, name in enumerate(sorted(expected.keys() & tables)):
            progress(len(expected) + done, steps)
            found += _dangling_rows(name)
    progress(steps, steps)
    return found


def _models() -> list[type[models.Model]]:
    return [
        model
        for model in apps.get_models(include_auto_created=True)
        if model._meta.managed and not model._meta.proxy
    ]


def _unapplied() -> Iterator[SchemaFault]:
    executor = MigrationExecutor(connection)
    for migration, _backwards in executor.migration_plan(
        executor.loader.graph.leaf_nodes()
    ):
        yield SchemaFault(
            "unapplied_migration",
            "",
            f"{migration.app_label}.{migration.name}",
            _("the migration is not applied: run “manage.py migrate”"),
        )


def _read_table(cursor: Any, name: str) -> _Table:
    introspection = connection.introspection
    constraints = introspection.get_constraints(cursor, name)
    columns = introspection.get_table_description(cursor, name)
    return _Table(
        columns={
            column.name: _Column(column.name, bool(column.null_ok))
            for column in columns
        },
        unique={
            frozenset(found["columns"])
            for found in constraints.values()
            if found["columns"] and (found["unique"] or found["primary_key"])
        },
        indexed={
            tuple(found["columns"])
            for found in constraints.values()
            if found["columns"]
            and (found["index"] or found["unique"] or found["primary_key"])
        },
        references={
            found["columns"][0]: found["foreign_key"]
            for found in constraints.values()
            if found["foreign_key"] and len(found["columns"]) == 1
        },
        names=set(constraints),
    )


def _table_faults(model: type[models.Model], table: _Table) -> Iterator[SchemaFault]:
    meta = model._meta
    yield from _column_faults(model, table)
    local: list[Any] = list(meta.local_concrete_fields)
    for field in local:
        if field.column in table.columns:
            yield from _field_faults(model, field, table)
    for unique in meta.total_unique_constraints:
        columns = _columns(model, unique.fields)
        if frozenset(columns) not in table.unique:
            yield _missing_unique(model, unique.name, columns)
    for together in meta.unique_together:
        columns = _columns(model, together)
        if frozenset(columns) not in table.unique:
            yield _missing_unique(model, "", columns)
    for index in meta.indexes:
        columns = _columns(model, [name for name, _order in index.fields_orders])
        if columns and columns not in table.indexed:
            why = _("the index %(name)s over %(columns)s is missing")
            yield SchemaFault(
                "missing_index",
                meta.db_table,
                index.name,
                why % {"name": index.name, "columns": ", ".join(columns)},
            )
    yield from _check_faults(model, table)


def _column_faults(model: type[models.Model], table: _Table) -> Iterator[SchemaFault]:
    name = model._meta.db_table
    local: list[Any] = list(model._meta.local_concrete_fields)
    fields: dict[str, Any] = {field.column: field for field in local}
    for column in sorted(fields.keys() - table.columns.keys()):
        why = _("the column is missing")
        yield SchemaFault("missing_column", name, column, why)
    for column in sorted(table.columns.keys() - fields.keys()):
        why = _("no field has this column")
        yield SchemaFault("extra_column", name, column, why)
    for column in sorted(fields.keys() & table.columns.keys()):
        field = fields[column]
        if field.primary_key or field.generated:
            continue  # the database chooses whether a generated column may be NULL
        if table.columns[column].nullable != field.null:
            why = (
                _("the column does not allow NULL, but the model's field does")
                if field.null
                else _("the column allows NULL, but the model's field does not")
            )
            yield SchemaFault("wrong_null", name, column, why)


def _field_faults(
    model: type[models.Model], field: Any, table: _Table
) -> Iterator[SchemaFault]:
    name, column = model._meta.db_table, field.column
    if field.unique and frozenset([column]) not in table.unique:
        yield _missing_unique(model, "", (column,))
    elif field.db_index and not any(columns[0] == column for columns in table.indexed):
        why = _("the column has no index")
        yield SchemaFault("missing_index", name, column, why)
    if field.remote_field is not None and field.db_constraint:
        target = field.target_field
        expected = (target.model._meta.db_table, target.column)
        if table.references.get(column) != expected:
            why = _("the foreign key to %(table)s.%(column)s is missing") % {
                "table": expected[0],
                "column": expected[1],
            }
            yield SchemaFault("missing_foreign_key", name, column, why)


def _check_faults(model: type[models.Model], table: _Table) -> Iterator[SchemaFault]:
    if not connection.features.supports_table_check_constraints:
        return
    for constraint in model._meta.constraints:
        is_check = isinstance(constraint, models.CheckConstraint)
        if is_check and constraint.name not in table.names:
            why = _("the check %(name)s is missing") % {"name": constraint.name}
            yield SchemaFault(
                "missing_check", model._meta.db_table, constraint.name, why
            )


def _missing_unique(
    model: type[models.Model], name: str, columns: tuple[str, ...]
) -> SchemaFault:
    listed = ", ".join(columns)
    why = _("the unique constraint over %(columns)s is missing") % {"columns": listed}
    return SchemaFault("missing_unique", model._meta.db_table, name or listed, why)


def _columns(model: type[models.Model], fields: Any) -> tuple[str, ...]:
    found: list[Any] = [model._meta.get_field(name) for name in fields]
    return tuple(field.column for field in found)


def _dangling_rows(table: str) -> Iterator[SchemaFault]:
    try:
        connection.check_constraints(table_names=[table])
    except IntegrityError as error:
        yield SchemaFault("dangling_row", table, "", str(error))
