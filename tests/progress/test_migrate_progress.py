"""The command that adds an earlier system's completions to the ledger."""

import csv
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.core.management import CommandError

from players.models import PlayerProfile
from players.services import wallet
from progress.models import InteractionLog
from progress.services import ledger, legacy_progress
from tests.commands import run, run_json
from tests.factories.content import make_branch
from tests.progress.conftest import MONDAY, enrolled

pytestmark = pytest.mark.django_db

AMAL = "amal@example.com"
FIRST = f"{AMAL},LES-MATH-0-0,2026-02-01T10:00:00,3"


@pytest.fixture(autouse=True)
def _on_that_monday():
    with time_machine.travel(MONDAY):
        yield


@pytest.fixture
def file(tmp_path):
    def write(*lines: str, header: str = "player,lesson,completed_at,hearts") -> str:
        path = tmp_path / "old.csv"
        path.write_text("\n".join([header, *lines, ""]), encoding="utf-8")
        return str(path)

    return write


def migrate(path: str, *words: str) -> tuple[dict[str, Any], int]:
    return run_json("migrate_progress", path, *(words or ("--yes",)))


def reasons(path: str) -> list[tuple[str, str]]:
    with Path(f"{path}.report.csv").open(encoding="utf-8") as lines:
        return [(row["line"], row["code"]) for row in csv.DictReader(lines)]


def test_a_first_completion_is_recorded_with_the_xp_of_the_rules(student, file):
    said, code = migrate(file(FIRST))
    assert code == 0
    assert (said["added"], said["xp"]) == (1, 31)  # 10 + 2 × 3 + 5 + 10
    row = InteractionLog.objects.get()
    assert (row.seq, row.bit_index, row.best_hearts) == (1, 0, 3)
    assert row.first_of == row.reference_id == "LES-MATH-0-0"
    assert row.received_at >= MONDAY > row.occurred_at


def test_later_completions_of_a_lesson_earn_nothing_and_raise_the_hearts(student, file):
    said, _code = migrate(file(FIRST, FIRST.replace("-01T10", "-02T10")[:-1] + "5"))
    assert (said["added"], said["xp"]) == (2, 31)
    progress = ledger.subjects_of_player(student.pk, ["SUBJ-MATH"], 2)["SUBJ-MATH"]
    assert (progress.bitmap, progress.hearts) == (b"\x80", b"\x05")


def test_without_xp_nothing_is_earned(student, file):
    assert migrate(file(FIRST), "--yes", "--no-xp")[0]["xp"] == 0
    assert ledger.wallet_of(student.pk).total_xp == 0


def test_a_second_run_adds_nothing(student, file):
    path = file(FIRST)
    migrate(path)
    said, code = migrate(path)
    assert (said["added"], said["recorded_before"], code) == (0, 1, 0)
    assert InteractionLog.objects.count() == 1


