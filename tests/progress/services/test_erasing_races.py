"""A student completes lessons while being erased: real connections, real races."""

import threading
import time

import pytest
from django.db import (
    connection,  # noqa: F401 - asked by the mark
    models,
    transaction,
)
from django.utils import timezone

from players import wallet_sync
from players.models import Erasure, PlayerProfile, PlayerWallet
from players.services import erasure
from progress.models import InteractionLog, ReviewCard, StructureProgress
from progress.services import snapshots
from tests.progress.services.test_concurrency import at_once

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.mariadb,
]


@pytest.mark.parametrize("way", erasure.LEDGERS)
@pytest.mark.parametrize("place", ["0-0", "0-1"])
def test_what_is_learnt_meanwhile_does_not_come_back(
    student, finish, settings, redis_client, way, place
):
    settings.ERASED_LEDGER = way
    finish("0-0")
    now = timezone.now()
    *_others, result = at_once(
        *[lambda: finish(place)] * 4,
        wallet_sync.sync_pending_wallets,
        snapshots.sync_pending,
        lambda: erasure.erase(player_id=student.pk, now=now),
    )
    assert isinstance(result, Erasure), result
    assert erasure.finish_all(now=now + erasure.LATE_WRITES) == 0
    wallet_sync.sync_pending_wallets()
    snapshots.sync_pending()
    for model in (PlayerWallet, StructureProgress, ReviewCard):
        assert not models.QuerySet(model).filter(player_id=student.pk).exists()
    tag = f"{{{student.pk}}}".encode()
    assert [key for key in redis_client.scan_iter() if tag in key] == []
    rows = InteractionLog.objects.filter(player_id=student.pk)
    if way == "delete":
        assert not PlayerProfile.objects.filter(pk=student.pk).exists()
        assert not rows.exists()
    assert not rows.exclude(data={}).exists()


@pytest.mark.parametrize(
    ("module", "changes", "model"),
    [
        (wallet_sync, lambda pk: [(pk, 1)], PlayerWallet),
        (
            snapshots,
            lambda pk: [snapshots.Change(pk, "SUBJ-MATH", 1)],
            StructureProgress,
        ),
    ],
)
def test_a_write_back_waits_for_an_erasure_and_leaves_the_player_out(
    student, finish, module, changes, model
):
    finish("0-0")
    rows = models.QuerySet(model).filter(player_id=student.pk)
    is_marked, has_read = threading.Event(), threading.Event()

    def erase() -> float:
        with transaction.atomic():
            PlayerProfile.objects.filter(pk=student.pk).update(erased_at=timezone.now())
            rows.delete()
            is_marked.set()
            assert has_read.wait(10)
            time.sleep(0.3)  # the write-back waits for the lock
            return time.monotonic()

    def write() -> tuple[int, float]:
        assert is_marked.wait(10)
        found = module._current(changes(student.pk))
        assert found
        has_read.set()
        return module._write(changes(student.pk)), time.monotonic()

    erased, (written, ended) = at_once(erase, write)
    assert written == 0
    assert ended >= erased
    assert not rows.exists()


@pytest.mark.parametrize("warm", [True, False])
def test_a_player_deleted_while_playing_is_refused_and_leaves_no_key(
    phone, student, redis_client, settings, warm
):
    """The deletion failed (IntegrityError), or keys without a life were left behind."""
    settings.RATE_LIMITS = {"default": (1_000, 60)}
    path, pk = "lessons/LES-MATH-0-0/complete/", student.pk
    if warm:
        phone.post(path, {"hearts": 5})
    answers = []

    def play() -> None:
        for _time in range(20):
            answers.append(phone.post(path, {"hearts": 3}))
            answers.append(phone.get("wallet/"))

    *_players, result = at_once(*[play] * 4, student.user.delete)
    assert not isinstance(result, Exception), result
    refused = {
        (answer.status_code, answer.json().get("error_code"))
        for answer in answers
        if answer.status_code != 200
    }
    assert refused == {(401, "SESSION_UNKNOWN")}
    assert phone.get("wallet/").status_code == 401
    assert not models.QuerySet(InteractionLog).filter(player_id=pk).exists()
    left = [
        key
        for key in redis_client.scan_iter(match=f"*{{{pk}}}*")
        if not key.startswith((b"rate_limit:", b"active_session:"))
    ]
    assert left == []
    for key in redis_client.scan_iter(match=f"*{{{pk}}}*"):
        assert redis_client.pttl(key) > 0, key
