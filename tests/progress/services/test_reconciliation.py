"""Reconciliation: records that differ from the ledger go, whatever Redis went through."""

import shutil
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from django.db import OperationalError

from core import redis_client as connections
from players import bulk_records, keys, records
from players.models import WriteBackRun
from players.player_state import WalletState
from players.services import sign_in_state, wallet
from progress import tasks
from progress.services import ledger, reconciliation, writing
from progress.services.reconciliation import Reconciled
from tests.factories.progress import make_interaction
from tests.progress.conftest import MONDAY, enrolled
from tests.servers import PrivateRedis

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _on_that_monday():
    with time_machine.travel(MONDAY):
        yield


@pytest.fixture
def reconciled(redis_client) -> None:
    """The server was reconciled before."""
    bulk_records.mark_reconciled(bulk_records.server_id())


def run(**later: float) -> Reconciled | None:
    return reconciliation.reconcile_recent(MONDAY + timedelta(**later))


def store(player_id: int, **state: int) -> None:
    """Put a wallet into Redis, whatever the ledger says."""
    assert records.create(player_id, wallet=WalletState(**state))


# --- Wallets ----------------------------------------------------------------------


@pytest.mark.parametrize("seq", [0, 1, 3])
def test_a_wallet_that_is_behind_or_ahead_is_dropped(student, finish, reconciled, seq):
    finish("0-0")
    finish("0-1")
    records.forget_player(student.pk)
    store(student.pk, seq=seq, total_xp=7)
    assert run() == Reconciled(compared=1, dropped=1)
    assert wallet.get(student.pk).total_xp == 70
    assert run() == Reconciled(compared=1, dropped=0)


def test_a_correct_wallet_stays(student, finish, reconciled, redis_client):
    finish("0-0")
    assert run() == Reconciled(compared=1, dropped=0)
    assert redis_client.hget(keys.wallet(student.pk), "seq") == b"1"


def test_a_wallet_that_grows_meanwhile_stays(student, finish, reconciled, monkeypatch):
    finish("0-0")
    heads = ledger.heads

    def and_then_played(since):
        found = heads(since)
        finish("0-1")
        return found

    monkeypatch.setattr(ledger, "heads", and_then_played)
    assert run() == Reconciled(compared=1, dropped=0)


def test_a_wallet_dropped_under_a_write_is_read_from_the_ledger(
    student, finish, reconciled
):
    finish("0-0")
    start = writing.begin(student.pk, ["SUBJ-MATH"])
    make_interaction(student, seq=start.next_seq, xp=5, received_at=MONDAY)
    assert run() == Reconciled(compared=1, dropped=1)
    after = WalletState(seq=start.next_seq, total_xp=start.wallet.total_xp + 5)
    writing.finish(start, after, start.subjects)
    assert wallet.get(student.pk).total_xp == 40


def test_the_task_reconciles(student, finish, reconciled):
    finish("0-0")
    store(student.pk, seq=9)
    tasks.reconcile_records.delay()
    assert wallet.get(student.pk).total_xp == 35


def test_only_players_of_the_last_minutes_are_compared(student, finish, reconciled):
    finish("0-0")
    assert run(minutes=7).compared == 1
    assert run(minutes=8).compared == 0


def test_after_a_pause_of_the_worker_everyone_since_is_compared(
    student, finish, reconciled
):
    run(minutes=-1)
    finish("0-0")
    assert run(hours=3).compared == 1


def test_any_number_of_players_costs_the_same(
    plan, reconciled, count_redis, django_assert_num_queries
):
    players = [enrolled(plan, f"s{number}@example.com") for number in range(40)]
    for player in players:
        make_interaction(player, received_at=MONDAY)
        store(player.pk, seq=2)
    count_redis.clear()
    # The last run; who played; their positions again; the run.
    with django_assert_num_queries(4):
        assert run() == Reconciled(compared=40, dropped=40)
    # The server; the stamps and the drop, sent again with their script the first time.
    assert len(count_redis) <= 1 + 2 * 2


# --- The server -------------------------------------------------------------------


def test_copies_of_the_same_server_stay(student, phone, reconciled, redis_client):
    phone.get("auth/session/")
    assert run().copies == 0
    assert redis_client.exists(keys.active_session(student.pk))


def test_a_flushed_server_has_nothing_to_correct(
    student, phone, finish, reconciled, redis_client
):
    finish("0-0")
    redis_client.flushdb()
    assert run() == Reconciled(compared=1, dropped=0, copies=0)
    assert phone.get("auth/session/").status_code == 200
    assert wallet.get(student.pk).total_xp == 35
    assert bulk_records.server_id().is_reconciled


