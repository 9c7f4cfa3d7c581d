"""The audit trail in the admin: sentences, filters, export, retention."""

import csv
import io
import uuid
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.contrib.auth.models import Group
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import translation

from core.folding import fold
from players import audit, audit_export, audit_filters, audit_words, roles
from players.models import SecurityEvent, SecurityEventType, User
from players.services import accounts

pytestmark = pytest.mark.django_db

LIST = "/admin/players/securityevent/"
EXPORT = f"{LIST}export/"
NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
Type = SecurityEventType


@pytest.fixture(autouse=True)
def _utc(settings):
    settings.TIME_ZONE = "UTC"


@pytest.fixture
def manager(staff):
    user = staff(roles.SYSTEM_MANAGERS)
    User.objects.filter(pk=user.pk).update(full_name="Mona")
    user.refresh_from_db()
    return user


def record(kind, player=None, *, actor=None, at=NOW, **details):
    with time_machine.travel(at, tick=False):
        audit.record(
            kind,
            user_id=player and getattr(player, "user_id", player.pk),
            actor_id=actor and actor.pk,
            **details,
        )
    return SecurityEvent.objects.order_by("-pk").first()


def plain(text):
    """The text without marks of direction."""
    return text.replace("\u2068", "").replace("\u2069", "")


def shown(browser, **query):
    """The keys of the events on the list, without those of the test's set-up."""
    page = browser.get(LIST, query)
    assert page.status_code == 200
    return {event.pk for event in page.context["cl"].result_list}


def exported(browser, **query):
    answer = browser.get(EXPORT, query)
    assert answer.status_code == 200
    text = b"".join(answer.streaming_content).decode()
    assert text.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))


# --- Words ----------------------------------------------------------------------------


def test_a_sentence_says_who_did_what_to_whom(player, manager):
    event = record(Type.DEVICE_REMOVED, player, actor=manager)
    assert plain(audit_words.sentence(event)) == "Mona removed a device of Student"
    alone = record(Type.DEVICE_REMOVED, player)
    assert plain(audit_words.sentence(alone)) == "A device of Student was removed"
    unknown = record(Type.REFUSED)
    assert "an unknown account" in audit_words.sentence(unknown)


def test_the_type_of_a_later_version_is_shown_too(player):
    event = record(Type.LOGIN, player)
    event.type = "telephoned"
    assert plain(audit_words.sentence(event)) == "telephoned: Student"


@pytest.mark.parametrize(
    ("kind", "details", "reason"),
    [
        (Type.WALLET_CORRECTED, {"xp": 5, "reason": "Olympiad"}, "Olympiad"),
        (Type.SESSION_ENDED, {"reason": "ended_by_staff"}, "ended by staff"),
        (Type.REFUSED, {"code": "DEVICE_NOT_AUTHORIZED"}, "unknown device"),
        (Type.PASSWORD_RESET, {"by": "code"}, "with a code from support"),
        (Type.LOGIN, {}, ""),
    ],
)
def test_the_reason_is_told_in_words(player, kind, details, reason):
    assert audit_words.reason(record(kind, player, **details)) == reason


def test_details_have_names_in_place_of_keys(player, plan):
    group = Group.objects.get(name=roles.SUPPORT)
    events = [
        record(Type.PLAN_ACTIVATED, player, plan=plan.pk, previous=None),
        record(Type.RIGHTS_CHANGED, player, groups={"added": [group.pk, 9_999]}),
        record(Type.ENTITLEMENT_ADDED, player, item="M1", until=None),
        record(Type.EVENTS_EXPORTED, player, events=3, filters=["type__exact", "q"]),
        record(Type.DEVICE_ADDED, player, first=True),
        record(Type.WALLET_CORRECTED, player, xp=-5),
    ]
    names = audit_words.names_of(events)
    assert [audit_words.facts(event, names) for event in events] == [
        [("plan", "Grade 12"), ("plan before", "–")],
        [("groups", "+ Support, + #9999")],
        [("product code", "M1"), ("until", "no end")],
        [("events", "3"), ("filters", "what, search")],
        [("the first device", "yes")],
        [("XP", "\u2066-5\u2069")],
    ]


# --- The list and its filters ---------------------------------------------------------


