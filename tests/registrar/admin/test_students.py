"""Staff see a student's own pages, link accounts, withdraw cards, read requests."""

import uuid
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from players import roles
from players.models import User
from players.services import accounts
from registrar.admin.student_view import address
from registrar.models import (
    Grade,
    Registration,
    StudentAccount,
    StudentCard,
    StudentToken,
    Submission,
)
from registrar.student_pages import access, cards, linking
from registrar.student_pages.pages import TABS
from tests.players.app import PASSWORD
from tests.registrar.admin.conftest import NOW

pytestmark = pytest.mark.django_db

ACCOUNTS = "admin:registrar_studentaccount"


@pytest.fixture
def registrar(client_of, staff):
    return client_of(staff(roles.REGISTRARS))


@pytest.fixture
def viewer(client_of, staff):
    return client_of(staff(roles.REGISTRAR_VIEWERS))


@pytest.fixture
def player(db):
    return accounts.create_player("layla@home.example", PASSWORD, "Layla")


@pytest.fixture
def card(student):
    submission = Submission.objects.create(
        uuid=uuid.uuid4(), student=student, kind="card", created_at=timezone.now()
    )
    return StudentCard.objects.create(
        student=student,
        submission=submission,
        number="R-77",
        issued_at=timezone.now(),
        valid_until=timezone.localdate() + timedelta(days=9),
    )


# --- The student's own view -----------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "words"),
    [("en", "student's own pages as staff"), ("ar", "بصفتك موظفًا")],
)
@pytest.mark.parametrize("name", TABS)
def test_staff_see_each_page_marked_and_without_a_form(
    viewer, student, card, name, language, words
):
    viewer.cookies["django_language"] = language
    answer = viewer.get(address("77"), {"page": name})
    page = answer.content.decode()
    assert answer.status_code == 200
    assert words in page
    assert "ليلى" in page
    forms = page.count("<form")
    assert forms == page.count("/i18n/setlang/") == 1  # the language alone
    assert "/student/" not in page.replace("/admin/registrar/student-view/", "")


def test_staff_get_no_session_of_the_students_pages(viewer, student):
    answer = viewer.get(address("77"))
    assert "memora_student" not in answer.cookies
    assert not StudentToken.objects.exists()
    assert viewer.get("/student/").status_code == 302
    assert viewer.post(address("77")).status_code == 405


def test_each_page_that_was_opened_is_in_the_log_without_a_name(viewer, student):
    viewer.get(address("77"), {"page": "grades"})
    entry = LogEntry.objects.get()
    assert entry.object_id == str(student.pk)
    assert entry.object_repr == "77"
    assert "grades" in entry.change_message


def test_the_number_of_queries_does_not_depend_on_the_rows(
    viewer, student, django_assert_max_num_queries
):
    viewer.get(address("77"))
    for number in range(9):
        Registration.objects.create(
            zoho_id=f"8{number}", read_at=NOW, student=student, number=f"R-{number}"
        )
        Grade.objects.create(zoho_id=f"6{number}", read_at=NOW, student=student)
    for name in TABS:
        # The session, the user and the permissions; the student; the log with its type
        # and a check of its key; what the page shows, three queries at most.
        with django_assert_max_num_queries(12):
            viewer.get(address("77"), {"page": name})


def test_an_unknown_student_or_page_is_not_found(viewer, student):
    assert viewer.get(address("78")).status_code == 404
    assert viewer.get(address("77"), {"page": "admin"}).status_code == 404


def test_other_staff_and_visitors_see_no_student(client_of, staff, student):
    for role in (roles.SUPPORT, roles.CONTENT_EDITORS, roles.TEACHERS):
        assert client_of(staff(role)).get(address("77")).status_code == 403
    assert Client().get(address("77")).status_code == 302
    assert not LogEntry.objects.exists()


def test_the_record_and_the_timeline_link_to_the_view(viewer, student):
    for name, argument in (
        ("admin:registrar_student_change", [student.pk]),
        ("admin:registrar_timeline", ["BTEC_Students", "77"]),
    ):
        assert (
            address("77") in viewer.get(reverse(name, args=argument)).content.decode()
        )


# --- Accounts -------------------------------------------------------------------------


def link(browser, **values):
    body = {
        "zoho_id": "77",
        "player_name": "layla@home.example",
        "reason": "she showed her card",
    } | values
    return browser.post(reverse(f"{ACCOUNTS}_add"), body)


