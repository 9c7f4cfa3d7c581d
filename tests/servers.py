"""Private servers for tests and benchmarks that stop, kill or load them."""

import getpass
import importlib.util
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from memora_site import embedded_redis


def free_port() -> int:
    """A port of this machine that nobody uses at the moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class _Server:
    """A process that can be paused (SIGSTOP), resumed, killed and started again."""

    process: subprocess.Popen[bytes]

    def pause(self) -> None:
        """Stop the process; return when all its threads have stopped (Linux)."""
        self.process.send_signal(signal.SIGSTOP)
        while any(
            stat.read_text().rpartition(")")[2].split()[0] not in "Tt"
            for stat in Path(f"/proc/{self.process.pid}/task").glob("*/stat")
        ):
            time.sleep(0.001)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class PrivateRedis(_Server):
    """The bundled Redis on a socket in ``folder``, whose path must be short.

    ``durable``: with an append-only file, as production runs it.
    """

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        self.folder = folder
        self.durable = durable
        self.socket = folder / "redis.sock"
        self.url = f"unix://{self.socket}?db=2"
        self.start()

    def start(self) -> None:
        data = self.folder / "redis" if self.durable else None
        process = embedded_redis.start(self.socket, data_dir=data, ends_with_us=True)
        assert process is not None
        self.process = process


class PrivateMariaDB(_Server):
    """A MariaDB with an own data folder on a free port; commits are durable."""

    DATABASE = "memora"

    @staticmethod
    def is_installed() -> bool:
        """Whether the server is installed, and the driver for it."""
        return bool(
            _binary("mariadbd")
            and _binary("mariadb-install-db")
            and importlib.util.find_spec("MySQLdb")
        )

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"mysql://root@127.0.0.1:{self.port}/{self.DATABASE}"
        installer = _binary("mariadb-install-db")
        assert installer is not None
        subprocess.run(
            [
                installer,
                "--no-defaults",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                f"--datadir={folder / 'data'}",
                f"--user={getpass.getuser()}",
            ],
            check=True,
            capture_output=True,
        )
        self.start()
        self.run_sql(
            f"CREATE DATABASE {self.DATABASE} CHARACTER SET utf8mb4 "
            "COLLATE utf8mb4_unicode_ci"
        )

    def start(self) -> None:
        server = _binary("mariadbd")
        assert server is not None
        # A server that starts deletes the temporary tables of others in its folder.
        temporary = self.folder / "tmp"
        temporary.mkdir(exist_ok=True)
        with (self.folder / "mariadb.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    server,
                    "--no-defaults",
                    f"--user={getpass.getuser()}",
                    f"--datadir={self.folder / 'data'}",
                    f"--tmpdir={temporary}",
                    f"--socket={self.folder / 'mariadb.sock'}",
                    "--bind-address=127.0.0.1",
                    f"--port={self.port}",
                    "--innodb-flush-log-at-trx-commit=1",
                    "--innodb-buffer-pool-size=512M",
                    "--innodb-log-file-size=256M",
                    "--max-connections=200",
                ],
                stdout=log,
                stderr=log,
                preexec_fn=embedded_redis.end_with_parent,
            )
        deadline = time.monotonic() + 60
        while True:
            try:
                self.run_sql("SELECT 1", database="")
                return
            except subprocess.CalledProcessError as error:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise RuntimeError(error.stderr) from error
                time.sleep(0.05)

    def run_sql(self, sql: str, *, database: str = "") -> str:
        """Run statements as root and return the rows, with tabs and without names."""
        client = _binary("mariadb")
        assert client is not None
        done = subprocess.run(
            [
                *(client, "--no-defaults", "--batch", "--skip-column-names"),
                *("--user=root", f"--socket={self.folder / 'mariadb.sock'}"),
                *("--execute", sql, database),
            ],
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout


def _binary(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/bin")
