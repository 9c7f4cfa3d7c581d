"""Models whose rows are added and read, but never changed or deleted.

Subclass `AppendOnlyModel` and inherit its ``Meta``. Managers and instances refuse at
once; `core.statement_guard` refuses what goes past them. Django's own cascades, which
delete rows or set references to NULL, need `statement_guard.rewriting`, too.
"""

from collections.abc import Iterable
from typing import Any, ClassVar, NoReturn

from django.db import models
from django.db.models.signals import class_prepared
from django.dispatch import receiver

from core import statement_guard


def _refuse(model: type[models.Model]) -> NoReturn:
    statement_guard.refuse(model.__name__)


class AppendOnlyQuerySet(models.QuerySet[Any]):
    """A queryset that refuses every method that writes existing rows."""

    def _refuse(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        _refuse(self.model)

    update = _refuse
    delete = _refuse
    bulk_update = _refuse
    update_or_create = _refuse

    def bulk_create(
        self,
        objs: Iterable[Any],
        batch_size: int | None = None,
        ignore_conflicts: bool = False,
        update_conflicts: bool = False,
        update_fields: Any = None,
        unique_fields: Any = None,
    ) -> list[Any]:
        """Insert the rows.

        Raises:
            AppendOnlyError: conflicts would be ignored, or would change rows.
            IntegrityError: a row with the same key exists.
        """
        if ignore_conflicts or update_conflicts:
            _refuse(self.model)
        return super().bulk_create(objs, batch_size)


class ReferencesQuerySet(AppendOnlyQuerySet):
    """A queryset that allows ``on_delete=SET_NULL`` and refuses all other writes.

    Django uses it as the base manager, for cascades and for related managers.
    """

    def update(self, **kwargs: Any) -> int:  # type: ignore[override]
        for name, value in kwargs.items():
            remote = getattr(self.model._meta.get_field(name), "remote_field", None)
            if value is not None or getattr(remote, "on_delete", None) is not (
                models.SET_NULL
            ):
                _refuse(self.model)
        return models.QuerySet.update(self, **kwargs)

    update.alters_data = True  # type: ignore[attr-defined]


class AppendOnlyModel(models.Model):
    """A model whose rows are inserted once and never changed."""

    objects: ClassVar[Any] = AppendOnlyQuerySet.as_manager()
    references = ReferencesQuerySet.as_manager()

    class Meta:
        abstract = True
        base_manager_name = "references"

    def save(self, **kwargs: Any) -> None:
        """Insert the row.

        Raises:
            AppendOnlyError: the row is saved already.
            IntegrityError: another row has its primary key.
        """
        if not self._state.adding or kwargs.get("force_update"):
            _refuse(type(self))
        super().save(**kwargs)

    def _do_update(  # type: ignore[override]
        self, base_qs: Any, using: Any, pk_val: Any, *_args: Any, **_kwargs: Any
    ) -> bool:
        """Refuse the UPDATE that Django tries before an INSERT with a given key.

        Every way to save calls this method, including ``save_base()`` and loading a
        fixture. False makes Django continue with the INSERT.
        """
        if base_qs.filter(pk=pk_val).exists():
            _refuse(type(self))
        return False

    def delete(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Refuse.

        Raises:
            AppendOnlyError: always.
        """
        _refuse(type(self))


@receiver(class_prepared)
def _protect_table(sender: Any, **_kwargs: Any) -> None:
    if issubclass(sender, AppendOnlyModel):
        statement_guard.protect(sender._meta.db_table)
