"""Let hints be processed again: one, filtered, or all of them."""

from datetime import datetime

from django.utils import timezone

from registrar import queues
from registrar.models import Hint


def replay(
    *,
    ids: tuple[int, ...] = (),
    module: str = "",
    state: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
) -> int:
    """Let the hints that meet all given conditions be processed again.

    A replay reads the record as it is now, so it never brings back an old state. Rows
    that are running are left out.

    Args:
        ids: numbers of hints; () for all.
        state: a `WorkState`; "" for all.
        since, until: when they were received, the second excluded.

    Returns:
        how many hints will be processed.
    """
    rows = Hint.objects.all()
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
