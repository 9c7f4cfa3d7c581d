"""Who changed what, and when: a copy of each row after every change of it.

django-simple-history gives the tables; this module fills them, for its own way knows
only ``save()`` of one instance, and believes that instance. Here a row is copied by
the database itself, after it was written and in the same transaction: what stands in
the history is what was stored, one statement copies any number of rows, and bulk
writes (imports, ``update()``, ``bulk_create()``) leave their trace like all others.

Where a node lies among its siblings is no part of it: moving to another parent is.
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

CREATED, CHANGED, DELETED = "+", "~", "-"
IMPORTED, REVERTED, SHEET = "imported", "reverted", "sheet"
"""Reasons: how a change came about, where it was not somebody's form."""
_BATCH = 500


class Recorded(models.Model):
    """What a history's row has beside django-simple-history's own fields."""

    change = models.UUIDField(editable=False)
    """The same in all rows, of whatever table, that one request or job wrote."""

    class Meta:
        abstract = True


@dataclass(frozen=True, slots=True)
class Change:
    """What belongs together in the history, and its `reason`."""

    id: UUID
    reason: str = ""


_current: ContextVar[Change | None] = ContextVar("history_change", default=None)
_deleted_together: ContextVar[frozenset[type[models.Model]]] = ContextVar(
    "history_deleted_together", default=frozenset()
)


@contextmanager
def one_change(reason: str = "") -> Iterator[None]:
    """All that is written meanwhile is one change in the history."""
    token = _current.set(Change(_current_id(), reason))
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def deleting(*rows: models.QuerySet[Any]) -> Iterator[None]:
    """Record these rows as deleted, in one statement each; then they may be deleted.

    Meanwhile single rows of their models are not recorded: those deleted with them.
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
    """Copy these rows, as they are stored now, into the history of ``model``.

    Args:
        keys: primary keys; read before anything is written.
        kind: `CREATED`, `CHANGED` or `DELETED` (then: before they are deleted).
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
        "history_user_id": _user_pk(),
        "change": change.id,
    }
    fields = {field.attname: field for field in past._meta.concrete_fields}
    values = [
        fields[name].get_db_prep_save(value, connection)
        for name, value in facts.items()
    ]
    quote = connection.ops.quote_name
    copied = [quote(field.column) for field in past.tracked_fields]
    told = [quote(fields[name].column) for name in facts]
    for start in range(0, len(pks), _BATCH):
        batch = pks[start : start + _BATCH]
        # Names come from the models' own tables and columns; values are parameters.
        statement = (
            f"INSERT INTO {quote(past._meta.db_table)} ({', '.join(copied + told)}) "  # noqa: S608
            f"SELECT {', '.join(copied)}, {', '.join(['%s'] * len(told))} "
            f"FROM {quote(concrete._meta.db_table)} "
            f"WHERE {quote(concrete._meta.pk.column)} IN ({', '.join(['%s'] * len(batch))})"
        )
        with connection.cursor() as cursor:
            cursor.execute(statement, [*values, *batch])


def record_created(made: Sequence[Any]) -> None:
    """Record what `bulk_create` made."""
    if not made:
        return
    pks = [row.pk for row in made]
    if None in pks:  # a database that does not tell; content has ids of its own
        named = [row.public_id for row in made]
        stored = type(made[0])._base_manager.filter(public_id__in=named)
        pks = list(stored.values_list("pk", flat=True))
    record(type(made[0]), pks, CREATED)


def _request() -> Any:
    return getattr(HistoricalRecords.context, "request", None)


def _current_id() -> UUID:
    """The change under way: the request's, or a job's; else one of its own."""
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
    """A model's history, filled as this module says."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            bases=[Recorded],
            history_id_field=models.BigAutoField(),
            # Writing history waits for nobody's row: no key that the database checks.
            user_db_constraint=False,
            **options,
        )

    def copy_fields(self, model: Any) -> dict[str, Any]:
        """The columns, without what only the model's own rows need."""
        fields: dict[str, Any] = super().copy_fields(model)
        for name, field in fields.items():
            if isinstance(field, PublicIdField):  # unique by its class
                plain = models.CharField(
                    field.verbose_name, max_length=field.max_length
                )
                plain.name = name
                fields[name] = plain
        return fields

    def get_meta_options(self, model: Any) -> dict[str, Any]:
        """No permissions of its own: who may see a row may see its past."""
        options: dict[str, Any] = super().get_meta_options(model)
        return {**options, "default_permissions": ()}

    def finalize(self, sender: Any, **kwargs: Any) -> None:
        super().finalize(sender, **kwargs)
        if sender is self.cls:
            # Ours alone, for each kind of signal: below.
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
