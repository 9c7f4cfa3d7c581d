"""The admin's own log: entries are added, never changed or deleted.

`LogEntry` is Django's model, so it cannot inherit `core.append_only`. Its manager gets
the guarding query set, receivers guard single entries, and `core.statement_guard` its
table.
"""

from typing import NoReturn

from django.contrib.admin.models import LogEntry, LogEntryManager

from core import statement_guard
from core.append_only import AppendOnlyQuerySet


def protect() -> None:
    """Refuse every change of existing entries, and every deletion."""
    statement_guard.protect(LogEntry._meta.db_table)
    LogEntryManager._queryset_class = AppendOnlyQuerySet  # type: ignore[attr-defined]


def require_new(entry: LogEntry) -> None:
    """Allow that an entry is inserted.

    Raises:
        AppendOnlyError: it is saved already, or another entry has its primary key.
    """
    if not entry._state.adding or LogEntry.objects.filter(pk=entry.pk).exists():
        refuse()


def refuse() -> NoReturn:
    """Refuse to change or delete an entry.

    Raises:
        AppendOnlyError: always.
    """
    statement_guard.refuse("LogEntry")
