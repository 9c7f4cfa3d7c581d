"""The page of a student, as support uses it."""

import uuid
from datetime import timedelta

import pytest
from django.core import mail
from django.urls import reverse
from django.utils import timezone

from content import products
from content.models import Product
from plans.models import AcademicPlan
from players import audit, records, roles
from players.errors import DeviceNotAuthorizedError
from players.models import (
    Enrollment,
    Entitlement,
    SecurityEvent,
    SecurityEventType,
    Session,
    User,
)
from players.services import devices, password_resets
from players.support_actions import ACTIONS
from tests.admin_fixtures import messages_of
from tests.players.admin.test_players import change_url, rows

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk(client_of, support):
    """The browser of support."""
    return client_of(support)


def act(browser, player, action, **data):
    url = reverse(f"admin:players_support_{action}", args=[player.pk])
    return browser.post(url, data, follow=True)


def text_of(browser, player, query=""):
    return browser.get(change_url(player) + query).content.decode()


def refused(player, device_id, *, name=""):
    details = {"device_name": name} if name else {}
    audit.record(
        SecurityEventType.REFUSED,
        user_id=player.user_id,
        device_id=device_id,
        ip_address="203.0.113.7",
        code=DeviceNotAuthorizedError.code,
        **details,
    )


def started(player, device):
    return Session.objects.create(
        player=player,
        device=device,
        token_sha256="0" * 64,
        created_at=timezone.now() - timedelta(hours=3),
    )


# --- Devices --------------------------------------------------------------------------


def test_a_refused_device_is_allowed_with_one_button(desk, support, player):
    device_id = uuid.uuid4()
    refused(player, device_id, name="هاتف سارة")
    refused(player, device_id)
    page = text_of(desk, player)
    assert "Allow this device" in page
    assert "هاتف سارة" in page
    assert "2 attempts" in page
    told = act(desk, player, "allow_device", device_id=device_id, name="هاتف سارة")
    assert "the student can sign in on it now" in messages_of(told)[0]
    device = player.devices.get()
    assert (device.device_id, device.name, device.slot) == (device_id, "هاتف سارة", 1)
    event = SecurityEvent.objects.get(type="device_added")
    assert event.actor == support
    assert "Allow this device" not in text_of(desk, player)


def test_with_two_devices_the_refused_one_replaces_one_of_them(desk, player):
    first = devices.add(player_id=player.pk, device_id=uuid.uuid4(), name="Old phone")
    second = devices.add(player_id=player.pk, device_id=uuid.uuid4())
    fresh = uuid.uuid4()
    refused(player, fresh)
    assert "Both slots are in use" in text_of(desk, player)
    told = act(desk, player, "allow_device", device_id=fresh)
    assert "two devices already" in messages_of(told)[0]
    act(desk, player, "allow_device", device_id=fresh, replaces=first.device_id)
    held = set(player.devices.values_list("device_id", flat=True))
    assert held == {second.device_id, fresh}


def test_a_replacement_that_fails_removes_nothing(desk, player):
    old = devices.add(player_id=player.pk, device_id=uuid.uuid4())
    kept = devices.add(player_id=player.pk, device_id=uuid.uuid4())
    told = act(
        desk,
        player,
        "allow_device",
        device_id=kept.device_id,
        replaces=old.device_id,
    )
    assert messages_of(told) == ["The player has this device already."]
    assert player.devices.count() == 2


@pytest.mark.parametrize(
    ("device_id", "why"),
    [
        ("", "required"),
        ("x", "UUID"),
        ("7d0b3c1e-5a4f-11f0-9e0d-2f6a8b1c3d5e", "UUID"),  # version 1
    ],
)
def test_a_device_that_cannot_be_added_says_why(desk, player, device_id, why):
    told = act(desk, player, "allow_device", device_id=device_id)
    assert why in messages_of(told)[0]
    assert not player.devices.exists()


