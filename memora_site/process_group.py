"""The child processes of ``manage.py demo``: started, watched, stopped.

Each runs in a session of its own, so that Ctrl-C in a terminal reaches the demo
alone, which then stops them in order, with whatever they started themselves.
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
"""How long a process may take to end by itself."""


@dataclass(frozen=True, slots=True)
class Child:
    """A running process, its name for people and where it writes."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path


class ChildExitedError(Exception):
    """One of the processes ended though nobody stopped it."""

    def __init__(self, child: Child) -> None:
        super().__init__(child.name)
        self.child = child


class ProcessGroup:
    """The processes of one demo, in the order they were started."""

    def __init__(self, *, log_dir: Path, working_dir: Path) -> None:
        self._log_dir = log_dir
        self._working_dir = working_dir
        self._children: list[Child] = []
        self._unbroken = False
        self._interrupted = False

    def log_of(self, name: str) -> Path:
        """The log file of the process ``name``; its folder is made."""
        self._log_dir.mkdir(parents=True, exist_ok=True)
        return self._log_dir / f"{name}.log"

    def start(
        self, name: str, arguments: Sequence[str], *, environment: Mapping[str, str]
    ) -> None:
        """Run ``python -m`` with ``arguments``; its output goes to its log."""
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
                preexec_fn=end_with_parent,  # nothing outlives a killed demo
            )
            self._children.append(Child(name, process, log))

    def interrupt(self, *_signal: object) -> None:
        """The signal handler that asks the demo to end.

        Raises:
            KeyboardInterrupt: at once, or after an ``unbroken`` part.
        """
        self._interrupted = True
        if not self._unbroken:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def unbroken(self) -> Iterator[None]:
        """A part no signal cuts in two: a process is started and known, or neither."""
        self._unbroken = True
        try:
            yield
        finally:
            self._unbroken = False
        if self._interrupted:
            raise KeyboardInterrupt

    def adopt(self, name: str, process: subprocess.Popen[bytes]) -> None:
        """Watch and stop a process that was started elsewhere, a session leader."""
        self._children.append(Child(name, process, self.log_of(name)))

    def require_alive(self) -> None:
        """Raise when one of the processes has ended.

        Raises:
            ChildDiedError: the first that ended.
        """
        for child in self._children:
            if child.process.poll() is not None:
                raise ChildExitedError(child)

    def watch(self) -> None:
        """Wait until one of the processes ends.

        Raises:
            ChildDiedError: it did.
        """
        while True:
            self.require_alive()
            time.sleep(0.5)

    def stop(self) -> None:
        """End all: those that use Redis first and together, then the oldest.

        Whoever has not ended in ``STOP_SECONDS`` is killed with its own children.
        """
        for generation in (self._children[1:], self._children[:1]):
            for child in generation:
                _signal(child, signal.SIGTERM)
            deadline = time.monotonic() + STOP_SECONDS
            for child in generation:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.process.wait(timeout=max(deadline - time.monotonic(), 0))
            for child in generation:
                # The group outlives its leader where a grandchild stayed behind.
                _signal(child, signal.SIGKILL, whole_group=True)
                child.process.wait()
        self._children.clear()


def _signal(child: Child, number: int, *, whole_group: bool = False) -> None:
    """Send a signal; a process that is gone already needs none."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if whole_group:
            os.killpg(child.process.pid, number)
        elif child.process.poll() is None:
            child.process.send_signal(number)
