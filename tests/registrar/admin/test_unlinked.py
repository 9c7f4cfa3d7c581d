"""The list of accounts in Moodle that belong to nobody here (E4)."""

import pytest
from django.urls import reverse

from players import roles
from registrar.models import UnlinkedAccount
from tests.registrar.admin.conftest import NOW

pytestmark = pytest.mark.django_db

LIST = "admin:registrar_unlinkedaccount_changelist"


@pytest.fixture
def viewer(client_of, staff, settings):
    settings.MOODLE_URL, settings.MOODLE_TOKEN = "https://moodle.example", "token"
    return client_of(staff(roles.REGISTRAR_VIEWERS))


@pytest.fixture
def unlinked(db) -> None:
    UnlinkedAccount.objects.create(moodle_id=41, found_at=NOW, reason="unknown")
    UnlinkedAccount.objects.create(
        moodle_id=42,
        found_at=NOW,
        reason="taken",
        module="BTEC_Students",
        record_id="77",
    )


def test_the_list_leads_to_the_account_and_to_the_record(viewer, unlinked):
    page = viewer.get(reverse(LIST)).content.decode()
    assert 'href="https://moodle.example/user/profile.php?id=41"' in page
    assert "no student or teacher has its number or address" in page
    assert reverse("admin:registrar_timeline", args=["BTEC_Students", "77"]) in page


def test_the_dashboard_counts_them(viewer, unlinked):
    page = viewer.get(reverse("admin:registrar_dashboard")).content.decode()
    assert "Accounts in Moodle without a record: 2" in page
    assert "Accounts read:" in page
