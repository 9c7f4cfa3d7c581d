"""The wallet: read from Redis, rebuilt from the ledger, written back in batches."""

import contextlib
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime

import pytest
import time_machine
from django.db import DatabaseError

from players import keys, store, wallet_sync
from players.models import PlayerProfile, PlayerWallet, SecurityEvent, User
from players.services import accounts, wallet
from players.services.wallet import WalletState
from players.tasks import sync_pending_wallets
from progress.models import InteractionLog, InteractionType
from tests.players.app import PASSWORD

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
FULL = WalletState(150, 4, date(2026, 3, 2), NOON)


def put(redis_client, player_id, state):
    """Store a wallet in Redis as a completed lesson does."""
    redis_client.hset(keys.wallet(player_id), mapping=wallet.to_fields(state))
    redis_client.sadd(keys.PENDING_WALLETS, player_id)


def in_database(player_id):
    row = PlayerWallet.objects.get(pk=player_id)
    return WalletState(
        row.total_xp, row.current_streak, row.last_success_date, row.last_played_at
    )


@pytest.fixture
def at() -> Iterator[Callable[[datetime], None]]:
    """Return a function that stops the clock at a time."""
    with contextlib.ExitStack() as stack:
        yield lambda now: stack.enter_context(time_machine.travel(now, tick=False))


# --- Reading ----------------------------------------------------------------------


@pytest.mark.parametrize("state", [FULL, WalletState()])
def test_a_wallet_reads_back_from_redis_as_it_was_put(student, redis_client, state):
    put(redis_client, student.pk, state)
    assert wallet.get(student.pk) == state


def test_a_wallet_in_redis_costs_one_round_trip_and_no_query(
    student, redis_client, round_trips, django_assert_num_queries
):
    wallet.get(student.pk)
    put(redis_client, student.pk, FULL)
    round_trips.clear()
    with django_assert_num_queries(0):
        assert wallet.get(student.pk) == FULL
    assert len(round_trips) == 1


def test_a_missing_wallet_is_rebuilt_from_the_ledger_and_kept(student, redis_client):
    InteractionLog.objects.create(
        player=student,
        type=InteractionType.XP_CORRECTED,
        reference_id="wallet",
        xp=70,
        created_at=NOON,
    )
    assert wallet.get(student.pk).total_xp == 70
    assert redis_client.hget(keys.wallet(student.pk), "total_xp") == b"70"


def test_while_the_ledger_is_written_nothing_rebuilt_is_kept(student, redis_client):
    redis_client.zadd(keys.in_flight(student.pk), {"someone": 1})
    assert wallet.get(student.pk) == WalletState()
    assert not redis_client.exists(keys.wallet(student.pk))


def test_a_slow_reader_does_not_put_an_old_wallet_over_a_new_one(student, redis_client):
    _fields, lease = store.read_wallet(student.pk)
    redis_client.hset(keys.wallet(student.pk), mapping=wallet.to_fields(FULL))
    store.put_wallet(student.pk, lease=lease, fields=wallet.to_fields(WalletState()))
    assert wallet.get(student.pk) == FULL


def test_without_redis_the_ledger_tells(student, settings, tmp_path):
    settings.REDIS_URL = f"unix://{tmp_path / 'nobody.sock'}"
    assert wallet.get(student.pk) == WalletState()


def test_the_app_reads_the_wallet(signed_in, student, redis_client, at):
    put(redis_client, student.pk, FULL)
    at(NOON)
    assert signed_in.get("wallet/").json() == {
        "total_xp": 150,
        "current_streak": 4,
        "streak_ends_at": "2026-03-04T00:00:00Z",
        "streak_time_zone": "UTC",
        "last_success_date": "2026-03-02",
        "last_played_at": "2026-03-02T12:00:00Z",
    }


@pytest.mark.parametrize(
    ("zone", "now", "days", "ends"),
    [
        ("UTC", "2026-03-02T23:59:59Z", 4, "2026-03-04T00:00:00Z"),
        ("UTC", "2026-03-03T23:59:59Z", 4, "2026-03-04T00:00:00Z"),
        ("UTC", "2026-03-04T00:00:00Z", 0, None),
        ("UTC", "2026-07-01T00:00:00Z", 0, None),
        ("UTC", "2026-02-01T00:00:00Z", 4, "2026-03-04T00:00:00Z"),  # clock set back
        ("Asia/Riyadh", "2026-03-03T20:59:59Z", 4, "2026-03-03T21:00:00Z"),
        ("Asia/Riyadh", "2026-03-03T21:00:00Z", 0, None),
        ("America/New_York", "2026-03-04T04:59:59Z", 4, "2026-03-04T05:00:00Z"),
    ],
)
def test_a_streak_ends_when_a_whole_day_was_missed(
    signed_in, student, redis_client, at, settings, zone, now, days, ends
):
    settings.STREAK_TIME_ZONE = zone
    put(redis_client, student.pk, FULL)
    at(datetime.fromisoformat(now))
    answer = signed_in.get("wallet/").json()
    assert (answer["current_streak"], answer["streak_ends_at"]) == (days, ends)
    assert answer["streak_time_zone"] == zone
    assert answer["last_success_date"] == "2026-03-02"


# --- Writing back -------------------------------------------------------------------


def test_changed_wallets_are_written_back_once(student, redis_client):
    put(redis_client, student.pk, FULL)
    assert wallet_sync.sync_pending_wallets().synced == 1
    assert in_database(student.pk) == FULL
    assert wallet_sync.sync_pending_wallets().synced == 0


def test_the_task_writes_back(student, redis_client):
    put(redis_client, student.pk, FULL)
    sync_pending_wallets.delay()
    assert in_database(student.pk) == FULL


