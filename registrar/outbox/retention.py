"""Delete old effects. A row that a peer lacks gets a new one whenever it is due."""

from datetime import datetime, timedelta

from django.conf import settings

from registrar.models import Effect
from registrar.models.work import WorkState

_BATCH = 1000


def prune(*, now: datetime) -> int:
    """Delete effects that were done more than ``REGISTRAR_OUTBOX_DAYS`` ago.

    At most a thousand in a call. Failed and waiting ones stay.

    Returns:
        how many were deleted.
    """
    before = now - timedelta(days=settings.REGISTRAR_OUTBOX_DAYS)
    old = Effect.objects.filter(state=WorkState.DONE, finished_at__lt=before)
    ids = list(old.order_by("pk").values_list("pk", flat=True)[:_BATCH])
    count, _by_model = Effect.objects.filter(pk__in=ids, state=WorkState.DONE).delete()
    return count