def test_the_list_filters_by_type_staff_student_and_period(browser, player, manager):
    other = accounts.create_player("omar@example.com", "student-password-1", "Omar")
    old = record(Type.LOGIN, player, at=NOW - timedelta(days=3))
    removed = record(Type.DEVICE_REMOVED, player, actor=manager)
    login = record(Type.LOGIN, other)
    mine = {old.pk, removed.pk, login.pk}
    assert shown(browser, type__exact="device_removed") == {removed.pk}
    assert shown(browser, staff=manager.pk) == {removed.pk}
    assert shown(browser, staff="none") & mine == {old.pk, login.pk}
    assert shown(browser, student="omar") & mine == {login.pk}
    assert shown(browser, student="student@example.com") & mine == {old.pk, removed.pk}
    assert shown(browser, student=str(other.pk)) & mine == {login.pk}
    day = {"from": "2026-03-07", "until": "2026-03-07"}
    assert shown(browser, **day) == {old.pk}
    assert shown(browser, **{"from": "2026-03-08"}) & mine == {removed.pk, login.pk}
    assert shown(browser, until="2026-03-09") & mine == {old.pk}
    both = {"student": "student", "type__exact": "login"}
    assert shown(browser, **both) & mine == {old.pk}


def test_the_search_finds_an_address_a_device_and_accounts(browser, player, manager):
    device_id = uuid.uuid4()
    removed = record(
        Type.DEVICE_REMOVED, player, device_id=device_id, ip_address="203.0.113.7"
    )
    known = record(Type.STAFF_LOGIN, manager)
    User.objects.filter(pk=player.user_id).update(
        full_name="سارة علي", full_name_folded=fold("سارة علي")
    )
    User.objects.filter(pk=manager.pk).update(full_name_folded="mona")
    mine = {removed.pk, known.pk}
    for words, found in (
        ("203.0.113.7", {removed.pk}),
        ("203.0.113.8", set()),
        (str(device_id).upper(), {removed.pk}),
        (str(uuid.uuid4()), set()),
        ("ساره", {removed.pk}),
        ("student@example", {removed.pk}),
        ("Mona", {known.pk}),
        (" ", mine),
    ):
        assert shown(browser, q=words) & mine == found, words


def test_many_matching_accounts_are_searched_in_the_database(
    browser, player, monkeypatch
):
    monkeypatch.setattr(audit_filters, "_MOST_KEYS", 0)
    event = record(Type.LOGIN, player)
    assert event.pk in shown(browser, student="student")
    assert event.pk in shown(browser, q="student")


def test_the_list_reads_keys_then_rows(browser, player):
    record(Type.LOGIN, player)
    browser.get(LIST)
    with CaptureQueriesContext(connection) as captured:
        browser.get(LIST, {"student": "student"})
    events = [q["sql"] for q in captured if "players_securityevent" in q["sql"]]
    # The oldest event, how many are found, the page's keys, and its rows.
    assert len(events) == 4
    assert "JOIN" not in "".join(events[:3])
    # The session, the user; accounts, staff for the filter; names of plans, groups,
    # permissions.
    assert len(captured) == 4 + 7


@pytest.mark.parametrize(
    "query",
    [
        {"from": "yesterday"},
        {"until": "2026-02-31"},
        {"from": "0001-01-01", "until": "9999-12-31"},
        {"staff": "x"},
        {"student": "   "},
    ],
)
def test_a_filter_that_means_nothing_is_ignored(browser, player, query):
    assert shown(browser, **query) == shown(browser)


def test_a_filters_form_keeps_the_other_filters(browser, player):
    page = browser.get(LIST, {"type__exact": "login", "student": "x", "q": "y"})
    text = page.content.decode()
    assert '<input type="hidden" name="type__exact" value="login">' in text
    assert '<input type="hidden" name="q" value="y">' in text
    assert 'name="student" value="x"' in text


def test_the_list_says_how_long_events_are_kept(browser, player, settings):
    text = browser.get(LIST).content.decode()
    assert "Events are kept for 365 days" in text
    settings.SECURITY_EVENT_DAYS = 0
    assert "Events are kept permanently" in browser.get(LIST).content.decode()


def test_the_list_takes_the_same_queries_for_any_number_of_events(
    browser, player, plan, manager
):
    counts = []
    for number in (1, 40):
        for _ in range(number):
            record(Type.PLAN_ACTIVATED, player, actor=manager, plan=plan.pk)
        with CaptureQueriesContext(connection) as captured:
            browser.get(LIST)
        counts.append(len(captured))
    assert counts[0] == counts[1]


# --- The export -----------------------------------------------------------------------


