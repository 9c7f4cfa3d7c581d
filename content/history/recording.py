"""Record who changed what and when: a copy of each row after every change.

django-simple-history provides the tables; this module fills them. The library records
only ``save()`` of one instance, and copies the instance's values. Here the database
copies the row itself, after the write and in the same transaction. The history
therefore holds what was stored, one statement copies many rows, and bulk writes
(imports, ``update()``, ``bulk_create()``) are recorded too.

The order of siblings is not recorded; a change of the parent is.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from django.db import connections, models, router
from django.db.models import signals
from django.utils import timezone
from simple_history.models import HistoricalRecords

from content.fields import PublicIdField
from core.batches import batches
from core.db import parameter_marks

CREATED, CHANGED, DELETED = "+", "~", "-"
IMPORTED, REVERTED, SHEET = "imported", "reverted", "sheet"
SCHEDULED = "scheduled"
"""The reason of a change that was not made in a form."""


class Recorded(models.Model):
    """The columns of a history row besides those of django-simple-history."""

    change = models.UUIDField(editable=False)
    """The same in all rows, of any table, that one request or job wrote."""

    class Meta:
        abstract = True


@dataclass(frozen=True, slots=True)
class Change:
    """What the history rows of one change share: id, reason and user.

    Without ``user_pk``, the user is that of the request.
    """

    id: UUID
    reason: str = ""
    user_pk: int | None = None


_current: ContextVar[Change | None] = ContextVar("history_change", default=None)
_deleted_together: ContextVar[frozenset[type[models.Model]]] = ContextVar(
    "history_deleted_together", default=frozenset()
)


@contextmanager
def group_changes(reason: str = "", *, user_pk: int | None = None) -> Iterator[None]:
    """Record everything that is written inside as one change.

    Args:
        user_pk: the user whose change it is, if it is not that of a request.
    """
    token = _current.set(Change(_current_id(), reason, user_pk))
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def record_deletions(*rows: models.QuerySet[Any]) -> Iterator[None]:
    """Record these rows as deleted, then run the block that deletes them.

    One statement per table. Inside the block, deletions of single rows of these models
    are not recorded again.
    """
    for queryset in rows:
        record(queryset.model, queryset.values_list("pk", flat=True), DELETED)
    recorded = frozenset(queryset.model._meta.concrete_model for queryset in rows)
    token = _deleted_together.set(_deleted_together.get() | recorded)
    try:
        yield
    finally:
        _deleted_together.reset(token)


def record(model: type[models.Model], keys: Iterable[int], kind: str) -> None:
    """Copy these rows, as they are stored now, to the history of ``model``.

    Args:
        keys: primary keys; evaluated before anything is written.
        kind: `CREATED`, `CHANGED` or `DELETED` (call it before the deletion).
    """
    pks = list(keys)
    if not pks:
        return
    concrete: Any = model._meta.concrete_model
    past = concrete.history.model
    using = router.db_for_write(concrete)
    connection = connections[using]
    change = _current.get() or Change(_current_id())
    facts: dict[str, Any] = {
        "history_date": timezone.now(),
        "history_type": kind,
        "history_change_reason": change.reason or None,
        "history_user_id": change.user_pk or _user_pk(),
        "change": change.id,
    }
    fields = {field.attname: field for field in past._meta.concrete_fields}
    values = [
        fields[name].get_db_prep_save(value, connection)
        for name, value in facts.items()
    ]
    quote = connection.ops.quote_name
    copied = [quote(field.column) for field in past.tracked_fields]
    fact_columns = [quote(fields[name].column) for name in facts]
    for batch in batches(pks):
        # Names are those of the models' own tables and columns; values are parameters.
        statement = (
            f"INSERT INTO {quote(past._meta.db_table)} ({', '.join(copied + fact_columns)}) "  # noqa: S608
            f"SELECT {', '.join(copied)}, {parameter_marks(len(fact_columns))} "
            f"FROM {quote(concrete._meta.db_table)} "
            f"WHERE {quote(concrete._meta.pk.column)} IN ({parameter_marks(len(batch))})"
        )
        with connection.cursor() as cursor:
            cursor.execute(statement, [*values, *batch])


def record_created(rows: Sequence[Any]) -> None:
    """Record the rows that ``bulk_create()`` inserted."""
    if not rows:
        return
    pks = [row.pk for row in rows]
    if None in pks:  # not every database returns the keys
        public_ids = [row.public_id for row in rows]
        stored = type(rows[0])._base_manager.filter(public_id__in=public_ids)
        pks = list(stored.values_list("pk", flat=True))
    record(type(rows[0]), pks, CREATED)


def _request() -> Any:
    return getattr(HistoricalRecords.context, "request", None)


def _current_id() -> UUID:
    """Return the id of the current change, of the request or job; else a new one."""
    change = _current.get()
    if change is not None:
        return change.id
    request = _request()
    if request is None:
        return uuid4()
    if not hasattr(request, "history_change"):
        request.history_change = uuid4()
    found: UUID = request.history_change
    return found


def _user_pk() -> int | None:
    user = getattr(_request(), "user", None)
    pk: int | None = user.pk if user is not None and user.is_authenticated else None
    return pk


class Records(HistoricalRecords):
    """The history of a model, filled by this module."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            bases=[Recorded],
            history_id_field=models.BigAutoField(),
            # Without a constraint, writing history takes no lock on the user's row.
            user_db_constraint=False,
            **options,
        )

    def copy_fields(self, model: Any) -> dict[str, Any]:
        """Return the columns, without constraints that only the model itself needs."""
        fields: dict[str, Any] = super().copy_fields(model)
        for name, field in fields.items():
            if isinstance(field, PublicIdField):  # its class makes it unique
                plain = models.CharField(
                    field.verbose_name, max_length=field.max_length
                )
                plain.name = name
                fields[name] = plain
        return fields

    def get_meta_options(self, model: Any) -> dict[str, Any]:
        """Add no permissions: whoever may view a row may view its history."""
        options: dict[str, Any] = super().get_meta_options(model)
        return {**options, "default_permissions": ()}

    def finalize(self, sender: Any, **kwargs: Any) -> None:
        super().finalize(sender, **kwargs)
        if sender is self.cls:
            # Only the receivers below, for the model and its proxies.
            signals.post_delete.disconnect(self.post_delete, sender=sender)
        elif issubclass(sender, self.cls) and sender._meta.proxy:
            signals.post_save.connect(self.post_save, sender=sender, weak=False)
            signals.pre_delete.connect(self.pre_delete, sender=sender, weak=False)

    def post_save(
        self, instance: Any, created: bool, raw: bool = False, **_kwargs: Any
    ) -> None:
        if not raw and not hasattr(instance, "skip_history_when_saving"):
            record(type(instance), [instance.pk], CREATED if created else CHANGED)

    def pre_delete(self, instance: Any, **_kwargs: Any) -> None:
        if type(instance)._meta.concrete_model not in _deleted_together.get():
            record(type(instance), [instance.pk], DELETED)
