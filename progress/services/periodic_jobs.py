"""The write-backs and the reconciliation, for the site's monitoring."""

from django.utils.translation import gettext_lazy

from players import wallet_sync, write_back
from progress.services import lesson_counting, reconciliation, snapshots
from publishing.api import PeriodicJob

_JOBS = (
    (wallet_sync.KIND, gettext_lazy("Write-back of wallets"), 45 * 60),
    (snapshots.KIND, gettext_lazy("Write-back of progress"), 10 * 60),
    (lesson_counting.KIND, gettext_lazy("Statistics of lessons"), 45 * 60),
    (reconciliation.KIND, gettext_lazy("Reconciliation of Redis"), 10 * 60),
)
"""Kind, label, and after how many seconds it is late: several runs were missed, or one
takes much longer than the first run of a large school."""


def jobs() -> list[PeriodicJob]:
    """Return until when each is complete. One query."""
    complete = write_back.complete_times()
    return [
        PeriodicJob(kind, label, seconds, complete.get(kind))
        for kind, label, seconds in _JOBS
    ]
