"""The numbers of the registrar for Prometheus; none while it is off.

While the database does not answer they are left out: the scrape does not fail.
"""

from collections.abc import Iterator

import structlog
from django.db import Error as DatabaseFailure
from django.db.models import Count, Min
from django.utils import timezone
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from registrar import configuration
from registrar.inbox import refusals
from registrar.models import Effect, Hint
from registrar.models.work import WorkState

log = structlog.get_logger(__name__)


class RegistrarCollector(Collector):
    """Read the queues at each scrape, with one query of an index for each."""

    def collect(self) -> Iterator[Metric]:
        if not configuration.webhook_secrets().is_on:
            return
        refused = CounterMetricFamily(
            "memora_registrar_refused_deliveries",
            "Deliveries that were refused and not stored, by reason.",
            labels=["reason"],
        )
        for reason, count in refusals.counts().items():
            refused.add_metric([reason], count)
        yield refused
        try:
            yield from _queue_metrics()
        except DatabaseFailure as error:
            log.warning("metrics_database_failed", error=type(error).__name__)

    def describe(self) -> list[Metric]:
        """Return nothing, so that registering the collector runs no query."""
        return []


def _queue_metrics() -> Iterator[Metric]:
    for name, model, words in (
        ("inbox", Hint, "Hints"),
        ("outbox", Effect, "Effects"),
    ):
        rows = model._default_manager.exclude(state=WorkState.DONE)
        counted = rows.values_list("state").annotate(Count("pk"), Min("created_at"))
        size = GaugeMetricFamily(
            f"memora_registrar_{name}",
            f"{words} that are not done, by state.",
            labels=["state"],
        )
        oldest = None
        for state, count, since in counted.order_by():
            size.add_metric([state], count)
            if state != WorkState.DEAD:
                oldest = min(oldest or since, since)
        yield size
        lag = (timezone.now() - oldest).total_seconds() if oldest else 0.0
        yield GaugeMetricFamily(
            f"memora_registrar_{name}_lag_seconds",
            "Age of the oldest one that waits.",
            value=lag,
        )
