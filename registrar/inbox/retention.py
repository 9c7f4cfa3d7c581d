"""Delete old deliveries: their bodies have personal data."""

from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from registrar.models import Delivery, Hint
from registrar.models.work import UNFINISHED

_BATCH = 1000


def prune() -> int:
    """Delete deliveries and hints older than ``REGISTRAR_INBOX_DAYS``; return how many.

    Those with unfinished hints stay. At most a thousand of each in a call.
    """
    before = timezone.now() - timedelta(days=settings.REGISTRAR_INBOX_DAYS)
    old = Delivery.objects.filter(received_at__lt=before).exclude(
        hints__state__in=UNFINISHED
    )
    ids = list(old.values_list("pk", flat=True)[:_BATCH])
    count, _by_model = Delivery.objects.filter(pk__in=ids).delete()
    alone = Hint.objects.filter(delivery=None, created_at__lt=before).exclude(
        state__in=UNFINISHED
    )
    ids = list(alone.values_list("pk", flat=True)[:_BATCH])
    more, _by_model = Hint.objects.filter(pk__in=ids).delete()
    return count + more
