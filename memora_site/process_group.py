"""The child processes of ``manage.py demo``: start, watch, stop.

Each has its own session. So Ctrl-C in a terminal reaches only the demo, which then
stops them in order, with the processes that they started.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from memora_site.embedded_redis import end_with_parent

STOP_SECONDS = 6.0
"""How long a process may take to end after SIGTERM."""


@dataclass(frozen=True, slots=True)
class Child:
    """A running process, its name in messages, and its log."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path


class ChildExitedError(Exception):
    """One of the processes ended unexpectedly."""

    def __init__(self, child: Child) -> None:
        super().__init__(child.name)
        self.child = child


class ProcessGroup:
    """The processes of one demo, in the order of their start."""

    def __init__(self, *, log_dir: Path, working_dir: Path) -> None:
        self._log_dir = log_dir
        self._working_dir = working_dir
        self._children: list[Child] = []
        self._unbroken = False
        self._interrupted = False

    def log_of(self, name: str) -> Path:
        """Return the log file of the process ``name``; creates its folder."""
        self._log_dir.mkdir(parents=True, exist_ok=True)
        return self._log_dir / f"{name}.log"

    def start(
        self, name: str, arguments: Sequence[str], *, environment: Mapping[str, str]
    ) -> None:
        """Run ``python -m`` with ``arguments``; the output is written to its log."""
        log = self.log_of(name)
        with self.unbroken(), log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and words
                [sys.executable, "-m", *arguments],
                cwd=self._working_dir,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=end_with_parent,  # ends even if the demo is killed
            )
            self._children.append(Child(name, process, log))

    def interrupt(self, *_signal: object) -> None:
        """Handle a signal that ends the demo.

        Raises:
            KeyboardInterrupt: immediately, or after an ``unbroken`` block.
        """
        self._interrupted = True
        if not self._unbroken:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def unbroken(self) -> Iterator[None]:
        """Delay signals for a block: a process is started and recorded, or neither."""
        self._unbroken = True
        try:
            yield
        finally:
            self._unbroken = False
        if self._interrupted:
            raise KeyboardInterrupt

    def add(self, name: str, process: subprocess.Popen[bytes]) -> None:
        """Watch and stop a process started elsewhere; it must lead its session."""
        self._children.append(Child(name, process, self.log_of(name)))

    def require_alive(self) -> None:
        """Check that all processes are running.

        Raises:
            ChildExitedError: for the first that has ended.
        """
        for child in self._children:
            if child.process.poll() is not None:
                raise ChildExitedError(child)

    def watch(self) -> None:
        """Wait until one of the processes ends.

        Raises:
            ChildExitedError: one has ended.
        """
        while True:
            self.require_alive()
            time.sleep(0.5)

    def stop(self) -> None:
        """Stop all: first together those that use Redis, then Redis, the oldest.

        A process that has not ended within `STOP_SECONDS` is killed with its children.
        """
        for generation in (self._children[1:], self._children[:1]):
            for child in generation:
                _signal(child, signal.SIGTERM)
            deadline = time.monotonic() + STOP_SECONDS
            for child in generation:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.process.wait(timeout=max(deadline - time.monotonic(), 0))
            for child in generation:
                # The process group still exists if the process left children.
                _signal(child, signal.SIGKILL, whole_group=True)
                child.process.wait()
        self._children.clear()


def _signal(child: Child, number: int, *, whole_group: bool = False) -> None:
    """Send a signal; a process that has already ended is ignored."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if whole_group:
            os.killpg(child.process.pid, number)
        elif child.process.poll() is None:
            child.process.send_signal(number)