def test_a_wrong_password_is_no_unknown_device(desk, player):
    audit.record(
        SecurityEventType.REFUSED,
        user_id=player.user_id,
        device_id=uuid.uuid4(),
        code="INVALID_CREDENTIALS",
    )
    page = text_of(desk, player)
    assert "Allow this device" not in page
    assert "wrong e-mail or password" in page


def test_removing_a_device_ends_the_session_on_it(
    desk, player, django_capture_on_commit_callbacks
):
    device = devices.add(player_id=player.pk, device_id=uuid.uuid4(), name="Phone")
    started(player, device)
    with django_capture_on_commit_callbacks(execute=True):
        act(desk, player, "remove_device", device_id=device.device_id)
    assert not player.devices.exists()
    assert not Session.objects.exists()
    told = SecurityEvent.objects.values_list("type", flat=True)
    assert {"device_removed", "session_ended"} <= set(told)


# --- Session, XP, account ---------------------------------------------------------------


def test_a_session_ends_with_a_reason(desk, support, player):
    device = devices.add(player_id=player.pk, device_id=uuid.uuid4(), name="Phone")
    started(player, device)
    assert "3 hours ago" in text_of(desk, player).replace("\xa0", " ")
    told = act(desk, player, "end_session", reason=" ")
    assert "reason" in messages_of(told)[0]
    assert Session.objects.exists()
    told = act(desk, player, "end_session", reason="phone is lost")
    assert messages_of(told) == ["The session has ended."]
    assert not Session.objects.exists()
    event = SecurityEvent.objects.get(type="session_ended")
    assert event.actor == support
    assert event.details == {"reason": "ended_by_staff", "note": "phone is lost"}
    assert "ended by staff: phone is lost" in text_of(desk, player)


def test_xp_is_given_and_taken_with_a_reason(
    desk, support, player, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        told = act(desk, player, "correct_xp", xp=50, reason="Olympiad")
    assert messages_of(told) == ["The wallet now has 50 XP."]
    with django_capture_on_commit_callbacks(execute=True):
        told = act(desk, player, "correct_xp", xp=-20, reason="twice")
    assert messages_of(told) == ["The wallet now has 30 XP."]
    events = SecurityEvent.objects.filter(type="wallet_corrected").order_by("pk")
    assert [(event.actor, event.details["xp"]) for event in events] == [
        (support, 50),
        (support, -20),
    ]
    page = text_of(desk, player)
    assert "Olympiad" in page
    assert "30 XP" in page


def test_streak_freezes_are_given_with_a_reason(
    desk, support, player, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        told = act(desk, player, "give_freezes", number=2, reason="Was in hospital")
    assert messages_of(told) == ["The student now has 2 streak freezes."]
    event = SecurityEvent.objects.get(type="freezes_given")
    assert (event.actor, event.details) == (
        support,
        {"freezes": 2, "reason": "Was in hospital"},
    )
    page = text_of(desk, player)
    assert "Was in hospital" in page
    assert "2 streak freezes" in page


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"number": 1}, "reason"),
        ({"reason": "Was ill"}, "streak freezes"),
        ({"number": 0, "reason": "Was ill"}, "1"),
        ({"number": 3, "reason": "Was ill"}, "0 of at most 2"),
    ],
)
def test_freezes_that_cannot_be_given_say_why(desk, player, given, why):
    told = act(desk, player, "give_freezes", **given)
    assert why in messages_of(told)[0]
    assert not SecurityEvent.objects.filter(type="freezes_given").exists()


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"xp": 5}, "reason"),
        ({"reason": "Olympiad"}, "XP"),
        ({"xp": 0, "reason": "Olympiad"}, "how much XP"),
        ({"xp": 1001, "reason": "Olympiad"}, "1000"),
        ({"xp": -1, "reason": "Olympiad"}, "cannot take"),
    ],
)
def test_a_wrong_correction_says_why(desk, player, given, why):
    told = act(desk, player, "correct_xp", **given)
    assert why in messages_of(told)[0]
    assert not SecurityEvent.objects.filter(type="wallet_corrected").exists()


