"""Redis that fails in the middle of a request changes the answer of no such request.

Sign-in and sign-out are the exception; `tests/players/test_authentication.py` has them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from core import redis_client as connections
from players import keys, records
from players.player_state import SubjectProgress, WalletState
from progress.models import InteractionLog
from tests.progress.services.test_completion import expire_writes, shown, truth

pytestmark = pytest.mark.django_db

COMPLETE = "lessons/LES-MATH-0-0/complete/"
RATING = {"item_id": "Q1-MATH-0-0", "lesson_id": "LES-MATH-0-0", "rating": 3}
REQUESTS: dict[str, Any] = {
    COMPLETE: {"hearts": 5},
    "reviews/": {"reviews": [RATING]},
    "reviews/due/": None,
    "progress/SUBJ-MATH/": None,
    "progress/": None,
    "wallet/": None,
    "content/": None,
    "content/lessons/LES-MATH-0-0/": None,
    "devices/check/": None,
    "me/": None,
    "auth/session/": None,
}
_MOST_CALLS = 12


class Redis:
    """Lets calls of Redis fail; ``calls`` counts those of the last request."""

    def __init__(self) -> None:
        self.calls = 0
        self.fails: Callable[[int], bool] = lambda _call: False

    @contextmanager
    def failing(self, fails: Callable[[int], bool]) -> Iterator[None]:
        self.calls, self.fails = 0, fails
        yield
        self.fails = lambda _call: False


@pytest.fixture
def redis(monkeypatch) -> Redis:
    made = Redis()
    real = connections._Guard.__enter__

    def enter(guard):
        number, made.calls = made.calls, made.calls + 1
        if made.fails(number):
            raise RedisConnectionError
        return real(guard)

    monkeypatch.setattr(connections._Guard, "__enter__", enter)
    return made


def warm(_student, _redis_client) -> None:
    pass


def cold(_student, redis_client) -> None:
    redis_client.flushdb()


def without_subject(student, redis_client) -> None:
    redis_client.delete(*keys.subject(student.pk, "SUBJ-MATH"))


def ahead(student, _redis_client) -> None:
    """The database was restored from a backup and has fewer rows than Redis knows."""
    records.forget_player(student.pk, ["SUBJ-MATH"])
    records.create(student.pk, wallet=WalletState(seq=99, total_xp=7))


def ahead_with_subject(student, redis_client) -> None:
    ahead(student, redis_client)
    records.create(
        student.pk,
        wallet=WalletState(seq=99, total_xp=7),
        subjects={"SUBJ-MATH": SubjectProgress()},
    )


def cases() -> Iterator[Any]:
    """Each request with the states of Redis that it can meet."""
    for path in REQUESTS:
        yield from ((path, warm), (path, cold))
    for path in (COMPLETE, "progress/SUBJ-MATH/"):
        for prepare in (without_subject, ahead, ahead_with_subject):
            yield path, prepare


@pytest.mark.parametrize(("path", "prepare"), list(cases()))
@pytest.mark.parametrize("is_lasting", [True, False], ids=["for good", "once"])
def test_redis_that_fails_at_any_call_of_a_request_is_not_in_its_answer(
    phone, student, redis, redis_client, settings, path, prepare, is_lasting
):
    """A call of Redis after the commit must not turn a recorded completion into 503."""
    settings.RATE_LIMITS = {"default": (1_000, 60)}
    phone.post(COMPLETE, {"hearts": 3})
    phone.post("reviews/", {"reviews": [RATING]})
    for first in range(_MOST_CALLS):
        prepare(student, redis_client)
        rows = InteractionLog.objects.count()
        with redis.failing(
            lambda call, n=first: call >= n if is_lasting else call == n
        ):
            body = REQUESTS[path]
            answer = phone.get(path) if body is None else phone.post(path, body)
        assert answer.status_code == 200, (first, answer.json())
        assert InteractionLog.objects.count() == rows + (path == COMPLETE)
        if redis.calls <= first:
            break
    else:
        pytest.fail(f"more than {_MOST_CALLS} calls of Redis")
    if prepare in (ahead, ahead_with_subject):
        records.forget_player(student.pk, ["SUBJ-MATH"])  # as reconciliation does
    expire_writes(redis_client)
    assert shown(student) == truth(student)
