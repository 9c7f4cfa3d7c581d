"""The students' API while services are away; `make degraded` measures it in full."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.servers import PrivateMariaDB

ROOT = Path(__file__).resolve().parent.parent.parent


def test_every_endpoint_answers_as_documented_while_services_hang_or_are_gone():
    """Redis, MariaDB and both are stopped (SIGSTOP) and killed during requests.

    `tests.crash.degraded` knows the status that each endpoint has to answer, and fails
    after any other, or an answer that took ten seconds.
    """
    outside = {"DATABASE_URL", "REDIS_URL", "TEST_REDIS_URL", "DJANGO_SETTINGS_MODULE"}
    run = subprocess.run(
        [sys.executable, "-m", "tests.crash.degraded", "--quick"],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name not in outside},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-5000:]
    told = json.loads(run.stdout.splitlines()[-1])
    assert told["violations"] == 0
    assert told["endpoints"] == 27
    assert told["faults"] >= (6 if PrivateMariaDB.is_installed() else 2)
