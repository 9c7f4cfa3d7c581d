"""Real threads on real connections: invariants that hold in every order.

On MariaDB only: several connections cannot write to SQLite in memory, and with one
connection there is no race.
"""

import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection, transaction

from core.db import retry_on_conflict
from core.errors import MemoraError
from plans.models import AcademicPlan
from players import keys, wallet_sync
from players.models import (
    Device,
    DeviceReplacement,
    Enrollment,
    PlayerProfile,
    PlayerWallet,
    SecurityEvent,
    Session,
    SessionEndReason,
    User,
)
from players.services import (
    access,
    accounts,
    devices,
    enrolled_plans,
    profile,
    sessions,
    staff_requests,
    wallet,
)
from tests.players.app import PASSWORD, App

pytestmark = [
    pytest.mark.mariadb,
    pytest.mark.django_db(transaction=True),
]
EMAIL = "lina@school.example"


@pytest.fixture
def player(db):
    return accounts.create_player(EMAIL, PASSWORD, "Lina")


def race(*runners: Callable[[], Any]) -> list[Any]:
    """Start all runners together; return each one's result or its refusal."""
    start = threading.Barrier(len(runners))
    outcomes: list[Any] = [None] * len(runners)

    def run(place: int) -> None:
        try:
            start.wait()
            outcomes[place] = runners[place]()
        except Exception as error:  # noqa: BLE001 - the test looks at every outcome
            outcomes[place] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(n,)) for n in range(len(runners))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def codes(outcomes: list[Any]) -> list[str]:
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            assert isinstance(outcome, MemoraError), repr(outcome)
    return sorted(
        outcome.code if isinstance(outcome, MemoraError) else "ok"
        for outcome in outcomes
    )


def signing_in(device_id: uuid.UUID) -> Callable[[], sessions.SignedIn]:
    return lambda: sessions.sign_in(
        email=EMAIL, password=PASSWORD, device_id=device_id, now=datetime.now(UTC)
    )


def in_redis(redis_client, player_id) -> str:
    """The session that Redis has a copy of; "" for none, and for a tombstone."""
    held = redis_client.get(keys.active_session(player_id)) or b""
    return held.decode().partition("|")[2]


def test_of_racing_additions_two_win_and_the_rest_meet_the_limit(player):
    outcomes = race(
        *[
            lambda: devices.add(player_id=player.pk, device_id=uuid.uuid4())
            for _ in range(8)
        ]
    )
    assert codes(outcomes) == ["DEVICE_LIMIT"] * 6 + ["ok"] * 2
    assert sorted(Device.objects.values_list("slot", flat=True)) == [1, 2]


def test_of_racing_first_sign_ins_one_device_is_authorised(player):
    outcomes = race(*[signing_in(uuid.uuid4()) for _ in range(6)])
    assert codes(outcomes) == ["DEVICE_NOT_AUTHORIZED"] * 5 + ["ok"]
    assert Device.objects.count() == 1


def test_new_devices_that_sign_in_at_once_leave_one_session_whose_token_works(
    player, settings, redis_client
):
    """In 200 rounds: 100 with one device of the student, 100 with two."""
    settings.DEVICE_REPLACEMENTS = 10**6
    settings.DEVICE_REPLACEMENT_COOLING_HOURS = 0
    settings.RATE_LIMITS = dict.fromkeys(settings.RATE_LIMITS, (10**6, 60))
    devices.add(player_id=player.pk, device_id=uuid.uuid4())
    for round_ in range(200):
        asked = [uuid.uuid4() for _ in range(4)]
        slots = [None, 1, 2, 1 + round_ % 2]
        if round_ == 100:
            devices.add(player_id=player.pk, device_id=uuid.uuid4())
        outcomes = race(
            *[
                lambda device_id=device_id, slot=slot: sessions.sign_in(
                    email=EMAIL,
                    password=PASSWORD,
                    device_id=device_id,
                    replace_slot=slot,
                    now=datetime.now(UTC),
                )
                for device_id, slot in zip(asked, slots, strict=True)
            ]
        )
        assert set(codes(outcomes)) == {"ok", "DEVICE_NOT_AUTHORIZED"}
        held = set(Device.objects.values_list("device_id", flat=True))
        assert len(held) == (1 if round_ < 100 else 2)
        kept = Session.objects.select_related("device").get()
        answers = {}
        for device_id, outcome in zip(asked, outcomes, strict=True):
            if isinstance(outcome, sessions.SignedIn):
                app = App(str(device_id))
                app.token = outcome.token.text
                answers[outcome.token.sha256] = app.get("auth/session/").status_code
        works = [sha256 for sha256, status in answers.items() if status == 200]
        assert works == [kept.token_sha256]
        assert set(answers.values()) <= {200, 401}
        assert kept.device.device_id in held
        assert in_redis(redis_client, player.pk).startswith(f"{kept.token_sha256}:")


