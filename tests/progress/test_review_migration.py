"""Moving the ledger's rows of reviews to the log of ratings."""

from datetime import UTC, datetime, timedelta
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from core import statement_guard
from progress import scheduler
from progress.models import ReviewRating
from tests.progress.conftest import MONDAY

pytestmark = pytest.mark.django_db(transaction=True)

BEFORE = [("progress", "0004_review_ratings")]
MOVING = "progress.migrations.0005_move_review_rows"


def cards() -> Any:
    """The cards as of the move."""
    loader = MigrationExecutor(connection).loader
    state = loader.project_state([("progress", "0005_move_review_rows")])
    return state.apps.get_model("progress", "ReviewCard").objects


def at(**after: float) -> datetime:
    return MONDAY + timedelta(**after)


@pytest.fixture
def old(student):
    """The models as of before the move; afterwards the newest again."""
    executor = MigrationExecutor(connection)
    newest = executor.loader.graph.leaf_nodes()
    executor.migrate(BEFORE)
    yield executor.loader.project_state(BEFORE).apps
    executor = MigrationExecutor(connection)
    executor.migrate(newest)


@pytest.fixture
def ledger(old, student):
    """Return a function that adds a row of the ledger as the code before wrote it."""

    def add(**fields) -> None:
        values = {"player_id": student.pk, "subject_id": "SUBJ-MATH", "data": {}}
        old.get_model("progress", "InteractionLog").objects.create(**values | fields)

    return add


@pytest.fixture
def card(old, student):
    """Return a function that adds a card as the code before wrote it."""
    unknown = import_module("progress.migrations.0004_review_ratings").UNKNOWN

    def add(item_id: str, *, lesson_id: str = "LES-A") -> None:
        memory = scheduler.met(MONDAY)
        old.get_model("progress", "ReviewCard").objects.create(
            player_id=student.pk,
            item_id=item_id,
            lesson_id=lesson_id,
            subject_id="SUBJ-MATH",
            met_at=unknown,
            state={"stability": 100, "of": "the code before"},
            due_at=memory.due_at,
        )

    return add


def review(item_id: str, rating: int, created_at: datetime, **fields) -> dict:
    said = fields.pop("reviewed_at", None)
    data = {
        "lesson_id": "LES-A",
        "rating": rating,
        "reviewed_at": said and said.isoformat(),
    }
    return {
        "type": "review",
        "reference_id": item_id,
        "day": created_at.date(),
        "created_at": created_at,
        "data": data | fields.pop("data", {}),
        **fields,
    }


def migrate() -> None:
    executor = MigrationExecutor(connection)
    executor.migrate([("progress", "0005_move_review_rows")])


@pytest.fixture
def history(ledger, card):
    """A completion, four answers to one item, and one to another."""
    ledger(
        type="lesson_completed",
        reference_id="LES-A",
        first_of="LES-A",
        bit_index=0,
        hearts=5,
        xp=35,
        day=MONDAY.date(),
        created_at=MONDAY,
    )
    card("ONE")
    card("TWO")
    key = {"idempotency_key": "k" * 64}
    batch = {"fingerprint": "f", "answer": {"accepted": 2, "reviews": []}}
    ledger(**review("ONE", 3, at(days=4), reviewed_at=at(days=4), data=batch, **key))
    ledger(**review("TWO", 1, at(days=4), reviewed_at=at(days=99)))
    ledger(**review("ONE", 2, at(days=5), reviewed_at=at(days=1)))
    ledger(**review("ONE", 4, at(days=6), reviewed_at=datetime(1970, 1, 1, tzinfo=UTC)))
    ledger(**review("ONE", 1, at(days=7)))
    # What is left of the reviews of an erased student.
    ledger(type="review", reference_id="ONE", created_at=MONDAY)


def assert_moved(old) -> None:
    log = ReviewRating.objects.order_by("position")
    assert list(
        log.values_list("position", "item_id", "rating", "reviewed_at", "received_at")
    ) == [
        (1, "ONE", 3, at(days=4), at(days=4)),
        (2, "TWO", 1, at(days=4), at(days=4)),
        (3, "ONE", 2, at(days=1), at(days=5)),
        (4, "ONE", 4, MONDAY, at(days=6)),
        (5, "ONE", 1, at(days=7), at(days=7)),
    ]
    # These columns only: the table lacks those that were added later.
    first = log.only("idempotency_key", "batch")[0]
    assert first.idempotency_key == "k" * 64
    assert first.batch == {
        "fingerprint": "f",
        "response": {"accepted": 2, "reviews": []},
    }
    one = cards().get(item_id="ONE")
    expected = scheduler.replay(
        MONDAY,
        [(MONDAY, 4), (at(days=1), 2), (at(days=4), 3), (at(days=7), 1)],
    )
    assert one.met_at == MONDAY
    assert (one.state, one.due_at) == (expected.state, expected.due_at)
    assert one.last_reviewed_at == at(days=7)
    rows = old.get_model("progress", "InteractionLog").objects
    assert list(rows.values_list("type", flat=True)) == ["lesson_completed"]


def test_rows_become_ratings_and_cards_those_of_their_ratings(old, history):
    migrate()
    assert_moved(old)


@pytest.mark.parametrize("stops_at", [0, 1, 2, 3])
def test_an_interrupted_move_continues(old, history, monkeypatch, stops_at):
    moving = import_module(MOVING)
    monkeypatch.setattr(moving, "ROWS", 2)
    monkeypatch.setattr(moving, "CARDS", 1)
    compute = moving._compute
    left = [stops_at]

    def stop(*args) -> None:
        compute(*args)
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1

    monkeypatch.setattr(moving, "_compute", stop)
    schema_editor = SimpleNamespace(connection=connection)
    moving.date_cards(old, schema_editor)
    try:
        with statement_guard.rewriting():  # as in a migration
            moving.move_rows(old, schema_editor)
    except KeyboardInterrupt:
        monkeypatch.setattr(moving, "_compute", compute)
        migrate()
    assert_moved(old)


def test_a_rating_without_a_card_or_a_completion_is_kept(old, ledger, card):
    card("OLD", lesson_id="LES-GONE")
    ledger(**review("LOST", 3, at(days=2), reviewed_at=at(days=1)))
    migrate()
    assert cards().get(item_id="OLD").met_at == MONDAY  # its due time
    found = cards().get(item_id="LOST")
    assert found.met_at == found.last_reviewed_at == at(days=2)
    assert found.ratings.count() == 1
