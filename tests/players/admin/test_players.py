"""Accounts and players in the admin."""

import uuid

import pytest
from django.urls import reverse

from content import products
from players import records
from players.models import (
    Entitlement,
    PlayerProfile,
    Session,
    User,
)
from players.services import devices
from tests.admin_fixtures import messages_of

pytestmark = pytest.mark.django_db

ADD = reverse("admin:players_playerprofile_add")
PLAYERS = reverse("admin:players_playerprofile_changelist")


def change_url(player):
    return reverse("admin:players_playerprofile_change", args=[player.pk])


def rows(prefix, given=(), initial=0):
    data = {
        f"{prefix}-TOTAL_FORMS": len(given),
        f"{prefix}-INITIAL_FORMS": initial,
        f"{prefix}-MIN_NUM_FORMS": 0,
        f"{prefix}-MAX_NUM_FORMS": 1000,
    }
    for number, row in enumerate(given):
        data |= {f"{prefix}-{number}-{name}": value for name, value in row.items()}
    return data


def save(browser, player, *, entitlements=(), **fields):
    enrolled = [
        {"id": row.pk, "player": player.pk, "plan": row.plan_id}
        for row in player.enrollments.all()
    ]
    data = {
        "active_plan": player.active_plan_id or "",
        **rows("enrollments", enrolled, initial=len(enrolled)),
        **rows("entitlements", entitlements),
        **fields,
    }
    return browser.post(change_url(player), data, follow=True)


def errors_on(page):
    return [
        text
        for found in page.context["inline_admin_formsets"]
        for row in [*found.formset.errors, {"": found.formset.non_form_errors()}]
        for texts in row.values()
        for text in texts
    ]


def test_a_new_player_gets_account_wallet_and_plan(browser, plan):
    page = browser.post(
        ADD,
        {
            "email": "New@Example.com",
            "full_name": "Huda",
            "password": "a-good-password-7",
            "plan": plan.pk,
        },
        follow=True,
    )
    assert page.status_code == 200
    player = PlayerProfile.objects.get(user__email="new@example.com")
    assert player.active_plan == plan
    assert player.enrollments.get().plan == plan
    assert player.wallet.total_xp == 0
    assert player.user.check_password("a-good-password-7")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", "student@EXAMPLE.com"),
        ("email", "nobody"),
        ("password", "123"),
        ("plan", "9"),
    ],
)
def test_a_new_players_mistakes_stand_at_their_fields(browser, player, field, value):
    given = {"email": "x@example.com", "password": "a-good-password-7", field: value}
    page = browser.post(ADD, given)
    assert list(page.context["adminform"].form.errors) == [field]


def test_an_entitlement_is_given_and_a_malformed_one_refused(browser, player):
    products.ensure(["MATH-12"])
    for refused in ("MATH 12", "MATH-13"):
        page = save(browser, player, entitlements=[{"item": refused}])
        assert errors_on(page)
    save(browser, player, entitlements=[{"item": "MATH-12"}])
    assert Entitlement.objects.get().item == "MATH-12"


def test_the_active_plan_must_be_an_enrolment(browser, player, plan):
    row = player.enrollments.get()
    page = save(
        browser,
        player,
        **rows(
            "enrollments",
            [{"id": row.pk, "player": player.pk, "plan": plan.pk, "DELETE": "on"}],
            initial=1,
        ),
    )
    assert any("is the active plan" in text for text in errors_on(page))
    assert player.enrollments.exists()


def test_staff_end_a_session_from_the_list(browser, player):
    device = devices.add(player_id=player.pk, device_id=uuid.uuid4())
    Session.objects.create(
        player=player, device=device, token_sha256="0" * 64, created_at=device.added_at
    )
    page = browser.post(
        PLAYERS,
        {"action": "end_session", "_selected_action": [player.pk]},
        follow=True,
    )
    assert messages_of(page) == ["1 session ended."]
    assert not Session.objects.exists()


def test_redis_away_is_a_message_and_nothing_is_half_done(browser, player, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise records.StoreUnavailableError("away")

    monkeypatch.setattr("players.services.access.changing", refuse)
    products.ensure(["MATH-12"])
    page = save(browser, player, entitlements=[{"item": "MATH-12"}])
    assert any("Redis does not answer" in text for text in messages_of(page))
    assert not Entitlement.objects.exists()


def test_the_players_page_reads_in_a_fixed_number_of_queries(
    browser, player, django_assert_num_queries
):
    browser.get(PLAYERS)
    # Session, user; count; the players; the filters' groups, plans, grades, streams and
    # seasons.
    with django_assert_num_queries(9):
        assert browser.get(PLAYERS).status_code == 200


def test_the_token_is_nowhere_on_the_page(browser, player):
    device = devices.add(player_id=player.pk, device_id=uuid.uuid4())
    Session.objects.create(
        player=player, device=device, token_sha256="ab" * 32, created_at=device.added_at
    )
    assert "ab" * 32 not in browser.get(change_url(player)).content.decode()


# --- Accounts -----------------------------------------------------------------


def test_a_user_is_added_by_e_mail_and_can_sign_in(browser, client):
    page = browser.post(
        reverse("admin:players_user_add"),
        {
            "email": "Editor@Example.com",
            "full_name": "Editor",
            "password1": "a-good-password-7",
            "password2": "a-good-password-7",
        },
    )
    assert page.status_code == 302, page.context["adminform"].form.errors
    user = User.objects.get(email="editor@example.com")
    User.objects.filter(pk=user.pk).update(is_staff=True)
    client.post(
        reverse("admin:login"),
        {"username": "editor@example.com", "password": "a-good-password-7"},
    )
    assert client.get(reverse("admin:index")).status_code == 200


def test_an_e_mail_address_is_one_account_whatever_its_case(browser, superuser):
    page = browser.post(
        reverse("admin:players_user_add"),
        {
            "email": "ROOT@example.com",
            "password1": "a-good-password-7",
            "password2": "a-good-password-7",
        },
    )
    assert "email" in page.context["adminform"].form.errors


def test_the_password_page_never_shows_the_hash(browser, player):
    url = reverse("admin:players_user_change", args=[player.user_id])
    page = browser.get(url).content.decode()
    assert player.user.password not in page


def test_a_manager_makes_nobody_superuser_and_touches_none(
    client_of, staff, superuser, player
):
    manager = staff("System Managers")
    browser = client_of(manager)
    url = reverse("admin:players_user_change", args=[player.user_id])
    browser.post(url, {"email": "s@example.com", "is_superuser": "on"})
    player.user.refresh_from_db()
    assert (player.user.email, player.user.is_superuser) == ("s@example.com", False)
    own = reverse("admin:players_user_change", args=[manager.pk])
    browser.post(own, {"email": manager.email, "is_staff": "", "is_active": "on"})
    manager.refresh_from_db()
    assert manager.is_staff
    root = reverse("admin:players_user_change", args=[superuser.pk])
    assert browser.post(root, {"email": "mine@example.com"}).status_code == 403
    password = reverse("admin:auth_user_password_change", args=[superuser.pk])
    assert browser.get(password).status_code == 403
