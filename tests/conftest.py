"""The suite's world: a real Redis of its own, real files, the recurring cast.

``TEST_REDIS_URL`` names a Redis to use instead of the bundled one; its databases
9 and up (one per parallel worker) are emptied.
"""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from django.conf import settings
from hypothesis import HealthCheck, settings as hypothesis_settings

from memora_site import embedded_redis

# A busy machine takes its time: how long an example takes is nobody's fault. The same
# examples every time: what a run finds, the next one finds again.
hypothesis_settings.register_profile(
    "suite",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
hypothesis_settings.load_profile("suite")


def _start_redis() -> str:
    """This test process's own Redis, its URL."""
    if url := os.environ.get("TEST_REDIS_URL"):
        worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
        return f"{url.rstrip('/')}/{9 + int(worker) % 7}"
    folder = Path(tempfile.mkdtemp(prefix="memora-test-"))
    process = embedded_redis.start(folder / "redis.sock", data_dir=None)
    assert process is not None
    _running.append(process)
    return f"unix://{folder / 'redis.sock'}?db=0"


_running: list = []


def pytest_configure(config: pytest.Config) -> None:
    """Before any connection is made: point everything at the suite's Redis."""
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        url = _start_redis()
        settings.REDIS_URL = url
        settings.CACHES["default"]["LOCATION"] = url
    # Tasks run where they are called; what they do is real.
    settings.CELERY_TASK_ALWAYS_EAGER = True
    settings.CELERY_TASK_EAGER_PROPAGATES = True
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def pytest_unconfigure() -> None:
    for process in _running:
        embedded_redis.stop(process)


@pytest.fixture
def redis_client() -> Iterator[redis.Redis]:
    """The suite's Redis, as the project's stores see it."""
    client = redis.Redis.from_url(settings.REDIS_URL)
    yield client
    client.close()


@pytest.fixture(autouse=True)
def _fresh_world(redis_client: redis.Redis, tmp_path: Path, settings) -> None:
    """Every test starts with an empty Redis, its own files and English messages."""
    redis_client.flushdb()
    settings.CONTENT_ROOT = tmp_path / "memora_content"
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.LANGUAGE_CODE = "en"
    # Whatever a demo of this checkout has left in its state.
    settings.SITE_URL = "http://127.0.0.1:8000"
    # No test's request looks whether a worker runs, unless the test is about that.
    settings.HEALTH_WATCH_SECONDS = 0
    # The servers that stand for a CDN listen here.
    settings.PRIVATE_HOSTS = ["127.0.0.1"]
