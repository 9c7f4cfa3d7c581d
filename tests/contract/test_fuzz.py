"""Requests made from the schema find no fault in the server or in the schema.

The seed and the number of requests are fixed. ``MEMORA_FUZZ_EXAMPLES`` sets another
number for each operation, with a new seed that the report names, and
``MEMORA_FUZZ_ARGS`` more arguments of schemathesis (``make fuzz``).
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from tests.contract.conftest import DEVICE, Callers

EXAMPLES, SEED = "4", "1"


@pytest.mark.parametrize("option", ["--exclude-tag", "--include-tag"])
def test_requests_made_from_the_schema_find_no_fault(
    server: str, callers: Callers, tmp_path: Path, option: str
):
    """Students' requests, then staff's, which remove the devices of students."""
    pytest.importorskip("schemathesis", reason="needs requirements/dev.txt")
    variables = {
        "TOKEN": callers.app.token,
        "DEVICE": str(callers.app.device_id),
        "SIGN_IN_DEVICE": str(DEVICE),
        "SIGN_OUT_TOKEN": callers.leaving.token,
        "SIGN_OUT_DEVICE": str(callers.leaving.device_id),
        "SESSION": callers.staff_session,
        "CSRF": callers.csrf_token,
    }
    command = [
        str(Path(sys.executable).parent / "schemathesis"),
        f"--config-file={Path(__file__).parent / 'schemathesis.toml'}",
        *("--no-color", "run", f"{server}/api/v1/schema/?format=json"),
        *(option, "staff", "--checks", "all", "--output-truncate", "false"),
    ]
    if examples := os.environ.get("MEMORA_FUZZ_EXAMPLES"):
        command += ["--max-examples", examples]
    else:
        command += ["--max-examples", EXAMPLES, "--seed", SEED]
    command += os.environ.get("MEMORA_FUZZ_ARGS", "").split()
    done = subprocess.run(
        command,
        env=os.environ
        | {f"MEMORA_FUZZ_{name}": value for name, value in variables.items()}
        | {"PYTHONPATH": str(settings.BASE_DIR)},
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    if not examples:
        assert "only 401/403 responses" not in done.stdout, done.stdout
