"""The numbers of players for Prometheus, beside those of publishing.

While the database does not answer they are left out: the scrape does not fail.
"""

from collections.abc import Iterator

import structlog
from django.db import Error as DatabaseFailure
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from players.services import dashboard

log = structlog.get_logger(__name__)


class PlayersCollector(Collector):
    """Read three numbers at each scrape, each with one query of an index."""

    def collect(self) -> Iterator[Metric]:
        since = timezone.now() - dashboard.DAY
        try:
            players = dashboard.count_players()
            sessions = dashboard.signed_in()
            refused = dashboard.refused_sign_ins(since=since)
        except DatabaseFailure as error:
            log.warning("metrics_database_failed", error=type(error).__name__)
            return
        yield GaugeMetricFamily("memora_players", "Students.", value=players)
        yield GaugeMetricFamily(
            "memora_active_sessions", "Students who are signed in.", value=sessions
        )
        family = GaugeMetricFamily(
            "memora_refused_sign_ins_last_day",
            "Refused sign-ins of students in the last 24 hours, by error code.",
            labels=["code"],
        )
        for code, count in refused.items():
            family.add_metric([code], count)
        yield family

    def describe(self) -> list[Metric]:
        """Return nothing, so that registering the collector runs no query."""
        return []
