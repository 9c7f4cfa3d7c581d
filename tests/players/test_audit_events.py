"""Events of the audit trail: staff, accounts, access, refusals."""

import uuid
from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from content import products
from plans.models import AcademicPlan
from players.models import (
    Enrollment,
    Entitlement,
    PlayerProfile,
    SecurityEvent,
    User,
)
from players.services import accounts, devices
from tests.players.app import PASSWORD

pytestmark = pytest.mark.django_db
EMAIL = "lina@school.example"
ADDRESS = "203.0.113.7"


@pytest.fixture
def root(db):
    return User.objects.create_superuser("root@school.example", PASSWORD)


@pytest.fixture
def behind_socket(settings):
    """A client whose requests come through one proxy and a Unix socket."""
    settings.TRUSTED_PROXIES = 1
    return Client(REMOTE_ADDR="", HTTP_X_FORWARDED_FOR=ADDRESS)


@pytest.fixture
def told():
    """Return a function that returns the events recorded since the test began."""
    last = SecurityEvent.objects.order_by("pk").last()
    start = last.pk if last else 0

    def lines(*types):
        found = SecurityEvent.objects.filter(pk__gt=start).order_by("pk")
        if types:
            found = found.filter(type__in=types)
        return [(event.type, event.user_id, event.details) for event in found]

    return lines


# --- Staff ----------------------------------------------------------------------


def test_staff_sign_ins_and_sign_outs_are_told(root, behind_socket):
    login = reverse("admin:login")
    behind_socket.post(login, {"username": root.email, "password": "wrong"})
    behind_socket.post(login, {"username": "nobody@x.example", "password": "wrong"})
    behind_socket.post(login, {"username": root.email, "password": PASSWORD})
    behind_socket.post(reverse("admin:logout"))
    found = SecurityEvent.objects.filter(type__startswith="staff_").order_by("pk")
    assert list(found.values_list("type", "user_id", "ip_address")) == [
        ("staff_login_failed", root.pk, ADDRESS),
        ("staff_login_failed", None, ADDRESS),
        ("staff_login", root.pk, ADDRESS),
        ("staff_logout", root.pk, ADDRESS),
    ]
    assert "example" not in str(list(found.values()))


def test_a_students_right_password_at_the_admins_sign_in_is_told(student, client, told):
    body = {"username": EMAIL, "password": PASSWORD}
    for _ in range(2):
        assert client.post(reverse("admin:login"), body).status_code == 200
    details = {"code": "NOT_STAFF", "endpoint": "login"}
    assert told() == [("refused", student.user_id, details)]


def test_a_failed_sign_in_without_an_address_is_told_too(root):
    client = Client(REMOTE_ADDR="")
    body = {"username": root.email, "password": "wrong"}
    assert client.post(reverse("admin:login"), body).status_code == 200
    event = SecurityEvent.objects.get(type="staff_login_failed")
    assert (event.user, event.ip_address) == (root, None)


def test_a_flood_of_failed_sign_ins_is_no_flood_of_lines(root, client, settings):
    settings.RATE_LIMITS = settings.RATE_LIMITS | {"staff_login_failed": (2, 3600)}
    for number in range(5):
        body = {"username": f"{number}@x.example", "password": "wrong"}
        client.post(reverse("admin:login"), body)
    assert SecurityEvent.objects.filter(type="staff_login_failed").count() == 2


def test_a_change_of_groups_and_permissions_is_told(manager, told):
    group = Group.objects.get(name="Support")
    permission = Permission.objects.first()
    manager.groups.add(group)
    manager.groups.add(group)
    manager.groups.remove(group)
    manager.user_permissions.set([permission])
    manager.user_permissions.clear()
    assert told() == [
        ("rights_changed", manager.pk, {"groups": {"added": [group.pk]}}),
        ("rights_changed", manager.pk, {"groups": {"removed": [group.pk]}}),
        ("rights_changed", manager.pk, {"permissions": {"added": [permission.pk]}}),
        ("rights_changed", manager.pk, {"permissions": {"removed": [permission.pk]}}),
    ]


def test_a_change_from_the_groups_side_is_told_of_each_user(manager, support, told):
    group = Group.objects.create(name="Helpers")
    group.user_set.add(manager, support)
    group.user_set.clear()
    first, second = sorted([manager.pk, support.pk])
    assert told() == [
        ("rights_changed", first, {"groups": {"added": [group.pk]}}),
        ("rights_changed", second, {"groups": {"added": [group.pk]}}),
        ("rights_changed", first, {"groups": {"removed": [group.pk]}}),
        ("rights_changed", second, {"groups": {"removed": [group.pk]}}),
    ]


def test_what_a_group_may_do_and_its_deletion_are_told(manager, told):
    group = Group.objects.create(name="Helpers")
    key = group.pk
    permission = Permission.objects.first()
    group.permissions.add(permission)
    group.permissions.clear()
    manager.groups.add(group)
    group.delete()
    change = {"group": key}
    assert told() == [
        ("rights_changed", None, change | {"permissions": {"added": [permission.pk]}}),
        (
            "rights_changed",
            None,
            change | {"permissions": {"removed": [permission.pk]}},
        ),
        ("rights_changed", manager.pk, {"groups": {"added": [key]}}),
        ("rights_changed", manager.pk, {"groups": {"removed": [key]}}),
        ("rights_changed", None, change | {"deleted": True}),
    ]


