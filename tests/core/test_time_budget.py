"""A student's request waits for Redis and the database together, not one by one."""

import time

import pytest

from core import db_limits, redis_client, time_budget
from core.time_budget import STUDENT_REQUEST, WAIT

ANSWER_WITHIN_SECONDS = 4.5


@pytest.mark.parametrize(
    "last_wait",
    [
        db_limits.CONNECT_SECONDS,
        db_limits.STATEMENT_SECONDS,
        db_limits.READ_SECONDS,
        db_limits.SQLITE_LOCK_SECONDS,
        redis_client.TIMEOUT_SECONDS,
    ],
)
def test_the_longest_waits_of_a_request_are_together_within_the_limit(last_wait):
    assert time_budget.BUDGET_SECONDS + last_wait < ANSWER_WITHIN_SECONDS


def test_a_statement_is_ended_by_the_server_before_the_client_gives_up():
    assert db_limits.STATEMENT_SECONDS < db_limits.READ_SECONDS


def test_redis_leaves_time_for_the_database():
    """A request that has waited for Redis in vain is answered from the database."""
    left = time_budget.BUDGET_SECONDS - redis_client.TIMEOUT_SECONDS
    assert left > db_limits.STATEMENT_SECONDS


def test_all_waits_of_a_request_count_and_computing_does_not(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with STUDENT_REQUEST:
        now[0] += 10
        for _wait in range(2):
            assert not time_budget.is_used_up()
            with WAIT:
                now[0] += time_budget.BUDGET_SECONDS - 1
        assert time_budget.is_used_up()
    with STUDENT_REQUEST:
        assert not time_budget.is_used_up()


def test_a_worker_has_no_budget(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with WAIT:
        now[0] += 10
    assert not time_budget.is_used_up()
