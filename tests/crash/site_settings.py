"""The site's settings for `tests.crash.players`: no rate limits, a fast beat."""

from memora_site.settings import *  # noqa: F403

RATE_LIMITS = {
    scope: (1_000_000_000, seconds)
    for scope, (_requests, seconds) in RATE_LIMITS.items()  # noqa: F405
}
FAST = {
    "sync-pending-wallets": 5.0,
    "sync-pending-bitmaps": 3.0,
    "finish-erasures": 10.0,
    "reconcile-records": 5.0,
}
"""Seconds between two runs of a task of beat. A run that finds the last one's work
undone is what is tested, so it comes often."""
for _name, _seconds in FAST.items():
    CELERY_BEAT_SCHEDULE[_name]["schedule"] = _seconds  # noqa: F405
    CELERY_BEAT_SCHEDULE[_name]["options"] = {"expires": _seconds}  # noqa: F405
