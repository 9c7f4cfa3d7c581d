"""Numbering the rows of a ledger that has no positions yet."""

from datetime import timedelta
from importlib import import_module

import pytest
from django.apps import apps
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from core import statement_guard
from progress.models import InteractionLog
from tests.progress.conftest import MONDAY, enrolled

pytestmark = pytest.mark.django_db(transaction=True)

BEFORE = [("progress", "0006_ledger_positions")]


@pytest.fixture
def old(student):
    """The models before the numbering; afterwards the newest again."""
    executor = MigrationExecutor(connection)
    newest = executor.loader.graph.leaf_nodes()
    executor.migrate(BEFORE)
    yield executor.loader.project_state(BEFORE).apps
    executor = MigrationExecutor(connection)
    executor.migrate(newest)


@pytest.fixture
def number(old):
    """Return a function that runs the numbering."""
    migration = import_module("progress.migrations.0007_number_ledger")
    editor = connection.schema_editor(atomic=False)

    def run():
        with statement_guard.rewriting():  # as within every migration
            migration.number_rows(old, editor)

    return run


def add(old, player_id: int, lesson: str, **fields) -> None:
    values = {
        "type": "lesson_completed",
        "reference_id": lesson,
        "hearts": 3,
        "data": {},
        "received_at": MONDAY,
    }
    old.get_model("progress", "InteractionLog").objects.create(
        player_id=player_id, **values | fields
    )


def test_rows_are_numbered_by_time_and_id_for_each_player(plan, student, old, number):
    add(old, student.pk, "LATE", received_at=MONDAY + timedelta(days=1))
    add(old, student.pk, "A", event_id="key")
    add(old, student.pk, "B", type="lesson_failed", hearts=0)
    number()
    rows = old.get_model("progress", "InteractionLog").objects.order_by("seq")
    found = list(rows.values_list("seq", "reference_id", "best_hearts", "occurred_at"))
    assert found == [
        (1, "A", 3, MONDAY),
        (2, "B", None, MONDAY),
        (3, "LATE", 3, MONDAY + timedelta(days=1)),
    ]
    assert rows[0].event_id == "key"
    assert len({row.event_id for row in rows}) == 3


def test_an_interrupted_numbering_goes_on(plan, student, old, number, monkeypatch):
    other = enrolled(plan, "badr@example.com")
    for player in (student, other):
        for lesson in "ABC":
            add(old, player.pk, lesson)
    migration = import_module("progress.migrations.0007_number_ledger")
    monkeypatch.setattr(migration, "PLAYERS", 1)
    calls = []

    def killed_at_the_second(execute, sql, *rest):
        calls.append(sql)
        if sum("UPDATE" in one for one in calls) == 2:
            raise KeyboardInterrupt
        return execute(sql, *rest)

    with (
        connection.execute_wrapper(killed_at_the_second),
        pytest.raises(KeyboardInterrupt),
    ):
        number()
    model = old.get_model("progress", "InteractionLog")
    assert model.objects.filter(seq=None).count() == 3
    number()
    for player in (student, other):
        rows = model.objects.filter(player_id=player.pk).order_by("pk")
        assert list(rows.values_list("seq", flat=True)) == [1, 2, 3]


def test_the_newest_model_needs_every_position():
    """The last migration makes positions, event ids and times obligatory."""
    field = apps.get_model("progress", "InteractionLog")._meta.get_field
    assert not any(field(name).null for name in ("seq", "event_id", "occurred_at"))
    assert not InteractionLog.objects.exists()
