"""Two offline-first apps of one student, in any order of work, syncs and accidents."""

from datetime import timedelta
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from players.services import wallet
from progress.models import InteractionLog, ReviewRating
from progress.services import ledger, writing
from tests.progress.conftest import MONDAY, enrolled
from tests.progress.offline_app import OfflineApp, Store
from tests.progress.services.test_sync_state import everything, kept, server_of

APPS = st.sampled_from(["phone", "tablet"])
PLACES = st.sampled_from(["0-0", "0-1", "1-0", "1-1"])


class LostAnswer(Exception):
    """The connection broke after the server recorded the request."""


class OfflineStudent(RuleBasedStateMachine):
    """A student with two apps; the server's clock moves on with each step."""

    plan = None
    redis_client = None

    @initialize()
    def enrol(self) -> None:
        self.player_id = enrolled(self.plan, f"{uuid4()}@example.com").pk
        self.apps = {name: server_of(self.player_id) for name in ("phone", "tablet")}
        self.apps["tablet"].clock_ahead = timedelta(hours=-7)
        self.now = MONDAY

    def app(self, name: str, minutes: int = 1) -> OfflineApp:
        self.now += timedelta(minutes=minutes)
        app = self.apps[name]
        app.now = self.now
        return app

    @rule(name=APPS, place=PLACES, hearts=st.integers(0, 5), hours=st.integers(0, 30))
    def play(self, name, place, hearts, hours) -> None:
        app = self.app(name, 60 * hours)
        app.complete(f"LES-MATH-{place}", hearts, self.now)

    @rule(name=APPS, place=PLACES, rating=st.integers(1, 4))
    def review(self, name, place, rating) -> None:
        app = self.app(name)
        app.review(f"Q1-MATH-{place}", f"LES-MATH-{place}", rating, self.now)

    @rule(name=APPS, place=PLACES)
    def bury(self, name, place) -> None:
        app = self.app(name)
        app.bury(f"Q2-MATH-{place}", f"LES-MATH-{place}", self.now)

    @rule(name=APPS)
    def sync(self, name) -> None:
        app = self.app(name)
        app.sync(self.now)
        assert app.store.queue == []
        app.pull()

    @rule(name=APPS)
    @precondition(lambda self: any(app.store.queue for app in self.apps.values()))
    def lose_an_answer(self, name) -> None:
        """The queue is sent, and sent again at the next sync."""
        app = self.app(name)
        app.send(app.body(app.store.queue[:5], self.now))

    @rule(name=APPS)
    def install_again(self, name) -> None:
        """The app loses its storage, and with it what it had not sent."""
        app = self.app(name)
        app.store = Store()
        app.pull()

    @rule()
    def empty_redis(self) -> None:
        self.redis_client.flushdb()

    @rule(name=APPS)
    def pull(self, name) -> None:
        app = self.app(name)
        app.pull()
        assert kept(app) == everything(app) | {"next_seq": kept(app)["next_seq"]}

    @invariant()
    def redis_and_the_ledger_agree(self) -> None:
        if not hasattr(self, "player_id"):
            return
        held = wallet.get(self.player_id)
        assert held == ledger.wallet_of(self.player_id)
        seq, shown = writing.read_subject(self.player_id, "SUBJ-MATH")
        assert (
            shown
            == ledger.subjects_of_player(self.player_id, ["SUBJ-MATH"], seq)[
                "SUBJ-MATH"
            ]
        )

    def teardown(self) -> None:
        if not hasattr(self, "player_id"):
            return
        for name in ("phone", "tablet", "phone"):
            self.sync(name)
        assert kept(self.apps["phone"])["wallet"]["total_xp"] == sum(
            InteractionLog.objects.filter(player_id=self.player_id).values_list(
                "xp", flat=True
            )
        )
        for app in self.apps.values():
            results = {one["id"]: one for one in app.results}
            assert len(results) == len(app.results), "an event was decided twice"
            assert {one["code"] for one in app.results} <= {
                *(None, "NOT_UNLOCKED", "ITEM_NOT_MET", "SEQ_USED")
            }
        firsts = InteractionLog.objects.filter(
            player_id=self.player_id, first_of__isnull=False
        )
        assert firsts.count() == firsts.values("first_of").distinct().count()
        ratings = ReviewRating.objects.filter(player_id=self.player_id)
        assert ratings.count() == ratings.values("idempotency_key").distinct().count()


@pytest.mark.django_db
def test_two_apps_that_work_offline_in_turn_lose_and_double_nothing(plan, redis_client):
    OfflineStudent.plan, OfflineStudent.redis_client = plan, redis_client
    run_state_machine_as_test(
        OfflineStudent,
        settings=settings(
            max_examples=12,
            stateful_step_count=20,
            suppress_health_check=list(HealthCheck),
        ),
    )
