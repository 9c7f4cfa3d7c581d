"""The list of BTEC templates (E5)."""

import pytest
from django.urls import reverse

from players import roles
from registrar.mirror.applying import apply_record
from registrar.models import Effect, PeerState, Unit
from tests.registrar.admin.conftest import NOW, make_effect

pytestmark = pytest.mark.django_db

LIST = "admin:registrar_template_changelist"


@pytest.fixture
def registrar(client_of, staff):
    return client_of(staff(roles.REGISTRARS))


@pytest.fixture
def viewer(client_of, staff):
    return client_of(staff(roles.REGISTRAR_VIEWERS))


@pytest.fixture
def units(db) -> list[Unit]:
    """A published unit, one that has failed, and one that waits."""
    for number, name in enumerate(("Networks", "Databases", "Security"), start=1):
        record = {"id": str(number), "Name": name, "P1_description": "<b>Explain"}
        apply_record("BTEC_Units", record, read_at=NOW)
    Unit.objects.filter(zoho_id="1").update(
        pushed_version=1, template_hash="x", template_synced_at=NOW
    )
    make_template_effect("1", state="done", result="It is published.")
    make_template_effect("2", state="dead", last_error="Moodle refuses it.")
    return list(Unit.objects.order_by("pk"))


def make_template_effect(record_id: str, **values) -> Effect:
    return make_effect(record_id, kind="template", module="BTEC_Units", **values)


def page_of(browser, **query) -> str:
    answer = browser.get(reverse(LIST), query)
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_list_shows_states_times_and_errors(viewer, units):
    page = page_of(viewer)
    for text in ("It is published.", "Moodle refuses it.", "March 1, 2026"):
        assert text in page
    failed = page_of(viewer, state="failed")
    assert ("Databases" in failed, "Networks" in failed) == (True, False)
    assert "Security" in page_of(viewer, state="waiting")


def test_the_page_of_a_template_shows_its_criteria_as_text(viewer, units):
    url = reverse("admin:registrar_template_change", args=[units[0].pk])
    page = viewer.get(url).content.decode()
    assert "&lt;b&gt;Explain" in page


def test_the_list_takes_as_many_queries_for_more_templates(
    viewer, units, django_assert_num_queries
):
    for number in range(10, 40):
        apply_record("BTEC_Units", {"id": str(number), "Name": "U"}, read_at=NOW)
    page_of(viewer)
    # Session, user, rights of the user and of groups, Zoho's state, count, rows.
    with django_assert_num_queries(7):
        page_of(viewer)


def test_the_list_says_that_the_crm_has_no_field_for_criteria(viewer, units):
    state = PeerState.objects.create(peer="zoho", missing_names={"Products": ["Name"]})
    said = "Zoho CRM has no field for the criteria of a unit."
    assert said not in page_of(viewer)
    state.missing_names = {"BTEC_Units": ["P1_description"]}
    state.save()
    assert said in page_of(viewer)


def test_all_templates_are_synchronised_by_one_button(registrar, units):
    assert "Synchronise all" in page_of(registrar)
    answer = registrar.post(reverse("admin:registrar_sync_templates"), follow=True)
    assert "3 templates will be synchronised" in answer.content.decode()
    assert set(Effect.objects.values_list("record_id", "state")) == {
        ("1", "pending"),
        ("2", "pending"),
    }
    assert set(Unit.objects.values_list("pushed_version", flat=True)) == {0}
    assert Unit.objects.get(zoho_id="1").template_hash == "x"


@pytest.mark.parametrize(
    ("action", "expected"), [("sync_chosen", "x"), ("publish_again", "")]
)
def test_chosen_templates_are_synchronised(registrar, units, action, expected):
    registrar.post(reverse(LIST), {"action": action, "_selected_action": [units[0].pk]})
    assert Effect.objects.get(record_id="1").state == "pending"
    assert Effect.objects.get(record_id="2").state == "dead"
    assert Unit.objects.get(zoho_id="1").template_hash == expected


def test_a_viewer_synchronises_nothing(viewer, units):
    assert "Synchronise all" not in page_of(viewer)
    assert viewer.post(reverse("admin:registrar_sync_templates")).status_code == 403
    viewer.post(
        reverse(LIST), {"action": "sync_chosen", "_selected_action": [units[0].pk]}
    )
    assert Effect.objects.get(record_id="1").state == "done"
