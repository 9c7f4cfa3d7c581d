"""Export the dashboard's facts as Prometheus metrics.

One scrape calls `publishing.monitoring.dashboard.load` once. A value that cannot be
read is left out, and ``memora_up`` shows which service is down: the scrape itself does
not fail.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime

import structlog
from django.db import Error as DatabaseFailure
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from publishing import queue
from publishing.models import AlertKind
from publishing.monitoring import dashboard
from publishing.monitoring.dashboard import (
    CdnState,
    Dashboard,
    Disk,
    PlanRelease,
    PlanState,
)
from publishing.monitoring.lateness import JobLag

log = structlog.get_logger(__name__)

Sample = tuple[list[str], float | None]


class PublishingCollector(Collector):
    """Load the facts at each scrape."""

    def collect(self) -> Iterator[Metric]:
        try:
            found = dashboard.load()
        except DatabaseFailure as error:
            log.warning("metrics_database_failed", error=type(error).__name__)
            yield _up(database=False, redis=queue.is_reachable())
            return
        yield _up(
            database=True,
            redis=found.redis_answers,
            disk=found.disk is not None,
            worker=found.queue.worker_is_alive,
            beat=found.queue.beat_is_alive,
        )
        yield from _queue(found)
        yield from _plans(found.plans)
        yield from _service(found)
        yield from _jobs(found.jobs)
        yield from _cdn(found)
        if found.disk is not None:
            yield from _disk(found.disk)

    def describe(self) -> list[Metric]:
        """Return nothing, so that registering the collector runs no query."""
        return []


def _up(**services: bool) -> Metric:
    return _labelled(
        "memora_up",
        "Whether a service that publishing needs answers (1) or not (0).",
        ["service"],
        [([name], float(up)) for name, up in services.items()],
    )


def _queue(found: Dashboard) -> Iterator[Metric]:
    oldest = found.oldest_wait
    builds = [run for run in found.running if not run.is_upload]
    stopped = [build for build in builds if build.is_alive is False]
    paused = [failure for failure in found.failures if failure.is_paused]
    yield from _plain(
        memora_publishing_waiting_plans=(
            "Plans whose release differs from what it would be now.",
            len(found.queue.pending),
        ),
        memora_publishing_oldest_wait_seconds=(
            "How long the plan has waited that waits longest.",
            (found.now - oldest).total_seconds() if oldest else 0,
        ),
        memora_publishing_building_plans=(
            "Plans a living builder is at.",
            len(builds) - len(stopped),
        ),
        memora_publishing_abandoned_builds=("Builds whose builder died.", len(stopped)),
        memora_publishing_retrying_plans=(
            "Plans whose failed build or upload is tried again.",
            len(found.failures) - len(paused),
        ),
        memora_publishing_paused_plans=(
            "Builds that wait for space on the disk.",
            len(paused),
        ),
        memora_publishing_withdrawing_plans=(
            "Plans no longer offered whose files are still here.",
            sum(row.state is PlanState.WITHDRAWING for row in found.plans),
        ),
        memora_publishing_dead_letters=(
            "Builds that failed too often and wait for somebody.",
            len(found.dead_letters),
        ),
    )
    yield _labelled(
        "memora_publishing_builds_last_day",
        "Builds of the last 24 hours by how they stand.",
        ["outcome"],
        [
            (["published"], sum(hour.published for hour in found.hours)),
            (["retrying"], sum(hour.retrying for hour in found.hours)),
            (["failed"], sum(hour.failed for hour in found.hours)),
        ],
    )


def _plans(plans: Iterable[PlanRelease]) -> Iterator[Metric]:
    rows = list(plans)
    for name, words, samples in (
        (
            "memora_publishing_plan_last_build_timestamp_seconds",
            "When the plan's last build that succeeded ended.",
            [([row.plan], _unix(row.last_build)) for row in rows],
        ),
        (
            "memora_publishing_plan_build_duration_seconds",
            "How long the plan's last build that succeeded took.",
            [([row.plan], row.seconds) for row in rows],
        ),
        (
            "memora_publishing_plan_generation",
            "The generation of the plan that students read.",
            [([row.plan], row.generation) for row in rows],
        ),
        (
            "memora_publishing_plan_files",
            "The plan's own files, without the shared lessons.",
            [([row.plan], row.size.files) for row in rows],
        ),
        (
            "memora_publishing_plan_bytes",
            "The size of the plan's own files.",
            [([row.plan], row.size.bytes) for row in rows],
        ),
    ):
        yield _labelled(name, words, ["plan"], samples)
    yield _labelled(
        "memora_publishing_plan_state",
        "The state of each plan: 1.",
        ["plan", "state"],
        [([row.plan, row.state.value], 1) for row in rows],
    )


def _service(found: Dashboard) -> Iterator[Metric]:
    report = found.health
    open_alerts = Counter(alert.kind for alert in found.alerts)
    yield from _plain(
        memora_publishing_lesson_files=(
            "Lesson files, shared by all plans.",
            found.lessons.files,
        ),
        memora_publishing_lesson_bytes=(
            "The size of all lesson files.",
            found.lessons.bytes,
        ),
        memora_worker_heartbeat_timestamp_seconds=(
            "Time of the last heartbeat of a worker.",
            _unix(found.queue.worker_seen),
        ),
        memora_beat_heartbeat_timestamp_seconds=(
            "Time at which a worker last executed beat's heartbeat.",
            _unix(found.queue.beat_seen),
        ),
        memora_publishing_health_check_timestamp_seconds=(
            "When the last health check ended.",
            _unix(report.finished_at) if report else None,
        ),
        memora_publishing_health_faults=(
            "Faults that the last health check found and did not repair.",
            report.faults if report else None,
        ),
    )
    yield _labelled(
        "memora_publishing_open_alerts",
        "Open alerts.",
        ["kind"],
        [([kind.value], open_alerts[kind.value]) for kind in AlertKind],
    )


def _jobs(jobs: Iterable[JobLag]) -> Iterator[Metric]:
    rows = list(jobs)
    yield _labelled(
        "memora_periodic_job_lag_seconds",
        "How long ago the last complete run of a write-back or reconciliation began.",
        ["kind"],
        [([row.name], row.lag_seconds) for row in rows],
    )
    yield _labelled(
        "memora_periodic_job_late",
        "Whether it had no complete run for too long while beat was running (1).",
        ["kind"],
        [([row.name], float(row.is_late)) for row in rows],
    )


def _cdn(found: Dashboard) -> Iterator[Metric]:
    yield from _plain(
        memora_cdn_enabled=(
            "Whether releases are uploaded to the CDN (1) or not (0).",
            float(found.uploaded is not None),
        )
    )
    if found.uploaded is None:
        return
    yield _labelled(
        "memora_cdn_plans",
        "Published plans by their state on the CDN.",
        ["state"],
        [([state.value], found.on_cdn[state]) for state in CdnState],
    )
    yield from _plain(
        memora_cdn_uploaded_files_last_day=(
            "Files uploaded by the runs that ended in the last 24 hours.",
            found.uploaded.files,
        ),
        memora_cdn_uploaded_bytes_last_day=(
            "Bytes uploaded by these runs.",
            found.uploaded.bytes,
        ),
        memora_cdn_upload_seconds_last_day=(
            "Duration of these uploads.",
            found.uploaded.seconds,
        ),
    )


def _disk(disk: Disk) -> Iterator[Metric]:
    yield from _plain(
        memora_publishing_disk_free_bytes=("Free on the content disk.", disk.free),
        memora_publishing_disk_bytes=("The content disk's size.", disk.total),
        memora_publishing_disk_pause_ratio=(
            "Publishing pauses when less than this share of the disk is free.",
            disk.least_percent / 100,
        ),
    )


def _plain(**metrics: tuple[str, float | None]) -> Iterator[Metric]:
    """Yield metrics without labels; skip those without a value."""
    for name, (words, value) in metrics.items():
        if value is not None:
            yield GaugeMetricFamily(name, words, value=value)


def _labelled(
    name: str, words: str, labels: list[str], samples: Iterable[Sample]
) -> Metric:
    family = GaugeMetricFamily(name, words, labels=labels)
    for values, value in samples:
        if value is not None:
            family.add_metric(values, value)
    return family


def _unix(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()
