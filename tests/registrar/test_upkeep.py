"""What is checked and renewed at Zoho, and what the alerts say of it."""

from datetime import timedelta

import pytest
from cryptography.fernet import Fernet
from django.utils import timezone

from memora_site import registrar_alerts
from publishing.models import Alert
from publishing.monitoring import outside
from registrar import breakers, upkeep
from registrar.models import PeerState
from registrar.peers.errors import PeerCredentialsError
from tests.registrar.admin.conftest import make_hint

pytestmark = pytest.mark.django_db

TOKEN = "t" * 32


@pytest.fixture(autouse=True)
def _configured(settings):
    settings.SECRETS_KEYS = [Fernet.generate_key().decode()]
    settings.REGISTRAR_TOKENS = [TOKEN]
    settings.SITE_URL = "https://memora.example"


def open_keys():
    return sorted(Alert.objects.exclude(open_key=None).values_list("key", flat=True))


def test_the_channel_is_opened_then_renewed(crm, zoho):
    now = timezone.now()
    assert upkeep.keep_channel(crm, now=now)
    assert upkeep.keep_channel(crm, now=now + timedelta(hours=1))
    state = PeerState.objects.get(peer="zoho")
    assert state.channel_expires_at == now + timedelta(days=7)


def test_without_a_token_no_channel_is_opened(crm, settings):
    settings.REGISTRAR_TOKENS = []
    assert not upkeep.keep_channel(crm, now=timezone.now())
    assert not PeerState.objects.exists()


def test_fields_that_the_crm_lacks_are_stored(crm, zoho):
    upkeep.check_names(crm, now=timezone.now())
    state = PeerState.objects.get(peer="zoho")
    assert state.missing_names == {}
    assert state.names_checked_at is not None


def test_a_crm_without_a_field_for_criteria_raises_an_alert_of_its_own():
    state = PeerState.objects.create(
        peer="zoho", missing_names={"BTEC_Units": ["P1_description"]}
    )
    outside.check(timezone.now())
    assert open_keys() == ["criteria_names"]
    state.missing_names = {"BTEC_Units": ["P1_description", "Unit_Code"]}
    state.save()
    outside.check(timezone.now())
    assert open_keys() == ["criteria_names", "names"]


def test_a_channel_that_nothing_renews_raises_an_alert_and_its_renewal_closes_it(crm):
    now = timezone.now()
    state = PeerState.objects.create(
        peer="zoho", channel_expires_at=now + timedelta(days=1)
    )
    outside.check(now)
    assert open_keys() == ["channel"]
    assert "registrar-channel.md" in Alert.objects.get().message
    state.channel_expires_at = now + timedelta(days=6)
    state.save()
    outside.check(now)
    assert open_keys() == []


def test_a_refused_account_raises_an_alert_until_it_is_accepted():
    now = timezone.now()
    error = PeerCredentialsError("Refused.", peer="zoho", reason="invalid_code")
    breakers.record_failure("zoho", error, now=now)
    outside.check(now)
    assert open_keys() == ["credentials_zoho"]
    breakers.record_success("zoho")
    outside.check(now)
    assert open_keys() == []


def test_a_late_inbox_raises_one_alert():
    now = timezone.now()
    make_hint("1", created_at=now - timedelta(minutes=16))
    outside.check(now)
    outside.check(now)
    assert open_keys() == ["inbox_late"]


def test_nobody_is_alerted_while_the_registrar_is_off(settings):
    settings.REGISTRAR_TOKENS = []
    make_hint("1")
    assert registrar_alerts.find(timezone.now()) == []