def test_bringing_the_roles_up_to_date_is_no_change_by_staff(told):
    permissions = Group.objects.get(name="Support").permissions
    held = set(permissions.values_list("pk", flat=True))
    permissions.through.objects.filter(group__name="Support").delete()
    call_command("migrate", verbosity=0)
    assert set(permissions.values_list("pk", flat=True)) == held
    assert told() == []


@pytest.mark.parametrize("how", ["save", "update", "bulk_update"])
def test_a_changed_account_is_told(student, told, how):
    user = User.objects.get(pk=student.user_id)
    for column, value in (
        ("is_staff", True),
        ("is_superuser", True),
        ("is_active", False),
        ("is_active", True),
        ("email", "other@school.example"),
    ):
        setattr(user, column, value)
        if how == "save":
            user.save()
        elif how == "update":
            User.objects.filter(pk=user.pk).update(**{column: value})
        else:
            User.objects.bulk_update([user], [column])
    assert told() == [
        ("rights_changed", user.pk, {"is_staff": True}),
        ("rights_changed", user.pk, {"is_superuser": True}),
        ("account_deactivated", user.pk, {}),
        ("account_activated", user.pk, {}),
        ("email_changed", user.pk, {}),
    ]


def test_an_account_that_starts_with_rights_is_told(told):
    student = User.objects.create_user("new@school.example", PASSWORD)
    root = User.objects.create_superuser("root@school.example", PASSWORD)
    assert student.pk != root.pk
    rights = {"is_staff": True, "is_superuser": True}
    assert told() == [("rights_changed", root.pk, rights)]


# --- Access ---------------------------------------------------------------------


def test_enrolments_and_entitlements_are_told(student, plan, told):
    other = AcademicPlan.objects.create(title="Grade 6", public_id="PLAN-6")
    until = datetime(2030, 1, 1, tzinfo=UTC)
    accounts.enroll(student, other)
    accounts.enroll(student, other)
    student.enrollments.get(plan=other).delete()
    owned = Entitlement.objects.create(player=student, item="MATH")
    owned.valid_until = until
    owned.save()
    owned.delete()
    who = student.user_id
    assert told() == [
        ("enrollment_added", who, {"plan": other.pk}),
        ("enrollment_removed", who, {"plan": other.pk}),
        ("entitlement_added", who, {"item": "MATH", "until": None}),
        ("entitlement_changed", who, {"item": "MATH", "until": until.isoformat()}),
        ("entitlement_removed", who, {"item": "MATH", "until": until.isoformat()}),
    ]


def test_access_written_in_bulk_is_told_too(student, plan, told):
    until = datetime(2030, 1, 1, tzinfo=UTC)
    Entitlement.objects.bulk_create(
        [Entitlement(player=student, item=item) for item in ("A", "B")]
    )
    Entitlement.objects.filter(item="A").update(valid_until=until)
    Entitlement.objects.all().delete()
    who = student.user_id
    assert sorted(told(), key=str) == sorted(
        [
            ("entitlement_added", who, {"item": "A", "until": None}),
            ("entitlement_added", who, {"item": "B", "until": None}),
            ("entitlement_changed", who, {"item": "A", "until": until.isoformat()}),
            ("entitlement_removed", who, {"item": "A", "until": until.isoformat()}),
            ("entitlement_removed", who, {"item": "B", "until": None}),
        ],
        key=str,
    )


def test_a_deleted_plan_is_one_line_however_many_lose_it(student, plan, told):
    accounts.create_player("omar@school.example", PASSWORD, plan=plan)
    key, public_id = plan.pk, plan.public_id
    PlayerProfile.objects.update(active_plan=None)
    plan.delete()
    assert told("enrollment_removed") == [
        ("enrollment_removed", None, {"plan": key, "plan_id": public_id, "players": 2})
    ]
    assert not Enrollment.objects.exists()


def test_deleting_an_account_with_all_it_has_works(signed_in, student):
    Entitlement.objects.create(player=student, item="MATH")
    User.objects.get(pk=student.user_id).delete()
    assert not Entitlement.objects.exists()


# --- User and address of a request -------------------------------------------------


