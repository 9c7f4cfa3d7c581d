"""Every staff action on a student adds an audit row with the actor and the address."""

import io
import uuid

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from PIL import Image
from rest_framework.test import APIClient

from content import products
from plans.models import AcademicPlan
from players.models import (
    Entitlement,
    GroupMember,
    PlayerProfile,
    SecurityEvent,
    SecurityEventType as Type,
    StudyGroup,
    User,
)
from players.services import accounts, devices, photos
from tests.players.admin.test_players import PLAYERS, change_url, rows
from tests.players.app import App

pytestmark = pytest.mark.django_db

ADDRESS = "203.0.113.7"
PASSWORD = "student-password-1"
NEW_PASSWORD = "staple battery 9"
DEVICES = "/api/v1/admin/devices/"


def picture():
    out = io.BytesIO()
    Image.new("RGB", (8, 8), "teal").save(out, "PNG")
    return SimpleUploadedFile("me.png", out.getvalue(), "image/png")


class Desk:
    """A superuser behind a proxy, at work on one student."""

    def __init__(self, root, player, other_plan):
        self.player, self.other_plan = player, other_plan
        self.client = APIClient(REMOTE_ADDR="", HTTP_X_FORWARDED_FOR=ADDRESS)
        self.client.force_login(root, "django.contrib.auth.backends.ModelBackend")

    def send(self, address, data, status=302):
        answer = self.client.post(address, data, format="multipart")
        assert answer.status_code == status, answer.content.decode()[:3000]

    def api(self, method, path, body=None, status=200):
        answer = getattr(self.client, method)(path, body, format="json")
        assert answer.status_code == status, answer.content

    def act(self, action, status=302, **more):
        """Run an action of the list of students."""
        data = {"action": action, "_selected_action": [self.player.pk], **more}
        self.send(PLAYERS, data, status)

    def act_on_group(self, **given):
        """Run an action on the student's group."""
        group = StudyGroup.objects.create(name="5 A")
        GroupMember.objects.create(group=group, player=self.player)
        data = {"action": "change_access", "_selected_action": [group.pk]}
        address = reverse("admin:players_studygroup_changelist")
        self.send(address, {**data, "confirmed": "yes", **given})

    def save_student(self, *, drop=(), **fields):
        """Save the student's page; ``drop`` names what is removed from the forms."""
        player = PlayerProfile.objects.get(pk=self.player.pk)
        data = {"active_plan": player.active_plan_id or ""}
        for name in ("enrollments", "entitlements"):
            held = [
                {"id": row.pk, "player": player.pk, **self.kept(row)}
                | ({"DELETE": "on"} if name in drop else {})
                for row in getattr(player, name).all()
            ]
            added = fields.pop(name, [])
            data |= rows(name, [*held, *added], initial=len(held))
        data |= rows("session") | rows("wallet", [{}], initial=1)
        self.send(change_url(player), data | fields)

    @staticmethod
    def kept(row):
        if isinstance(row, Entitlement):
            return {"item": row.item}
        return {"plan": row.plan_id} if hasattr(row, "plan_id") else {}

    def press(self, action, **data):
        """Use a button of the student's page."""
        url = reverse(f"admin:players_support_{action}", args=[self.player.pk])
        self.send(url, data)

    def save_account(self, **changes):
        user = User.objects.get(pk=self.player.user_id)
        data = {"email": user.email, "full_name": user.full_name}
        data |= {"is_active": "on"} | changes
        data = {name: value for name, value in data.items() if value is not None}
        self.send(reverse("admin:players_user_change", args=[user.pk]), data)

    # --- What is there before an action ---------------------------------------

    def device(self):
        return devices.add(player_id=self.player.pk, device_id=uuid.uuid4())

    def signed_in(self):
        assert App().sign_in(self.player.user.email, PASSWORD).status_code == 200

    def product(self):
        Entitlement.objects.create(player=self.player, item="MATH")

    def photo(self):
        photos.replace(player_id=self.player.pk, file=picture())

    def switched_off(self):
        User.objects.filter(pk=self.player.user_id).update(is_active=False)

    def in_other_plan(self):
        accounts.enroll(self.player, self.other_plan)


def nothing(_desk):
    return None