@pytest.mark.parametrize("done", range(7))
def test_a_run_that_stops_anywhere_is_continued(student, file, monkeypatch, done):
    monkeypatch.setattr(legacy_progress, "CHUNK", 2)
    path = file(
        *(
            f"{AMAL},LES-MATH-{at // 2 % 2}-{at % 2},2026-02-0{at + 1},{at % 5 + 1}"
            for at in range(6)
        )
    )
    real, calls = ledger.insert_new, []

    def insert(rows):
        calls.append(rows)
        if len(calls) * 2 > done:
            raise KeyboardInterrupt
        real(rows)

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "insert_new", insert)
        if done < 6:
            with pytest.raises(KeyboardInterrupt):
                migrate(path)
    assert InteractionLog.objects.count() in (0, 2, 4, done)
    migrate(path)
    rows = InteractionLog.objects.order_by("seq")
    assert [row.seq for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [row.best_hearts for row in rows] == [1, 2, 3, 4, 5, 2]
    assert [row.first_of is not None for row in rows] == [True] * 4 + [False] * 2


def test_completions_of_memora_itself_are_continued(student, finish, file):
    finish("0-0", 4)
    said, _code = migrate(file(FIRST, FIRST.replace("0-0", "0-1")))
    assert (said["added"], said["xp"]) == (2, 31)
    rows = InteractionLog.objects.order_by("seq").values_list("first_of", "best_hearts")
    assert rows[0] == ("LES-MATH-0-0", 4)
    assert set(rows[1:]) == {(None, 4), ("LES-MATH-0-1", 3)}


def test_the_wallet_of_the_app_follows(student, finish, file):
    finish("0-0", 4)
    before = wallet.get(student.pk)
    migrate(file(FIRST.replace("0-0", "0-1")))
    assert wallet.get(student.pk).total_xp == before.total_xp + 31


def test_the_days_of_the_streak_are_those_of_the_players_zone(student, file):
    PlayerProfile.objects.filter(pk=student.pk).update(time_zone="Asia/Amman")
    migrate(
        file(
            f"{AMAL},LES-MATH-0-0,2026-02-01T21:30:00Z,3",
            f"{AMAL},LES-MATH-0-1,2026-02-03T00:10:00,3",
            f"{AMAL},LES-MATH-1-0,2026-02-04,3",
        )
    )
    days = {date(2026, 2, day) for day in (2, 3, 4)}
    assert ledger.streak_history(student.pk).successes == days
    assert ledger.wallet_of(student.pk).current_streak == 3


def test_what_cannot_be_mapped_is_in_the_report(student, plan, file):
    elsewhere = make_branch(lessons=1).lessons[0]
    path = file(
        FIRST,
        "nobody@example.com,LES-MATH-0-0,2026-02-01T10:00:00,3",
        f"{AMAL},LES-GONE,2026-02-01T10:00:00,3",
        f"{AMAL},{elsewhere.public_id},2026-02-01T10:00:00,3",
        f"{AMAL},LES-MATH-0-0,yesterday,3",
        f"{AMAL},LES-MATH-0-0,2026-03-03T10:00:00,3",
        f"{AMAL},LES-MATH-0-0,2026-02-01T10:00:00,6",
        f"{AMAL},LES-MATH-0-0,2026-02-01T10:00:00,",
        f"{AMAL},LES-MATH-0-0",
        FIRST,
    )
    said, code = migrate(path)
    assert (said["added"], said["not_imported"], code) == (1, 9, 1)
    assert reasons(path) == [
        ("3", "unknown_player"),
        ("4", "unknown_lesson"),
        ("5", "lesson_not_in_plan"),
        ("6", "invalid_time"),
        ("7", "future_time"),
        ("8", "invalid_hearts"),
        ("9", "invalid_hearts"),
        ("10", "invalid_time"),
        ("11", "duplicate"),
    ]


def test_a_player_is_found_by_the_school_number_and_in_a_plan_that_is_not_active(
    student, file
):
    PlayerProfile.objects.filter(pk=student.pk).update(
        school_number="S-7", active_plan=None
    )
    assert migrate(file(FIRST.replace(AMAL, "S-7")))[0]["added"] == 1


def test_columns_are_found_by_their_names_in_any_order(student, file):
    path = file(
        f"x,5,{AMAL},2026-02-01,LES-MATH-0-0",
        header="\ufeffnote,Hearts,player,completed_at,lesson",
    )
    assert migrate(path)[0]["added"] == 1


def test_a_dry_run_writes_only_the_report(student, file):
    path = file(FIRST, "nobody@example.com,LES-MATH-0-0,2026-02-01,3")
    said, code = migrate(path, "--dry-run")
    assert (said["added"], said["xp"], said["not_imported"], code) == (1, 31, 1, 1)
    assert reasons(path) == [("3", "unknown_player")]
    assert not InteractionLog.objects.exists()


@pytest.mark.parametrize("words", [["--json"], ["--yes", "--dry-run"]])
def test_one_must_choose_between_a_dry_run_and_the_import(student, file, words):
    with pytest.raises(CommandError) as refused:
        run("migrate_progress", file(FIRST), *words)
    assert refused.value.returncode == 2
    assert not InteractionLog.objects.exists()


def test_a_file_without_the_columns_is_refused(file):
    _said, code = migrate(file(FIRST, header="player,lesson"))
    assert code == 2
    assert migrate("/nowhere.csv")[1] == 2


def test_the_figures_are_complete_later_when_redis_is_away(student, file, settings):
    settings.REDIS_URL = "unix:///nowhere/redis.sock"
    said, code = migrate(file(FIRST))
    assert (said["added"], said["redis_is_away"], code) == (1, True, 0)


def test_many_lines_take_a_fixed_number_of_queries(
    student, plan, file, django_assert_num_queries
):
    others = [enrolled(plan, f"{n}@example.com") for n in range(20)]
    lines = [
        f"{other.user.email},LES-MATH-0-{at},2026-02-01,3"
        for other in others
        for at in range(2)
    ]
    path = file(*lines)
    # Players by number and by e-mail; their plans and zones; enrolments; lessons.
    # Savepoint; players FOR UPDATE; known events; heads; first completions; INSERT.
    with django_assert_num_queries(12):
        assert migrate(path)[0]["added"] == 40
