"""Writing progress back: every change, once."""

import pytest
from django.db import OperationalError

from players.models import PlayerProfile, User
from progress import bitmap, keys, store, tasks
from progress.models import StructureProgress
from progress.services import completion, projections, snapshots
from tests.progress.conftest import MONDAY, enrolled

pytestmark = pytest.mark.django_db


@pytest.fixture
def pending(redis_client):
    def pending() -> set[bytes]:
        return redis_client.sunion(keys.PENDING_BITMAPS, keys.TAKEN_BITMAPS)

    return pending


def test_a_snapshot_holds_redis_s_own_bytes(student, finish, redis_client, pending):
    finish("0-0", 2)
    finish("0-1", 5)
    assert pending() == {f"{student.pk}:SUBJ-MATH".encode()}
    tasks.sync_pending_bitmaps()
    row = StructureProgress.objects.get()
    raw = redis_client.get(f"user_prog:{{{student.pk}}}:SUBJ-MATH")
    assert bitmap.decode(row.progress_bitmap) == raw == b"\xc0"
    assert row.best_hearts == {"0": 2, "1": 5}
    assert (row.total_xp_earned, row.passed_lessons) == (29 + 35, 2)
    assert pending() == set()


def test_a_second_run_writes_what_changed_since(student, finish):
    finish("0-0", 2)
    assert snapshots.sync_pending() == snapshots.SyncResult(1, 0)
    assert snapshots.sync_pending() == snapshots.SyncResult(0, 0)
    finish("0-0", 5)
    assert snapshots.sync_pending() == snapshots.SyncResult(1, 0)
    assert StructureProgress.objects.get().best_hearts == {"0": 5}


def test_progress_made_while_it_is_written_waits_for_the_next_run(
    finish, monkeypatch, pending
):
    finish("0-0")
    real = store.read_subjects

    def read_then_played(pairs):
        found = real(pairs)
        monkeypatch.setattr(store, "read_subjects", real)
        finish("0-1")
        return found

    monkeypatch.setattr(store, "read_subjects", read_then_played)
    assert snapshots.sync_pending().synced == 1
    assert StructureProgress.objects.get().passed_lessons == 1
    assert len(pending()) == 1
    assert snapshots.sync_pending().synced == 1
    assert pending() == set()
    assert StructureProgress.objects.get().passed_lessons == 2


def test_a_run_ends_though_the_school_plays_on(finish, monkeypatch):
    finish("0-0")
    real = store.mark_bitmaps_written

    def settled_and_played(written):
        real(written)
        finish("0-0")

    monkeypatch.setattr(store, "mark_bitmaps_written", settled_and_played)
    assert snapshots.sync_pending().synced == 1


def test_what_a_dead_run_had_taken_is_written_by_the_next(finish, pending):
    finish("0-0")
    assert len(store.take_pending(100)) == 1
    assert snapshots.sync_pending().synced == 1
    assert pending() == set()


def test_a_batch_the_database_refuses_is_kept(finish, monkeypatch, pending):
    finish("0-0")

    def away(*_args, **_kwargs):
        raise OperationalError

    with monkeypatch.context() as patched:
        patched.setattr(StructureProgress.objects, "bulk_create", away)
        assert snapshots.sync_pending() == snapshots.SyncResult(0, 1)
    assert len(pending()) == 1
    assert snapshots.sync_pending() == snapshots.SyncResult(1, 0)


def test_one_run_at_a_time(finish):
    finish("0-0")
    other = store.sync_lock()
    assert snapshots.sync_pending() == snapshots.SyncResult(0, 0)
    store.release_sync_lock(other)
    assert snapshots.sync_pending().synced == 1


def test_without_redis_s_copy_the_ledger_is_written_back(student, finish, redis_client):
    finish("0-0")
    redis_client.flushdb()
    projections.subject(student.pk, "SUBJ-MATH")  # a reader marks what it rebuilt
    redis_client.delete(f"best_hearts:{{{student.pk}}}:SUBJ-MATH")
    assert snapshots.sync_pending().synced == 1
    assert StructureProgress.objects.get().best_hearts == {"0": 5}


def test_players_who_are_gone_are_passed_over(plan, student, finish, redis_client):
    finish("0-0")
    redis_client.sadd(keys.PENDING_BITMAPS, "999999:SUBJ-MATH")
    assert snapshots.sync_pending() == snapshots.SyncResult(1, 0)


@pytest.mark.parametrize("players", [1, 150])
def test_a_hundred_players_are_two_statements(
    plan, redis_client, django_assert_num_queries, players
):
    users = User.objects.bulk_create(
        User(email=f"s{n}@example.com") for n in range(players)
    )
    made = PlayerProfile.objects.bulk_create(PlayerProfile(user=one) for one in users)
    for one in made:
        claimed = store.claim(one.pk, "SUBJ-MATH")
        store.store(claimed, wallet=None, subject=bitmap.pack({3: 4}, xp=28))
    # For each hundred: existing players; INSERT ... ON CONFLICT (or ON DUPLICATE KEY).
    with django_assert_num_queries(2 * -(-players // 100)):
        assert snapshots.sync_pending().synced == players
    assert StructureProgress.objects.filter(passed_lessons=1).count() == players


def test_two_players_do_not_share_anything(plan, student, finish):
    other = enrolled(plan, "badr@example.com")
    finish("0-0")
    completion.complete(
        player_id=other.pk,
        lesson_id="LES-MATH-0-0",
        hearts=1,
        idempotency_key=None,
        now=MONDAY,
    )
    snapshots.sync_pending()
    found = StructureProgress.objects.order_by("player_id")
    assert [row.best_hearts for row in found] == [{"0": 5}, {"0": 1}]
