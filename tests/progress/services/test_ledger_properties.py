"""Random histories of a player, with Redis emptied and writers killed anywhere.

A simple model counts along; it must always agree with the code.
"""

import random
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import count

import orjson
import pytest

from plans.models import Season
from players import records
from players.models import PlayerProfile, User
from players.services import wallet
from progress.errors import (
    InvalidCorrectionError,
    NoHeartsError,
    NotUnlockedError,
)
from progress.services import (
    grants,
    ledger,
    progress,
    season_opening,
    seasons,
    snapshots,
    writing,
)
from progress.services.grants import Change
from tests.progress.conftest import MONDAY
from tests.progress.streak_reference import Expected, streak_of

pytestmark = pytest.mark.django_db

PLACES = ["0-0", "0-1", "1-0", "1-1"]


class Died(BaseException):
    """A process that was killed."""


def is_off(day: date) -> bool:
    return day.weekday() == 4 or date(2026, 3, 10) <= day <= date(2026, 3, 12)


@dataclass
class Model:
    """The expected XP, hearts and streak of a player, computed naively."""

    best: dict[str, int] = field(default_factory=dict)
    """Of the lessons that are passed now,"""
    most: dict[str, int] = field(default_factory=dict)
    """and of those that were ever completed."""
    ever: set[str] = field(default_factory=set)
    """Those that were completed in any season."""
    xp: int = 0
    subject_xp: int = 0
    ended: date | None = None
    """The last day of a season whose streak was not kept."""
    days: set[date] = field(default_factory=set)
    repeats: set[tuple[str, date]] = field(default_factory=set)

    @property
    def streak(self) -> Expected:
        found = streak_of(self.days, is_off=is_off, every=2, most=2)
        return found if self.days else found._replace(last=self.ended)

    def is_locked(self, place: str) -> bool:
        before = PLACES[: PLACES.index(place)]
        return place not in self.best and any(one not in self.best for one in before)

    def completes(self, place: str, hearts: int, day: date) -> int:
        before = max(self.best.get(place, 0), self.most.get(place, 0))
        is_granted = place in self.best and place in self.ever
        is_paid = place in self.most or is_granted
        earned = 10 + 2 * hearts
        earned += 5 * (not is_paid) + 10 * (hearts > before)
        if is_paid and hearts <= before:
            # Paid once a day.
            earned *= (place, day) not in self.repeats
            self.repeats.add((place, day))
        self.best[place] = self.most[place] = max(hearts, before)
        self.ever.add(place)
        self.xp += earned
        self.subject_xp += earned
        if self.ended is None or day > self.ended:
            self.days.add(day)
        return earned

    def opens(self, carries: list[str], today: date) -> None:
        if "progress" not in carries:
            self.best, self.most, self.subject_xp = {}, {}, 0
        if "xp" not in carries:
            self.xp = 0
        last = max(self.days, default=self.ended)
        if "streak" not in carries and last is not None:
            self.ended = min(last, today - timedelta(1))
            self.days = {day for day in self.days if day > self.ended}

    def corrects(self, change: Change, places: list[str], hearts: int) -> int:
        """Grant or reset lessons, and return how many."""
        if change is Change.RESET:
            return sum(self.best.pop(place, None) is not None for place in places)
        granted = [place for place in places if place not in self.best]
        for place in granted:
            self.best[place] = max(hearts, self.most.get(place, 0))
        return len(granted)


@pytest.mark.parametrize("seed", range(6))
def test_redis_the_ledger_and_the_model_agree(
    student, finish, redis_client, monkeypatch, correct, turn, settings, seed
):
    settings.STREAK_FREEZE_EVERY_DAYS, settings.STREAK_MOST_FREEZES = 2, 2
    settings.STREAK_DAYS_OFF = ["fri", "2026-03-10/2026-03-12"]
    chance = random.Random(seed)
    model, day, latest = Model(), 0, 0
    for _step in range(40):
        day += chance.choice([0, 0, 0, 1, 1, 2, 2, 3, -1, -2])
        latest = max(latest, day)
        place, hearts = chance.choice(PLACES), chance.randint(0, 5)
        today = (MONDAY + timedelta(days=day)).date()
        dies_at = chance.choice([None, None, None, "begin", "append", "put"])
        if chance.random() < 0.2:
            redis_client.flushdb()
        try:
            with monkeypatch.context() as patched:
                if dies_at is not None:
                    _let_die(patched, dies_at)
                earned = finish(place, hearts, day=day).xp_earned
        except NotUnlockedError:
            assert model.is_locked(place)
        except NoHeartsError:
            assert hearts == 0
        except Died:
            if dies_at == "put" and hearts:
                model.completes(place, hearts, today)  # it was committed
            # A record that nobody finishes expires.
            redis_client.delete(f"wallet:{{{student.pk}}}")
        else:
            assert earned == model.completes(place, hearts, today)
        _assert_agree(student.pk, model)
        if chance.random() < 0.3:
            correct(chance, model)
            _assert_agree(student.pk, model)
        if chance.random() < 0.15:
            turn(chance, model, latest)
            _assert_agree(student.pk, model)
    snapshots.sync_pending()
    redis_client.flushdb()
    _assert_agree(student.pk, model)


