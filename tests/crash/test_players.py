"""A small crash test of the students' side; `make crash-players` runs all of it."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
FAULTS = "Redis killed,Redis flushed,database killed,web worker killed"


def test_students_lose_nothing_when_services_are_killed_while_they_play():
    """A handful of faults on an own site: database, Redis, web server, worker."""
    outside = {"DATABASE_URL", "REDIS_URL", "TEST_REDIS_URL", "DJANGO_SETTINGS_MODULE"}
    run = subprocess.run(
        [sys.executable, "-m", "tests.crash.players", "--quick", "--only", FAULTS],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name not in outside},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-5000:]
    told = json.loads(run.stdout.splitlines()[-1])
    assert told["violations"] == told["status_500"] == 0
    assert told["faults"] >= 3
    assert told["acknowledged"] > 20
