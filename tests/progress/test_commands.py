"""The commands that write snapshots: write-back now, and rebuilding from the ledger."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core.management import CommandError
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from players import bulk_records, keys, records, wallet_sync, write_back
from players.management import snapshot_commands
from players.models import PlayerProfile, PlayerWallet
from players.player_state import WalletState
from progress.models import InteractionType, StructureProgress
from progress.services import snapshots
from tests.commands import run, run_json
from tests.factories.progress import make_interaction
from tests.progress.conftest import MONDAY, enrolled

pytestmark = pytest.mark.django_db

NOWHERE = "unix:///nowhere/redis.sock"


@pytest.fixture(autouse=True)
def _on_that_monday():
    with time_machine.travel(MONDAY):
        yield


def wallet_row(player: PlayerProfile) -> tuple[int, int]:
    row = PlayerWallet.objects.get(pk=player.pk)
    return row.seq, row.total_xp


def progress_row(player: PlayerProfile) -> tuple[int, int]:
    row = StructureProgress.objects.get(player=player, subject_id="SUBJ-MATH")
    return row.seq, row.total_xp_earned


KINDS = {
    "wallets": (wallet_row, PlayerWallet, "total_xp"),
    "progress": (progress_row, StructureProgress, "total_xp_earned"),
}
kinds = pytest.mark.parametrize("kind", KINDS)


def damage(kind: str, player: PlayerProfile, *, xp: int, seq: int) -> None:
    """Change the player's snapshot, as nothing in Memora does."""
    _row, model, field = KINDS[kind]
    model.objects.filter(player=player).update(**{field: xp, "seq": seq})


# --- sync_wallets, sync_progress ------------------------------------------------------


@kinds
def test_sync_writes_what_is_behind(student, finish, kind):
    snapshots.sync_pending()
    wallet_sync.sync_pending_wallets()
    finish("0-0")
    assert "1 snapshot written in " in run(f"sync_{kind}")
    assert KINDS[kind][0](student) == (1, 35)
    assert "0 snapshots written in " in run(f"sync_{kind}")


@kinds
def test_sync_with_force_writes_everything_and_answers_json(student, finish, kind):
    finish("0-0")
    run(f"sync_{kind}")
    said, code = run_json(f"sync_{kind}", "--force")
    assert said.pop("seconds") >= 0
    assert (said, code) == ({"ok": True, "written": 1, "errors": 0}, 0)


@kinds
def test_sync_reads_the_ledger_while_redis_is_away(student, finish, settings, kind):
    finish("0-0")
    settings.REDIS_URL = NOWHERE
    said, code = run_json(f"sync_{kind}")
    assert (said["written"], code) == (1, 0)
    assert KINDS[kind][0](student) == (1, 35)


@kinds
def test_sync_tells_what_the_database_refused(finish, monkeypatch, kind):
    def refuse(*_args, **_kwargs):
        raise OperationalError(1205, "Lock wait timeout")

    finish("0-0")
    with monkeypatch.context() as patched:
        patched.setattr(write_back, "write_rows", refuse)
        said, code = run_json(f"sync_{kind}")
        with pytest.raises(CommandError, match="1 snapshot could not be written"):
            run(f"sync_{kind}")
    assert (said["ok"], said["written"], said["errors"], code) == (False, 0, 1, 1)
    assert run_json(f"sync_{kind}")[1] == 0


@kinds
@pytest.mark.parametrize("command", ["sync", "rebuild"])
def test_a_database_that_is_away_is_said(db, monkeypatch, kind, command):
    def away(*_args, **_kwargs):
        raise OperationalError(2002, "Can't connect")

    monkeypatch.setattr("django.db.models.sql.compiler.SQLCompiler.execute_sql", away)
    said, code = run_json(f"{command}_{kind}")
    assert (said["ok"], code) == (False, 1)
    with pytest.raises(CommandError, match="The database does not answer"):
        run(f"{command}_{kind}")


# --- rebuild_wallets, rebuild_progress ------------------------------------------------


@kinds
@pytest.mark.parametrize("seq", [0, 1, 9])
def test_rebuild_replaces_a_wrong_snapshot_and_a_wrong_record(
    student, finish, kind, seq
):
    """Also one that says that it is ahead of the ledger."""
    finish("0-0")
    run(f"sync_{kind}")
    damage(kind, student, xp=7, seq=seq)
    records.forget_player(student.pk, ["SUBJ-MATH"])
    assert records.create(student.pk, wallet=WalletState(seq=1, total_xp=7))
    assert "1 snapshot written in " in run(f"rebuild_{kind}")
    assert KINDS[kind][0](student) == (1, 35)
    assert not bulk_records.read_wallets([student.pk])


