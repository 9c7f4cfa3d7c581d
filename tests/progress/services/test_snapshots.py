"""Writing progress back: every change, once."""

import pytest
import time_machine
from django.db import OperationalError, connection

from players import bulk_records, write_back
from players.models import PlayerProfile, User
from players.write_back import SyncResult
from progress import bitmap, tasks
from progress.models import InteractionLog, InteractionType, StructureProgress
from progress.services import completion, snapshots
from tests.progress.conftest import MONDAY, enrolled

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _on_that_monday():
    """Rows are received at the time of the runs, which look back from there."""
    with time_machine.travel(MONDAY):
        yield


def test_a_snapshot_holds_redis_s_own_bytes(student, finish, redis_client):
    finish("0-0", 2)
    finish("0-1", 5)
    tasks.sync_pending_bitmaps()
    row = StructureProgress.objects.get()
    raw = redis_client.get(f"user_prog:{{{student.pk}}}:SUBJ-MATH")
    assert bitmap.decode(row.progress_bitmap) == raw == b"\xc0"
    assert row.best_hearts == {"0": 2, "1": 5}
    assert (row.total_xp_earned, row.passed_lessons) == (29 + 35, 2)
    assert row.seq == 2


def test_a_second_run_writes_what_changed_since(student, finish):
    finish("0-0", 2)
    assert snapshots.sync_pending() == SyncResult(1, 0)
    assert snapshots.sync_pending() == SyncResult(0, 0)
    finish("0-0", 5)
    assert snapshots.sync_pending() == SyncResult(1, 0)
    assert StructureProgress.objects.get().best_hearts == {"0": 5}


def test_progress_made_while_it_is_written_is_written_by_the_next_run(
    student, finish, monkeypatch
):
    finish("0-0")
    real = snapshots._behind

    def read_then_played(since):
        changes = real(since)
        monkeypatch.setattr(snapshots, "_behind", real)
        monkeypatch.setattr(bulk_records, "read_subjects", lambda _wanted: older)
        finish("0-1")
        return changes

    older = bulk_records.read_subjects([(student.pk, "SUBJ-MATH")])
    monkeypatch.setattr(snapshots, "_behind", read_then_played)
    with monkeypatch.context():
        assert snapshots.sync_pending().synced == 1
    assert StructureProgress.objects.get().passed_lessons == 1
    monkeypatch.undo()
    assert snapshots.sync_pending().synced == 1
    assert StructureProgress.objects.get().passed_lessons == 2


def test_a_chunk_the_database_refuses_is_written_by_the_next_run(finish, monkeypatch):
    finish("0-0")

    def away(*_args, **_kwargs):
        raise OperationalError

    with monkeypatch.context() as patched:
        patched.setattr(write_back, "write_rows", away)
        assert snapshots.sync_pending() == SyncResult(0, 1)
    assert snapshots.sync_pending() == SyncResult(1, 0)


def test_a_snapshot_is_never_replaced_by_an_older_one(student, finish, monkeypatch):
    finish("0-0")
    older = bulk_records.read_subjects([(student.pk, "SUBJ-MATH")])
    changes = snapshots._behind(None)
    finish("0-1")
    assert snapshots.sync_pending().synced == 1
    monkeypatch.setattr(bulk_records, "read_subjects", lambda _wanted: older)
    snapshots._write(changes)
    row = StructureProgress.objects.get()
    assert (row.seq, row.passed_lessons) == (2, 2)


@pytest.mark.parametrize("lost", ["all", "best_hearts", "redis"])
def test_where_redis_lacks_it_the_ledger_is_written_back(
    student, finish, redis_client, settings, lost
):
    finish("0-0")
    if lost == "all":
        redis_client.flushdb()
    elif lost == "redis":
        settings.REDIS_URL = "unix:///nowhere/redis.sock"
    else:
        redis_client.delete(f"best_hearts:{{{student.pk}}}:SUBJ-MATH")
    assert snapshots.sync_pending().synced == 1
    assert StructureProgress.objects.get().best_hearts == {"0": 5}


def test_an_erased_player_gets_no_snapshot(student, finish):
    finish("0-0")
    PlayerProfile.objects.filter(pk=student.pk).update(erased_at=MONDAY)
    assert snapshots.sync_pending() == SyncResult(0, 0)
    assert not StructureProgress.objects.exists()


@pytest.mark.parametrize("players", [1, 120])
def test_a_chunk_is_a_fixed_number_of_statements(
    plan, players, django_assert_num_queries
):
    users = User.objects.bulk_create(
        User(email=f"s{n}@example.com") for n in range(players)
    )
    made = PlayerProfile.objects.bulk_create(PlayerProfile(user=one) for one in users)
    InteractionLog.objects.bulk_create(
        InteractionLog(
            player=one,
            seq=1,
            event_id="e",
            type=InteractionType.LESSON_COMPLETED,
            reference_id="LES-1",
            subject_id="SUBJ-MATH",
            bit_index=3,
            hearts=4,
            best_hearts=4,
            xp=28,
            occurred_at=MONDAY,
            received_at=MONDAY,
        )
        for one in made
    )
    # The last run; what is behind; what Redis lacks, from the ledger; one INSERT
    # (SQLite: savepoint, the players, INSERT … ON CONFLICT, release); at last the run
    # itself.
    with django_assert_num_queries(5 if connection.vendor == "mysql" else 8):
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
