"""One player on several threads: real connections, real races."""

import random
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.db.models import Sum
from django.utils import timezone

from content.models import LessonStage
from core.time_budget import STUDENT_REQUEST
from players import records, wallet_sync
from players.models import User
from players.records import Wanted
from players.services import wallet
from progress import scheduler
from progress.errors import InvalidCorrectionError, NotUnlockedError
from progress.models import (
    InteractionLog,
    ReviewCard,
    ReviewRating,
    ReviewWatermark,
)
from progress.services import (
    comparison,
    completion,
    grants,
    ledger,
    reconciliation,
    review_cards,
    reviews,
    snapshots,
    writing,
)
from progress.services.grants import Change
from progress.services.reviews import Rating
from tests.progress.conftest import MONDAY, publish

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.mariadb,
]


def at_once(*actions: Callable[[], object]) -> list[object]:
    """Run all actions in threads started together; return results or errors."""
    start = threading.Barrier(len(actions))
    results: list[object] = [None] * len(actions)

    def run(index: int, action: Callable[[], object]) -> None:
        try:
            start.wait()
            results[index] = action()
        except Exception as error:  # noqa: BLE001 - the test looks at it
            results[index] = error
        finally:
            connection.close()

    threads = [
        threading.Thread(target=run, args=(index, action))
        for index, action in enumerate(actions)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def completed(results: list[object]) -> list[completion.CompletionResult]:
    for result in results:
        if isinstance(result, Exception):
            raise result
    return results


def assert_consistent(student) -> None:
    held = wallet.get(student.pk)
    seq, progress = writing.read_subject(student.pk, "SUBJ-MATH")
    assert held == ledger.wallet_of(student.pk)
    assert seq == held.seq == InteractionLog.objects.count()
    assert (
        progress
        == ledger.subjects_of_player(student.pk, ["SUBJ-MATH"], seq)["SUBJ-MATH"]
    )
    total = InteractionLog.objects.aggregate(total=Sum("xp"))["total"]
    assert held.total_xp == progress.xp == total


@pytest.mark.parametrize("warm", [True, False])
def test_a_race_pays_the_first_and_the_record_once(student, finish, redis_client, warm):
    for place in ("0-0", "0-1", "1-0", "1-1"):
        if not warm:
            redis_client.flushdb()
        results = completed(at_once(*[lambda p=place: finish(p)] * 6))
        assert sum(result.is_first_completion for result in results) == 1
        assert sum(result.is_new_record for result in results) == 1
        # One repeat a day is paid.
        assert sorted(result.xp_earned for result in results) == [0] * 4 + [20, 35]
        assert_consistent(student)


def test_a_race_of_different_hearts_pays_each_record_at_most_once(student, finish):
    results = completed(
        at_once(*[lambda h=h: finish("0-0", h) for h in (1, 2, 3, 4, 5, 1, 3, 5)])
    )
    assert sum(result.is_first_completion for result in results) == 1
    records = sorted((row.seq, row.hearts) for row in InteractionLog.objects.all())
    best, paid = 0, 0
    for _seq, hearts in records:
        paid += hearts > best
        best = max(best, hearts)
    assert sum(result.is_new_record for result in results) == paid
    assert_consistent(student)


def test_a_race_of_one_request_is_answered_once(student, finish):
    results = completed(at_once(*[lambda: finish("0-0", key="one")] * 6))
    assert len({repr(result) for result in results}) == 1
    assert InteractionLog.objects.count() == 1
    assert_consistent(student)


@pytest.mark.parametrize("seed", range(4))
def test_grants_resets_and_completions_at_once_are_decided_one_after_another(
    student, finish, redis_client, seed
):
    staff = User.objects.create_user(email="staff@example.com", is_staff=True)

    def correct(change: Change, node: str, hearts: int = 5) -> None:
        with suppress(InvalidCorrectionError):
            grants.apply(
                player_id=student.pk,
                node_id=node,
                change=change,
                hearts=hearts,
                reason="Moved",
                actor_id=staff.pk,
                now=MONDAY,
            )

    def play(chance: random.Random) -> None:
        for _time in range(8):
            with suppress(NotUnlockedError):
                finish(chance.choice(["0-0", "0-1"]), chance.randint(1, 5))

    def help_out(chance: random.Random) -> None:
        for _time in range(5):
            node = chance.choice(["UNIT-MATH-0", "LES-MATH-0-0", "LES-MATH-0-1"])
            correct(chance.choice(list(Change)), node, chance.randint(1, 5))

    completed(
        at_once(
            *[lambda n=n: play(random.Random(seed * 9 + n)) for n in range(2)],
            *[lambda n=n: help_out(random.Random(seed * 9 + n)) for n in (3, 4)],
        )
    )
    assert_consistent(student)
    paid: Counter[str] = Counter()
    most: dict[str, int] = {}
    for row in InteractionLog.objects.filter(type="lesson_completed").order_by("seq"):
        answer = row.data["answer"]
        paid[row.reference_id] += answer["is_first_completion"]
        if answer["is_new_record"]:
            assert row.hearts > most.get(row.reference_id, 0)
        most[row.reference_id] = max(most.get(row.reference_id, 0), row.hearts)
    assert set(paid.values()) <= {1}
    assert comparison.compare([student.pk]).differences == []


def test_completing_many_lessons_while_redis_is_emptied_again_and_again(
    student, finish, redis_client
):
    for place in ("0-0", "0-1", "1-0", "1-1"):
        finish(place, 1)
    stop = threading.Event()

    def empty() -> None:
        while not stop.is_set():
            redis_client.flushdb()
            stop.wait(0.003)

    def play(place: str) -> None:
        for hearts in (2, 3, 1, 5, 4, 5, 2, 5):
            finish(place, hearts)

    def look() -> None:
        for _time in range(20):
            wallet.get(student.pk)
            writing.read_subject(student.pk, "SUBJ-MATH")

    vandal = threading.Thread(target=empty)
    vandal.start()
    try:
        results = at_once(
            *[lambda p=p: play(p) for p in ("0-0", "0-1", "1-0", "1-1")], look, look
        )
    finally:
        stop.set()
        vandal.join()
    completed(results)
    assert InteractionLog.objects.count() == 4 + 4 * 8
    answers = [
        row.data["answer"]["is_new_record"] for row in InteractionLog.objects.all()
    ]
    assert sum(answers) == 4 * 4  # 1, 2, 3, 5 of each lesson
    assert_consistent(student)


def test_readers_that_rebuild_never_undo_a_write(student, finish, redis_client):
    """Readers read the ledger before a write adds its row, and store it afterwards."""
    finish("0-0", 1)

    def forget_and_look() -> None:
        for _time in range(25):
            redis_client.delete(
                f"wallet:{{{student.pk}}}", f"user_prog:{{{student.pk}}}:SUBJ-MATH"
            )
            wallet.get(student.pk)
            writing.read_subject(student.pk, "SUBJ-MATH")

    def play() -> None:
        for _time in range(25):
            finish("0-0", 1)

    completed(at_once(play, forget_and_look, play, forget_and_look))
    assert InteractionLog.objects.count() == 51
    assert_consistent(student)
    found = records.look(student.pk, Wanted(wallet=True, subject_ids=("SUBJ-MATH",)))
    assert set(found.subjects) == {"SUBJ-MATH"}


def test_a_correction_and_completions_at_once_all_count(student, finish):
    finish("0-0")

    def correct() -> None:
        wallet.correct(
            player_id=student.pk,
            xp=10,
            reason="test",
            actor_id=student.user_id,
            now=MONDAY,
        )

    completed(at_once(*[lambda: finish("0-0")] * 4, *[correct] * 4))
    # One repeat a day is paid.
    assert wallet.get(student.pk).total_xp == 35 + 20 + 4 * 10
    assert wallet.get(student.pk) == ledger.wallet_of(student.pk)


@pytest.mark.parametrize(
    ("sync", "module"),
    [
        (snapshots.sync_pending, snapshots),
        (wallet_sync.sync_pending_wallets, wallet_sync),
    ],
)
def test_completions_do_not_wait_for_a_worker_that_stalls_while_it_writes_back(
    student, finish, monkeypatch, sync, module
):
    finish("0-0")
    writes, goes_on = threading.Event(), threading.Event()
    real = module._write

    def stall(changes) -> int:
        with transaction.atomic():
            written = real(changes)
            writes.set()
            goes_on.wait(20)
        return written

    monkeypatch.setattr(module, "_write", stall)

    def play() -> None:
        assert writes.wait(10)
        try:
            with STUDENT_REQUEST:
                finish("0-1")
        finally:
            goes_on.set()

    completed(at_once(lambda: sync(force=True), play))
    assert_consistent(student)


def test_a_player_who_completes_lessons_at_the_same_time_differs_in_nothing(student):
    done = threading.Event()
    errors: list[Exception] = []

    def play() -> None:
        try:
            for place in ("0-0", "0-1", "1-0", "1-1"):
                for hearts in (1, 2, 3, 4, 5):
                    completion.complete(
                        player_id=student.pk,
                        lesson_id=f"LES-MATH-{place}",
                        hearts=hearts,
                        idempotency_key=None,
                        now=timezone.now(),
                    )
        except Exception as error:  # noqa: BLE001 - the test looks at it
            errors.append(error)
        finally:
            done.set()
            connection.close()

    thread = threading.Thread(target=play)
    thread.start()
    runs = 0
    while not done.is_set() or not runs:
        assert reconciliation.reconcile([student.pk]).found == []
        wallet_sync.sync_pending_wallets()
        snapshots.sync_pending()
        runs += 1
    thread.join()
    assert not errors
    assert ledger.head(student.pk) == 20
    assert reconciliation.reconcile([student.pk], repair=True).found == []


def answer(
    student, *items: str, key: str | None = None, minutes: int = 0, rating: int = 3
) -> object:
    return reviews.submit(
        player_id=student.pk,
        ratings=[
            Rating(
                item,
                f"LES-MATH-{item[-3:]}",
                rating,
                reviewed_at=MONDAY + timedelta(minutes=minutes),
            )
            for item in items
        ],
        idempotency_key=key,
        now=MONDAY + timedelta(days=1),
    )


def test_a_race_of_one_batch_of_reviews_counts_once(student, finish):
    finish("0-0")
    results = completed(
        at_once(*[lambda: answer(student, "Q1-MATH-0-0", key="one")] * 4)
    )
    assert len({repr(result) for result in results}) == 1
    assert ReviewCard.objects.count() == 2
    assert ReviewRating.objects.count() == 1


def test_overlapping_batches_of_one_player_are_all_recorded(student, finish):
    """Some were answered with 503, because a deadlock was not tried again.

    As from a phone that was offline: many batches, each with the same cards.
    """
    finish("0-0")
    finish("0-1")
    items = ["Q1-MATH-0-0", "Q2-MATH-0-0", "Q1-MATH-0-1", "Q2-MATH-0-1"]

    def send(number: int) -> None:
        for again in range(12):
            mixed = items[number % 4 :] + items[: number % 4]
            answer(
                student,
                *mixed[:3],
                key=f"{number}-{again}",
                minutes=1 + 13 * again + number,
                rating=1 + (number + again) % 4,
            )

    completed(at_once(*[lambda n=n: send(n) for n in range(8)]))
    positions = ReviewRating.objects.order_by("position")
    assert list(positions.values_list("position", flat=True)) == list(
        range(1, 8 * 12 * 3 + 1)
    )
    for card in ReviewCard.objects.all():
        history = card.ratings.order_by("reviewed_at", "position")
        expected = scheduler.replay(
            card.met_at,
            history.values_list("reviewed_at", "rating"),
        )
        assert (card.state, card.due_at) == (expected.state, expected.due_at)


def test_batches_completions_and_readers_of_one_player_at_once(student, finish):
    finish("0-0")

    def read() -> None:
        for _time in range(10):
            reviews.overview(player_id=student.pk, now=MONDAY)

    def send(number: int) -> None:
        for again in range(10):
            answer(student, "Q1-MATH-0-0", minutes=100 * number + again)

    completed(
        at_once(
            *[lambda n=n: send(n) for n in range(3)],
            *[lambda p=p: finish(p) for p in ("0-0", "0-0")],
            read,
            read,
        )
    )
    finish("0-1")
    assert reviews.overview(player_id=student.pk, now=MONDAY).total == 4
    assert ReviewRating.objects.count() == 30


def test_readers_of_one_player_meet_each_item_once(plan, student, finish):
    """Some completions need cards, others only move the watermark."""
    LessonStage.objects.get(public_id="STG-MATH-0-1").delete()
    publish(plan)
    reviews.overview(player_id=student.pk, now=MONDAY)

    def read() -> None:
        for _time in range(20):
            reviews.overview(player_id=student.pk, now=MONDAY)

    def play() -> None:
        for place in ("0-0", "0-1", "0-1", "1-0", "0-0", "1-1"):
            finish(place)

    completed(at_once(play, read, read, read))
    assert reviews.overview(player_id=student.pk, now=MONDAY).total == 6
    assert ReviewCard.objects.count() == 6
    mark = ReviewWatermark.objects.get()
    assert mark.ledger_position == ledger.head(student.pk) == 6


def test_a_position_taken_meanwhile_is_decided_again(student, finish, monkeypatch):
    """Without the lock on the player, the log itself refuses the second batch."""
    finish("0-0")
    answer(student, "Q1-MATH-0-0")
    monkeypatch.setattr(review_cards, "lock", lambda _player_id: None)
    completed(
        at_once(
            *[
                lambda n=n: answer(student, "Q1-MATH-0-0", key=str(n), minutes=n)
                for n in range(4)
            ]
        )
    )
    assert set(ReviewRating.objects.values_list("position", flat=True)) == {
        *range(1, 6)
    }
    card = ReviewCard.objects.get(item_id="Q1-MATH-0-0")
    assert card.last_reviewed_at == MONDAY + timedelta(minutes=3)