def test_a_replacement_races_sign_ins_on_the_replaced_device(player, settings):
    settings.DEVICE_REPLACEMENTS = 1
    old, new = uuid.uuid4(), uuid.uuid4()
    signing_in(old)()
    replacing: Callable[[], sessions.SignedIn] = lambda: sessions.sign_in(  # noqa: E731
        email=EMAIL,
        password=PASSWORD,
        device_id=new,
        replace_slot=1,
        now=datetime.now(UTC),
    )
    outcomes = race(replacing, *[signing_in(old) for _ in range(3)])
    assert set(codes(outcomes)) <= {"ok", "DEVICE_NOT_AUTHORIZED"}
    assert Device.objects.get().device_id == new
    winner, *before = outcomes
    assert Session.objects.get().token_sha256 == winner.token.sha256
    for outcome in before:
        if isinstance(outcome, sessions.SignedIn):
            app = App(str(old))
            app.token = outcome.token.text
            refusal = app.get("auth/session/")
            assert refusal.status_code == 401
            assert refusal.json()["error_code"] in {
                "SESSION_REPLACED",
                "DEVICE_REMOVED",
            }
    app = App(str(new))
    app.token = winner.token.text
    assert app.get("auth/session/").status_code == 200


@pytest.mark.parametrize("slots", [(1,) * 6, (1, 2) * 3])
def test_of_racing_replacements_one_is_counted(player, settings, slots):
    settings.DEVICE_REPLACEMENTS = 1
    for _slot in range(2):
        devices.add(player_id=player.pk, device_id=uuid.uuid4())
    before = set(Device.objects.values_list("device_id", flat=True))
    outcomes = race(
        *[
            lambda slot=slot: sessions.sign_in(
                email=EMAIL,
                password=PASSWORD,
                device_id=uuid.uuid4(),
                replace_slot=slot,
                now=datetime.now(UTC),
            )
            for slot in slots
        ]
    )
    assert codes(outcomes) == ["DEVICE_NOT_AUTHORIZED"] * 5 + ["ok"]
    after = set(Device.objects.values_list("device_id", flat=True))
    assert (len(after), len(after & before)) == (2, 1)
    assert DeviceReplacement.objects.count() == 1


def test_of_racing_changes_of_the_time_zone_one_wins(player):
    zones = ["Asia/Amman", "Asia/Riyadh", "Africa/Cairo", "Asia/Baghdad"]
    now = datetime.now(UTC)
    outcomes = race(
        *[
            lambda zone=zone: profile.change(
                player_id=player.pk, time_zone=zone, now=now
            )
            for zone in zones
        ]
    )
    assert codes(outcomes) == ["TIME_ZONE_LOCKED"] * 3 + ["ok"]
    player.refresh_from_db()
    assert player.time_zone == zones[outcomes.index(None)]


@pytest.mark.parametrize("round_", range(5))
def test_after_racing_sign_ins_redis_holds_the_databases_session(
    player, redis_client, round_
):
    device_id = uuid.uuid4()
    signing_in(device_id)()
    outcomes = race(*[signing_in(device_id) for _ in range(6)])
    assert codes(outcomes) == ["ok"] * 6
    kept = Session.objects.get()
    held = in_redis(redis_client, player.pk)
    assert held in ("", f"{kept.token_sha256}:{device_id}")
    app = App(str(device_id))
    answers = {}
    for outcome in outcomes:
        app.token = outcome.token.text
        answers[outcome.token.sha256] = app.get("auth/session/").status_code
    winners = [sha256 for sha256, status in answers.items() if status == 200]
    assert winners == [kept.token_sha256]
    assert in_redis(redis_client, player.pk) == f"{kept.token_sha256}:{device_id}"


