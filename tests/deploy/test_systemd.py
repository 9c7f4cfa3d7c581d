"""The units of ``deploy/systemd``, checked with `systemd-analyze`."""

import re
import shutil
import subprocess

import pytest

from tests.deploy.stack import BASE

UNITS = BASE / "deploy" / "systemd"
SERVICES = ["memora-beat", "memora-web", "memora-worker"]
analyze = shutil.which("systemd-analyze")
pytestmark = pytest.mark.skipif(analyze is None, reason="systemd is not installed")


def test_systemd_understands_every_line():
    units = sorted(str(path) for path in UNITS.iterdir())
    assert len(units) == len(SERVICES) + 1
    done = subprocess.run(
        [str(analyze), "verify", *units], capture_output=True, text=True
    )
    complaints = [
        line
        for line in done.stderr.splitlines()
        if "memora" in line and "is not executable" not in line
    ]
    assert complaints == []


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_can_do_little_beyond_its_work(name):
    done = subprocess.run(
        [str(analyze), "security", "--offline=true", str(UNITS / f"{name}.service")],
        capture_output=True,
        text=True,
    )
    level = re.search(r"exposure level for \S+: (\d+\.\d)", done.stdout)
    if level is None:
        pytest.skip(f"this systemd cannot judge a file: {done.stderr.strip()[:80]}")
    assert float(level[1]) < 2
