"""The pages of scheduled changes: schedule, list, cancel, and who may."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.urls import reverse

from plans import scheduling
from plans.models import ScheduledChange
from tests.admin_fixtures import messages_of
from tests.plans.admin.test_plan_page import change_url, text_of

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)
ADD = reverse("admin:plans_scheduledchange_add")


@pytest.fixture(autouse=True)
def at_noon():
    with time_machine.travel(NOON, tick=False):
        yield


def page_of(node=None, plan=None) -> str:
    keys = {"node": node, "plan": plan}
    query = "&".join(f"{name}={row.pk}" for name, row in keys.items() if row)
    return f"{ADD}?{query}"


@pytest.fixture
def entry(maths) -> ScheduledChange:
    return scheduling.schedule(
        action="unpublish",
        due_at=NOON + timedelta(hours=1),
        now=NOON,
        by=None,
        node=maths["unit"],
    )


def cancel_url(entry) -> str:
    return reverse("admin:plans_scheduledchange_cancel", args=[entry.pk])


def test_a_node_is_scheduled_in_the_sites_zone(browser, maths, settings):
    settings.TIME_ZONE = "Asia/Baghdad"
    url = page_of(maths["unit"])
    assert "Asia/Baghdad" in text_of(browser.get(url))
    sent = {"change": "unpublish", "due_at": "2026-12-01T18:30"}
    answer = browser.post(url, sent, follow=True)
    assert "Scheduled for" in messages_of(answer)[0]
    found = ScheduledChange.objects.get()
    assert found.due_at == datetime(2026, 12, 1, 15, 30, tzinfo=UTC)
    assert found.created_by == answer.context["user"]
    assert "Change to draft" in text_of(answer)


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ({"change": "set_override:hide"}, ("set_override", "hide", "", "access")),
        (
            {"change": "set_override:rename", "title": "Chapter"},
            ("set_override", "rename", "Chapter", "title"),
        ),
        (
            {"change": "set_override:set_linear", "order": "false"},
            ("set_override", "set_linear", "false", "linear"),
        ),
        ({"change": "remove_override:title"}, ("remove_override", "", "", "title")),
    ],
)
def test_an_override_is_scheduled(browser, plan, maths, sent, stored):
    url = page_of(maths["unit"], plan)
    browser.post(url, {"due_at": "2026-12-02T08:00", **sent})
    rows = ScheduledChange.objects.values_list("action", "override", "value", "aspect")
    assert rows.get() == stored


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({"due_at": "2026-12-01T11:00"}, "This time has passed"),
        ({"due_at": "9999-12-31T23:59"}, "within the next five years"),
        ({"due_at": "0001-01-01T00:00"}, "This time has passed"),
        ({"due_at": "tomorrow"}, "Enter a valid date/time"),
        ({"change": "delete"}, "Select a valid choice"),
        ({"change": ""}, "This field is required"),
        ({"change": "set_override:rename"}, "Enter the title that this plan"),
    ],
)
def test_a_wrong_form_says_what_is_wrong(browser, plan, maths, sent, said):
    good = {"change": "set_override:hide", "due_at": "2026-12-02T08:00"}
    answer = browser.post(page_of(maths["unit"], plan), {**good, **sent})
    assert said in text_of(answer)
    assert not ScheduledChange.objects.exists()


def test_a_time_that_the_clock_skips_is_refused(browser, maths, settings):
    settings.TIME_ZONE = "Europe/Berlin"
    sent = {"change": "unpublish", "due_at": "2027-03-28T02:30"}
    answer = browser.post(page_of(maths["unit"]), sent)
    assert "may be ambiguous or it may not exist" in text_of(answer)


def test_the_plan_page_shows_what_waits_and_cancels_it(browser, plan, entry):
    page = browser.get(change_url(plan))
    assert "Change to draft" in text_of(page)
    assert cancel_url(entry) in page.content.decode()
    here = change_url(plan)
    answer = browser.post(cancel_url(entry), {"next": here}, follow=True)
    assert answer.redirect_chain[-1][0] == here
    assert "1 scheduled change was cancelled" in messages_of(answer)[0]
    assert cancel_url(entry) not in answer.content.decode()


def test_a_foreign_address_is_not_returned_to(browser, entry):
    answer = browser.post(cancel_url(entry), {"next": "https://example.org/"})
    assert answer.url == reverse("admin:plans_scheduledchange_changelist")


def test_what_is_due_and_not_made_says_why(browser, plan, entry):
    ScheduledChange.objects.update(due_at=NOON - timedelta(hours=1))
    assert "as soon as beat and a worker run" in text_of(browser.get(change_url(plan)))


def test_the_tree_shows_a_badge_with_the_time(browser, maths, entry):
    url = reverse("admin:content_node_branch", args=[maths["track"].pk])
    assert scheduling.time_text(entry.due_at) in text_of(browser.get(url))


def test_the_list_shows_what_became_of_each(browser, entry):
    url = reverse("admin:plans_scheduledchange_changelist")
    scheduling.apply_due(NOON + timedelta(hours=1))
    assert "done" in text_of(browser.get(url))


def test_the_list_cancels_several(browser, entry):
    url = reverse("admin:plans_scheduledchange_changelist")
    sent = {"action": "cancel", "_selected_action": [entry.pk]}
    answer = browser.post(url, sent, follow=True)
    assert "1 scheduled change was cancelled" in messages_of(answer)[0]
    answer = browser.post(url, sent, follow=True)
    assert "not scheduled any more" in messages_of(answer)[0]


# --- Who may --------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["editor", "publisher"])
def test_who_changes_it_by_hand_may_schedule_and_cancel_it(
    request, client_of, plan, maths, role
):
    browser = client_of(request.getfixturevalue(role))
    allowed = {
        "node": ("editor",),
        "plan": ("publisher",),
        "override": ("publisher",),
    }
    pages = {
        "node": (page_of(maths["unit"]), "unpublish"),
        "plan": (page_of(plan=plan), "publish"),
        "override": (page_of(maths["unit"], plan), "set_override:hide"),
    }
    for what, (url, change) in pages.items():
        sent = {"change": change, "due_at": "2026-12-02T08:00"}
        may = role in allowed[what]
        assert browser.get(url).status_code == (200 if may else 403)
        assert browser.post(url, sent).status_code == (302 if may else 403)
    assert ScheduledChange.objects.count() == (1 if role == "editor" else 2)


def test_an_entry_of_the_other_role_cannot_be_cancelled(client_of, publisher, entry):
    browser = client_of(publisher)
    assert browser.post(cancel_url(entry)).status_code == 403
    url = reverse("admin:plans_scheduledchange_changelist")
    sent = {"action": "cancel", "_selected_action": [entry.pk]}
    assert browser.post(url, sent).status_code == 403
    assert ScheduledChange.objects.get().state == "waiting"


def test_who_may_not_cancel_sees_no_button(client_of, publisher, plan, entry):
    page = client_of(publisher).get(change_url(plan)).content.decode()
    assert "Change to draft" in page
    assert cancel_url(entry) not in page
