"""Rows of both queues are done again from their lists: one, chosen, or filtered."""

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from players import roles
from registrar.models import Effect, Hint
from tests.registrar.admin.conftest import make_effect, make_hint

pytestmark = pytest.mark.django_db

HINTS = "admin:registrar_hint_changelist"
EFFECTS = "admin:registrar_effect_changelist"


@pytest.fixture
def registrar(client_of, staff):
    return client_of(staff(roles.REGISTRARS))


def dead(make, record_id):
    return make(record_id, state="dead", attempts=12, last_error="No answer.")


def states(model):
    return list(model.objects.order_by("pk").values_list("state", flat=True))


def test_one_failed_record_is_read_again(registrar):
    first, _second = dead(make_hint, "1"), dead(make_hint, "2")
    registrar.post(
        reverse(HINTS), {"action": "replay_chosen", "_selected_action": [first.pk]}
    )
    assert states(Hint) == ["pending", "dead"]
    first.refresh_from_db()
    assert (first.attempts, first.last_error) == (0, "")


def test_all_rows_of_a_filter_are_done_again_and_no_others(registrar):
    rows = [dead(make_effect, str(number)) for number in range(60)]
    make_effect("61", state="done")
    registrar.post(
        reverse(EFFECTS) + "?state__exact=dead",
        {
            "action": "replay_chosen",
            "_selected_action": [rows[0].pk],
            "select_across": "1",
        },
    )
    assert states(Effect) == ["pending"] * 60 + ["done"]


def test_what_runs_is_not_started_a_second_time(registrar):
    running = make_hint("1", state="running", claim="x")
    registrar.post(
        reverse(HINTS), {"action": "replay_chosen", "_selected_action": [running.pk]}
    )
    assert states(Hint) == ["running"]


def test_a_viewer_does_not_replay(client_of, staff):
    viewer = client_of(staff(roles.REGISTRAR_VIEWERS))
    row = dead(make_hint, "1")
    viewer.post(
        reverse(HINTS), {"action": "replay_chosen", "_selected_action": [row.pk]}
    )
    assert states(Hint) == ["dead"]


def test_a_replay_is_in_the_admin_log(registrar):
    first, second = dead(make_hint, "77"), dead(make_hint, "78")
    registrar.post(
        reverse(HINTS),
        {"action": "replay_chosen", "_selected_action": [first.pk, second.pk]},
    )
    entry = LogEntry.objects.get()
    assert entry.content_type.model == "hint"
    assert f"#{first.pk}, #{second.pk}" in entry.change_message


def test_what_staff_start_by_hand_is_in_the_admin_log(registrar, student, settings):
    settings.ZOHO_REFRESH_TOKEN = "refresh"
    for name in ("read_again", "send_now"):
        where = reverse(f"admin:registrar_{name}", args=["BTEC_Students", "77"])
        assert registrar.post(where).status_code == 302
    messages = list(LogEntry.objects.order_by("pk").values_list("change_message"))
    assert messages[:1] == [("Read from Zoho by hand.",)]
    assert len(messages) == 2
    assert {entry.object_repr for entry in LogEntry.objects.all()} == {
        "BTEC_Students 77"
    }
