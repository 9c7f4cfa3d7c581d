"""The registrar's tasks. Each may run any number of times, in several workers at once."""

from collections.abc import Iterable

import structlog
from celery import shared_task
from kombu.exceptions import OperationalError

from registrar import sources
from registrar.inbox import processing, retention

log = structlog.get_logger(__name__)

_MAX_ROUNDS = 50
"""Batches of one run: the next run of the periodic task goes on."""


@shared_task(name="registrar.tasks.process_inbox", ignore_result=True)
def process_inbox() -> None:
    """Process all due hints. Every 15 seconds: what no other task has processed."""
    source = sources.current()
    if source is None:
        return
    for _round in range(_MAX_ROUNDS):
        if not processing.process(source=source).tried:
            return


@shared_task(name="registrar.tasks.process_record", ignore_result=True)
def process_record(module: str, record_id: str) -> None:
    """Process the hints of one record, and of the parents that it lacks."""
    source = sources.current()
    if source is None:
        return
    todo = [(module, record_id)]
    while todo:
        record = todo.pop()
        while (found := processing.process(source=source, record=record)).tried:
            todo += found.parents


@shared_task(name="registrar.tasks.prune_inbox", ignore_result=True)
def prune_inbox() -> None:
    """Delete old deliveries. Every hour."""
    retention.prune()


def enqueue_records(records: Iterable[tuple[str, str]]) -> None:
    """Start `process_record` for each record.

    While the broker is away nothing is started: the periodic task does the work.
    """
    try:
        for module, record_id in records:
            process_record.delay(module, record_id)
    except OperationalError:
        log.warning("registrar_broker_away")
