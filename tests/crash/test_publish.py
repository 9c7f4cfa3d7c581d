"""A small crash test; `make crash-publish` runs all of it."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def test_builds_that_die_here_and_there_harm_no_reader():
    """Kill at every ninth step of one scenario, on its own databases."""
    command = [sys.executable, "-m", "tests.crash.publish", "--jobs", "1"]
    command += ["--scenario", "units added and hidden"]
    command += ["--every", "9", "--two-deaths", "3"]
    run = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600
    )
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-5000:]
    result = json.loads(run.stdout.splitlines()[-1])
    assert result["violations"] == 0
    assert result["runs"] > 20
    assert result["reader_walks"] > result["runs"]