def test_requests_during_sign_ins_and_ends_never_bring_an_old_session_back(
    player, redis_client
):
    device_id = uuid.uuid4()
    old = signing_in(device_id)()
    app = App(str(device_id))
    app.token = old.token.text

    def ask():
        asking = App(str(device_id))
        asking.token = old.token.text
        return [asking.get("auth/session/").status_code for _ in range(30)]

    outcomes = race(
        ask,
        ask,
        ask,
        signing_in(device_id),
        lambda: sessions.end_session(player.pk, SessionEndReason.ENDED_BY_STAFF),
    )
    assert codes(outcomes) == ["ok"] * 5
    assert {status for statuses in outcomes[:3] for status in statuses} <= {200, 401}
    assert app.get("auth/session/").status_code == 401


def test_switching_off_races_signing_in_and_no_session_survives(player):
    device_id = uuid.uuid4()
    signing_in(device_id)()

    def switch_off():
        user = User.objects.get(pk=player.user_id)
        user.is_active = False
        user.save()

    outcomes = race(switch_off, *[signing_in(device_id) for _ in range(4)])
    assert set(codes(outcomes)) <= {"ok", "ACCOUNT_INACTIVE"}
    assert not Session.objects.exists()


def test_removing_a_device_races_signing_in_and_no_session_survives(player):
    device_id = uuid.uuid4()
    signing_in(device_id)()
    outcomes = race(
        lambda: devices.remove(player_id=player.pk, device_id=device_id),
        *[signing_in(device_id) for _ in range(4)],
    )
    assert set(codes(outcomes)) <= {"ok", "DEVICE_NOT_AUTHORIZED"}
    assert not Session.objects.exists()
    assert not Device.objects.exists()


def test_racing_write_backs_leave_the_newest_wallet(player):
    def play_and_sync(xp: int) -> Callable[[], Any]:
        def run():
            wallet.correct(
                player_id=player.pk,
                xp=xp,
                reason="test",
                actor_id=player.user_id,
                now=datetime.now(UTC),
            )
            return wallet_sync.sync_pending_wallets().errors

        return run

    outcomes = race(*[play_and_sync(xp) for xp in range(1, 7)])
    assert outcomes == [0] * 6
    row = PlayerWallet.objects.get()
    assert (row.total_xp, row.seq) == (21, 6)
    assert wallet.get(player.pk).total_xp == 21


@pytest.mark.parametrize("round_", range(5))
def test_after_racing_changes_of_the_plan_redis_follows_the_database(player, round_):
    plans = [
        AcademicPlan.objects.create(title=title, public_id=f"PLAN-{title}")
        for title in ("A", "B", "C")
    ]
    *plans, new = plans
    for plan in plans:
        Enrollment.objects.create(player=player, plan=plan)

    def activating(plan: AcademicPlan) -> Callable[[], Any]:
        return lambda: enrolled_plans.activate(
            player_id=player.pk, plan_id=plan.public_id
        )

    @transaction.atomic
    def enroll(plan: AcademicPlan) -> None:
        """As the admin does: the change and its audit row are one transaction."""
        Enrollment.objects.create(player=player, plan=plan)

    outcomes = race(
        *map(activating, plans),
        *map(activating, plans),
        signing_in(uuid.uuid4()),
        lambda: retry_on_conflict(lambda: enroll(new)),
        lambda: access.of_player(player.pk),
        lambda: access.of_player(player.pk),
    )
    assert codes(outcomes) == ["ok"] * 8
    active = PlayerProfile.objects.values_list("active_plan__public_id", flat=True)
    assert access.of_player(player.pk).active_plan_id == active.get()
    changes = SecurityEvent.objects.filter(type="plan_activated").order_by("pk")
    chosen = list(changes.values_list("details__plan", "details__previous"))
    assert [before for _plan, before in chosen] == [None, *[p for p, _ in chosen[:-1]]]


def test_of_requests_at_once_with_one_idempotency_key_one_runs(player):
    runs = []

    def run():
        runs.append(1)
        made = staff_requests.Answered(200, {"runs": len(runs)})
        return staff_requests.Made(made, made)

    def send():
        return staff_requests.once(
            owner_id=player.user_id, key="one", request=b"POST", run=run
        )

    outcomes = race(*[send] * 8)
    assert outcomes == [staff_requests.Answered(200, {"runs": 1})] * 8
    assert len(runs) == 1