def test_an_account_is_switched_off_and_on_with_reasons(desk, support, player):
    device = devices.add(player_id=player.pk, device_id=uuid.uuid4())
    started(player, device)
    act(desk, player, "switch_off", reason="left the school")
    player.user.refresh_from_db()
    assert not player.user.is_active
    assert not Session.objects.exists()
    off = SecurityEvent.objects.get(type="account_deactivated")
    assert (off.actor, off.details) == (support, {"note": "left the school"})
    assert "Switch on" in text_of(desk, player)
    act(desk, player, "switch_on", reason="came back")
    player.user.refresh_from_db()
    assert player.user.is_active
    on = SecurityEvent.objects.get(type="account_activated")
    assert on.details == {"note": "came back"}


@pytest.mark.parametrize(
    ("action", "given"),
    [
        ("switch_off", {"reason": "x"}),
        ("reset_code", {"reason": "x"}),
        ("reset_link", {"reason": "x"}),
    ],
)
def test_support_cannot_reach_a_student_who_is_also_staff(desk, player, action, given):
    User.objects.filter(pk=player.user_id).update(is_staff=True)
    told = act(desk, player, action, **given)
    assert "also works in the admin" in messages_of(told)[0]
    player.user.refresh_from_db()
    assert player.user.is_active
    assert not mail.outbox


def test_redis_away_is_a_message_and_nothing_is_half_done(desk, player, monkeypatch):
    device = devices.add(player_id=player.pk, device_id=uuid.uuid4())

    def refuse(*_args, **_kwargs):
        raise records.StoreUnavailableError("away")

    monkeypatch.setattr("players.services.sign_in_state.changing", refuse)
    told = act(
        desk,
        player,
        "allow_device",
        device_id=uuid.uuid4(),
        replaces=device.device_id,
    )
    assert "Redis does not answer" in messages_of(told)[0]
    assert player.devices.get() == device


# --- Password -------------------------------------------------------------------------


def test_a_code_is_shown_once_and_sets_a_new_password(desk, support, player):
    page = act(desk, player, "reset_code", reason="forgot it")
    shown = page.context["code"]
    assert shown in page.content.decode()
    assert "no-store" in page.headers["Cache-Control"]
    assert shown not in text_of(desk, player)
    event = SecurityEvent.objects.get(type="reset_code_issued")
    assert (event.actor, event.details) == (support, {"note": "forgot it"})
    password_resets.use_code(
        email=player.user.email,
        code=shown,
        new="another-good-phrase-3",
        now=timezone.now(),
    )
    player.user.refresh_from_db()
    assert player.user.check_password("another-good-phrase-3")


def test_a_link_goes_to_the_students_address(desk, support, player):
    told = act(desk, player, "reset_link", reason="forgot it")
    assert player.user.email in messages_of(told)[0]
    assert mail.outbox[0].to == [player.user.email]
    assert SecurityEvent.objects.get(type="reset_requested").actor == support


def test_a_switched_off_account_gets_no_link(desk, player):
    User.objects.filter(pk=player.user_id).update(is_active=False)
    told = act(desk, player, "reset_link", reason="forgot it")
    assert "switched off" in messages_of(told)[0]
    assert not mail.outbox
    assert "Forgotten password" not in text_of(desk, player)


# --- Plans and products -----------------------------------------------------------------


def saved(browser, player, *, enrolled, entitled, **fields):
    kept = [
        {"id": row.pk, "player": player.pk, "plan": row.plan_id}
        for row in player.enrollments.order_by("pk")
    ]
    data = {
        "active_plan": player.active_plan_id or "",
        **rows("enrollments", [*kept, *enrolled], initial=len(kept)),
        **rows("entitlements", entitled),
        **fields,
    }
    return browser.post(change_url(player), data, follow=True)


