"""The demo's processes: all are stopped together, and a crash is reported."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from memora_site.process_group import ChildExitedError, ProcessGroup

SLEEPER = "import time; print('up', flush=True); time.sleep(600)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEPER
PARENT = (
    "import subprocess, sys, time; "
    "print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']).pid,"
    " flush=True); time.sleep(600)"
)
MORTAL = "raise SystemExit('no database')"


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[ProcessGroup]:
    processes = ProcessGroup(log_dir=tmp_path / "log", working_dir=tmp_path)
    yield processes
    processes.stop()


@pytest.fixture
def run(processes: ProcessGroup, tmp_path: Path):
    """Return a function that runs Python source as a process of the group."""

    def run(name: str, source: str) -> None:
        (tmp_path / f"{name}_program.py").write_text(source)
        processes.start(name, [f"{name}_program"], environment={"PYTHONPATH": "."})

    return run


def first_line(processes: ProcessGroup, name: str) -> str:
    """Wait for the first line that the process writes; return it."""
    for _attempt in range(1000):
        if line := processes.log_of(name).read_text():
            return line.strip()
        time.sleep(0.01)
    raise AssertionError(f"{name} said nothing")


def is_running(pid: int) -> bool:
    """Whether a process still runs; a zombie does not count."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until_gone(pid: int) -> bool:
    for _attempt in range(500):
        if not is_running(pid):
            return True
        time.sleep(0.01)
    return False


def test_stopping_ends_a_process_and_what_it_started(processes: ProcessGroup, run):
    run("web", PARENT)
    grandchild = int(first_line(processes, "web"))
    assert is_running(grandchild)

    processes.stop()

    assert wait_until_gone(grandchild)


def test_a_process_that_will_not_end_is_killed(
    processes: ProcessGroup, run, monkeypatch
):
    monkeypatch.setattr("memora_site.process_group.STOP_SECONDS", 0.1)
    run("worker", STUBBORN)
    first_line(processes, "worker")
    [child] = processes._children

    processes.stop()

    assert child.process.returncode == -signal.SIGKILL


def test_a_process_that_died_is_named_with_its_log(processes: ProcessGroup, run):
    run("web", SLEEPER)
    run("worker", MORTAL)

    with pytest.raises(ChildExitedError) as death:
        processes.watch()

    assert death.value.child.name == "worker"
    assert "no database" in death.value.child.log.read_text()


def test_a_signal_while_a_process_starts_waits_until_it_is_known(
    processes: ProcessGroup, run
):
    def interrupted() -> None:
        with processes.unbroken():
            processes.interrupt(signal.SIGTERM, None)
            run_later.append("the rest ran")

    run_later: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert run_later == ["the rest ran"]


def test_a_signal_at_any_other_time_interrupts_at_once(processes: ProcessGroup):
    with pytest.raises(KeyboardInterrupt):
        processes.interrupt(signal.SIGINT, None)


def test_processes_do_not_share_the_terminals_group(processes: ProcessGroup, run):
    run("web", SLEEPER)
    first_line(processes, "web")
    [child] = processes._children

    assert os.getpgid(child.process.pid) != os.getpgrp()
