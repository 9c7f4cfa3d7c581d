"""A whole Memora in a folder, whose parts can be killed, stopped and started again.

MariaDB with durable commits (SQLite where MariaDB's server is not installed), Redis with
an append-only file, Granian with the flags of the shipped unit, and a Celery worker with
beat. The calling process gets Django's settings for the same database and Redis.
"""

import contextlib
import logging
import os
import re
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

from memora_site import embedded_redis
from tests.processes import children
from tests.servers import PrivateMariaDB, PrivateRedis, free_port

BASE = Path(__file__).resolve().parents[2]
UNIT = BASE / "deploy" / "systemd" / "memora-web.service"
_PATIENCE = 60.0
_RESTART_SECONDS = 2.0
"""The unit's ``RestartSec``."""


class Site:
    """The running parts.

    Attributes:
        database: None where SQLite is used.
        web_restarts: how often the web server's master ended by itself.
    """

    def __init__(self, folder: Path, *, workers: int) -> None:
        self.folder = folder
        self.port = free_port()
        self.workers = workers
        self.web_restarts = 0
        for name in ("content", "state"):
            (folder / name).mkdir()
        self.redis = PrivateRedis(folder, durable=True)
        self.database = PrivateMariaDB(folder) if _has_mariadb() else None
        url = f"sqlite:///{folder}/state/db.sqlite3"
        self.environment = {
            "MEMORA_ENVIRONMENT": "production",
            "SECRET_KEY": secrets.token_urlsafe(50),
            "ALLOWED_HOSTS": "127.0.0.1",
            "MEMORA_SITE_URL": f"http://127.0.0.1:{self.port}",
            "SECURE_SSL_REDIRECT": "false",
            "DATABASE_URL": self.database.url if self.database else url,
            "REDIS_URL": self.redis.url,
            "EMAIL_URL": "dummymail://",
            "MEMORA_STATE_DIR": str(folder / "state"),
            "MEMORA_CONTENT_ROOT": str(folder / "content"),
            "MEMORA_STATIC_ROOT": str(folder / "static"),
            "DJANGO_SETTINGS_MODULE": "tests.crash.site_settings",
        }
        os.environ.update(self.environment)
        self._ends = threading.Event()
        self._watcher = threading.Thread(target=self._watch_web)

    def set_up_django(self) -> None:
        """Use the site's database and Redis in this process, and make the tables."""
        import django

        django.setup()
        logging.disable(logging.ERROR)
        from django.core.management import call_command

        call_command("migrate", verbosity=0)

    # --- Web ----------------------------------------------------------------

    def start_web(self) -> None:
        """Start the web server, and start it again whenever it ends, as systemd does."""
        self._start_granian()
        self.wait_for_web()
        self._watcher.start()

    def _start_granian(self) -> None:
        unit = UNIT.read_text().replace("\\\n", " ")
        (command,) = re.findall(r"^ExecStart=(.+)$", unit, re.M)
        command = command.replace(
            "/srv/memora/app/.venv/bin/", f"{Path(sys.executable).parent}/"
        )
        command = re.sub(r"--uds \S+ --uds-permissions \d+", "", command)
        command = re.sub(r"--workers \d+", f"--workers {self.workers}", command)
        command += f" --host 127.0.0.1 --port {self.port}"
        self.web = self._start("web", shlex.split(command))

    def _watch_web(self) -> None:
        while not self._ends.wait(0.2):
            if self.web.poll() is None:
                continue
            self.web_restarts += 1
            _end_group(self.web)
            if not self._ends.wait(_RESTART_SECONDS):
                self._start_granian()

    def web_workers(self) -> list[int]:
        """Return the process ids of the web server's workers."""
        return children(self.web.pid)

    def wait_for_web(self) -> None:
        """Wait until every worker answers (or the number of them, of one address)."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            with contextlib.suppress(OSError):
                connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
                try:
                    connection.request("GET", "/healthz")
                    if connection.getresponse().status == 200:
                        return
                finally:
                    connection.close()
            assert time.monotonic() < deadline, self.log("web")[-5000:]
            time.sleep(0.05)

    # --- Worker and beat ----------------------------------------------------------

    def start_worker(self) -> None:
        """Start the Celery worker with beat; its group is that of its process."""
        self.worker = self._start(
            "worker",
            [
                *(sys.executable, "-m", "celery", "--app", "memora_site", "worker"),
                *("--beat", "--concurrency", "2", "--loglevel", "warning"),
                *("--schedule", str(self.folder / "beat")),
            ],
        )

    def kill_worker(self) -> None:
        _end_group(self.worker)

    # --- Redis ------------------------------------------------------------------

    def copy_redis(self) -> Path:
        """Copy the append-only files as they are now; return the copy."""
        copy = self.folder / "older"
        shutil.rmtree(copy, ignore_errors=True)
        self.redis.pause()
        try:
            shutil.copytree(self.folder / "redis", copy)
        finally:
            self.redis.resume()
        return copy

    def restore_redis(self, copy: Path) -> None:
        """Kill Redis and start it with an older copy of its files."""
        self.redis.kill()
        shutil.rmtree(self.folder / "redis")
        shutil.copytree(copy, self.folder / "redis")
        self.redis.start()

    # --- All --------------------------------------------------------------------

    def log(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def _start(self, name: str, command: list[str]) -> "subprocess.Popen[bytes]":
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name in ("PATH", "HOME", "LANG", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
        }
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=BASE,
                env=inherited | self.environment | {"MEMORA_HEALTH_WATCH_SECONDS": "0"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=embedded_redis.end_with_parent,
                start_new_session=True,
            )

    def stop(self) -> None:
        self._ends.set()
        if self._watcher.is_alive():
            self._watcher.join()
        for name in ("worker", "web"):
            if (process := getattr(self, name, None)) is not None:
                _end_group(process)
        for server in (self.database, self.redis):
            if server is not None:
                server.resume()
                server.kill()


@contextlib.contextmanager
def running(*, workers: int) -> Iterator[Site]:
    """Start database and Redis; stop everything at the end and remove the folder."""
    # A short path: a socket's may have 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="memora-crash-"))
    site = None
    try:
        site = Site(folder, workers=workers)
        yield site
    finally:
        if site is not None:
            site.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _has_mariadb() -> bool:
    try:
        import MySQLdb  # noqa: F401
    except ImportError:
        return False
    return PrivateMariaDB.is_installed()


def signal_group(process: "subprocess.Popen[bytes]", number: int) -> None:
    """Send a signal to a process and those that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _end_group(process: "subprocess.Popen[bytes]") -> None:
    signal_group(process, signal.SIGKILL)
    process.wait()
