"""Let rows of a queue be done again: one, filtered, or all of them."""

from datetime import datetime
from typing import TypeVar

from django.db.models import QuerySet
from django.utils import timezone

from registrar import queues
from registrar.models.work import Work

Row = TypeVar("Row", bound=Work)


def replay(
    model: type[Work],
    *,
    ids: tuple[int, ...] = (),
    module: str = "",
    state: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
) -> int:
    """Let the rows that meet all given conditions be done again.

    A replay reads the record, or the mirror's row, as it is now, so it never brings back
    an old state. Rows that are running are left out.

    Args:
        model: `Hint` or `Effect`.
        ids: numbers of rows; () for all.
        state: a `WorkState`; "" for all.
        since, until: when they were added, the second excluded.

    Returns:
        how many rows will be done.
    """
    rows = model._default_manager.all()
    if ids:
        rows = rows.filter(pk__in=ids)
    if module:
        rows = rows.filter(module=module)
    if state:
        rows = rows.filter(state=state)
    if since:
        rows = rows.filter(created_at__gte=since)
    if until:
        rows = rows.filter(created_at__lt=until)
    return queues.replay(rows, now=timezone.now())


def replay_rows(rows: QuerySet[Row]) -> int:
    """Let these rows be done again, as `replay`; return how many will be done."""
    return queues.replay(rows.order_by(), now=timezone.now())
