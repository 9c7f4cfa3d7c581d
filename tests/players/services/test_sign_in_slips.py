"""Sign-in slips: new passwords that are told once."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from players.models import (
    EndedSession,
    PasswordResetCode,
    SecurityEvent,
    StudyGroup,
    User,
)
from players.services import accounts, groups, password_resets, sign_in_slips
from tests.players.app import PASSWORD

pytestmark = pytest.mark.django_db


@pytest.fixture
def issue(django_capture_on_commit_callbacks):
    def run(player_ids):
        with django_capture_on_commit_callbacks(execute=True):
            return sign_in_slips.issue(player_ids)

    return run


def test_the_new_password_works_and_the_old_one_and_the_session_do_not(
    student, signed_in, support, issue
):
    password_resets.issue_code(student, support)
    (slip,) = issue([student.pk])
    assert (slip.name, slip.email) == ("Lina", "lina@school.example")
    answer = signed_in.get("wallet/")
    assert (answer.status_code, answer.json()["error_code"]) == (
        401,
        "PASSWORD_CHANGED",
    )
    assert signed_in.sign_in("lina@school.example", PASSWORD).status_code == 401
    assert signed_in.sign_in("lina@school.example", slip.password).status_code == 200
    assert not PasswordResetCode.objects.exists()


def test_each_slip_is_audited_without_the_password(student, issue):
    (slip,) = issue([student.pk])
    events = SecurityEvent.objects.filter(user=student.user)
    assert {"slip_printed", "password_changed"} <= {event.type for event in events}
    assert slip.password not in str(list(events.values()))


def test_slips_are_in_the_order_of_classes_and_names(plan):
    made = {}
    for name, group in (("Zain", "5 A"), ("Huda", "5 B"), ("Ali", "5 A")):
        player = accounts.create_player(f"{name}@b.example", PASSWORD, name)
        found, _created = StudyGroup.objects.get_or_create(name=group)
        groups.add_members([(found.pk, player.pk)])
        made[name] = player.pk
    chosen = sign_in_slips.choose(made.values())
    assert chosen.player_ids == [made["Ali"], made["Zain"], made["Huda"]]
    slips = sign_in_slips.issue(chosen.player_ids)
    assert [(slip.name, slip.group) for slip in slips] == [
        ("Ali", "5 A"),
        ("Zain", "5 A"),
        ("Huda", "5 B"),
    ]


def test_accounts_of_staff_and_those_switched_off_get_none(student, issue):
    other = accounts.create_player("omar@school.example", PASSWORD, "Omar")
    User.objects.filter(pk=other.user_id).update(is_staff=True)
    User.objects.filter(pk=student.user_id).update(is_active=False)
    chosen = sign_in_slips.choose([student.pk, other.pk])
    assert (chosen.player_ids, chosen.left_out) == ([], 2)
    assert issue([student.pk, other.pk]) == []
    other.user.refresh_from_db()
    assert other.user.check_password(PASSWORD)


def test_a_long_list_is_printed_in_parts(monkeypatch):
    monkeypatch.setattr(sign_in_slips, "MAX_SLIPS", 2)
    chosen = sign_in_slips.Chosen([7, 8, 9], left_out=0)
    assert chosen.parts == [(1, 2), (3, 3)]
    assert (chosen.part(0), chosen.part(1), chosen.part(2)) == ([7, 8], [9], [])


def test_many_slips_cost_as_many_queries_as_two(signed_in, student):
    def made(count, prefix):
        return [
            accounts.create_player(f"{prefix}{n}@b.example", PASSWORD, "S").pk
            for n in range(count)
        ]

    def queries(keys):
        with CaptureQueriesContext(connection) as captured:
            assert len(sign_in_slips.issue(keys)) == len(keys)
        return len(captured)

    few, many = queries(made(2, "a")), queries(made(30, "b"))
    # lock accounts; players; old and new passwords and their update, in a savepoint
    # each; audit of passwords and of slips; codes; sessions, groups
    assert few == many <= 30
    queries([student.pk])
    assert EndedSession.objects.count() == 1
