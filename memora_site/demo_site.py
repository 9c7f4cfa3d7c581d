"""What the commands that run a complete Memora on this machine have in common.

A command prepares its data, starts Redis, web server, worker and beat, runs its steps
against them, and stops everything in every case.
"""

import fcntl
import io
import logging
import os
import signal
import socket
import sys
import time
from abc import ABC, abstractmethod
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import translation
from django.utils.translation import gettext as _

from memora_site import demo_client, embedded_redis
from memora_site.celery import app as celery_app
from memora_site.process_group import ChildExitedError, ProcessGroup
from memora_site.terminal import terminal_language

HOST = "127.0.0.1"
ALL_ADDRESSES = "0.0.0.0"  # noqa: S104 - only where --host asks for it
PORT = 8000
READY_SECONDS = 60.0
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class SiteCommand(BaseCommand, ABC):
    """A command that runs a complete Memora; Ctrl-C stops it.

    With ``--smoke`` it stops by itself after its steps: the exit status is 0 if all of
    them succeeded, else 1.
    """

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--smoke",
            action="store_true",
            help="Do the same, then stop everything and exit with 0 or 1.",
        )
        parser.add_argument(
            "--port",
            type=int,
            help="The web server's port; a free one if it is taken.",
        )
        parser.add_argument(
            "--host",
            help="An address of this machine, to serve phones on the same network too.",
        )

    def handle(
        self, *, smoke: bool, port: int | None, host: str | None, **_options: Any
    ) -> None:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                # Flush every line, also to a file, and accept any encoding.
                stream.reconfigure(line_buffering=True, errors="replace")
        named = os.environ.get("MEMORA_SITE_URL", "")
        with translation.override(terminal_language()), only_demo():
            address = (
                choose_address(port=0, host=None, site_url="")
                if smoke
                else choose_address(port=port, host=host, site_url=named)
            )
            self._run(smoke=smoke, address=address)

    @abstractmethod
    def run_steps(self, processes: ProcessGroup, address: "Address") -> None:
        """Prepare the data, start the processes, and print what they do.

        Raises:
            AnswerError, StoryError, OSError: a step failed.
            ChildExitedError: a process ended.
            CommandError: the data could not be prepared.
        """

    @abstractmethod
    def print_addresses(self, address: "Address") -> None:
        """Print what to open while the processes run."""

    def watch(self, processes: ProcessGroup) -> None:
        """Wait until one of the processes ends.

        Raises:
            ChildExitedError: one has ended.
        """
        processes.watch()

    def print(self, text: str) -> None:
        """Print a line."""
        self.stdout.write(text)

    def _run(self, *, smoke: bool, address: "Address") -> None:
        """Run the steps and stop the processes in every case."""
        # The processes have log files; this command prints its steps.
        logging.getLogger().setLevel(logging.WARNING)
        processes = ProcessGroup(
            log_dir=settings.STATE_DIR / "log", working_dir=settings.BASE_DIR
        )
        for number in STOP_SIGNALS:
            signal.signal(number, processes.interrupt)
        try:
            self.run_steps(processes, address)
            if not smoke:
                self.print_addresses(address)
                self.watch(processes)
        except KeyboardInterrupt:
            self.print("")
            if smoke:
                raise CommandError(_("Interrupted.")) from None
        except ChildExitedError as death:
            raise CommandError(_of_death(death)) from None
        except (demo_client.AnswerError, demo_client.StoryError, OSError) as error:
            raise CommandError(
                _("The demo stopped: %(error)s\nThe logs are in %(logs)s.")
                % {"error": error, "logs": settings.STATE_DIR / "log"}
            ) from None
        finally:
            for number in STOP_SIGNALS:  # a second Ctrl-C must not leave processes
                signal.signal(number, signal.SIG_IGN)
            processes.stop()
            self.print(_("Everything is stopped."))


# --- Steps ------------------------------------------------------------------


def start_redis(processes: ProcessGroup) -> None:
    """Start the bundled Redis on its socket, unless ``REDIS_URL`` is set."""
    if not settings.EMBEDDED_REDIS:
        return
    with processes.unbroken():
        process = embedded_redis.start(
            settings.EMBEDDED_REDIS_SOCKET,
            data_dir=settings.STATE_DIR / "redis",
            log=processes.log_of("redis"),
            ends_with_us=True,
        )
        if process is not None:
            processes.add("redis", process)


