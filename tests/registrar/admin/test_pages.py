"""The registrar's dashboard, and the page of a record."""

import pytest
from django.urls import reverse
from django.utils import timezone

from players import roles
from registrar import tasks
from registrar.mirror.applying import apply_record
from registrar.mirror.decisions import Outcome
from registrar.models import Conflict, Effect, Hint, PeerState, Student
from tests.registrar.admin.conftest import NOW, make_effect, make_hint

pytestmark = pytest.mark.django_db

DASHBOARD = "admin:registrar_dashboard"
RECORD = ("BTEC_Students", "77")


@pytest.fixture
def registrar(client_of, staff):
    return client_of(staff(roles.REGISTRARS))


@pytest.fixture
def viewer(client_of, staff):
    return client_of(staff(roles.REGISTRAR_VIEWERS))


@pytest.fixture
def connected(settings):
    settings.ZOHO_REFRESH_TOKEN = "refresh"
    settings.MOODLE_URL, settings.MOODLE_TOKEN = "https://moodle.example", "token"


def text_of(browser, name, *args, **query):
    answer = browser.get(reverse(name, args=args), query)
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_dashboard_says_what_is_wrong_and_what_to_do(viewer, student):
    make_hint(created_at=NOW)
    make_effect(state="dead", last_error="Moodle refuses the e-mail.")
    PeerState.objects.create(
        peer="zoho",
        needs_staff=True,
        failures=1,
        last_error="invalid_code",
        missing_names={"Products": ["Program_Price"]},
    )
    page = text_of(viewer, DASHBOARD)
    assert "Records that Zoho has announced have not been read" in page
    assert "Changes that Moodle or Zoho has refused: 1." in page
    assert "Zoho CRM does not accept our account: invalid_code" in page
    assert "Products.Program_Price" in page
    assert "docs/runbooks/registrar-credentials.md" in page
    assert "Moodle refuses the e-mail." in page


def test_a_place_that_waits_for_its_course_is_not_late(viewer, student):
    make_effect(waits_for="BTEC_Classes 5")
    assert "Nothing waits for you." in text_of(viewer, DASHBOARD)


def test_a_student_is_found_by_moodle_id_zoho_id_and_email(viewer, student):
    Student.objects.update(moodle_id=4711)
    for query in ("4711", "77", "Layla@school.example"):
        page = text_of(viewer, "admin:registrar_student_changelist", q=query)
        assert "ليلى" in page, query
    page = text_of(viewer, "admin:registrar_student_changelist", q="4712")
    assert "ليلى" not in page


def test_students_without_a_moodle_id_are_listed_and_sent(
    registrar, student, connected
):
    apply_record("BTEC_Students", {"id": "78", "First_Name": "Omar"}, read_at=NOW)
    Student.objects.filter(zoho_id="78").update(moodle_id=9, pushed_version=1)
    name = "admin:registrar_student_changelist"
    page = text_of(registrar, name, moodle="none")
    assert "ليلى" in page
    assert "Omar" not in page
    registrar.post(
        reverse(name) + "?moodle=none",
        {"action": "send_chosen", "_selected_action": [student.pk]},
    )
    effect = Effect.objects.get()
    assert (effect.kind, effect.record_id, effect.state) == ("user", "77", "pending")


def test_students_whose_id_zoho_lacks_are_listed(viewer, student):
    apply_record(
        "BTEC_Students",
        {"id": "78", "First_Name": "Omar", "Student_Moodle_ID": "9"},
        read_at=NOW,
    )
    Student.objects.filter(zoho_id="77").update(moodle_id=8)
    Student.objects.filter(zoho_id="78").update(moodle_id=9)
    page = text_of(viewer, "admin:registrar_student_changelist", moodle="not_in_zoho")
    assert "ليلى" in page
    assert "Omar" not in page


def test_an_id_that_zoho_lacks_is_written_once_however_often_it_is_sent(
    registrar, student
):
    Student.objects.update(moodle_id=9, pushed_version=student.version)
    for _time in range(2):
        registrar.post(reverse("admin:registrar_send_now", args=RECORD))
    assert [one.kind for one in Effect.objects.all()] == ["write_back"]


def test_a_timeline_tells_what_came_and_why_nothing_was_sent(viewer, student):
    make_hint(outcome=Outcome.CREATED, finished_at=NOW)
    make_hint(outcome=Outcome.STALE, finished_at=NOW)
    make_effect(state="dead", last_error="The e-mail is taken.")
    page = text_of(viewer, "admin:registrar_timeline", *RECORD)
    assert "The record is new." in page
    assert "The mirror has a newer copy. " not in page.replace("\n", " ")
    assert "The mirror has a newer copy." in page
    assert "So nothing was sent." in page
    assert "The e-mail is taken." in page
    assert "Moodle lacks the newest version: sending it has failed." in page


def test_a_record_is_read_again_at_once(
    registrar, student, connected, django_capture_on_commit_callbacks, monkeypatch
):
    started = []
    monkeypatch.setattr("registrar.enqueuing.enqueue", started.append)
    assert "Read from Zoho now" in text_of(
        registrar, "admin:registrar_timeline", *RECORD
    )
    with django_capture_on_commit_callbacks(execute=True):
        registrar.post(reverse("admin:registrar_read_again", args=RECORD))
    assert started == [tasks.process_inbox]
    assert Hint.objects.get().operation == "changed"


def test_a_viewer_has_no_buttons_and_may_not_post(viewer, student, connected):
    page = text_of(viewer, "admin:registrar_timeline", *RECORD)
    assert "Read from Zoho now" not in page
    assert "Send to Moodle and Zoho now" not in page
    for name in ("read_again", "send_now"):
        url = reverse(f"admin:registrar_{name}", args=RECORD)
        assert viewer.post(url).status_code == 403
    assert not Hint.objects.exists()
    assert not Effect.objects.exists()


def test_support_opens_no_page_of_the_registrar(client_of, staff, student):
    support = client_of(staff(roles.SUPPORT))
    for url in (
        reverse(DASHBOARD),
        reverse("admin:registrar_timeline", args=RECORD),
        reverse("admin:registrar_student_changelist"),
    ):
        assert support.get(url).status_code == 403


def test_an_unknown_record_has_no_page(viewer, student):
    for args in (("BTEC_Students", "404"), ("Leads", "77")):
        url = reverse("admin:registrar_timeline", args=args)
        assert viewer.get(url).status_code == 404


def test_a_payload_is_shown_without_its_token(viewer):
    hint = make_hint(body=b'{"token": "very-secret", "data": {"ids": ["77"]}}')
    page = text_of(viewer, "admin:registrar_delivery_change", hint.delivery_id)
    assert "very-secret" not in page
    assert "ids" in page
    form = make_hint(body=b"token=very-secret&id=77")
    page = text_of(viewer, "admin:registrar_delivery_change", form.delivery_id)
    assert "very-secret" not in page
    assert "77" in page


def test_each_conflict_says_what_to_do(viewer):
    Conflict.objects.create(
        module="BTEC_Classes",
        record_id="5",
        api_name="Class_Status",
        value="Odd",
        reason="choice",
        since=timezone.now(),
    )
    page = text_of(viewer, "admin:registrar_conflict_changelist")
    assert "Choose a known value in Zoho." in page
