"""Setup of the suite: an own Redis, real files, shared fixtures.

``TEST_REDIS_URL`` names a Redis to use instead of the bundled one; its databases
9 and up (one per parallel worker) are emptied.
"""

import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from django.conf import settings
from django.core.management.commands import flush
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from hypothesis import HealthCheck, settings as hypothesis_settings
from pytest_django import DjangoDbBlocker

from memora_site import embedded_redis
from tests.durations import OwnDurations

# No deadline: on a busy machine an example may be slow. Derandomised, so that a
# failure can be repeated.
hypothesis_settings.register_profile(
    "suite",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
hypothesis_settings.load_profile("suite")


def _start_redis() -> str:
    """Start this test process's own Redis and return its URL."""
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
    """Point every setting at the suite's Redis before any connection is made."""
    config.pluginmanager.register(OwnDurations())
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        url = _start_redis()
        settings.REDIS_URL = url
        settings.CACHES["default"]["LOCATION"] = url
    # Tasks run in the calling process, with their real effects.
    settings.CELERY_TASK_ALWAYS_EAGER = True
    settings.CELERY_TASK_EAGER_PROPAGATES = True
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    # Find static files when they are requested. Otherwise every test client lists all
    # of them before its first request.
    settings.WHITENOISE_AUTOREFRESH = True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Set the marks that follow from folders and fixtures; skip what cannot run here."""
    here = Path(__file__).parent
    slow = set((here / "slow_tests.txt").read_text(encoding="utf-8").split())
    for item in items:
        folder = item.path.relative_to(here).parts[0]
        if "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.browser)
        function = item.nodeid.partition("[")[0]
        if folder in ("contract", "crash", "deploy", "journeys") or function in slow:
            item.add_marker(pytest.mark.slow)
        if item.get_closest_marker("mariadb") and connection.vendor != "mysql":
            item.add_marker(pytest.mark.skip(reason="needs MariaDB (DATABASE_URL)"))


def pytest_unconfigure() -> None:
    for process in _running:
        embedded_redis.stop(process)


@pytest.fixture(scope="session")
def django_db_setup(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[None]:
    """After a transactional test, write the rows of the migrations back as they were.

    Django empties all tables and sends ``post_migrate``, whose receivers compare and
    create these rows one by one: that takes longer than most of these tests.
    """
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        names = connection.introspection.django_table_names(only_existing=True)
        tables = {name: _rows_of(name, cursor) for name in names}
    inserts = {
        _insert(name, len(rows[0])): rows for name, rows in tables.items() if rows
    }

    def write_back(*_args: object) -> None:
        with (
            connection.constraint_checks_disabled(),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            for statement, rows in inserts.items():
                cursor.executemany(statement, rows)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flush, "emit_post_migrate_signal", write_back)
        yield


def _rows_of(table: str, cursor: CursorWrapper) -> list[tuple]:
    cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608
    return cursor.fetchall()


def _insert(table: str, columns: int) -> str:
    values = ", ".join(["%s"] * columns)
    return f"INSERT INTO {connection.ops.quote_name(table)} VALUES ({values})"  # noqa: S608


@pytest.fixture
def redis_client() -> Iterator[redis.Redis]:
    """The suite's Redis, as the project's stores see it."""
    client = redis.Redis.from_url(settings.REDIS_URL)
    yield client
    client.close()


@pytest.fixture(autouse=True)
def _fresh_world(redis_client: redis.Redis, tmp_path: Path, settings) -> None:
    """Start every test with an empty Redis, its own files and English messages."""
    redis_client.flushdb()
    settings.CONTENT_ROOT = tmp_path / "memora_content"
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.LANGUAGE_CODE = "en"
    # Ignore the address that a demo in this checkout may have stored.
    settings.SITE_URL = "http://127.0.0.1:8000"
    # Requests check for a silent worker only in the tests of that check.
    settings.HEALTH_WATCH_SECONDS = 0
    # Each request reads the publishing settings, which many tests change.
    settings.PUBLISHING_SETTINGS_SECONDS = 0
    # The fake CDN servers listen on this address.
    settings.PRIVATE_HOSTS = ["127.0.0.1"]


@pytest.fixture
def resolver(monkeypatch):
    """Resolve chosen names to given addresses, and other names as usual."""
    names: dict[str, list[str]] = {}
    real = socket.getaddrinfo

    def getaddrinfo(host, port, *args, **kwargs):
        if host not in names:
            return real(host, port, *args, **kwargs)
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in names[host]
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return names
