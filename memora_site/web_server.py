"""The web server: Granian, with one core for each worker; it survives early deaths.

``python -m memora_site.web_server`` takes Granian's own options. With
``--respawn-failed-workers`` Granian replaces a worker that has died; but when the new
one dies within 5.5 seconds, Granian ends, and the site is away until systemd has
started it again. This server ends only after `MOST_DEATHS` in `WITHIN_SECONDS`, so that
systemd reports an application that cannot run.

Each worker stays on one core, in turn among those that this process may use
(docs/adr/0037-one-core-for-each-web-worker.md). systemd's ``CPUAffinity`` names them.
"""

import contextlib
import os
import time
from collections import deque
from typing import Any

from granian import cli
from granian.server import MPServer
from granian.server.mp import WorkerProcess

MOST_DEATHS = 10
WITHIN_SECONDS = 60.0


class WebServer(MPServer):
    """Granian's server with the two rules of this module."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._deaths: deque[float] = deque(maxlen=MOST_DEATHS)
        self._cores = usable_cores()

    def _spawn_worker(self, idx: int, *args: Any, **options: Any) -> WorkerProcess:
        if self._cores:
            with contextlib.suppress(OSError):  # not allowed: any core will do
                # For this thread, from which the worker inherits it.
                os.sched_setaffinity(0, {self._cores[idx % len(self._cores)]})
        return super()._spawn_worker(idx, *args, **options)

    def _respawn_workers(
        self,
        workers: list[int],
        spawn_target: Any,
        target_loader: Any,
        delay: float = 0,
    ) -> None:
        super()._respawn_workers(workers, spawn_target, target_loader, delay)
        now = time.monotonic()
        if not delay:  # else they were replaced for another reason
            self._deaths.extend([now] * len(workers))
        is_full = len(self._deaths) == MOST_DEATHS
        if not is_full or now - self._deaths[0] > WITHIN_SECONDS:
            # Where Granian looks whether a worker has died twice in a row.
            self.respawned_wrks.clear()


def usable_cores() -> list[int]:
    """Return the cores that this process may use; none where the system cannot say."""
    if not hasattr(os, "sched_getaffinity"):  # macOS
        return []
    return sorted(os.sched_getaffinity(0))


if __name__ == "__main__":
    cli.Server = WebServer  # type: ignore[attr-defined]
    cli.entrypoint()  # type: ignore[no-untyped-call]
