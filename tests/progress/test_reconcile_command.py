"""``reconcile``: what is stored of players, compared with the ledger and corrected."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core.management import CommandError
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from players import bulk_records, keys, records, wallet_sync
from players.models import PlayerProfile, PlayerWallet
from players.player_state import LastPlayed, SubjectProgress, WalletState
from players.services import wallet
from progress.models import InteractionType, StructureProgress
from progress.services import comparison, ledger, reconciliation, snapshots, writing
from tests.commands import run, run_json
from tests.factories.progress import make_interaction
from tests.progress.conftest import MONDAY, enrolled

pytestmark = pytest.mark.django_db

LATER = MONDAY + timedelta(minutes=30)
"""When everything that was received on that Monday is settled; rows of tests that come
after it are received on the next day."""
TUESDAY = MONDAY + timedelta(days=1)


@pytest.fixture(autouse=True)
def _on_that_monday():
    with time_machine.travel(MONDAY):
        yield


@pytest.fixture
def played(student, finish) -> PlayerProfile:
    """A student with two completions; Redis and the snapshots have both."""
    finish("0-0")
    finish("0-1")
    settle()
    wallet.get(student.pk)
    return student


def settle() -> None:
    """Write everything back, and once more when it is settled."""
    for moment in (MONDAY, LATER):
        with time_machine.travel(moment):
            wallet_sync.sync_pending_wallets()
            snapshots.sync_pending()


def differences(*words: str) -> list[tuple[Any, ...]]:
    """Store, subject, field, found and right value of each difference."""
    said, code = run_json("reconcile", *words)
    assert code == (1 if said["remaining"] else 0)
    return [
        (one["store"], one["subject"], one["field"], one["found"], one["ledger"])
        for one in said["differences"]
    ]


# --- Nothing differs ------------------------------------------------------------------


def test_nothing_is_reported_of_what_is_right(played):
    assert "1 player compared.\nEverything is what the ledger says." in run("reconcile")
    said, code = run_json("reconcile")
    assert code == 0
    assert said == {
        "differences": [],
        "ok": True,
        "players": 1,
        "found": 0,
        "remaining": 0,
        "counts": [],
        "redis_is_away": False,
        "error": "",
    }


def test_a_flushed_redis_differs_in_nothing(played, redis_client):
    redis_client.flushdb()
    assert differences() == []


def test_snapshots_that_wait_for_their_write_back_are_not_wrong(played, finish):
    finish("1-0", day=1)
    assert differences() == []


def test_a_record_that_a_writer_has_begun_may_be_behind(played):
    start = writing.begin(played.pk, ["SUBJ-MATH"])
    make_interaction(played, seq=start.next_seq, xp=5, received_at=TUESDAY)
    assert differences() == []
    assert bulk_records.read_stamps([played.pk]) == {played.pk: 2}


def test_players_without_a_row_of_the_last_day_are_compared_with_all(plan, played):
    enrolled(plan, "badr@example.com")
    with time_machine.travel(MONDAY + timedelta(hours=25)):
        assert run_json("reconcile")[0]["players"] == 0
        assert run_json("reconcile", "--all")[0]["players"] == 2
        assert run_json("reconcile", str(played.pk))[0]["players"] == 1


def test_an_erased_player_is_not_compared(played, redis_client):
    redis_client.hset(keys.wallet(played.pk), "total_xp", 7)
    PlayerProfile.objects.filter(pk=played.pk).update(erased_at=MONDAY)
    assert differences() == differences("--all") == []


# --- Redis ----------------------------------------------------------------------------


def test_a_wrong_wallet_in_redis_is_found_and_repaired(played, redis_client):
    redis_client.hset(
        keys.wallet(played.pk), mapping={"total_xp": 7, "current_streak": 9}
    )
    wrong = [
        ("redis", None, "total_xp", 7, 70),
        ("redis", None, "current_streak", 9, 1),
    ]
    assert differences() == wrong
    assert wallet.get(played.pk).total_xp == 7
    assert differences("--repair") == wrong
    assert wallet.get(played.pk).total_xp == 70
    assert differences() == []


def test_wrong_progress_in_redis_is_found_and_repaired(played, redis_client):
    bits, hearts, xp, _last, _stamp = keys.subject(played.pk, "SUBJ-MATH")
    redis_client.set(bits, b"\x80")
    redis_client.set(hearts, b"\x05\x03")
    redis_client.set(xp, 8)
    assert differences("--repair") == [
        ("redis", "SUBJ-MATH", "progress_bitmap", "gA==", "wA=="),
        (
            "redis",
            "SUBJ-MATH",
            "best_hearts",
            {"0": 5, "1": 3},
            {"0": 5, "1": 5},
        ),
        ("redis", "SUBJ-MATH", "total_xp_earned", 8, 70),
        ("redis", "SUBJ-MATH", "passed_lessons", 1, 2),
    ]
    _seq, progress = writing.read_subject(played.pk, "SUBJ-MATH")
    assert progress == SubjectProgress(b"\xc0", b"\x05\x05", 70, LastPlayed(MONDAY, 1))
    assert differences() == []


@pytest.mark.parametrize("seq", [0, 1, 3])
def test_a_wallet_behind_or_ahead_is_found_and_repaired(played, redis_client, seq):
    records.forget_player(played.pk)
    assert records.create(played.pk, wallet=WalletState(seq=seq, total_xp=7))
    redis_client.hset(keys.wallet(played.pk), "claim", 0)
    assert differences("--repair") == [("redis", None, "seq", seq, 2)]
    assert wallet.get(played.pk).total_xp == 70


# --- Snapshots ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "found", "right"),
    [
        ("total_xp", 7, 70),
        ("current_streak", 0, 1),
        ("last_success_date", None, "2026-03-02"),
        ("last_played_at", None, "2026-03-02T12:00:00Z"),
        ("seq", 3, 2),
        ("seq", 1, 2),
    ],
)
def test_a_wrong_wallet_snapshot_is_found_and_repaired(played, field, found, right):
    PlayerWallet.objects.filter(pk=played.pk).update(**{field: found})
    assert differences() == [("snapshot", None, field, found, right)]
    assert differences("--repair") == [("snapshot", None, field, found, right)]
    row = PlayerWallet.objects.get(pk=played.pk)
    assert (row.seq, row.total_xp, row.current_streak) == (2, 70, 1)
    assert row.last_played_at == MONDAY
    assert differences() == []


@pytest.mark.parametrize(
    ("field", "found", "right"),
    [
        ("progress_bitmap", "gA==", "wA=="),
        ("progress_bitmap", "not Base64", "wA=="),
        ("best_hearts", {"0": 1}, {"0": 5, "1": 5}),
        ("total_xp_earned", 7, 70),
        ("passed_lessons", 9, 2),
        ("seq", 3, 2),
        ("seq", 1, 2),
    ],
)
def test_a_wrong_progress_snapshot_is_found_and_repaired(played, field, found, right):
    StructureProgress.objects.update(**{field: found})
    expected = [("snapshot", "SUBJ-MATH", field, found, right)]
    assert differences() == expected
    assert differences("--repair") == expected
    row = StructureProgress.objects.get()
    assert (row.progress_bitmap, row.seq, row.total_xp_earned) == ("wA==", 2, 70)
    assert differences() == []


def test_missing_snapshots_are_found_and_repaired(played):
    PlayerWallet.objects.all().delete()
    StructureProgress.objects.all().delete()
    missing = [
        ("snapshot", None, "seq", None, 2),
        ("snapshot", "SUBJ-MATH", "seq", None, 2),
    ]
    assert differences("--repair") == missing
    assert PlayerWallet.objects.get().total_xp == 70
    assert StructureProgress.objects.get().total_xp_earned == 70


def test_a_wrong_record_does_not_get_into_the_repaired_snapshot(played, redis_client):
    redis_client.hset(keys.wallet(played.pk), "total_xp", 7)
    PlayerWallet.objects.update(total_xp=7)
    assert len(differences("--repair")) == 2
    assert PlayerWallet.objects.get().total_xp == 70


# --- What is said ---------------------------------------------------------------------


def test_the_first_differences_are_listed_and_all_are_counted(
    plan, redis_client, monkeypatch
):
    for number in range(23):
        player = enrolled(plan, f"s{number}@example.com")
        make_interaction(player, xp=5, received_at=MONDAY)
        records.create(player.pk, wallet=WalletState(seq=2))
    monkeypatch.setattr("progress.services.reconciliation._BATCH", 5)
    said, code = run_json("reconcile")
    assert (len(said["differences"]), said["remaining"], code) == (23, 23, 1)
    assert said["counts"] == [
        {"store": "redis", "kind": "wallet", "field": "seq", "count": 23}
    ]
    out = run("reconcile", "--repair")
    assert out.count("Redis wallet, seq: 2, ledger 1") == 20
    assert "and 3 more (--json lists all)" in out
    assert "Redis, wallet, seq: 23\n23 players compared." in out
    assert "All differences are repaired." in out


def test_differences_that_remain_are_exit_code_1(played):
    PlayerWallet.objects.update(total_xp=7)
    with pytest.raises(CommandError, match="1 difference remains") as failed:
        run("reconcile")
    assert failed.value.returncode == 1


def test_json_says_what_was_repaired(played):
    PlayerWallet.objects.update(total_xp=7)
    said, code = run_json("reconcile", "--repair")
    assert (said["found"], said["remaining"], said["ok"], code) == (1, 0, True, 0)
    (one,) = said["differences"]
    assert one == {
        "player": played.pk,
        "store": "snapshot",
        "subject": None,
        "field": "total_xp",
        "found": 7,
        "ledger": 70,
        "repaired": True,
    }


@pytest.mark.parametrize("words", [["999999"], ["--all", "{player}"]])
def test_a_wrong_command_line_is_exit_code_2(played, words):
    words = [word.format(player=played.pk) for word in words]
    said, code = run_json("reconcile", *words)
    assert (said["ok"], code) == (False, 2)


# --- A service is away ----------------------------------------------------------------


def test_without_redis_only_the_snapshots_are_compared(played, settings):
    PlayerWallet.objects.update(total_xp=7)
    settings.REDIS_URL = "unix:///nowhere/redis.sock"
    said, code = run_json("reconcile", "--repair")
    assert (said["redis_is_away"], said["ok"], code) == (True, False, 1)
    assert (said["found"], said["remaining"]) == (1, 0)
    assert PlayerWallet.objects.get().total_xp == 70
    with pytest.raises(CommandError, match="only the snapshots were compared"):
        run("reconcile")


def test_a_redis_that_goes_away_before_the_repair_leaves_the_snapshot(
    played, redis_client, monkeypatch
):
    """A snapshot must not be made from a record that was to be deleted."""

    def away(_player_ids):
        raise records.StoreUnavailableError

    redis_client.hset(keys.wallet(played.pk), "total_xp", 7)
    PlayerWallet.objects.update(total_xp=8)
    monkeypatch.setattr(bulk_records, "drop_wallets", away)
    said, code = run_json("reconcile", "--repair")
    assert (said["found"], said["remaining"], code) == (2, 2, 1)
    assert PlayerWallet.objects.get().total_xp == 8


def test_a_database_that_goes_away_ends_the_json_properly(played, monkeypatch):
    def away(_player_ids):
        raise OperationalError(2006, "gone away")

    monkeypatch.setattr(ledger, "wallets_of", away)
    said, code = run_json("reconcile")
    assert (said["ok"], said["players"], code) == (False, 0, 1)
    assert "gone away" in said["error"]
    with pytest.raises(CommandError, match="The database does not answer"):
        run("reconcile")


# --- A player who completes lessons meanwhile -----------------------------------------


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (ledger, "heads_of"),
        (bulk_records, "read_subjects"),
        (bulk_records, "read_begun"),
        (bulk_records, "read_wallets"),
        (comparison, "_read_snapshots"),
        (ledger, "wallets_of"),
        (ledger, "subjects_at"),
    ],
)
@pytest.mark.parametrize("is_after", [False, True])
def test_a_lesson_completed_between_two_reads_is_no_difference(
    played, finish, monkeypatch, module, name, is_after
):
    real = getattr(module, name)
    left = ["1-0", "1-1"]

    def meanwhile() -> None:
        if left:
            # What the completion itself reads is not interrupted.
            with monkeypatch.context() as patched:
                patched.setattr(module, name, real)
                finish(left.pop(0), day=1)
                settle()

    def read(*args: Any) -> Any:
        if not is_after:
            meanwhile()
        found = real(*args)
        if is_after:
            meanwhile()
        return found

    monkeypatch.setattr(module, name, read)
    assert reconciliation.reconcile([played.pk]).found == []
    assert left != ["1-0", "1-1"]


def test_a_write_that_is_finished_between_two_reads_is_no_difference(
    played, monkeypatch
):
    """The row is committed when the ledger is read; then Redis gets it."""
    start = writing.begin(played.pk, ["SUBJ-MATH"])
    make_interaction(played, seq=start.next_seq, xp=5, received_at=TUESDAY)
    real = bulk_records.read_wallets

    def then_finished(player_ids):
        found = real(player_ids)
        after = WalletState(seq=start.next_seq, total_xp=75)
        writing.finish(start, after, start.subjects)
        return found

    monkeypatch.setattr(bulk_records, "read_wallets", then_finished)
    assert reconciliation.reconcile([played.pk]).found == []


# --- Cost -----------------------------------------------------------------------------


@pytest.mark.parametrize("players", [1, 60])
def test_a_batch_is_a_fixed_number_of_queries(plan, count_redis, players):
    ids = []
    for number in range(players):
        player = enrolled(plan, f"s{number}@example.com")
        make_interaction(
            player,
            type=InteractionType.LESSON_COMPLETED,
            subject_id="SUBJ-MATH",
            bit_index=0,
            best_hearts=5,
            xp=35,
            received_at=MONDAY,
        )
        wallet.get(player.pk)
        ids.append(player.pk)
    settle()
    count_redis.clear()
    # The players; the last runs of both kinds; positions: of the ledger, the settled
    # ones, of the subjects; the snapshots of both kinds; the wallets; the
    # progress at the snapshots' positions.
    with CaptureQueriesContext(connection) as queries:
        assert reconciliation.reconcile(ids).found == []
    assert len(queries) == 10
    # Subjects, begun writes, wallets; each with its script the first time.
    assert len(count_redis) <= 6