def test_another_server_loses_its_copies_and_differing_wallets_of_a_day(
    student, phone, finish, redis_client
):
    finish("0-0")
    run()
    phone.get("content/")
    store(student.pk, seq=2)
    redis_client.set(keys.RECONCILED_SERVER, "of another server")
    assert run(hours=20) == Reconciled(compared=1, dropped=1, copies=3)
    assert not redis_client.exists(keys.active_session(student.pk))
    assert not redis_client.exists(keys.devices(student.pk))
    assert not redis_client.exists(keys.access(student.pk))
    assert run(hours=20) == Reconciled(compared=0, dropped=0, copies=0)


def test_a_run_that_fails_halfway_is_repeated_in_full(
    student, finish, redis_client, monkeypatch
):
    finish("0-0")
    store(student.pk, seq=2)

    def away(_heads):
        raise OperationalError(2006, "gone away")

    with monkeypatch.context() as patched:
        patched.setattr(ledger, "heads_of", away)
        assert run() is None
    assert not bulk_records.server_id().is_reconciled
    assert run(hours=20).dropped == 1


def test_a_tombstone_stays_for_its_change_is_not_committed(student, redis_client):
    records.block_sign_in({student.pk: 5})
    assert run().copies == 0
    assert redis_client.get(keys.active_session(student.pk)) == b"t5"


def test_a_placeholder_goes_for_its_reader_may_have_read_before_a_revocation(
    student, redis_client
):
    """Redis came back with the placeholder; the revocation after it is lost."""
    found = records.enter(
        player_id=student.pk,
        sha256="a" * 64,
        device_id="d",
        endpoint="",
        window_ms=0,
        limit=0,
        wanted=records.NOTHING,
    )
    read = sign_in_state.read(student.pk)
    assert run().copies == 1
    sign_in_state.fill(found, read)
    assert not redis_client.exists(keys.active_session(student.pk))


@pytest.mark.parametrize(
    "name",
    [
        "wallet:{7}",
        "user_prog:{7}:SUBJ-1",
        "subject_xp:{7}:SUBJ-1",
        "in_flight:{7}",
        "player:{7}:devices",
        "pending_wallet_sync",
        "{pending_bitmap_sync}:taken",
    ],
)
def test_keys_of_an_older_version_go(db, redis_client, name):
    redis_client.set(name, "7")
    redis_client.set("cdn_export:heartbeat", "7")
    assert run().copies == 1
    left = {b"cdn_export:heartbeat", keys.RECONCILED_SERVER.encode()}
    assert set(redis_client.keys()) == left


# --- A service is away --------------------------------------------------------------


def test_without_redis_the_next_run_does_it(student, finish, reconciled, settings):
    finish("0-0")
    store(student.pk, seq=2)
    answers = settings.REDIS_URL
    settings.REDIS_URL = "unix:///nowhere/redis.sock"
    assert run() is None
    assert not WriteBackRun.objects.exists()
    settings.REDIS_URL = answers
    assert run().dropped == 1


def test_without_the_database_the_next_run_does_it(
    student, finish, reconciled, monkeypatch
):
    finish("0-0")
    store(student.pk, seq=2)

    def away(_since):
        raise OperationalError(2002, "Can't connect")

    with monkeypatch.context() as patched:
        patched.setattr(ledger, "heads", away)
        assert run() is None
    assert run().dropped == 1


# --- A Redis that comes back older ----------------------------------------------------


class DurableRedis(PrivateRedis):
    """A server whose data can be put back to a former state."""

    def save(self) -> None:
        shutil.copytree(self.folder / "redis", self.folder / "saved")

    def put_back(self) -> None:
        self.kill()
        shutil.rmtree(self.folder / "redis")
        shutil.move(self.folder / "saved", self.folder / "redis")
        self.start()
        connections.end_pause()


@pytest.fixture
def durable(settings) -> Iterator[DurableRedis]:
    with tempfile.TemporaryDirectory(prefix="memora-") as folder:
        server = DurableRedis(Path(folder), durable=True)
        settings.REDIS_URL = server.url
        yield server
        server.kill()


def test_what_an_older_redis_says_is_believed_until_reconciliation(
    durable, student, phone, finish
):
    """It was believed for ever: old figures, and a session that had been ended.

    Documented: for a minute at most, until reconciliation.
    """
    finish("0-0")
    run()
    assert phone.get("auth/session/").status_code == 200
    assert wallet.get(student.pk).total_xp == 35
    durable.save()
    finish("0-1")
    student.session.delete()
    assert phone.get("auth/session/").status_code == 401
    assert wallet.get(student.pk).total_xp == 70
    durable.put_back()
    assert phone.get("auth/session/").status_code == 200
    assert wallet.get(student.pk).total_xp == 35
    assert run() == Reconciled(compared=1, dropped=1, copies=2)
    assert phone.get("auth/session/").status_code == 401
    assert wallet.get(student.pk).total_xp == 70
    assert run() == Reconciled(compared=1, dropped=0, copies=0)


def test_a_restart_is_a_change_of_the_server(durable, db):
    run()
    assert bulk_records.server_id().is_reconciled
    durable.kill()
    durable.start()
    connections.end_pause()
    assert not bulk_records.server_id().is_reconciled