def test_the_admins_changes_name_the_address_behind_the_socket(
    student, root, behind_socket
):
    behind_socket.force_login(root)
    products.ensure(["MATH"])
    held = devices.add(player_id=student.pk, device_id=uuid.uuid4())
    enrolled = student.enrollments.get()
    for action, device_id in (
        ("remove_device", held.device_id),
        ("allow_device", uuid.uuid4()),
    ):
        url = reverse(f"admin:players_support_{action}", args=[student.pk])
        page = behind_socket.post(url, {"device_id": str(device_id)})
        assert page.status_code == 302
    page = behind_socket.post(
        reverse("admin:players_playerprofile_change", args=[student.pk]),
        {
            "active_plan": student.active_plan_id,
            "enrollments-TOTAL_FORMS": 1,
            "enrollments-INITIAL_FORMS": 1,
            "enrollments-0-id": enrolled.pk,
            "enrollments-0-player": student.pk,
            "enrollments-0-plan": enrolled.plan_id,
            "entitlements-TOTAL_FORMS": 1,
            "entitlements-INITIAL_FORMS": 0,
            "entitlements-0-item": "MATH",
        },
    )
    assert page.status_code == 302
    changed = SecurityEvent.objects.filter(actor=root).order_by("pk")
    assert list(changed.values_list("type", "ip_address")) == [
        ("device_removed", ADDRESS),
        ("device_added", ADDRESS),
        ("entitlement_added", ADDRESS),
    ]


def test_a_session_ended_in_the_admin_names_who_and_where(
    signed_in, student, root, behind_socket
):
    behind_socket.force_login(root)
    behind_socket.post(
        reverse("admin:players_playerprofile_changelist"),
        {"action": "end_session", "_selected_action": [student.pk]},
    )
    event = SecurityEvent.objects.get(type="session_ended")
    assert (event.actor, event.ip_address) == (root, ADDRESS)
    assert event.details == {"reason": "ended_by_staff"}


def test_a_password_changed_by_another_names_who(student, root, behind_socket):
    behind_socket.force_login(root)
    behind_socket.post(
        reverse("admin:auth_user_password_change", args=[student.user_id]),
        {
            "password1": "staple battery 9",
            "password2": "staple battery 9",
            "usable_password": "true",
            "set-password": "",
        },
    )
    event = SecurityEvent.objects.get(type="password_changed")
    assert (event.user_id, event.actor) == (student.user_id, root)
    assert event.ip_address == ADDRESS


def test_after_a_request_nothing_is_said_of_it(student, root, client):
    client.force_login(root)
    client.get(reverse("admin:index"))
    Entitlement.objects.create(player=student, item="MATH")
    event = SecurityEvent.objects.get(type="entitlement_added")
    assert (event.actor, event.ip_address) == (None, None)


def test_a_players_request_has_no_actor_even_with_an_admins_cookie(
    student, root, app, behind_socket
):
    app.client.force_login(root)
    app.sign_in(EMAIL)
    event = SecurityEvent.objects.get(type="login")
    assert (event.user_id, event.actor) == (student.user_id, None)


# --- Refused requests -----------------------------------------------------------


def test_a_refused_request_is_told_once_for_its_code(signed_in, student, told):
    student.enrollments.all().delete()
    for _ in range(3):
        assert signed_in.get("content/").status_code == 403
    assert told("refused") == [
        (
            "refused",
            student.user_id,
            {"code": "NOT_ENROLLED", "endpoint": "content-list"},
        )
    ]
    event = SecurityEvent.objects.get(type="refused")
    assert str(event.device_id) == signed_in.device_id
    assert (event.ip_address, event.actor) == ("127.0.0.1", None)


def test_a_token_on_another_device_is_told(signed_in, student, told):
    signed_in.device_id = str(uuid.uuid4())
    for _ in range(2):
        assert signed_in.get("wallet/").status_code == 403
    assert told("refused") == [
        (
            "refused",
            student.user_id,
            {"code": "DEVICE_MISMATCH", "endpoint": "wallet-list"},
        )
    ]


def test_staff_without_the_permission_are_told(student, support, as_staff, told):
    client = as_staff(support)
    for _ in range(2):
        assert client.get(reverse("admin:content_node_changelist")).status_code == 403
        answer = client.post("/api/v1/admin/wallets/sync/", {}, format="json")
        assert answer.status_code == 403
    code = "PERMISSION_DENIED"
    assert told("refused") == [
        (
            "refused",
            support.pk,
            {"code": code, "endpoint": "content_node_changelist"},
        )
    ]


def test_a_refused_sign_in_is_told_once_and_a_bad_token_not_at_all(app, student, told):
    app.sign_in(EMAIL, "wrong")
    app.token = f"{student.pk}.{'A' * 43}"
    assert app.get("wallet/").status_code == 401
    assert len(told("refused")) == 1


def test_a_refusal_stands_when_its_line_cannot_be_written(
    signed_in, student, monkeypatch
):
    from django.db import OperationalError

    from players import audit

    def fail(*_args, **_kwargs):
        raise OperationalError("disk full")

    student.enrollments.all().delete()
    monkeypatch.setattr(audit, "record", fail)
    assert signed_in.get("content/").status_code == 403


def test_without_redis_a_refusal_is_not_told(signed_in, student, settings, tmp_path):
    student.enrollments.all().delete()
    settings.REDIS_URL = f"unix://{tmp_path / 'nobody.sock'}"
    assert signed_in.get("content/").status_code == 403
    assert not SecurityEvent.objects.filter(type="refused").exists()
