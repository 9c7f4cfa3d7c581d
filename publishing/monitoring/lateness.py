"""Find periodic jobs that are late, and raise an alert for each.

A job is late if it had no complete run for its time although beat was running. The time
counts from the start of beat's unbroken heartbeats, so a site that starts after a night
off is not late at once. While beat is silent, nothing is late: that has its own alert
(`publishing.monitoring.silence`).
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from publishing import alerts, queue
from publishing.models import AlertKind
from publishing.periodic_jobs import PeriodicJob, periodic_jobs

_MESSAGE = gettext_lazy(
    "%(job)s: no complete run for %(minutes)d minutes. Nothing is lost, because the "
    "ledger is complete; pages and reports may show old values. "
    "docs/runbooks/write-back-late.md tells what to do."
)


@dataclass(frozen=True, slots=True)
class JobLag:
    """How far a job is behind.

    ``lag_seconds`` is the time since the start of its last complete run; before the
    first one, since beat has been running; None if neither is known. A job may be
    neither late nor up to date: beat has just been started.
    """

    name: str
    label: Promise
    lag_seconds: float | None
    is_late: bool
    is_up_to_date: bool

    @property
    def minutes(self) -> int:
        return int((self.lag_seconds or 0) // 60)


def load(now: datetime) -> tuple[JobLag, ...]:
    """Return the lag of every job: one query, and one round trip to Redis.

    Raises:
        django.db.Error: the database is unavailable.
    """
    return _lags(now, queue.beat_running_since(now.timestamp()))


def check(now: datetime) -> None:
    """Raise or resolve the alert of each job. Two queries while nothing changes.

    Does nothing while beat is silent or Redis does not answer.

    Raises:
        django.db.Error: the database is unavailable.
    """
    since = queue.beat_running_since(now.timestamp())
    if since is None:
        return
    opened = set(alerts.open_alerts(AlertKind.LATE).values_list("key", flat=True))
    for job in _lags(now, since):
        if job.is_late:
            alerts.raise_alert(
                kind=AlertKind.LATE,
                key=job.name,
                message=_MESSAGE,
                values={"job": job.label, "minutes": job.minutes},
            )
        elif job.is_up_to_date and job.name in opened:
            alerts.resolve(kind=AlertKind.LATE, key=job.name)


def _lags(now: datetime, beat_since: float | None) -> tuple[JobLag, ...]:
    since = None if beat_since is None else datetime.fromtimestamp(beat_since, UTC)
    return tuple(_lag(job, now, since) for jobs in periodic_jobs for job in jobs())


def _lag(job: PeriodicJob, now: datetime, since: datetime | None) -> JobLag:
    allowed = timedelta(seconds=job.late_after_seconds)
    start = job.complete_until or since
    return JobLag(
        job.name,
        job.label,
        None if start is None else max(0.0, (now - start).total_seconds()),
        is_late=since is not None and now - max(start or since, since) > allowed,
        is_up_to_date=job.complete_until is not None
        and now - job.complete_until <= allowed,
    )
