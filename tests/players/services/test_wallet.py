"""The wallet: read from Redis, rebuilt from the ledger, written back in batches."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
import time_machine
from django.db import DatabaseError, connection
from django.utils import timezone

from players import keys, records, wallet_sync
from players.models import PlayerProfile, PlayerWallet, SecurityEvent, User
from players.player_state import WalletState
from players.records import Wanted
from players.services import accounts, wallet
from players.tasks import sync_pending_wallets
from progress.models import InteractionLog, InteractionType
from tests.players.app import PASSWORD

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
FULL = WalletState(4, 150, 4, date(2026, 3, 2), NOON)
"""After four days with a lesson each."""


def play(player_id: int) -> None:
    """Add the rows of `FULL` to the ledger: four days, 150 XP."""
    for seq, xp in enumerate((40, 40, 40, 30), start=1):
        at = NOON - timedelta(days=4 - seq)
        InteractionLog.objects.create(
            player_id=player_id,
            seq=seq,
            event_id=str(seq),
            type=InteractionType.LESSON_COMPLETED,
            reference_id=f"LES-{seq}",
            subject_id="SUBJ-1",
            bit_index=seq,
            hearts=5,
            best_hearts=5,
            xp=xp,
            day=at.date(),
            occurred_at=at,
            received_at=timezone.now(),
        )


def in_database(player_id):
    row = PlayerWallet.objects.get(pk=player_id)
    return WalletState(
        row.seq,
        row.total_xp,
        row.current_streak,
        row.last_success_date,
        row.last_played_at,
        row.freezes,
    )


@pytest.fixture
def at() -> Iterator[Callable[[datetime], None]]:
    """Return a function that stops the clock at a time."""
    with contextlib.ExitStack() as stack:
        yield lambda now: stack.enter_context(time_machine.travel(now, tick=False))


# --- Reading ----------------------------------------------------------------------


FROZEN = replace(FULL, freezes=2, frozen_days=(date(2026, 2, 27), date(2026, 3, 1)))


@pytest.mark.parametrize("state", [FULL, FROZEN, WalletState()])
def test_a_wallet_reads_back_from_redis_as_it_was_stored(student, state):
    assert records.create(student.pk, wallet=state)
    assert wallet.get(student.pk) == state


def test_a_wallet_in_redis_costs_one_round_trip_and_no_query(
    student, redis_client, round_trips, django_assert_num_queries
):
    play(student.pk)
    wallet.get(student.pk)
    round_trips.clear()
    with django_assert_num_queries(0):
        assert wallet.get(student.pk) == FULL
    assert len(round_trips) == 1


def test_a_missing_wallet_is_read_from_the_ledger_and_kept(student, redis_client):
    play(student.pk)
    assert wallet.get(student.pk) == FULL
    assert redis_client.hget(keys.wallet(student.pk), "total_xp") == b"150"
    assert redis_client.pttl(keys.wallet(student.pk)) > 0


def test_a_slow_reader_does_not_replace_a_newer_wallet(student):
    slow = records.look(student.pk, Wanted(wallet=True))
    play(student.pk)
    assert wallet.get(student.pk) == FULL
    assert not records.fill(slow, wallet=WalletState())
    assert wallet.get(student.pk) == FULL


def test_a_wallet_of_an_older_version_of_this_program_is_ignored(student, redis_client):
    redis_client.hset(keys.wallet(student.pk), mapping={"total_xp": 7})
    assert wallet.get(student.pk) == WalletState()
    assert redis_client.pttl(keys.wallet(student.pk)) > 0


def test_without_redis_the_ledger_tells(student, settings, tmp_path):
    settings.REDIS_URL = f"unix://{tmp_path / 'nobody.sock'}"
    assert wallet.get(student.pk) == WalletState()


def test_the_app_reads_the_wallet(signed_in, student, redis_client, at):
    play(student.pk)
    at(NOON)
    assert signed_in.get("wallet/").json() == {
        "total_xp": 150,
        "current_streak": 4,
        "streak_ends_at": "2026-03-04T00:00:00Z",
        "streak_time_zone": "UTC",
        "freezes": 0,
        "frozen_days": [],
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
    play(student.pk)
    at(datetime.fromisoformat(now))
    answer = signed_in.get("wallet/").json()
    assert (answer["current_streak"], answer["streak_ends_at"]) == (days, ends)
    assert answer["streak_time_zone"] == zone
    assert answer["last_success_date"] == "2026-03-02"


# --- Writing back -------------------------------------------------------------------


def test_changed_wallets_are_written_back_once(student):
    play(student.pk)
    assert wallet_sync.sync_pending_wallets().synced == 1
    assert in_database(student.pk) == FULL
    assert wallet_sync.sync_pending_wallets().synced == 0


def test_the_task_writes_back(student):
    play(student.pk)
    sync_pending_wallets.delay()
    assert in_database(student.pk) == FULL


def test_a_chunk_that_fails_is_tried_again(student, monkeypatch):
    play(student.pk)

    def fail(_changes):
        raise DatabaseError("deadlock")

    with monkeypatch.context() as broken:
        broken.setattr(wallet_sync, "_write", fail)
        result = wallet_sync.sync_pending_wallets()
    assert (result.synced, result.errors) == (0, 1)
    assert wallet_sync.sync_pending_wallets().synced == 1
    assert in_database(student.pk) == FULL


@pytest.mark.parametrize("seq", [1, 4, 9])
def test_a_wallet_in_redis_is_written_back_if_it_is_not_behind(student, seq):
    play(student.pk)
    state = replace(FULL, seq=seq, total_xp=7)
    assert records.create(student.pk, wallet=state)
    wallet_sync.sync_pending_wallets()
    assert in_database(student.pk) == (FULL if seq < 4 else state)


def test_a_snapshot_is_never_replaced_by_an_older_one(student, monkeypatch):
    play(student.pk)
    PlayerWallet.objects.update(seq=5, total_xp=200)
    wallet_sync._write([(student.pk, 4)])
    assert PlayerWallet.objects.get().total_xp == 200


def test_without_redis_wallets_are_written_back_from_the_ledger(
    student, settings, tmp_path
):
    play(student.pk)
    settings.REDIS_URL = f"unix://{tmp_path / 'nobody.sock'}"
    assert wallet_sync.sync_pending_wallets().synced == 1
    assert in_database(student.pk) == FULL


def test_a_profile_without_a_wallet_gets_one(db):
    user = User.objects.create_user("x@school.example", PASSWORD)
    player = PlayerProfile.objects.create(user=user)
    play(player.pk)
    wallet_sync.sync_pending_wallets()
    assert in_database(player.pk) == FULL


def test_every_wallet_is_written_back_when_forced(student):
    play(student.pk)
    wallet_sync.sync_pending_wallets()
    PlayerWallet.objects.update(total_xp=999)
    assert wallet_sync.sync_pending_wallets().synced == 0
    assert wallet_sync.sync_pending_wallets(force=True).synced == 1
    assert in_database(student.pk) == FULL


def test_a_chunk_costs_the_same_however_many_players_it_has(
    db, monkeypatch, django_assert_num_queries
):
    players = [
        accounts.create_player(f"p{n}@school.example", PASSWORD) for n in range(7)
    ]
    wallet_sync.sync_pending_wallets()
    monkeypatch.setattr(wallet_sync, "CHUNK", 5)
    for player in players:
        play(player.pk)
    # The last run; who is behind. Two chunks, each: the ledger's rows, one INSERT
    # (SQLite: savepoint, the players, INSERT … ON CONFLICT, release). The run.
    chunk = 2 if connection.vendor == "mysql" else 5
    with django_assert_num_queries(2 + 2 * chunk + 1):
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
        ({"xp": 5.5, "reason": "x"}, "xp"),
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
    play(student.pk)
    body = (
        as_staff(manager)
        .post("/api/v1/admin/wallets/sync/", {"force": False}, format="json")
        .json()
    )
    assert (body["synced"], body["errors"]) == (1, 0)
    assert SecurityEvent.objects.filter(type="wallets_synced").count() == 1