def start_site(
    processes: ProcessGroup,
    address: "Address",
    *,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Start the web server, the worker and beat.

    Args:
        environment: further variables of the three.
    """
    environment = {
        "MEMORA_SITE_URL": address.site_url,
        "PYTHONUNBUFFERED": "1",
        **(environment or {}),
    }
    web = ["granian", "--interface", "wsgi", "--host", address.bind]
    web += ["--port", str(address.port)]
    web += ["--workers", "1", "--blocking-threads", "4", "memora_site.wsgi:application"]
    celery = ["celery", "--app", "memora_site", "--quiet"]
    worker = ["worker", "--pool", "threads", "--concurrency", "2", "--loglevel", "INFO"]
    worker += ["--without-mingle", "--without-gossip"]  # there is no other worker
    beat = ["beat", "--pidfile=", "--loglevel", "INFO"]
    processes.start("web", web, environment=environment)
    processes.start("worker", celery + worker, environment=environment)
    processes.start("beat", celery + beat, environment=environment)


def wait_until_ready(processes: ProcessGroup, server: str) -> None:
    """Wait until ``/readyz`` responds with 200.

    Raises:
        ChildExitedError: a process ended.
        CommandError: `READY_SECONDS` have passed; with the failed checks.
    """
    deadline = time.monotonic() + READY_SECONDS
    why: object = ""
    while time.monotonic() < deadline:
        processes.require_alive()
        try:
            demo_client.send("GET", f"{server}/readyz")
        except demo_client.AnswerError as error:
            why = error.body
        except OSError as error:
            why = error
        else:
            return
        time.sleep(0.1)
    raise CommandError(_("The site is not ready: %(why)s") % {"why": why})


def wait_for_worker(processes: ProcessGroup) -> None:
    """Wait until a worker answers through the broker.

    Raises:
        ChildExitedError: a process ended.
        CommandError: `READY_SECONDS` have passed.
    """
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        processes.require_alive()
        if celery_app.control.ping(timeout=0.5):
            return
    raise CommandError(_("The worker does not answer."))


def _of_death(death: ChildExitedError) -> str:
    """Return which process ended, with the end of its log."""
    child = death.child
    lines = child.log.read_text(errors="replace").splitlines()[-5:]
    return _("The process “%(name)s” ended; its log is %(log)s:\n%(end)s") % {
        "name": child.name,
        "log": child.log,
        "end": "\n".join(lines),
    }


# --- The address ------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Address:
    """Where the demo's web server listens, and its URL for clients."""

    bind: str
    port: int
    site_url: str
    """Without a trailing slash; published files link to it."""

    @property
    def server(self) -> str:
        """The URL of the server on this machine, independent of ``site_url``."""
        return f"http://{HOST}:{self.port}"


def choose_address(*, port: int | None, host: str | None, site_url: str) -> Address:
    """Return where to listen, and the URL for clients.

    Args:
        port: the requested port; None: that of ``site_url``, else 8000. A port in use
            is replaced by a free one, unless it is the one in ``site_url``.
        host: an address of this machine in its network; None: only this machine.
        site_url: the value of ``MEMORA_SITE_URL``; "": made from host and port.

    Raises:
        CommandError: no client can use the address.
    """
    bind = HOST if host in (None, HOST, "localhost") else ALL_ADDRESSES
    if site_url:
        requested_port = port or urlsplit(site_url).port or PORT
        found = usable_port(requested_port)
        if port is None and found != requested_port:
            raise CommandError(
                _("Port %(port)d of MEMORA_SITE_URL is in use.")
                % {"port": requested_port}
            )
        return Address(bind, found, site_url.rstrip("/"))
    if host == ALL_ADDRESSES:
        raise CommandError(
            _("Specify the address that phones use, such as --host 192.168.1.20.")
        )
    found = usable_port(PORT if port is None else port)
    return Address(bind, found, f"http://{host or HOST}:{found}")


# --- Environment ------------------------------------------------------------


@contextmanager
def only_demo() -> Iterator[None]:
    """Hold the lock of the demo: two demos would stop each other's processes.

    Raises:
        CommandError: another demo is running on the same database and Redis.
    """
    lock: Path = settings.STATE_DIR / "demo.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        _take(file)
        yield


def _take(file: IO[str]) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CommandError(
            _(
                "Another demo is running in %(folder)s. Stop it, or set "
                "MEMORA_STATE_DIR and MEMORA_CONTENT_ROOT to other folders."
            )
            % {"folder": settings.STATE_DIR}
        ) from None


def usable_port(wanted: int) -> int:
    """Return ``wanted`` if it is free, else a free port."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except (OSError, OverflowError):
                continue
            return int(probe.getsockname()[1])
    raise CommandError(_("No free port on %(host)s.") % {"host": HOST})
