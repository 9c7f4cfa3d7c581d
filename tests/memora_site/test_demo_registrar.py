"""The demo of the registrar, as ``make demo-registrar`` starts it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings as real_settings


def demo_registrar(
    state: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command with its state in a folder."""
    inherited = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    return subprocess.run(
        [sys.executable, "manage.py", "demo_registrar", "--smoke", *arguments],
        cwd=real_settings.BASE_DIR,
        env={
            **inherited,
            "MEMORA_STATE_DIR": str(state),
            "MEMORA_CONTENT_ROOT": str(state / "content"),
            "LANG": "en_GB.UTF-8",
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_changes_at_the_simulators_reach_the_students_pages(tmp_path):
    done = demo_registrar(tmp_path, "--students", "4")

    assert done.returncode == 0, done.stderr
    for sentence in (
        "4 accounts, 4 courses and 8 enrolments",
        "on the profile page after",
        "The student's request is in Zoho",
        "is on the page of requests after",
        "is in Zoho as “M” and on the page of grades",
        "Everything works.",
        "Everything is stopped.",
    ):
        assert sentence in done.stdout


def test_the_data_of_another_demo_are_not_deleted(tmp_path):
    database = tmp_path / "db.sqlite3"
    database.write_bytes(b"")

    done = demo_registrar(tmp_path)

    assert done.returncode == 1
    assert "needs a folder of its own" in done.stderr
    assert database.exists()


@pytest.mark.parametrize(
    "variable",
    ["DATABASE_URL=sqlite:///other.sqlite3", "REDIS_URL=redis://127.0.0.1:1"],
)
def test_a_database_or_redis_of_someone_else_is_not_used(tmp_path, variable):
    name, _sign, value = variable.partition("=")

    done = demo_registrar(tmp_path, **{name: value})

    assert done.returncode == 1
    assert "needs a folder of its own" in done.stderr