def test_a_registrar_links_with_a_reason(registrar, student, player):
    assert registrar.get(reverse(f"{ACCOUNTS}_add")).status_code == 200
    assert link(registrar).status_code == 302
    assert linking.student_of(player.pk) == student
    entry = LogEntry.objects.get()
    assert "she showed her card" in entry.change_message
    assert entry.object_repr == f"77 #{player.pk}"


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"zoho_id": "78"}, "There is no such student."),
        ({"player_name": "nobody@home.example"}, "There is no player"),
        ({"player_name": "aide@home.example"}, "There is no player"),
        ({"reason": ""}, "This field is required."),
    ],
)
def test_a_link_that_is_not_complete_is_refused(
    registrar, student, player, values, fault
):
    User.objects.create_user("aide@home.example", PASSWORD, is_staff=True)
    assert fault in link(registrar, **values).content.decode()
    assert not StudentAccount.objects.exists()


def test_neither_a_student_nor_a_player_is_linked_twice(registrar, student, player):
    link(registrar)
    page = link(registrar).content.decode()
    assert "The student is linked already." in page
    assert "The player is linked already." in page


def test_an_account_of_staff_is_not_linked(registrar, student, player):
    User.objects.filter(pk=player.user_id).update(is_staff=True)
    assert "also works in the admin" in link(registrar).content.decode()


def test_unlinking_needs_a_reason_and_ends_sessions(registrar, student, player):
    linking.link(student, player)
    row = StudentAccount.objects.get()
    token = access.start_session(student, now=timezone.now())
    change = reverse(f"{ACCOUNTS}_change", args=[row.pk])
    address = reverse(f"{ACCOUNTS}_unlink", args=[row.pk])
    assert address in registrar.get(change).content.decode()
    assert registrar.post(address, {"reason": ""}).status_code == 200
    assert StudentAccount.objects.exists()
    assert registrar.post(address, {"reason": "another Layla"}).status_code == 302
    assert not StudentAccount.objects.exists()
    assert access.student_of(token, now=timezone.now()) is None
    assert "another Layla" in LogEntry.objects.get().change_message


def test_a_viewer_neither_links_nor_unlinks(viewer, student, player):
    assert link(viewer).status_code == 403
    linking.link(student, player)
    row = StudentAccount.objects.get()
    address = reverse(f"{ACCOUNTS}_unlink", args=[row.pk])
    assert viewer.post(address, {"reason": "x"}).status_code == 403
    listed = viewer.get(reverse(f"{ACCOUNTS}_changelist")).content.decode()
    assert f"#{player.pk}" in listed


# --- Cards and requests ---------------------------------------------------------------


def test_a_withdrawn_card_is_not_valid_and_has_no_pdf(registrar, student, card):
    where = reverse("admin:registrar_studentcard_withdraw", args=[card.pk])
    assert registrar.post(where, {"reason": "lost"}).status_code == 302
    checked = Client().get(cards.address_of(card).removeprefix("http://127.0.0.1:8000"))
    assert "The school has withdrawn this card." in checked.content.decode()
    assert "lost" in LogEntry.objects.get().change_message
    browser = Client()
    token, _expires = access.create_link(student, now=timezone.now())
    browser.post(f"/student/link/?token={token}")
    assert browser.get("/student/card/pdf/").status_code == 404
    page = browser.get("/student/card/").content.decode()
    assert "The school has withdrawn this card." in page
    assert "Make a new card" in page


def test_a_card_is_withdrawn_once_and_not_by_a_viewer(registrar, viewer, card):
    where = reverse("admin:registrar_studentcard_withdraw", args=[card.pk])
    assert viewer.post(where, {"reason": "lost"}).status_code == 403
    registrar.post(where, {"reason": "lost"})
    registrar.post(where, {"reason": "again"})
    assert LogEntry.objects.count() == 1


def test_a_request_is_listed_and_read_only(viewer, card):
    row = card.submission
    page = viewer.get(reverse("admin:registrar_submission_changelist"))
    assert "waiting to be sent" in page.content.decode()
    change = reverse("admin:registrar_submission_change", args=[row.pk])
    assert viewer.get(change).status_code == 200
    assert viewer.post(change, {}).status_code == 403
