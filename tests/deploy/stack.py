"""A whole Memora as ``deploy/`` runs it: nginx, Granian, worker, beat, database, Redis.

Ordinary processes in an own folder, on a free port. The configuration is that of
``deploy/nginx`` with other paths, port, certificate and sign-in rates; the commands
are those of the units in ``deploy/systemd``. The database is a scratch one on the
server of ``DATABASE_URL`` if that is MariaDB, else SQLite; Redis is database 15 of
``TEST_REDIS_URL``, else the bundled server.
"""

import contextlib
import os
import re
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from glob import glob
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

from memora_site import embedded_redis

BASE = Path(__file__).resolve().parents[2]
CONFIG = BASE / "deploy" / "nginx"
UNITS = BASE / "deploy" / "systemd"
_PATIENCE = 120.0


def nginx() -> str | None:
    """The path of nginx, or None when it is not installed."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def _thread_states(group: int) -> set[str]:
    """The states of all threads in a process group, from ``/proc``."""
    states = set()
    for stat in glob("/proc/[0-9]*/task/[0-9]*/stat"):
        with contextlib.suppress(OSError):  # the thread may have ended
            state, _parent, its_group, *_rest = (
                Path(stat).read_text().rpartition(")")[2].split()
            )
            if int(its_group) == group:
                states.add(state)
    return states


@dataclass(frozen=True, slots=True)
class Answer:
    """The complete response of the server."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Stack:
    """The running processes and their paths."""

    folder: Path
    port: int
    environment: dict[str, str]
    processes: list[subprocess.Popen] = field(default_factory=list)

    @property
    def site(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def content(self) -> Path:
        return self.folder / "content"

    def ask(
        self,
        uri: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """Return the answer to ``uri``, sent unchanged; a URL must name this stack."""
        if uri.startswith("http"):
            parts = urlsplit(uri)
            assert f"{parts.scheme}://{parts.netloc}" == self.site
            uri = uri.removeprefix(self.site)
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, uri, body=body, headers=dict(headers or {}))
            response: HTTPResponse = connection.getresponse()
            return Answer(
                response.status,
                {name.lower(): value for name, value in response.getheaders()},
                response.read(),
            )
        finally:
            connection.close()

    def manage(self, *arguments: str, production: bool = False) -> str:
        """Run ``manage.py``, which must succeed, and return its output.

        Runs as a development server unless ``production``: the checks of production
        refuse an http address and SQLite.
        """
        environment = self.environment
        if not production:
            environment = {**environment, "MEMORA_ENVIRONMENT": "local"}
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=BASE,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def run(self, code: str) -> str:
        """Run ``code`` inside Django and return its output."""
        return self.manage("shell", "--no-imports", "--command", code).strip()

    def logs(self) -> str:
        """All log lines so far, of nginx and of Memora."""
        self.processes[-1].send_signal(signal.SIGUSR1)  # nginx flushes its buffers
        time.sleep(0.5)
        return "\n".join(
            path.read_text(errors="replace") for path in self.folder.glob("log/*")
        )

    def start_unit(self, name: str) -> None:
        """Start a unit of ``deploy/systemd``, with only its paths replaced."""
        unit = (UNITS / f"memora-{name}.service").read_text().replace("\\\n", " ")
        for old, new in {
            "/srv/memora/app/.venv/bin/": f"{Path(sys.executable).parent}/",
            "/run/memora/": f"{self.folder}/run/",
            "%H": socket.gethostname(),
        }.items():
            unit = unit.replace(old, new)
        (command,) = re.findall(r"^ExecStart=(.+)$", unit, re.M)
        self.start(name, shlex.split(command))

    def start(self, name: str, arguments: list[str]) -> None:
        with (self.folder / "log" / f"{name}.log").open("ab") as output:
            self.processes.append(
                subprocess.Popen(
                    arguments,
                    cwd=BASE,
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    preexec_fn=embedded_redis.end_with_parent,
                    start_new_session=True,
                )
            )

    @contextlib.contextmanager
    def without_the_application(self) -> Iterator[None]:
        """Stop Granian and its workers with SIGSTOP; continue them afterwards."""
        group = self.processes[0].pid
        os.killpg(group, signal.SIGSTOP)
        try:
            # One thread of each process receives the signal and stops the others, which
            # go on answering until it runs.
            deadline = time.monotonic() + _PATIENCE
            while _thread_states(group) != {"T"}:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            yield
        finally:
            os.killpg(self.processes[0].pid, signal.SIGCONT)

    @contextlib.contextmanager
    def after_the_application_died(self) -> Iterator[None]:
        """Kill the application; start it again afterwards."""
        os.killpg(self.processes[0].pid, signal.SIGKILL)
        self.processes.pop(0).wait()
        try:
            yield
        finally:
            (self.folder / "run" / "web.sock").unlink(missing_ok=True)
            self.start_unit("web")
            self.processes.insert(0, self.processes.pop())
            self.wait_until_ready()

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.terminate()
        for process in reversed(self.processes):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            # A child may still run in the group when its leader has ended.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + _PATIENCE
        while True:
            for process in self.processes:
                assert process.poll() is None, self.logs()
            with contextlib.suppress(OSError):
                if self.ask("/readyz").status == 200:
                    return
            assert time.monotonic() < deadline, self.logs()
            time.sleep(0.1)


@contextlib.contextmanager
def running(*, seed: bool = True, worker: bool = True) -> Iterator[Stack]:
    """Run a Memora; with ``seed``, publish the demo school in it.

    Without ``worker``, it runs nothing but requests. Its nginx answers
    ``/bench-floor`` with an empty 200.
    """
    # Not in pytest's folder: the path of a Unix socket is limited to 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="memora-deploy-"))
    for name in ("content", "state", "run", "log", "cache", "spool"):
        (folder / name).mkdir()
    with (
        contextlib.ExitStack() as cleanup,
        _database(folder) as database_url,
        _redis(folder) as redis_url,
    ):
        cleanup.callback(shutil.rmtree, folder, ignore_errors=True)
        port = _free_port()
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name in ("PATH", "HOME", "LANG", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
        }
        stack = Stack(
            folder,
            port,
            {
                **inherited,
                "MEMORA_ENVIRONMENT": "production",
                "SECRET_KEY": secrets.token_urlsafe(50),
                "ALLOWED_HOSTS": "127.0.0.1",
                "CORS_ALLOWED_ORIGINS": "https://app.example.org",
                "MEMORA_SITE_URL": f"http://127.0.0.1:{port}",
                "SECURE_SSL_REDIRECT": "false",
                "MEMORA_TRUSTED_PROXIES": "1",
                "DATABASE_URL": database_url,
                "REDIS_URL": redis_url,
                "EMAIL_URL": "dummymail://",
                "MEMORA_STATE_DIR": str(folder / "state"),
                "MEMORA_CONTENT_ROOT": str(folder / "content"),
                "MEMORA_STATIC_ROOT": str(folder / "static"),
            },
        )
        stack.manage("collectstatic", "--noinput", "--verbosity", "0", production=True)
        stack.manage("migrate", "--verbosity", "0")
        if seed:
            stack.manage("seed_demo", "--verbosity", "0")
        for name in ("web", *(("worker", "beat") if worker else ())):
            stack.start_unit(name)
        config = folder / "nginx.conf"
        config.write_text(_main_config(folder, port))
        stack.start("nginx", [nginx() or "nginx", "-c", str(config)])
        try:
            stack.wait_until_ready()
            yield stack
        finally:
            stack.stop()


def _main_config(folder: Path, port: int) -> str:
    """A short version of Debian's ``nginx.conf`` that includes Memora's."""
    user = "user root;" if os.getuid() == 0 else ""
    temporary = "\n".join(
        f"{name}_temp_path {folder}/spool/{name};"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "memora.conf").write_text(site_config(folder, port))
    (folder / "memora-proxy.conf").write_text(
        (CONFIG / "memora-proxy.conf").read_text()
    )
    return f"""
        daemon off; {user} worker_processes 2; worker_rlimit_nofile 16384;
        pid {folder}/nginx.pid; error_log {folder}/log/nginx-main.log;
        events {{ worker_connections 4096; }}
        http {{
            include /etc/nginx/mime.types; default_type application/octet-stream;
            access_log {folder}/log/nginx-default.log;
            {temporary}
            # Tests come from any address they name.
            set_real_ip_from 127.0.0.1; real_ip_header X-Test-Client;
            include {folder}/memora.conf;
        }}
    """


def site_config(folder: Path, port: int) -> str:
    """Return ``deploy/nginx/memora.conf`` for this folder.

    Without TLS, and with sign-ins limited to their burst.
    """
    config = (CONFIG / "memora.conf").read_text()
    plain, _listen80, rest = config.partition("server {\n    listen 80;")
    _redirecting, _server, secure = rest.partition("\nserver {\n")
    config = plain + "server {\n" + secure
    for old, new in {
        "    listen 443 ssl http2;\n": f"    listen 127.0.0.1:{port};\n",
        "    listen [::]:443 ssl http2;\n": "",
        "api.example.org": "127.0.0.1",
        "unix:/run/memora/web.sock": f"unix:{folder}/run/web.sock",
        "/var/cache/nginx/memora-gate": f"{folder}/cache",
        "/var/log/nginx": f"{folder}/log",
        "/etc/nginx/memora/": f"{folder}/",
        "/srv/memora/": f"{folder}/",
        # Rates so low that a slow test still reaches the limit.
        "rate=5r/s": "rate=1r/m",
        "rate=30r/m": "rate=1r/m",
        "    # --- Published files": (
            "    location = /bench-floor { return 200; }\n    # --- Published files"
        ),
    }.items():
        assert old in config, old
        config = config.replace(old, new)
    kept = [line for line in config.splitlines() if not line.startswith("    ssl_")]
    return "\n".join(kept)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def _database(folder: Path) -> Iterator[str]:
    url = os.environ.get("DATABASE_URL", "")
    if not url.startswith("mysql"):
        yield f"sqlite:///{folder}/state/db.sqlite3"
        return
    import MySQLdb

    parts = urlsplit(url)
    name = f"memora_deploy_{os.getpid()}"
    server = MySQLdb.connect(
        host=parts.hostname,
        port=parts.port or 3306,
        user=parts.username or "root",
        password=parts.password or "",
    )
    try:
        server.query(f"DROP DATABASE IF EXISTS {name}")
        server.query(
            f"CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci"
        )
        yield parts._replace(path=f"/{name}").geturl()
        server.query(f"DROP DATABASE {name}")
    finally:
        server.close()


@contextlib.contextmanager
def _redis(folder: Path) -> Iterator[str]:
    if url := os.environ.get("TEST_REDIS_URL"):
        import redis

        # Two workers of the suite may each run their own stack.
        worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
        url = f"{url.rstrip('/')}/{15 - int(worker) % 7}"
        client = redis.Redis.from_url(url)
        client.flushdb()
        yield url
        client.flushdb()
        client.close()
        return
    path = folder / "run" / "redis.sock"
    process = embedded_redis.start(path, data_dir=None)
    assert process is not None
    try:
        yield f"unix://{path}?db=0"
    finally:
        embedded_redis.stop(process)