def test_a_write_during_the_sync_waits_for_the_next(student, redis_client, monkeypatch):
    put(redis_client, student.pk, WalletState(total_xp=10))
    read = store.read_wallets

    def read_then_someone_plays(player_ids):
        found = read(player_ids)
        put(redis_client, student.pk, FULL)
        return found

    monkeypatch.setattr(store, "read_wallets", read_then_someone_plays)
    wallet_sync.sync_pending_wallets()
    assert in_database(student.pk).total_xp == 10
    monkeypatch.setattr(store, "read_wallets", read)
    wallet_sync.sync_pending_wallets()
    assert in_database(student.pk) == FULL
    assert not redis_client.exists(keys.PENDING_WALLETS, keys.CLAIMED_WALLETS)


def test_a_chunk_that_fails_is_tried_again(student, redis_client, monkeypatch):
    put(redis_client, student.pk, FULL)

    def fail(_player_ids):
        raise DatabaseError("deadlock")

    with monkeypatch.context() as broken:
        broken.setattr(wallet_sync, "_write_back", fail)
        result = wallet_sync.sync_pending_wallets()
    assert (result.synced, result.errors) == (0, 1)
    assert redis_client.smembers(keys.CLAIMED_WALLETS) == {str(student.pk).encode()}
    assert wallet_sync.sync_pending_wallets().synced == 1
    assert in_database(student.pk) == FULL


def test_a_wallet_that_redis_lost_is_written_back_from_the_ledger(
    student, redis_client
):
    PlayerWallet.objects.filter(pk=student.pk).update(total_xp=999)
    redis_client.sadd(keys.PENDING_WALLETS, student.pk)
    wallet_sync.sync_pending_wallets()
    assert in_database(student.pk) == WalletState()


def test_a_player_who_is_gone_is_passed_over(student, redis_client):
    put(redis_client, student.pk, FULL)
    redis_client.sadd(keys.PENDING_WALLETS, 10**15)
    assert wallet_sync.sync_pending_wallets().synced == 1
    assert not redis_client.exists(keys.PENDING_WALLETS, keys.CLAIMED_WALLETS)


def test_a_profile_without_a_wallet_gets_one(db, redis_client):
    user = User.objects.create_user("x@school.example", PASSWORD)
    player = PlayerProfile.objects.create(user=user)
    put(redis_client, player.pk, FULL)
    wallet_sync.sync_pending_wallets()
    assert in_database(player.pk) == FULL


def test_everybody_is_written_back_when_forced(student, redis_client):
    PlayerWallet.objects.update(total_xp=999)
    assert wallet_sync.sync_pending_wallets(force=True).synced == 1
    assert in_database(student.pk) == WalletState()


def test_a_chunk_costs_the_same_however_many_players_it_has(
    db, redis_client, monkeypatch, django_assert_num_queries
):
    players = [
        accounts.create_player(f"p{n}@school.example", PASSWORD) for n in range(7)
    ]
    monkeypatch.setattr(wallet_sync, "CHUNK", 5)
    for player in players:
        put(redis_client, player.pk, FULL)
    # Two chunks, each: savepoint, players that exist, rows under lock, one update for
    # all, release of the savepoint.
    with django_assert_num_queries(10):
        assert wallet_sync.sync_pending_wallets().synced == 7
    assert {in_database(player.pk) for player in players} == {FULL}


# --- Staff --------------------------------------------------------------------------


def test_staff_give_xp_on_the_record(
    student, manager, as_staff, django_capture_on_commit_callbacks
):
    wallet.get(student.pk)
    with django_capture_on_commit_callbacks(execute=True):
        answer = as_staff(manager).post(
            f"/api/v1/admin/wallets/{student.pk}/xp/",
            {"xp": 50, "reason": "Olympiad"},
            format="json",
        )
    assert answer.json() == {"xp_awarded": 50, "new_total_xp": 50}
    assert wallet.get(student.pk).total_xp == 50
    row = InteractionLog.objects.get()
    assert (row.type, row.xp, row.player_id) == ("xp_corrected", 50, student.pk)
    event = SecurityEvent.objects.get(type="wallet_corrected")
    assert (event.user, event.actor) == (student.user, manager)
    assert event.details == {"xp": 50, "reason": "Olympiad"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"xp": 0, "reason": "x"}, "xp"),
        ({"xp": 1001, "reason": "x"}, "xp"),
        ({"xp": -5, "reason": "x"}, "xp"),
        ({"xp": "50", "reason": "x"}, "xp"),
        ({"xp": 5.0, "reason": "x"}, "xp"),
        ({"xp": True, "reason": "x"}, "xp"),
        ({"xp": 10**30, "reason": "x"}, "xp"),
        ({"xp": 5}, "reason"),
        ({"xp": 5, "reason": "  "}, "reason"),
        ({"xp": 5, "reason": "x", "player": 3}, "player"),
    ],
)
def test_a_correction_is_1_to_1000_xp_and_a_reason(
    student, manager, as_staff, body, field
):
    import json

    answer = as_staff(manager).generic(
        "POST",
        f"/api/v1/admin/wallets/{student.pk}/xp/",
        json.dumps(body),
        content_type="application/json",
    )
    assert answer.status_code == 400
    assert list(answer.json()["details"]["fields"]) == [field]
    assert not InteractionLog.objects.exists()


def test_staff_start_a_write_back(student, redis_client, manager, as_staff):
    put(redis_client, student.pk, FULL)
    body = (
        as_staff(manager)
        .post("/api/v1/admin/wallets/sync/", {"force": False}, format="json")
        .json()
    )
    assert (body["synced"], body["errors"]) == (1, 0)
    assert SecurityEvent.objects.filter(type="wallets_synced").count() == 1