def test_support_enrols_a_student_and_gives_a_product(desk, support, player):
    other = AcademicPlan.objects.create(title="الصف الثاني عشر", is_published=True)
    products.ensure(["MATH-12"])
    assert "الصف الثاني عشر" in text_of(desk, player)
    saved(
        desk,
        player,
        enrolled=[{"plan": other.pk}],
        entitled=[{"item": "MATH-12"}],
        active_plan=other.pk,
        school_number="٢٠٤١",
    )
    player.refresh_from_db()
    assert player.active_plan == other
    assert player.school_number == "2041"
    assert Entitlement.objects.get().item == "MATH-12"
    event = SecurityEvent.objects.get(type="enrollment_added", details__plan=other.pk)
    assert event.actor == support


def test_support_takes_a_plan_away(desk, player):
    other = AcademicPlan.objects.create(title="Other", is_published=True)
    row = Enrollment.objects.create(player=player, plan=other)
    first = player.enrollments.get(plan=player.active_plan)
    data = {
        "active_plan": player.active_plan_id,
        **rows(
            "enrollments",
            [
                {"id": first.pk, "player": player.pk, "plan": first.plan_id},
                {"id": row.pk, "player": player.pk, "plan": other.pk, "DELETE": "on"},
            ],
            initial=2,
        ),
        **rows("entitlements"),
    }
    desk.post(change_url(player), data, follow=True)
    assert list(player.enrollments.all()) == [first]


def test_product_codes_are_offered_with_what_they_open(desk, player, maths):
    unit = maths["unit"]
    unit.required_item = "MATH-12"
    unit.save()
    Entitlement.objects.create(player=player, item="MATH-12")
    Entitlement.objects.create(player=player, item="NOTHING")
    Product.objects.create(code="MATH-12", title="Maths, grade 12")
    page = text_of(desk, player)
    label = "Maths, grade 12 – Unit: Mathematics"
    assert f'<option value="MATH-12">{label}' in page
    assert "Nothing needs this code" in page
    assert page.count("Nothing needs this code") == 1


# --- Who may ----------------------------------------------------------------------------


@pytest.mark.parametrize("action", [action.name for action in ACTIONS])
@pytest.mark.parametrize("role", [roles.CONTENT_EDITORS, roles.PUBLISHERS])
def test_nobody_else_acts_on_a_student(client_of, staff, player, action, role):
    name = action.replace("-", "_")
    assert act(client_of(staff(role)), player, name).status_code == 403


def test_an_action_is_no_link(desk, player):
    for action in ACTIONS:
        name = f"admin:players_support_{action.name.replace('-', '_')}"
        assert desk.get(reverse(name, args=[player.pk])).status_code == 405


def test_without_a_permission_the_page_offers_no_button(desk, support, player):
    group = support.groups.get()
    group.permissions.remove(
        *group.permissions.filter(
            codename__in=[
                *("correct_playerwallet", "switch_playerprofile"),
                "give_freezes_playerwallet",
                *("reset_password_playerprofile", "add_device"),
            ]
        )
    )
    refused(player, uuid.uuid4())
    page = text_of(desk, player)
    for words in (
        "Give or take XP",
        "Give streak freezes",
        "Switch the account",
        "Forgotten password",
    ):
        assert words not in page
    assert "Allow this device" not in page
    assert act(desk, player, "correct_xp", xp=1, reason="x").status_code == 403
    assert act(desk, player, "give_freezes", number=1, reason="x").status_code == 403


@pytest.mark.parametrize("language", ["ar", "en"])
def test_the_page_reads_in_both_languages(desk, player, language):
    device = devices.add(player_id=player.pk, device_id=uuid.uuid4(), name="Phone")
    started(player, device)
    refused(player, uuid.uuid4())
    desk.cookies["django_language"] = language
    page = text_of(desk, player)
    assert ("السماح بهذا الجهاز" in page) == (language == "ar")
