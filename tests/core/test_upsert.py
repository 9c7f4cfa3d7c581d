"""Inserting or updating many rows with the SQL of each database."""

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from django.db import DatabaseError, connection

from core import upsert
from players.models import PlayerProfile, PlayerWallet, User
from progress.models import StructureProgress

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
FIELDS = (
    *("player_id", "total_xp", "seq"),
    *("current_streak", "last_success_date", "last_played_at"),
)
PROGRESS = (
    *("player_id", "subject_id", "progress_bitmap", "best_hearts"),
    *("total_xp_earned", "passed_lessons", "last_synced_at", "seq"),
)


@pytest.fixture
def players() -> list[int]:
    """The numbers of three players without a wallet."""
    users = [User.objects.create(email=f"{n}@school.example") for n in range(3)]
    return [PlayerProfile.objects.create(user=user).pk for user in users]


def write(rows, *, fields=FIELDS, model=PlayerWallet, key=("player_id",)) -> int:
    return upsert.upsert_children(
        *(model, fields, rows),
        key=key,
        version="seq",
        parent="player",
        ended="erased_at",
    )


def wallet(player_id: int, xp: int, seq: int) -> tuple[Any, ...]:
    return (player_id, xp, seq, 0, None, None)


def xp_by_player() -> dict[int, tuple[int, int]]:
    rows = PlayerWallet.objects.values_list("pk", "total_xp", "seq")
    return {pk: (xp, seq) for pk, xp, seq in rows}


@pytest.mark.parametrize("at", [NOON, NOON + timedelta(microseconds=7), None])
def test_rows_are_stored_as_they_were_given(players, at):
    day = None if at is None else date(2026, 3, 2)
    rows = [(pk, 2**60 + pk, 2**40, 3, day, at) for pk in players]
    assert write(rows) == 3
    assert list(PlayerWallet.objects.order_by("pk").values_list(*FIELDS)) == rows


def test_texts_are_stored_as_they_were_given(players):
    text = "a \"quoted\" \\ 'word' %s\n؟ 🎓"
    row = (players[0], "SUBJ-é", text, '{"0": 4, "12": 5}', 9, 2, NOON, 3)
    key = ("player_id", "subject_id")
    assert write([row], fields=PROGRESS, model=StructureProgress, key=key) == 1
    stored = StructureProgress.objects.get()
    assert (stored.subject_id, stored.progress_bitmap) == ("SUBJ-é", text)
    assert stored.best_hearts == {"0": 4, "12": 5}
    assert stored.last_synced_at == NOON


def test_a_row_of_a_lower_version_changes_nothing(players):
    amal, badr, chadia = players
    assert write([wallet(pk, 50, 5) for pk in players]) == 3
    rows = [wallet(amal, 40, 4), wallet(badr, 51, 5), wallet(chadia, 60, 6)]
    assert write(rows) == 3
    assert xp_by_player() == {amal: (50, 5), badr: (51, 5), chadia: (60, 6)}


def test_rows_whose_parent_has_ended_or_is_missing_are_left_out(players):
    amal, badr, chadia = players
    PlayerProfile.objects.filter(pk=badr).update(erased_at=NOON)
    rows = [wallet(pk, 50, 5) for pk in (amal, badr, chadia, chadia + 1000)]
    assert write(rows) == 2
    assert xp_by_player() == {amal: (50, 5), chadia: (50, 5)}


def test_no_rows_are_written_without_a_statement(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert write([]) == 0


def test_a_large_document_is_divided(players, monkeypatch, django_assert_num_queries):
    monkeypatch.setattr(upsert, "_MAX_DOCUMENT_BYTES", 30)
    rows = [wallet(pk, 50, 5) for pk in players]
    # MariaDB: a statement for each row. SQLite: savepoint, parents, INSERT, release.
    with django_assert_num_queries(3 if connection.vendor == "mysql" else 4):
        assert write(rows) == 3
    assert len(xp_by_player()) == 3


@pytest.mark.parametrize(
    ("field", "value"), [("total_xp", -1), ("seq", None), ("current_streak", -1)]
)
def test_a_row_that_the_table_refuses_raises_an_error(players, field, value):
    refused = list(wallet(players[1], 50, 5))
    refused[FIELDS.index(field)] = value
    with pytest.raises(DatabaseError):
        write([wallet(players[0], 50, 5), refused])


@pytest.mark.mariadb
@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("total_xp", str(2**64)), ("total_xp", "5x")],
        *[("current_streak", 2**32), ("last_success_date", "2026-02-31")],
    ],
)
def test_mariadb_cuts_no_value(players, field, value):
    refused = list(wallet(players[0], 50, 5))
    refused[FIELDS.index(field)] = value
    with pytest.raises(DatabaseError):
        write([refused])


@pytest.mark.mariadb
def test_a_time_with_another_offset_is_refused(players):
    at = NOON.astimezone(timezone(timedelta(hours=3)))
    with pytest.raises(DatabaseError):
        write([(players[0], 50, 5, 1, None, at)])
