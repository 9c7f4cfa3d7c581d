"""The commands that close a season, and read its archive."""

import gzip
import hashlib
import json
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from django.core.management import CommandError
from django.db import OperationalError

from plans.models import Season
from players.models import PlayerProfile
from progress.models import ArchivedInteraction, ClosedSeason, InteractionLog
from progress.services import ledger, seasons
from tests.commands import run, run_json
from tests.progress.conftest import MONDAY

pytestmark = pytest.mark.django_db

SEASON = "2025-2026"


@pytest.fixture(autouse=True)
def _two_months_later(student, finish, rate_once):
    Season.objects.create(title=SEASON)
    with time_machine.travel(MONDAY + timedelta(days=60)):
        yield


@pytest.fixture
def rate_once(student, finish):
    """Three completions on three days."""
    for day in range(3):
        finish("0-0", day=day)


def test_a_season_is_closed_by_its_title_or_number():
    said, code = run_json("close_season", SEASON, "--until", "2026-03-04", "--yes")
    assert code == 0
    assert said == {
        "ok": True,
        "dry_run": False,
        "until": "2026-03-04T00:00:00Z",
        "players": 1,
        "ledger_rows": 2,
        "ratings": 0,
    }
    number = str(Season.objects.get().pk)
    assert "0 rows of the ledger" in run("close_season", number, "--yes")
    assert ArchivedInteraction.objects.count() == 2


def test_a_dry_run_moves_nothing():
    run_json("close_season", SEASON, "--yes")
    run_json("read_season", SEASON, "--restore")
    said, _code = run_json("close_season", SEASON, "--dry-run")
    assert (said["dry_run"], said["ledger_rows"]) == (True, 2)
    assert "nothing was written" in run("close_season", SEASON, "--dry-run")
    assert not ClosedSeason.objects.exists()


@pytest.mark.parametrize(
    "words",
    [
        ["close_season", SEASON],
        ["close_season", SEASON, "--yes", "--dry-run"],
        ["close_season", "2019", "--yes"],
        ["close_season", SEASON, "--yes", "--until", "soon"],
        ["close_season", SEASON, "--yes", "--until", "2026-05-01"],
        ["read_season", SEASON],
        ["read_season", SEASON, "--restore"],
        ["read_season", SEASON, "--output", "/nowhere/at/all"],
    ],
)
def test_what_is_not_possible_is_refused(words):
    assert run_json(*words)[1] == 2
    with pytest.raises(CommandError):
        run(*words)
    assert InteractionLog.objects.count() == 3


def test_the_archive_is_written_to_a_file_with_its_hash(tmp_path):
    run("close_season", SEASON, "--yes")
    path = tmp_path / "season.jsonl.gz"
    said, code = run_json("read_season", SEASON, "--output", str(path))
    assert (said["ledger_rows"], code) == (2, 0)
    assert said["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    assert [(row["kind"], row["seq"]) for row in rows] == [("ledger", 1), ("ledger", 2)]
    # The same rows make the same file.
    before = Path(path).read_bytes()
    assert said["sha256"] in run("read_season", SEASON, "--output", str(path))
    assert path.read_bytes() == before


def test_the_archive_is_moved_back():
    run("close_season", SEASON, "--yes")
    assert "2 rows of the ledger" in run("read_season", SEASON, "--restore")
    assert InteractionLog.objects.count() == 3


@pytest.mark.parametrize("name", ["close_season", "read_season"])
def test_a_database_that_does_not_answer_is_reported(monkeypatch, name):
    run("close_season", SEASON, "--yes")

    def fail(*_args, **_options):
        raise OperationalError(2006, "gone")

    monkeypatch.setattr(seasons, "_archive", fail)
    monkeypatch.setattr(seasons, "_restore", fail)
    flag = "--yes" if name == "close_season" else "--restore"
    said, code = run_json(name, SEASON, flag)
    assert (said["ok"], code) == (False, 1)


@pytest.fixture
def new_season(settings) -> str:
    settings.SEASON_CARRIES = ["progress"]
    PlayerProfile.objects.update(created_at=MONDAY)
    return Season.objects.create(title="2026-2027").title


def test_a_season_is_opened(new_season):
    said, code = run_json("open_season", new_season, "--yes")
    assert code == 0
    assert said == {
        "ok": True,
        "dry_run": False,
        "carries": ["progress"],
        "players": 1,
        "ledger_rows": 1,
    }
    assert "0 players begin the season" in run("open_season", new_season, "--yes")
    assert InteractionLog.objects.filter(type="season_opened").count() == 1


def test_a_dry_run_opens_nothing(new_season):
    said, _code = run_json("open_season", new_season, "--dry-run")
    assert (said["dry_run"], said["players"]) == (True, 1)
    assert "nothing was written" in run("open_season", new_season, "--dry-run")
    assert not InteractionLog.objects.filter(type="season_opened").exists()


@pytest.mark.parametrize(
    "words", [[SEASON], [SEASON, "--yes", "--dry-run"], ["2019", "--yes"]]
)
def test_a_wrong_opening_is_refused(words):
    said, code = run_json("open_season", *words)
    assert (said["ok"], code) == (False, 2)


def test_an_opening_without_the_database_can_be_repeated(new_season, monkeypatch):
    def away(*_args, **_options):
        raise OperationalError("gone")

    with monkeypatch.context() as patched:
        patched.setattr(ledger, "insert_new", away)
        said, code = run_json("open_season", new_season, "--yes")
    assert (said["ok"], code) == (False, 1)
    assert run_json("open_season", new_season, "--yes")[0]["players"] == 1