def test_the_export_has_the_events_of_the_filtered_list(browser, player, manager):
    record(Type.LOGIN, player)
    event = record(
        Type.WALLET_CORRECTED,
        player,
        actor=manager,
        ip_address="203.0.113.7",
        device_id=uuid.UUID(int=5),
        xp=50,
        reason="Olympiad",
    )
    (row,) = exported(browser, type__exact="wallet_corrected")
    assert row == {
        "Time (UTC)": "2026-03-10T12:00:00Z",
        "What": "XP corrected",
        "In words": "Mona corrected the XP of Student",
        "Done by": "Mona",
        "Account": "Student",
        "Account number": str(event.user_id),
        "Reason": "Olympiad",
        "Details": "XP: +50",
        "Address": "203.0.113.7",
        "Device id": str(uuid.UUID(int=5)),
    }


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "a\n=1"])
def test_no_cell_of_the_export_starts_a_formula(browser, player, text):
    User.objects.filter(pk=player.user_id).update(full_name=text)
    with audit.because(text):
        record(Type.ENTITLEMENT_ADDED, player, item=text)
    (row,) = exported(browser, type__exact="entitlement_added")
    for cell in row.values():
        for line in cell.splitlines():
            assert not line.strip().startswith(("=", "+", "-", "@")), row


def test_the_export_is_in_the_users_language(browser, player):
    record(Type.LOGIN, player)
    browser.cookies["django_language"] = "ar"
    answer = browser.get(EXPORT, {"type__exact": "login"})
    with translation.override("en"):
        text = b"".join(answer.streaming_content).decode()
    assert "Time (UTC)" not in text
    assert "تسجيل دخول" in text


def test_the_export_is_sent_in_parts_with_few_queries(player, plan, monkeypatch):
    monkeypatch.setattr(audit_export, "CHUNK", 10)
    SecurityEvent.objects.expire(before=datetime(9000, 1, 1, tzinfo=UTC))
    for _ in range(25):
        record(Type.PLAN_ACTIVATED, player, plan=plan.pk)
    with CaptureQueriesContext(connection) as captured:
        parts = list(audit_export.lines(SecurityEvent.objects.all(), language="en"))
    assert [part.count("\n") for part in parts] == [1, 10, 10, 5]
    # For each part: keys, events, plans, groups, permissions; then an empty part.
    assert len(captured) == 3 * 5 + 1


def test_an_export_is_recorded_with_its_filters_but_not_their_values(
    browser, player, superuser
):
    record(Type.LOGIN, player)
    exported(browser, student="student@example.com", type__exact="login", q="")
    event = SecurityEvent.objects.get(type=Type.EVENTS_EXPORTED)
    assert event.actor == superuser
    assert event.details == {"events": 1, "filters": ["student", "type__exact"]}


def test_only_who_has_the_permission_exports(client_of, support, manager, player):
    watching = client_of(support)
    assert watching.get(LIST).status_code == 200
    assert EXPORT not in watching.get(LIST).content.decode()
    assert watching.get(EXPORT).status_code == 403
    managing = client_of(manager)
    page = managing.get(LIST, {"type__exact": "login"}).content.decode()
    assert f"{EXPORT}?type__exact=login" in page
    assert managing.get(EXPORT).status_code == 200
    assert managing.post(EXPORT).status_code == 405


# --- Append-only in the admin ---------------------------------------------------------


def test_no_page_of_the_admin_changes_or_deletes_an_event(browser, player):
    event = record(Type.LOGIN, player)
    before = SecurityEvent.objects.filter(pk=event.pk).values().get()
    change = reverse("admin:players_securityevent_change", args=[event.pk])
    delete = reverse("admin:players_securityevent_delete", args=[event.pk])
    add = reverse("admin:players_securityevent_add")
    data = {"type": "logout", "details": "{}", "_save": "Save", "post": "yes"}
    for address in (change, delete, add):
        assert browser.post(address, data).status_code == 403
    for action in ("delete_selected", "update", "delete", "expire"):
        browser.post(
            LIST, {"action": action, "_selected_action": [event.pk], "post": "yes"}
        )
    listed = {"form-TOTAL_FORMS": 1, "form-INITIAL_FORMS": 1, "form-0-id": event.pk}
    browser.post(LIST, {**listed, "form-0-type": "logout", "_save": "Save"})
    assert SecurityEvent.objects.filter(pk=event.pk).values().get() == before
