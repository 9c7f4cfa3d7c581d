"""Write folded columns again, for migrations after a change of `core.folding`."""

from collections import defaultdict
from typing import Any

from django.core.management.base import CommandError
from django.db import models

from core.batches import BATCH_SIZE
from core.fields import FoldedKeyField


def refold(model: Any, name: str, *, using: str, batch: int = BATCH_SIZE) -> None:
    """Write the folded column ``name`` of every row where its value differs.

    Reads ``batch`` rows at a time.

    Raises:
        CommandError: two rows of a unique column would have the same value. Nothing is
            then changed; the message names the rows.
    """
    field = model._meta.get_field(name)
    if isinstance(field, FoldedKeyField):
        _refuse_same_keys(model, field, using)
    rows: models.QuerySet[Any] = models.QuerySet(model, using=using)
    columns = ("pk", *field.sources, name)
    last = 0
    while found := list(rows.filter(pk__gt=last).order_by("pk").only(*columns)[:batch]):
        last = found[-1].pk
        before = {row.pk: getattr(row, name) for row in found}
        for row in found:
            field.pre_save(row, add=False)
        changed = [row for row in found if getattr(row, name) != before[row.pk]]
        rows.bulk_update(changed, [name])


def _refuse_same_keys(model: Any, field: FoldedKeyField, using: str) -> None:
    groups = defaultdict(list)
    stored: models.QuerySet[Any] = models.QuerySet(model, using=using)
    rows = stored.order_by("pk")
    for pk, text in rows.values_list("pk", field.source):
        groups[field.folded(text)].append(f"“{text}” (id {pk})")
    same = [", ".join(names) for names in groups.values() if len(names) > 1]
    if same:
        raise CommandError(
            f"These rows of {model._meta.label} are spelled differently and read as the "
            "same:\n  " + "\n  ".join(same) + "\nNothing was changed. Rename or delete "
            "the others in the admin, then run migrate again."
        )
