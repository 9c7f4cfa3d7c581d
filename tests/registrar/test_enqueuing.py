"""Tasks are started once, however often they are asked for."""

import pytest
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from registrar import enqueuing, tasks


@pytest.fixture
def started(monkeypatch, redis_client) -> list[str]:
    """The names of the tasks that were put into the queue, and have not begun."""
    names: list[str] = []
    for task in (tasks.process_inbox, tasks.run_effects):
        monkeypatch.setattr(task, "delay", lambda name=task.name: names.append(name))
    return names


def test_a_burst_of_deliveries_starts_one_task(started):
    for _delivery in range(5):
        enqueuing.enqueue(tasks.process_inbox)
    assert started == ["registrar.tasks.process_inbox"]
    enqueuing.enqueue(tasks.run_effects)
    assert len(started) == 2


def test_what_comes_while_a_task_runs_starts_the_next(db, started):
    enqueuing.enqueue(tasks.process_inbox)
    tasks.process_inbox()
    enqueuing.enqueue(tasks.process_inbox)
    assert len(started) == 2


def test_while_the_broker_is_away_nothing_is_started(monkeypatch, redis_client):
    def fail():
        raise OperationalError("gone")

    monkeypatch.setattr(tasks.process_inbox, "delay", fail)
    enqueuing.enqueue(tasks.process_inbox)


def test_while_redis_is_away_nothing_is_started(monkeypatch, started):
    def fail(*_args):
        raise RedisError("gone")

    monkeypatch.setattr(enqueuing.cache, "add", fail)
    monkeypatch.setattr(enqueuing.cache, "delete", fail)
    enqueuing.enqueue(tasks.process_inbox)
    assert started == []
    enqueuing.has_begun(tasks.process_inbox)