# The action's name: (what is there before, the action, the event that it records).
ACTIONS = {
    "xp_api": (
        nothing,
        lambda desk: desk.api(
            "post",
            f"/api/v1/admin/wallets/{desk.player.pk}/xp/",
            {"xp": 50, "reason": "Olympiad"},
        ),
        Type.WALLET_CORRECTED,
    ),
    "add_device": (
        nothing,
        lambda desk: desk.press("allow_device", device_id=str(uuid.uuid4())),
        Type.DEVICE_ADDED,
    ),
    "remove_device": (
        Desk.device,
        lambda desk: desk.press(
            "remove_device", device_id=str(desk.player.devices.get().device_id)
        ),
        Type.DEVICE_REMOVED,
    ),
    "give_xp_on_the_page": (
        nothing,
        lambda desk: desk.press("correct_xp", xp="5", reason="a mistake"),
        Type.WALLET_CORRECTED,
    ),
    "switch_off_on_the_page": (
        nothing,
        lambda desk: desk.press("switch_off", reason="has left"),
        Type.ACCOUNT_DEACTIVATED,
    ),
    "switch_on_on_the_page": (
        Desk.switched_off,
        lambda desk: desk.press("switch_on", reason="is back"),
        Type.ACCOUNT_ACTIVATED,
    ),
    "end_session_on_the_page": (
        Desk.signed_in,
        lambda desk: desk.press("end_session", reason="a lost phone"),
        Type.SESSION_ENDED,
    ),
    "add_device_api": (
        nothing,
        lambda desk: desk.api(
            "post",
            DEVICES,
            {"player_id": desk.player.pk, "device_id": str(uuid.uuid4())},
            status=201,
        ),
        Type.DEVICE_ADDED,
    ),
    "remove_device_api": (
        Desk.device,
        lambda desk: desk.api(
            "delete", f"{DEVICES}{desk.player.devices.get().pk}/", status=204
        ),
        Type.DEVICE_REMOVED,
    ),
    "end_session": (
        Desk.signed_in,
        lambda desk: desk.act("end_session"),
        Type.SESSION_ENDED,
    ),
    "enrol": (
        nothing,
        lambda desk: desk.save_student(enrollments=[{"plan": desk.other_plan.pk}]),
        Type.ENROLLMENT_ADDED,
    ),
    "end_enrolment": (
        nothing,
        lambda desk: desk.save_student(drop=["enrollments"], active_plan=""),
        Type.ENROLLMENT_REMOVED,
    ),
    "choose_plan": (
        Desk.in_other_plan,
        lambda desk: desk.save_student(active_plan=desk.other_plan.pk),
        Type.PLAN_ACTIVATED,
    ),
    "give_product": (
        lambda _desk: products.ensure(["PHYS"]),
        lambda desk: desk.save_student(entitlements=[{"item": "PHYS"}]),
        Type.ENTITLEMENT_ADDED,
    ),
    "change_product": (
        Desk.product,
        lambda desk: desk.save_student(
            **{
                "entitlements-0-valid_until_0": "2030-01-01",
                "entitlements-0-valid_until_1": "00:00:00",
            }
        ),
        Type.ENTITLEMENT_CHANGED,
    ),
    "take_product": (
        Desk.product,
        lambda desk: desk.save_student(drop=["entitlements"]),
        Type.ENTITLEMENT_REMOVED,
    ),
    "enrol_group": (
        nothing,
        lambda desk: desk.act_on_group(operation="enroll", plan=desk.other_plan.pk),
        Type.ENROLLMENT_ADDED,
    ),
    "give_group_product": (
        lambda _desk: products.ensure(["PHYS"]),
        lambda desk: desk.act_on_group(operation="grant", item="PHYS"),
        Type.ENTITLEMENT_ADDED,
    ),
    "password": (
        nothing,
        lambda desk: desk.send(
            reverse("admin:auth_user_password_change", args=[desk.player.user_id]),
            {
                "password1": NEW_PASSWORD,
                "password2": NEW_PASSWORD,
                "usable_password": "true",
                "set-password": "",
            },
        ),
        Type.PASSWORD_CHANGED,
    ),
    "block": (
        nothing,
        lambda desk: desk.save_account(is_active=None),
        Type.ACCOUNT_DEACTIVATED,
    ),
    "unblock": (
        Desk.switched_off,
        lambda desk: desk.save_account(),
        Type.ACCOUNT_ACTIVATED,
    ),
    "email": (
        nothing,
        lambda desk: desk.save_account(email="other@example.com"),
        Type.EMAIL_CHANGED,
    ),
    "rights": (
        nothing,
        lambda desk: desk.save_account(is_staff="on"),
        Type.RIGHTS_CHANGED,
    ),
    "photo": (
        nothing,
        lambda desk: desk.save_student(photo=picture()),
        Type.PHOTO_CHANGED,
    ),
    "remove_photo": (
        Desk.photo,
        lambda desk: desk.save_student(**{"photo-clear": "on"}),
        Type.PHOTO_REMOVED,
    ),
    "export": (
        nothing,
        lambda desk: desk.act("export_chosen", 200),
        Type.PLAYER_EXPORTED,
    ),
    "erase": (
        nothing,
        lambda desk: desk.act("erase_chosen", confirmed="yes"),
        Type.PLAYER_ERASED,
    ),
}


