"""Accounts and secrets in the admin: write-only, encrypted, tested on request."""

import pytest
from cryptography.fernet import Fernet
from django.urls import reverse

from core import secrets
from players import roles
from registrar import configuration, sources
from registrar.models import PeerState, RegistrarSettings, RequestWindow
from tests.registrar.simulators import (
    moodle as moodle_simulator,
    zoho as zoho_simulator,
)

pytestmark = pytest.mark.django_db

PAGE = "admin:registrar_registrarsettings_change"
KEY = "k" * 32


@pytest.fixture
def registrar(client_of, staff):
    return client_of(staff(roles.REGISTRARS))


@pytest.fixture(autouse=True)
def _keys(settings):
    settings.SECRETS_KEYS = [Fernet.generate_key().decode()]
    settings.REGISTRAR_HMAC_KEYS = settings.REGISTRAR_HEADER_KEYS = []
    settings.REGISTRAR_TOKENS = []


def save(browser, **values):
    data = {"zoho_accounts_url": "https://accounts.zoho.com", **values}
    return browser.post(reverse(PAGE), data)


def test_a_secret_is_stored_encrypted_and_never_shown(registrar):
    assert save(registrar, header_keys=KEY).status_code == 302
    stored = RegistrarSettings.objects.get().header_keys
    assert KEY not in stored
    assert secrets.decrypt(stored) == KEY
    page = registrar.get(reverse(PAGE)).content.decode()
    assert KEY not in page
    assert stored not in page
    assert "stored; leave empty to keep it" in page


def test_an_empty_field_keeps_the_secret_and_a_tick_deletes_it(registrar):
    save(registrar, header_keys=f"{KEY},{'o' * 32}")
    save(registrar)
    assert configuration.connections().webhooks.header == (KEY, "o" * 32)
    save(registrar, forget_secrets="on")
    assert not configuration.connections().is_on


@pytest.mark.parametrize(
    "values",
    [
        {"header_keys": "short"},
        {"tokens": "t" * 51},
        {"zoho_client_id": "1000.X"},
        {"moodle_url": "https://moodle.example.org"},
        {"moodle_url": "http://moodle.example.org", "moodle_token": "t"},
        {"zoho_accounts_url": "http://accounts.example"},
    ],
)
def test_what_could_not_work_is_refused_at_its_field(registrar, values):
    answer = save(registrar, **values)
    assert answer.status_code == 200
    assert "errorlist" in answer.content.decode()
    assert not configuration.connections().is_on


def test_the_admin_comes_before_the_environment(registrar, settings):
    settings.REGISTRAR_HEADER_KEYS = ["e" * 32]
    settings.REGISTRAR_TOKENS = ["f" * 32]
    settings.MOODLE_URL, settings.MOODLE_TOKEN = "https://old.example", "old"
    save(
        registrar,
        header_keys=KEY,
        moodle_url="https://moodle.example.org",
        moodle_token="new",
    )
    found = configuration.connections()
    assert found.webhooks.header == (KEY,)
    assert found.webhooks.token == ("f" * 32,)
    assert (found.moodle.url, found.moodle.token) == (
        "https://moodle.example.org",
        "new",
    )


def test_a_secret_of_another_key_is_told_and_not_used(registrar, settings):
    save(registrar, header_keys=KEY)
    settings.SECRETS_KEYS = [Fernet.generate_key().decode()]
    found = configuration.connections()
    assert found.is_unreadable
    assert not found.webhooks.is_on
    page = registrar.get(reverse("admin:registrar_dashboard")).content.decode()
    assert "A stored secret cannot be read" in page


def test_both_connections_are_tested_and_a_success_closes_the_breaker(
    registrar, zoho, moodle
):
    RegistrarSettings.objects.create(
        zoho_client_id=zoho_simulator.CLIENT_ID,
        zoho_client_secret=secrets.encrypt(zoho_simulator.CLIENT_SECRET),
        zoho_refresh_token=secrets.encrypt(zoho_simulator.REFRESH_TOKEN),
        zoho_accounts_url=zoho.url,
        moodle_url=moodle.url,
        moodle_token=secrets.encrypt(moodle_simulator.TOKEN),
    )
    PeerState.objects.create(peer="zoho", failures=1, needs_staff=True)
    for peer, words in (("zoho", "Zoho CRM answers"), ("moodle", "Moodle answers")):
        url = reverse("admin:registrar_test_connection", args=[peer])
        page = registrar.post(url, follow=True).content.decode()
        assert words in page, peer
    state = PeerState.objects.get(peer="zoho")
    assert (state.failures, state.needs_staff) == (0, False)


def test_a_refused_account_is_told_in_words(registrar, moodle):
    RegistrarSettings.objects.create(
        moodle_url=moodle.url, moodle_token=secrets.encrypt("wrong")
    )
    url = reverse("admin:registrar_test_connection", args=["moodle"])
    page = registrar.post(url, follow=True).content.decode()
    assert "messagelist" in page
    assert "Moodle answers" not in page


def test_without_an_account_nothing_is_called(registrar):
    url = reverse("admin:registrar_test_connection", args=["zoho"])
    assert "Not configured" in registrar.post(url, follow=True).content.decode()
    assert sources.current() is None


def test_a_viewer_sees_no_accounts(client_of, staff):
    viewer = client_of(staff(roles.REGISTRAR_VIEWERS))
    assert viewer.get(reverse(PAGE)).status_code == 403
    url = reverse("admin:registrar_test_connection", args=["zoho"])
    assert viewer.post(url).status_code == 403


def test_a_registrar_opens_a_window_and_one_that_ends_first_is_refused(registrar):
    url = reverse("admin:registrar_requestwindow_add")
    data = {
        "kind": "drop",
        "is_enabled": "on",
        "opens_at_0": "2026-03-01",
        "opens_at_1": "08:00",
        "closes_at_0": "2026-02-01",
        "closes_at_1": "08:00",
    }
    refused = registrar.post(url, data).content.decode()
    assert "The window must open before it closes." in refused
    registrar.post(url, data | {"closes_at_0": "2026-04-01"})
    assert RequestWindow.objects.get().is_enabled
