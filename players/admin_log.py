"""The admin's own log: entries are added, never changed or deleted.

`LogEntry` is Django's model, so it cannot inherit `core.append_only`. Its manager gets
the guarding query set, and receivers guard single entries. Open are Django's cascades,
and a plain ``QuerySet(LogEntry)``, with which an erasure removes a student's name.
"""

from typing import NoReturn

from django.contrib.admin.models import LogEntry, LogEntryManager

from core.append_only import AppendOnlyError, AppendOnlyQuerySet


def protect() -> None:
    """Make ``LogEntry.objects`` refuse every method that writes existing entries."""
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
    raise AppendOnlyError("LogEntry is append-only: add an entry instead")
