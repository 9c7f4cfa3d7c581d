"""Students who play on after closed seasons have the same as without the archive."""

import random
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from core.errors import MemoraError
from core.redis_client import client
from plans.models import Season
from players.models import User
from players.services import wallet
from progress.models import ArchivedInteraction, Baseline, InteractionLog
from progress.services import (
    comparison,
    completion,
    grants,
    ledger,
    lesson_counting,
    reviews,
    seasons,
    snapshots,
)
from progress.services.reviews import Rating
from tests.progress.conftest import MONDAY, enrolled
from tests.progress.services.test_seasons import shown

pytestmark = pytest.mark.django_db

PLACES = ["0-0", "0-1", "1-0", "1-1"]


class Died(BaseException):
    """A process that was killed."""


@dataclass
class Player:
    """A student who does what a list of steps says, and the answers."""

    pk: int
    actor_id: int
    answers: list[Any] = field(default_factory=list)

    def do(self, kind: str, place: str, number: int, hours: int, key: str) -> None:
        now = MONDAY + timedelta(hours=hours)
        try:
            self.answers.append(getattr(self, kind)(place, number, now, key))
        except MemoraError as error:
            self.answers.append(error.code)

    def complete(self, place: str, hearts: int, now: Any, key: str) -> Any:
        return completion.complete(
            player_id=self.pk,
            lesson_id=f"LES-MATH-{place}",
            hearts=hearts,
            idempotency_key=key,
            now=now,
        )

    def review(self, place: str, rating: int, now: Any, key: str) -> Any:
        item = f"Q1-MATH-{place}"
        return reviews.submit(
            player_id=self.pk,
            ratings=[Rating(item, f"LES-MATH-{place}", max(1, min(rating, 4)), None)],
            idempotency_key=key,
            now=now,
        )

    def correct(self, _place: str, xp: int, now: Any, _key: str) -> Any:
        return wallet.correct(
            player_id=self.pk,
            xp=xp + 1,
            reason="why",
            actor_id=self.actor_id,
            now=now,
        )

    def grant(self, place: str, number: int, now: Any, _key: str) -> None:
        grants.apply(
            player_id=self.pk,
            node_id=f"LES-MATH-{place}",
            change=grants.Change.RESET if number % 2 else grants.Change.GRANT,
            reason="why",
            actor_id=self.actor_id,
            now=now,
        )


@pytest.fixture(autouse=True)
def rules(settings):
    settings.STREAK_FREEZE_EVERY_DAYS, settings.STREAK_MOST_FREEZES = 2, 2
    settings.STREAK_DAYS_OFF = ["fri", "sat"]


@pytest.mark.parametrize("seed", range(10))
def test_playing_on_after_closed_seasons_is_the_same_as_without(
    plan, monkeypatch, django_capture_on_commit_callbacks, seed
):
    chance = random.Random(seed)
    manager = User.objects.create(email="mona@example.com")
    one, other = (
        Player(enrolled(plan, f"{n}@example.com").pk, manager.pk) for n in "ab"
    )
    monkeypatch.setattr(seasons, "KEPT", timedelta(days=chance.choice([0, 3, 14])))
    # Only this student's rows move.
    monkeypatch.setattr(seasons.selection, "everyone", lambda _size: [[one.pk]])
    hours, closed, keys = 0, 0, ["0"]
    for number in range(60):
        hours += chance.choice([0, 0, 1, 5, 24, 24, 72])
        # Some keys are sent again, much later; some completions arrive late.
        keys.append(chance.choice([str(number), str(number), chance.choice(keys)]))
        kinds = ["complete"] * 6 + ["review"] * 3 + ["correct", "grant"]
        step = (
            chance.choice(kinds),
            chance.choice(PLACES),
            chance.choice([0, 1, 2, 3, 4, 5, 5, 5]),
            max(0, hours - chance.choice([0, 0, 0, 24, 48])),
            keys[-1],
        )
        for player in (one, other):
            with django_capture_on_commit_callbacks(execute=True):
                player.do(*step)
        assert one.answers == other.answers, number
        if chance.random() < 0.15:
            closed += close(chance, monkeypatch, f"season {closed}", hours)
        if chance.random() < 0.2:
            client().flushdb()
        if chance.random() < 0.1:
            assert state(one) == state(other), number
    assert state(one) == state(other)
    assert closed
    assert ArchivedInteraction.objects.filter(player_id=one.pk).exists()
    assert not ArchivedInteraction.objects.filter(player_id=other.pk).exists()
    snapshots.sync_pending()
    assert comparison.compare([one.pk, other.pk]).differences == []
    for season in Season.objects.order_by("-pk"):
        seasons.restore(season)
    assert state(one) == state(other)
    assert not Baseline.objects.exists()
    rows = InteractionLog.objects.filter(player_id=one.pk).order_by("seq")
    assert [row.seq for row in rows] == list(range(1, len(rows) + 1))


def close(chance: random.Random, monkeypatch, title: str, hours: int) -> int:
    """Close a season, killed once anywhere; return whether it was possible."""
    season, _made = Season.objects.get_or_create(title=title)
    now = MONDAY + timedelta(hours=hours)

    def run() -> None:
        seasons.close(season, until=None, now=now)

    try:
        with monkeypatch.context() as patched:
            steps = [(seasons, "_move"), (seasons, "_write_baselines")]
            steps += [(ledger, "lock"), (seasons, "_archive")]
            let_die(patched, *chance.choice(steps), after=chance.choice([True, False]))
            run()
    except Died:
        pass
    except seasons.SeasonError:  # of this time there is one already
        season.delete()
        return 0
    run()
    return 1


def let_die(patched, module: Any, name: str, *, after: bool) -> None:
    real = getattr(module, name)

    def die(*args: Any, **options: Any) -> None:
        if after:
            real(*args, **options)
        raise Died

    patched.setattr(module, name, die)


def state(player: Player) -> dict[str, Any]:
    lesson_counting.rebuild([[player.pk]], total=1)
    return shown(player.pk)