@pytest.fixture
def correct(student, redis_client, monkeypatch, django_capture_on_commit_callbacks):
    """Let staff grant or reset a part of the subject; some die after the commit."""
    staff = User.objects.create_user(email="staff@example.com", is_staff=True)

    def correct(chance: random.Random, model: Model) -> None:
        change, hearts = chance.choice(list(Change)), chance.randint(1, 5)
        node, places = chance.choice(
            [
                ("SUBJ-MATH", PLACES),
                ("UNIT-MATH-0", PLACES[:2]),
                ("TRK-MATH", PLACES),
                *((f"LES-MATH-{place}", [place]) for place in PLACES),
            ]
        )
        try:
            with monkeypatch.context() as patched:
                if chance.random() < 0.2:
                    _let_die(patched, "put")
                with django_capture_on_commit_callbacks(execute=True):
                    done = grants.apply(
                        player_id=student.pk,
                        node_id=node,
                        change=change,
                        hearts=hearts,
                        reason="Moved",
                        actor_id=staff.pk,
                        now=MONDAY,
                    )
        except InvalidCorrectionError:
            assert not model.corrects(change, places, hearts)
        except Died:
            assert model.corrects(change, places, hearts)
            # A record that nobody finishes expires.
            redis_client.delete(f"wallet:{{{student.pk}}}")
        else:
            assert done == model.corrects(change, places, hearts)

    return correct


@pytest.fixture
def turn(student, redis_client, settings, django_capture_on_commit_callbacks):
    """Open a season with anything kept or not, or close one."""
    PlayerProfile.objects.update(created_at=MONDAY - timedelta(days=300))
    number = count()

    def turn(chance: random.Random, model: Model, day: int) -> None:
        season = Season.objects.create(title=f"{next(number)}")
        now = MONDAY + timedelta(days=day)
        if chance.random() < 0.4:
            later = MONDAY + timedelta(days=200, seconds=season.pk)
            seasons.close(season, until=None, now=later)
            return
        carries = [one for one in season_opening.CARRIES if chance.random() < 0.5]
        settings.SEASON_CARRIES = carries
        with django_capture_on_commit_callbacks(execute=True):
            season_opening.open_season(season, clock=lambda: now)
        if ledger.head(student.pk):
            model.opens(carries, now.date())

    return turn


def _let_die(patched, step: str) -> None:
    def die(*_args, **_kwargs):
        raise Died

    if step == "begin":  # after it announced itself
        real = writing.begin

        def begin_then_die(*args, **options):
            real(*args, **options)
            raise Died

        patched.setattr(writing, "begin", begin_then_die)
    else:
        patched.setattr({"append": ledger, "put": records}[step], step, die)


def _assert_agree(player_id: int, model: Model) -> None:
    held = wallet.get(player_id)
    assert held == ledger.wallet_of(player_id)
    days, last, freezes, frozen = model.streak
    assert (held.total_xp, held.current_streak, held.freezes) == (
        *(model.xp, days, freezes),
    )
    assert (held.last_success_date, set(held.frozen_days)) == (last, frozen)
    seq, shown = writing.read_subject(player_id, "SUBJ-MATH")
    assert (
        shown == ledger.subjects_of_player(player_id, ["SUBJ-MATH"], seq)["SUBJ-MATH"]
    )
    asked = progress.of_subject(
        player_id=player_id, subject_id="SUBJ-MATH", now=MONDAY.timestamp()
    )
    assert asked.body is not None
    answer = orjson.loads(asked.body)
    assert answer["total_xp_earned"] == model.subject_xp
    assert answer["passed_lessons"] == len(model.best)
    assert answer["completion_percentage"] == 25.0 * len(model.best)
    nexts = [place for place in PLACES if place not in model.best]
    expected = f"LES-MATH-{nexts[0]}" if nexts else None
    assert answer["suggested_next_lesson_id"] == expected