@pytest.fixture
def desk(superuser, player, settings):
    settings.TRUSTED_PROXIES = 1
    settings.TIME_ZONE = "UTC"
    other = AcademicPlan.objects.create(title="Grade 6", is_published=True)
    return Desk(superuser, player, other)


@pytest.mark.parametrize("name", ACTIONS)
def test_a_staff_action_on_a_student_is_audited(
    desk, superuser, name, django_capture_on_commit_callbacks
):
    before, act, kind = ACTIONS[name]
    student = desk.player.user_id
    with django_capture_on_commit_callbacks(execute=True):
        before(desk)
    last = SecurityEvent.objects.order_by("pk").last().pk
    with django_capture_on_commit_callbacks(execute=True):
        act(desk)
    event = SecurityEvent.objects.get(pk__gt=last, type=kind)
    assert (event.actor, event.ip_address) == (superuser, ADDRESS)
    # An erased student has no account any more; the number is in the details.
    erased = kind == Type.PLAYER_ERASED
    assert event.user_id == (None if erased else student)
    if erased:
        assert event.details == {"player": desk.player.pk}
    assert event.details.get("reason") == {
        "xp_api": "Olympiad",
        "give_xp_on_the_page": "a mistake",
        "end_session": "ended_by_staff",
        "end_session_on_the_page": "ended_by_staff",
    }.get(name)
    assert event.details.get("note") == NOTES.get(name)


NOTES = {
    "switch_off_on_the_page": "has left",
    "switch_on_on_the_page": "is back",
    "end_session_on_the_page": "a lost phone",
}
"""Reasons that staff write beside the fixed one of the event."""


def test_every_type_of_event_that_staff_cause_has_an_action_above():
    by_nobody_or_tested_elsewhere = {
        # Students, guests, and the accounts of staff.
        *(Type.LOGIN, Type.LOGOUT, Type.REFUSED, Type.RATE_LIMITED),
        *(Type.STAFF_LOGIN, Type.STAFF_LOGIN_FAILED, Type.STAFF_LOGOUT),
        *(Type.RESET_REQUESTED, Type.PASSWORD_RESET, Type.DEVICE_REPLACED),
        # About no single student.
        *(Type.WALLETS_SYNCED, Type.EVENTS_EXPORTED),
        # Of an import or a group: tests/players/services/test_student_import, …_slips.
        *(Type.PLAYER_CREATED, Type.PLAYER_CHANGED, Type.SLIP_PRINTED),
        # No door writes an enrolment anew; tests/players/services/test_password_resets
        # has the code that support issues.
        *(Type.ENROLLMENT_CHANGED, Type.RESET_CODE_ISSUED),
        # tests/players/admin/test_support and tests/progress/services/test_grants.
        *(Type.FREEZES_GIVEN, Type.PROGRESS_GRANTED, Type.PROGRESS_RESET),
    }
    walked = {kind for _before, _act, kind in ACTIONS.values()}
    assert walked | by_nobody_or_tested_elsewhere == set(Type)
    assert not walked & by_nobody_or_tested_elsewhere
