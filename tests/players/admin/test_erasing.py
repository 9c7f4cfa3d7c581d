"""Erase and export students in the admin."""

import json

import pytest
from django.urls import reverse
from redis.exceptions import RedisError

from players import records, roles
from players.models import Erasure, PlayerProfile, SecurityEvent, User
from progress.models import InteractionLog
from tests.admin_fixtures import messages_of

pytestmark = pytest.mark.django_db

PLAYERS = reverse("admin:players_playerprofile_changelist")


@pytest.fixture
def learned(player):
    """A student with progress; Django's own deletion refuses this student."""
    InteractionLog.objects.create(
        player=player,
        type="lesson_completed",
        reference_id="LES-1",
        seq=1,
        event_id="1",
        occurred_at=player.created_at,
        received_at=player.created_at,
    )
    return player


def ask(browser, action, *players, **data):
    chosen = {"action": action, "_selected_action": [found.pk for found in players]}
    return browser.post(PLAYERS, chosen | data, follow=True)


def test_a_superuser_erases_a_student_with_progress_after_a_page_that_asks(
    browser, superuser, learned
):
    number, account = learned.pk, learned.user_id
    page = ask(browser, "erase_chosen", learned)
    assert learned.user.email in page.content.decode()
    assert PlayerProfile.objects.filter(pk=number).exists()
    page = ask(browser, "erase_chosen", learned, confirmed="yes")
    assert messages_of(page) == ["1 student is erased."]
    assert not PlayerProfile.objects.filter(pk=number).exists()
    assert not User.objects.filter(pk=account).exists()
    assert not InteractionLog.objects.exists()
    assert Erasure.objects.get().actor == superuser


def test_the_page_says_what_happens_to_the_ledger(browser, learned, settings):
    assert "deleted, too" in ask(browser, "erase_chosen", learned).content.decode()
    settings.ERASED_LEDGER = "pseudonymise"
    kept = ask(browser, "erase_chosen", learned).content.decode()
    assert "stay recorded under a number" in kept


def test_who_is_erased_stands_in_no_list(browser, learned, settings):
    settings.ERASED_LEDGER = "pseudonymise"
    ask(browser, "erase_chosen", learned, confirmed="yes")
    assert PlayerProfile.objects.filter(pk=learned.pk).exists()
    for page in (PLAYERS, reverse("admin:players_user_changelist")):
        shown = browser.get(page).content.decode()
        assert "erased.invalid" not in shown
    change = reverse("admin:players_playerprofile_change", args=[learned.pk])
    assert browser.get(change).status_code == 302


def test_what_remains_is_said(browser, learned, monkeypatch):
    def away(*_args):
        raise RedisError("away")

    monkeypatch.setattr(records, "forget_player", away)
    page = ask(browser, "erase_chosen", learned, confirmed="yes")
    assert "is retried every five minutes" in messages_of(page)[1]
    rows = browser.get(reverse("admin:players_erasure_changelist"))
    assert "Remaining: redis" in rows.content.decode()


def test_a_refusal_is_said_and_stops_no_other(browser, learned, player, plan):
    User.objects.filter(pk=learned.user_id).update(is_staff=True)
    other = PlayerProfile.objects.create(
        user=User.objects.create_user("other@example.com", "a-good-password-7")
    )
    page = ask(browser, "erase_chosen", learned, other, confirmed="yes")
    refusal, done = messages_of(page)
    assert "also works in the admin" in refusal
    assert done == "1 student is erased."


@pytest.mark.parametrize("role", [roles.SUPPORT, roles.PUBLISHERS])
def test_other_roles_neither_erase_nor_export(client_of, staff, learned, role):
    browser = client_of(staff(role))
    for action in ("erase_chosen", "export_chosen"):
        page = ask(browser, action, learned, confirmed="yes")
        assert "attachment" not in str(page.headers)
    assert PlayerProfile.objects.filter(pk=learned.pk).exists()
    assert not SecurityEvent.objects.filter(type="player_exported").exists()


def test_system_managers_do_both(client_of, staff, learned):
    browser = client_of(staff(roles.SYSTEM_MANAGERS))
    change = reverse("admin:players_playerprofile_change", args=[learned.pk])
    page = browser.get(change).content.decode()
    assert "Export as JSON" in page
    assert "Erase …" in page
    document = json.loads(ask(browser, "export_chosen", learned).content)
    assert document["account"]["email"] == learned.user.email
    ask(browser, "erase_chosen", learned, confirmed="yes")
    assert not PlayerProfile.objects.filter(pk=learned.pk).exists()


def test_the_page_of_a_student_offers_support_neither(client_of, support, learned):
    change = reverse("admin:players_playerprofile_change", args=[learned.pk])
    page = client_of(support).get(change).content.decode()
    assert "Export as JSON" not in page
    assert "Erase …" not in page


def test_an_export_is_a_file_that_nobody_keeps(browser, learned):
    answer = ask(browser, "export_chosen", learned)
    assert answer.headers["Content-Disposition"] == (
        f'attachment; filename="student-{learned.pk}.json"'
    )
    assert "no-store" in answer.headers["Cache-Control"]
    assert SecurityEvent.objects.filter(type="player_exported").count() == 1


def test_a_student_s_account_is_not_deleted_beside_the_student(browser, player):
    url = reverse("admin:players_user_delete", args=[player.user_id])
    assert browser.post(url, {"post": "yes"}).status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": [player.user_id]}
    browser.post(reverse("admin:players_user_changelist"), chosen | {"post": "yes"})
    assert User.objects.filter(pk=player.user_id).exists()


def test_an_account_of_staff_is_deleted_as_before(browser, editor):
    url = reverse("admin:players_user_delete", args=[editor.pk])
    assert browser.post(url, {"post": "yes"}).status_code == 302
    assert not User.objects.filter(pk=editor.pk).exists()
