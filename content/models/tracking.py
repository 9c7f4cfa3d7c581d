"""The querysets whose bulk writes count as edits."""

from collections.abc import Iterable
from typing import Any

from django.db import transaction

from content.field_lists import NodeFields
from content.history import recording
from core.fields import FoldingQuerySet


class TrackedQuerySet(FoldingQuerySet):
    """A queryset whose bulk writes count as edits, although Django sends no signals.

    Every edit updates the subject's state first and the rows second. The state's row is
    the lock of the tree, so all writers lock the same row first and cannot deadlock
    (docs/architecture.md, "Edits"). The querysets of nodes and stages define
    `_affected_pks` and `_mark_changed`.
    """

    def _affected_pks(self) -> set[int]:
        """Return the keys that an edit of these rows changes.

        Primary keys of subjects for nodes, of lessons for stages.
        """
        raise NotImplementedError

    def _mark_changed(self, changed: Iterable[int], *, urgent: bool = False) -> None:
        """Record that these keys changed; ``urgent`` is that of `content.signals`."""
        raise NotImplementedError

    def update(self, **kwargs: Any) -> int:
        with transaction.atomic(using=self.db):
            before = self._affected_pks()
            urgent = not kwargs.keys().isdisjoint(NodeFields.ACCESS)
            self._mark_changed(before, urgent=urgent)
            primary_keys = list(self.values_list("pk", flat=True))
            count = super().update(**kwargs)
            if self._moves(kwargs):
                written = type(self)(self.model, using=self.db)
                after = written.filter(pk__in=primary_keys)._affected_pks()
                self._mark_changed(after - before)
            recording.record(self.model, primary_keys, recording.CHANGED)
        return count

    update.alters_data = True  # type: ignore[attr-defined]

    def _moves(self, changes: dict[str, Any]) -> bool:
        """Return whether these changes can move a row to another subject or lesson."""
        return bool({"subject", "subject_id", "lesson", "lesson_id"} & changes.keys())

    def bulk_create(self, objs: Iterable[Any], *args: Any, **kwargs: Any) -> list[Any]:
        rows = list(objs)
        with transaction.atomic(using=self.db):
            before = {row.affected_pk for row in rows} - {None}
            self._mark_changed(before)
            created = super().bulk_create(rows, *args, **kwargs)
            self._mark_changed({made.affected_pk for made in created} - before)
            recording.record_created(created)
        return created

    def delete(self) -> tuple[int, dict[str, int]]:
        """Delete the rows as one edit.

        `content.receivers` does not record the deletions again.
        """
        with transaction.atomic(using=self.db):
            self._mark_changed(self._affected_pks(), urgent=True)
            return super().delete()

    delete.alters_data = True  # type: ignore[attr-defined]
    delete.queryset_only = True  # type: ignore[attr-defined]
