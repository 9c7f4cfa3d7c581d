"""Seasons are closed and restored while students work: real connections, real races."""

from datetime import timedelta
from time import sleep

import pytest
from django.utils import timezone

from core.redis_client import client
from plans.models import Season
from progress.models import ArchivedInteraction, InteractionLog, ReviewRating
from progress.services import (
    comparison,
    completion,
    ledger,
    lesson_counting,
    reviews,
    season_opening,
    seasons,
    writing,
)
from progress.services.reviews import Rating
from tests.progress.conftest import enrolled
from tests.progress.services.test_concurrency import at_once, completed

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.mariadb,
]


def test_students_work_while_seasons_are_closed_and_restored(plan, monkeypatch):
    monkeypatch.setattr(seasons, "KEPT", timedelta())
    players = [enrolled(plan, f"{name}@example.com").pk for name in "abc"]
    # The positions of the ledger and the wallet that a reader saw, in order.
    seen: list[tuple[int, int]] = []

    def play(player_id: int) -> None:
        for number in range(40):
            completion.complete(
                player_id=player_id,
                lesson_id="LES-MATH-0-0",
                hearts=number % 5 + 1,
                idempotency_key=f"{number // 2}:{number % 5 + 1}",
                now=timezone.now(),
            )
            reviews.submit(
                player_id=player_id,
                ratings=[Rating("Q1-MATH-0-0", "LES-MATH-0-0", 3, None)],
                idempotency_key=None,
                now=timezone.now(),
            )
            if number % 10 == 0:
                client().unlink(f"wallet:{{{player_id}}}")

    def read() -> None:
        for _time in range(150):
            held = ledger.wallet_of(players[0])
            seen.append((held.seq, held.total_xp))
            ledger.subjects_of_player(players[0], ["SUBJ-MATH"], held.seq)

    def close() -> None:
        for number in range(8):
            season = Season.objects.create(title=f"{number}")
            seasons.close(season, until=None, now=timezone.now())
            if number % 3 == 2:
                seasons.restore(season)

    completed(at_once(close, read, *[lambda pk=pk: play(pk) for pk in players]))

    assert ArchivedInteraction.objects.exists()
    assert seen == sorted(seen)
    for player_id in players:
        rows = list(ledger.whole(lambda rows, pk=player_id: rows_of(rows, pk)))
        assert sorted(seq for seq, _xp in rows) == list(range(1, len(rows) + 1))
        held = ledger.wallet_of(player_id)
        assert (held.seq, held.total_xp) == (len(rows), sum(xp for _seq, xp in rows))
        assert ReviewRating.objects.filter(player_id=player_id).exists()
        seq, progress = writing.read_subject(player_id, "SUBJ-MATH")
        assert (seq, progress.hearts) == (held.seq, b"\x05")
    lesson_counting.sync_pending()
    in_redis = [
        one
        for one in comparison.compare(players).differences
        if one.store is comparison.Store.REDIS
    ]
    assert in_redis == []


def rows_of(rows, player_id):
    return rows.filter(player_id=player_id).values_list("seq", "xp")


def test_a_repeat_is_refused_though_its_first_row_moves_meanwhile(plan, monkeypatch):
    monkeypatch.setattr(seasons, "KEPT", timedelta())
    student = enrolled(plan)

    def complete(place: str = "0-0") -> int:
        return completion.complete(
            player_id=student.pk,
            lesson_id=f"LES-MATH-{place}",
            hearts=3,
            idempotency_key=place,
            now=timezone.now(),
        ).new_total_xp

    first = complete()
    complete("0-1")
    season = Season.objects.create(title="2025-2026")

    def close() -> None:
        seasons.close(season, until=None, now=timezone.now())

    totals = completed(at_once(close, *[complete] * 4))
    assert set(totals[1:]) == {first}
    whole = ledger.whole(lambda rows: rows_of(rows, student.pk))
    assert len(list(whole)) == 2
    assert InteractionLog.objects.count() == 1


def test_students_work_while_a_season_is_opened(plan, settings):
    settings.SEASON_CARRIES = []
    players = [enrolled(plan, f"{name}@example.com").pk for name in "abc"]
    season = Season.objects.create(title="2026-2027")

    def play(player_id: int) -> None:
        for number in range(40):
            completion.complete(
                player_id=player_id,
                lesson_id="LES-MATH-0-0",
                hearts=number % 5 + 1,
                idempotency_key=f"{number}",
                now=timezone.now(),
            )
            if number % 10 == 0:
                client().unlink(f"wallet:{{{player_id}}}")

    def begin() -> None:
        while InteractionLog.objects.count() < 30:
            sleep(0.01)
        season_opening.open_season(season)

    completed(at_once(begin, *[lambda pk=pk: play(pk) for pk in players]))

    for player_id in players:
        rows = list(InteractionLog.objects.filter(player_id=player_id).order_by("seq"))
        assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
        [start] = [at for at, row in enumerate(rows) if row.type == "season_opened"]
        before, after = rows[:start], rows[start + 2 :]
        assert rows[start + 1].type == "subject_reset"
        assert sum(row.xp for row in rows[: start + 2]) == 0
        # The lesson is earned once in each season.
        for part in (before, after):
            firsts = [
                row.seq for row in part if row.data["answer"]["is_first_completion"]
            ]
            assert firsts == [row.seq for row in part[:1]]
        held = ledger.wallet_of(player_id)
        assert held.total_xp == sum(row.xp for row in after)
    assert comparison.compare(players).differences == []
