"""Writers and readers that stop or stall at the wrong moment leave nothing old."""

from collections.abc import Callable

import pytest
import time_machine

from players import records, wallet_sync
from players.models import PlayerWallet
from players.records import Wanted
from players.services import wallet
from progress.models import StructureProgress
from progress.services import ledger, snapshots, writing
from tests.progress.conftest import MONDAY
from tests.progress.services.test_completion import (
    Killed,
    die,
    expire_writes,
    shown,
    truth,
)

pytestmark = pytest.mark.django_db
SUBJECT = "SUBJ-MATH"
PARTS = ["wallet", "user_prog", "best_hearts", "subject_xp"]
PARTS += ["subject_played", "subject_stamp"]


def name_of(student, part: str) -> str:
    tagged = f"{part}:{{{student.pk}}}"
    return tagged if part == "wallet" else f"{tagged}:{SUBJECT}"


@pytest.fixture
def finish_and_die(finish, monkeypatch) -> Callable[[str], None]:
    """Complete a lesson in a process that is killed after the commit."""

    def finish_and_die(place: str) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(records, "put", die)
            with pytest.raises(Killed):
                finish(place)

    return finish_and_die


@pytest.mark.parametrize("part", PARTS)
def test_a_write_on_a_record_that_lacks_a_part_leaves_nothing_old_when_it_dies(
    student, finish, finish_and_die, redis_client, part
):
    """The wallet or the progress stayed old for ever, though the app had got a 200.

    Keys that were there when the write began got no life; if others were missing and
    the process died before it stored the new state, nothing corrected them.
    """
    finish("0-0", 3)
    redis_client.delete(name_of(student, part))
    finish_and_die("0-1")
    expire_writes(redis_client)
    assert shown(student) == truth(student)


@pytest.mark.parametrize("part", PARTS)
def test_the_record_of_a_write_that_died_lives_seconds_whatever_was_missing(
    student, finish, finish_and_die, redis_client, part
):
    finish("0-0", 3)
    redis_client.delete(name_of(student, part))
    finish_and_die("0-1")
    assert 0 < redis_client.pttl(name_of(student, "wallet")) <= records.WRITE_MS


def test_a_reader_that_stalls_does_not_put_back_what_a_dead_writer_overtook(
    student, finish, finish_and_die, redis_client
):
    """A reader that stalled for 12 seconds put the state of before into Redis."""
    finish("0-0", 3)
    redis_client.flushdb()
    # It finds nothing, reads the ledger, and stalls.
    found = records.look(student.pk, Wanted(wallet=True, subject_ids=(SUBJECT,)))
    held = ledger.wallet_of(student.pk)
    subject = ledger.subjects_of_player(student.pk, [SUBJECT], held.seq)[SUBJECT]
    finish_and_die("0-1")
    expire_writes(redis_client)
    assert not records.fill(found, wallet=held, subjects={SUBJECT: subject})
    assert shown(student) == truth(student)


def test_a_reader_of_a_subject_that_stalls_does_not_put_it_back_either(
    student, finish, finish_and_die, redis_client
):
    finish("0-0", 3)
    redis_client.delete(name_of(student, "user_prog"))
    found = records.look(student.pk, Wanted(wallet=True, subject_ids=(SUBJECT,)))
    assert found.wallet is not None
    subject = ledger.subjects_of_player(student.pk, [SUBJECT], found.wallet.seq)[
        SUBJECT
    ]
    finish_and_die("0-1")
    expire_writes(redis_client)
    wallet.get(student.pk)
    subjects = {SUBJECT: subject}
    assert not records.fill(found, wallet=found.wallet, subjects=subjects)
    assert shown(student) == truth(student)


@pytest.mark.parametrize("reads", [True, False])
def test_an_insert_that_waited_longer_than_its_record_lives_leaves_nothing_old(
    student, finish, redis_client, monkeypatch, reads
):
    """An INSERT that waited 14 seconds for a lock committed after its mark was gone.

    Its repeat was answered with 200, but wallet and progress lacked it. Meanwhile the
    record expires, and a reader fills it as it was before.
    """
    finish("0-0", 3)
    real = ledger.append

    def wait_for_a_lock(row):
        expire_writes(redis_client)
        if reads:
            wallet.get(student.pk)
            writing.read_subject(student.pk, SUBJECT)
        real(row)

    with monkeypatch.context() as patched:
        patched.setattr(ledger, "append", wait_for_a_lock)
        first = finish("0-1", key="one")
    assert shown(student) == truth(student)
    assert finish("0-1", key="one") == first
    assert shown(student) == truth(student)


def test_a_forced_sync_right_after_a_crash_writes_what_the_ledger_has(
    student, finish, finish_and_die
):
    """It wrote the older value: the record in Redis is there, and lacks the last row."""
    finish("0-0", 3)
    finish_and_die("0-1")
    wallet_sync.sync_pending_wallets(force=True)
    snapshots.sync_pending(force=True)
    held, progress = truth(student)
    written = PlayerWallet.objects.get(player=student)
    assert (written.total_xp, written.seq) == (held.total_xp, held.seq)
    row = StructureProgress.objects.get(player=student)
    assert (row.total_xp_earned, row.passed_lessons, row.seq) == (progress.xp, 2, 2)


def test_what_was_to_be_written_back_is_written_though_redis_was_emptied(
    student, finish, redis_client
):
    """What was to be written back was a set in Redis, and was lost with it."""
    with time_machine.travel(MONDAY):
        # The first run looks at everyone, the next ones at what is new.
        wallet_sync.sync_pending_wallets()
        snapshots.sync_pending()
        finish("0-0", 3)
        redis_client.flushdb()
        wallet_sync.sync_pending_wallets()
        snapshots.sync_pending()
    assert PlayerWallet.objects.get(player=student).total_xp == 31
    assert StructureProgress.objects.get(player=student).total_xp_earned == 31
