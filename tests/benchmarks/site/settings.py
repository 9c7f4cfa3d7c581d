"""The site's settings for benchmarks: requests are counted, but no limit is reached."""

from memora_site.settings import *  # noqa: F403

RATE_LIMITS = {
    scope: (1_000_000_000, seconds)
    for scope, (_requests, seconds) in RATE_LIMITS.items()  # noqa: F405
}
ROOT_URLCONF = "tests.benchmarks.site.urls"
