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
from registrar.models import Effect, GradePoll, Hint, PeerState
from registrar.models.work import WorkState

log = structlog.get_logger(__name__)


class RegistrarCollector(Collector):
    """Read the queues and the peers at each scrape, with one query for each table."""

    def collect(self) -> Iterator[Metric]:
        try:
            if not configuration.connections().is_on:
                return
            yield from _queue_metrics()
            yield from _peer_metrics()
            yield from _grade_metrics()
        except DatabaseFailure as error:
            log.warning("metrics_database_failed", error=type(error).__name__)
            return
        refused = CounterMetricFamily(
            "memora_registrar_refused_deliveries",
            "Deliveries that were refused and not stored, by reason.",
            labels=["reason"],
        )
        for reason, count in refusals.counts().items():
            refused.add_metric([reason], count)
        yield refused

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


def _peer_metrics() -> Iterator[Metric]:
    refused = GaugeMetricFamily(
        "memora_registrar_account_refused",
        "1 while the peer does not accept our account, else 0.",
        labels=["peer"],
    )
    failures = GaugeMetricFamily(
        "memora_registrar_failures_in_a_row",
        "Failures of the peer since its last answer.",
        labels=["peer"],
    )
    expiry = GaugeMetricFamily(
        "memora_registrar_channel_expires_seconds",
        "Seconds until Zoho's channel of notifications expires; absent without one.",
    )
    missing = GaugeMetricFamily(
        "memora_registrar_missing_fields",
        "Fields that the mapping reads and the CRM does not have.",
    )
    losing = GaugeMetricFamily(
        "memora_registrar_access_stopped_players",
        "Players who would lose something, where that stopped the last run; else 0.",
    )
    for state in PeerState.objects.order_by("peer"):
        refused.add_metric([state.peer], float(state.needs_staff))
        failures.add_metric([state.peer], state.failures)
        if state.channel_expires_at:
            left = state.channel_expires_at - timezone.now()
            expiry.add_metric([], left.total_seconds())
        if state.names_checked_at:
            count = sum(len(names) for names in state.missing_names.values())
            missing.add_metric([], count)
        if state.peer == "zoho":
            losing.add_metric([], state.players_losing or 0)
    yield from (refused, failures, expiry, missing, losing)


def _grade_metrics() -> Iterator[Metric]:
    """Yield when grades were read last; nothing before the first complete run."""
    times = GradePoll.objects.values_list("polled_at", flat=True)
    polled_at = times.first()
    if polled_at is not None:
        yield GaugeMetricFamily(
            "memora_registrar_grades_lag_seconds",
            "Seconds since the last run began that has read all grades of Moodle.",
            value=(timezone.now() - polled_at).total_seconds(),
        )