@kinds
def test_rebuild_touches_only_the_players_named(plan, student, finish, kind):
    other = enrolled(plan, "badr@example.com")
    finish("0-0")
    make_interaction(
        other,
        type=InteractionType.LESSON_COMPLETED,
        subject_id="SUBJ-MATH",
        bit_index=0,
        best_hearts=5,
        xp=35,
        received_at=MONDAY,
    )
    run(f"sync_{kind}")
    for player in (student, other):
        damage(kind, player, xp=7, seq=1)
        assert records.create(player.pk, wallet=WalletState(seq=1, total_xp=7))
    said, code = run_json(f"rebuild_{kind}", "BADR@example.com", str(other.pk))
    assert said.pop("seconds") >= 0
    expected = {"ok": True, "written": 1, "remaining": 0, "redis_is_away": False}
    assert (said, code) == (expected, 0)
    assert KINDS[kind][0](other) == (1, 35)
    assert KINDS[kind][0](student) == (1, 7)
    assert list(bulk_records.read_stamps([student.pk, other.pk])) == [student.pk]


@kinds
@pytest.mark.parametrize("who", ["999999", "nobody@example.com", "7" * 30, "٧"])
def test_a_player_who_does_not_exist_is_a_usage_error(student, finish, kind, who):
    finish("0-0")
    said, code = run_json(f"rebuild_{kind}", str(student.pk), who)
    assert code == 2
    assert said == {"ok": False, "error": f"There is no player {who}."}
    assert not StructureProgress.objects.exists()


@kinds
def test_an_erased_player_is_not_rebuilt(student, finish, kind):
    finish("0-0")
    PlayerProfile.objects.filter(pk=student.pk).update(erased_at=MONDAY)
    assert run_json(f"rebuild_{kind}")[0]["written"] == 0
    assert run_json(f"rebuild_{kind}", str(student.pk))[1] == 2


@kinds
def test_rebuild_stops_where_redis_does_not_answer(student, finish, settings, kind):
    finish("0-0")
    run(f"sync_{kind}")
    damage(kind, student, xp=7, seq=1)
    answers, settings.REDIS_URL = settings.REDIS_URL, NOWHERE
    said, code = run_json(f"rebuild_{kind}")
    assert (said["ok"], said["redis_is_away"], code) == (False, True, 1)
    assert (said["written"], said["remaining"]) == (0, 1)
    with pytest.raises(CommandError, match=r"Redis does not answer\. 1 player remains"):
        run(f"rebuild_{kind}")
    assert KINDS[kind][0](student) == (1, 7)
    settings.REDIS_URL = answers
    assert run_json(f"rebuild_{kind}")[1] == 0
    assert KINDS[kind][0](student) == (1, 35)


@kinds
def test_a_batch_that_the_database_refuses_is_counted(
    plan, student, finish, monkeypatch, kind
):
    monkeypatch.setattr(snapshot_commands, "_BATCH", 1)
    other = enrolled(plan, "badr@example.com")
    module = {"wallets": wallet_sync, "progress": snapshots}[kind]
    finish("0-0")
    real = module.rewrite

    def refuse_other(player_ids: Any) -> int:
        if list(player_ids) == [other.pk]:
            raise OperationalError(1205, "Lock wait timeout")
        return real(player_ids)

    monkeypatch.setattr(module, "rewrite", refuse_other)
    said, code = run_json(f"rebuild_{kind}")
    assert (said["written"], said["remaining"], code) == (1, 1, 1)
    with pytest.raises(CommandError, match="refused the snapshots of 1 player"):
        run(f"rebuild_{kind}")


def test_rebuild_deletes_progress_in_a_subject_that_was_never_played(student, finish):
    finish("0-0")
    run("sync_progress")
    StructureProgress.objects.create(
        player=student, subject_id="SUBJ-NEVER", seq=4, last_synced_at=MONDAY
    )
    run("rebuild_progress")
    assert StructureProgress.objects.get().subject_id == "SUBJ-MATH"


def test_a_player_without_rows_gets_an_empty_wallet(student):
    PlayerWallet.objects.filter(pk=student.pk).delete()
    assert run_json("rebuild_wallets")[0]["written"] == 1
    assert wallet_row(student) == (0, 0)


@kinds
def test_a_lesson_completed_after_a_rebuild_counts_from_the_ledger(
    student, finish, kind
):
    finish("0-0")
    run(f"rebuild_{kind}")
    finish("0-1")
    with time_machine.travel(MONDAY + timedelta(minutes=1)):
        run(f"sync_{kind}")
    assert KINDS[kind][0](student) == (2, 70)


@kinds
@pytest.mark.parametrize("players", [1, 40])
def test_rebuilding_a_batch_is_a_fixed_number_of_statements(
    plan, count_redis, kind, players
):
    for number in range(players):
        make_interaction(
            enrolled(plan, f"s{number}@example.com"),
            type=InteractionType.LESSON_COMPLETED,
            subject_id="SUBJ-MATH",
            bit_index=0,
            best_hearts=5,
            xp=35,
            received_at=MONDAY,
        )
    count_redis.clear()
    with CaptureQueriesContext(connection) as queries:
        assert run_json(f"rebuild_{kind}")[0]["written"] == players
    # How many players; the batches, with the empty last one; a transaction of about
    # ten statements.
    assert len(queries) <= 20
    # The records; what Redis has, with its script the first time.
    assert len(count_redis) <= 3


def test_the_records_of_other_players_stay(plan, student, finish, redis_client):
    other = enrolled(plan, "badr@example.com")
    finish("0-0")
    run("rebuild_wallets", str(other.pk))
    assert redis_client.exists(keys.wallet(student.pk))
