"""Requests of students: who may send what, and when; one record in the CRM for each."""

import io
import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone
from PIL import Image

from registrar.effects import handlers
from registrar.effects.site import Site
from registrar.mirror.applying import apply_record
from registrar.models import (
    Effect,
    PeerState,
    RequestWindow,
    Student,
    Submission,
)
from registrar.outbox import running
from registrar.student_pages import submitting
from tests.registrar.student_pages.conftest import Person

MODULE = submitting.MODULE


@pytest.fixture(autouse=True)
def receipts(settings, tmp_path):
    settings.RECEIPT_ROOT = tmp_path / "receipts"
    return settings.RECEIPT_ROOT


def open_window(kind: str, **values) -> None:
    RequestWindow.objects.create(kind=kind, is_enabled=True, **values)


def send(person, kind: str, **values):
    values = {"uuid": str(uuid.uuid4()), **values}
    return person.client.post(f"/student/requests/{kind}/", values)


def picture(kind="PNG", name="receipt.png") -> SimpleUploadedFile:
    data = io.BytesIO()
    Image.new("RGB", (30, 20), "white").save(data, kind)
    return SimpleUploadedFile(name, data.getvalue())


def stored(receipts: Path) -> list[Path]:
    return list(receipts.glob("*")) if receipts.exists() else []


# --- Windows ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "window",
    [
        None,
        {"is_enabled": False},
        {"is_enabled": True, "opens_at": timedelta(minutes=1)},
        {"is_enabled": True, "closes_at": timedelta(0)},
    ],
)
@pytest.mark.parametrize("kind", ["enrol", "drop"])
def test_a_forged_request_outside_its_window_is_refused(layla, kind, window):
    place = layla.enrol("Networks")
    if window is not None:
        now = timezone.now()
        values = {
            name: now + value if isinstance(value, timedelta) else value
            for name, value in window.items()
        }
        RequestWindow.objects.create(kind=kind, **values)
    answer = send(layla, kind, confirmed="on", classes=[place.school_class_id])
    assert answer.status_code == 403
    assert layla.client.get(f"/student/requests/{kind}/").status_code == 403
    assert not Submission.objects.exists()
    assert not Effect.objects.exists()


def test_a_closed_kind_has_no_link_and_an_open_one_has(layla):
    open_window("enrol")
    text = layla.client.get("/student/requests/").content.decode()
    assert "/student/requests/enrol/" in text
    assert "/student/requests/drop/" not in text


def test_an_open_window_takes_a_request_and_shows_it(layla):
    now = timezone.now()
    open_window("enrol", opens_at=now - timedelta(1), closes_at=now + timedelta(1))
    assert send(layla, "enrol", confirmed="on").status_code == 302
    [part] = layla.client.get("/student/requests/").context["parts"]
    assert (part.submission.kind, part.is_sent, part.status) == ("enrol", False, "")


def test_enrolment_needs_the_confirmation_and_is_asked_for_once(layla):
    open_window("enrol")
    assert send(layla, "enrol").status_code == 400
    assert send(layla, "enrol", confirmed="on").status_code == 302
    assert send(layla, "enrol", confirmed="on").status_code == 400
    assert Submission.objects.count() == 1


# --- Class drop ---------------------------------------------------------------------


def test_one_or_two_classes_of_the_last_month_may_be_dropped(layla, omar):
    open_window("drop")
    classes = [layla.enrol(f"C{at}").school_class_id for at in range(3)]
    old = layla.enrol("old", days_ago=32).school_class_id
    left = layla.enrol("left", status="Withdrawn").school_class_id
    others = omar.enrol("Omar's").school_class_id
    for wrong in ([], classes, [old], [left], [others], [classes[0], others], ["x"]):
        assert send(layla, "drop", classes=wrong).status_code == 400, wrong
    assert send(layla, "drop", classes=classes[:2], note="time").status_code == 302
    assert Submission.objects.get().class_ids == sorted(classes[:2])


def test_a_second_request_does_not_drop_a_third_class(layla):
    open_window("drop")
    first, second, third = (layla.enrol(f"C{at}").school_class_id for at in range(3))
    assert send(layla, "drop", classes=[first]).status_code == 302
    assert send(layla, "drop", classes=[second, third]).status_code == 400
    assert send(layla, "drop", classes=[second]).status_code == 302


def test_a_class_joined_exactly_31_days_ago_may_be_dropped(layla):
    open_window("drop")
    place = layla.enrol("C", days_ago=submitting.DROP_DAYS)
    assert send(layla, "drop", classes=[place.school_class_id]).status_code == 302


# --- Receipts -----------------------------------------------------------------------


def test_a_receipt_is_stored_privately_and_encoded_again(layla, receipts, client):
    place = layla.enrol("Networks")
    unit = place.school_class_id
    answer = send(layla, "late", unit=unit, receipt=picture("JPEG", "a.exe"), note="n")
    assert answer.status_code == 302
    submission = Submission.objects.get()
    assert submission.description == f"Unit: Unit of Networks ({unit})\nn"
    [file] = stored(receipts)
    assert file.suffix == ".jpg"
    assert file.name == submission.receipt.name
    for address in (f"/media/{file.name}", f"/media/receipts/{file.name}"):
        assert layla.client.get(address).status_code == 404


@pytest.mark.parametrize(
    "file",
    [
        None,
        SimpleUploadedFile("receipt.png", b"<script>alert(1)</script>"),
        SimpleUploadedFile("receipt.png", b"MZ\x90\x00" * 200),
        SimpleUploadedFile("receipt.jpg", b"%PDF-1.7\n%%EOF"),
    ],
)
def test_a_receipt_that_is_no_picture_is_refused(layla, receipts, file):
    unit = layla.enrol("Networks").school_class_id
    values = {"receipt": file} if file else {}
    assert send(layla, "late", unit=unit, **values).status_code == 400
    assert stored(receipts) == []
    assert not Submission.objects.exists()


def test_a_receipt_that_is_too_large_is_refused(layla, receipts, settings):
    settings.PICTURE_MAX_BYTES = 100
    unit = layla.enrol("Networks").school_class_id
    data = picture().read() + b"0" * 100
    file = SimpleUploadedFile("receipt.png", data)
    assert send(layla, "late", unit=unit, receipt=file).status_code == 400
    assert stored(receipts) == []


def test_the_unit_must_be_one_of_the_student_s_classes(layla, omar, receipts):
    layla.enrol("mine")
    unit = omar.enrol("Omar's").school_class_id
    assert send(layla, "late", unit=unit, receipt=picture()).status_code == 400


# --- Information --------------------------------------------------------------------


def test_a_change_of_information_names_only_what_changed(layla):
    answer = send(layla, "change", city="غزة\nStatus: Active", phone_number="059")
    assert answer.status_code == 302
    assert Submission.objects.get().description == (
        "Phone_Number: 059\nCity: غزة Status: Active"
    )


def test_a_change_of_nothing_is_refused(layla):
    assert send(layla, "change", city="نابلس").status_code == 400


# --- All kinds ----------------------------------------------------------------------


def test_the_same_form_sent_twice_is_one_request(layla):
    same = str(uuid.uuid4())
    for _time in range(2):
        assert send(layla, "change", uuid=same, city="غزة").status_code == 302
    assert Submission.objects.count() == Effect.objects.count() == 1


def test_another_student_s_form_id_is_refused(layla, omar):
    same = str(uuid.uuid4())
    send(layla, "change", uuid=same, city="غزة")
    assert send(omar, "change", uuid=same, city="غزة").status_code == 403
    assert Submission.objects.get().student == layla.student


def test_a_student_sends_ten_requests_a_day_at_most(layla):
    for at in range(submitting.MAX_A_DAY):
        assert send(layla, "change", city=f"C{at}").status_code == 302
    assert send(layla, "change", city="C").status_code == 400


def test_an_unknown_kind_has_no_page(layla):
    for kind in ("card", "grade"):
        assert layla.client.get(f"/student/requests/{kind}/").status_code == 404


# --- The CRM ------------------------------------------------------------------------


@pytest.fixture
def school(db, zoho, lms, crm, settings):
    """Return a function that does all effects."""
    settings.SECRETS_KEYS = [Fernet.generate_key().decode()]
    found = handlers.of_site(Site(moodle=lms, zoho=crm))

    def run():
        Effect.objects.filter(state__in=("pending", "running")).update(
            due_at=timezone.now()
        )
        while running.run(handlers=found).tried:
            pass

    return run


def mirrored(zoho, module, **values) -> str:
    record = zoho.store.insert(module, values)
    apply_record(module, record, read_at=timezone.now())
    return record["id"]


@pytest.fixture
def sara(school, zoho):
    zoho_id = mirrored(zoho, "BTEC_Students", Display_Name="Sara", Name="S-1")
    return Person(Student.objects.get(zoho_id=zoho_id)).sign_in()


def records_of(zoho) -> list[dict]:
    return list(zoho.store.records[MODULE].values())


def test_a_request_becomes_a_record_and_its_status_comes_back(sara, school, zoho):
    open_window("drop")
    class_id = mirrored(zoho, "BTEC_Classes", Class_Name="Networks", Name="N")
    mirrored(
        zoho,
        "BTEC_Enrollments",
        Enrolled_Students={"id": sara.student.zoho_id},
        Classes={"id": class_id},
        Enrollment_Status="Active",
        Enrollment_Date=timezone.localdate().isoformat(),
    )
    assert send(sara, "drop", classes=[class_id], note="time").status_code == 302
    school()
    [record] = records_of(zoho)
    submission = Submission.objects.get()
    assert record["Subject"] == f"Class Drop {submission.uuid}"
    assert record["Student_ID"]["id"] == sara.student.zoho_id
    assert (record["Request_Type"], record["Description"]) == ("Class Drop", "time")
    assert [
        row["Class_Drop_Classes"]["id"] for row in record["Class_Drop_Classes"]
    ] == [class_id]
    assert record["Request_Date"] == timezone.localdate().isoformat()
    assert submission.zoho_id == record["id"]
    changed = zoho.store.update(MODULE, record["id"], {"Status": "Approved"})
    changed = changed or zoho.store.records[MODULE][record["id"]]
    apply_record(MODULE, changed, read_at=timezone.now())
    [part] = sara.client.get("/student/requests/").context["parts"]
    assert (part.submission, part.status) == (submission, "Approved")


def test_a_receipt_reaches_the_crm_and_is_deleted_here(sara, school, zoho, receipts):
    unit = sara.enrol("Networks").school_class_id
    send(sara, "late", unit=unit, receipt=picture())
    [file] = stored(receipts)
    data = file.read_bytes()
    school()
    [record] = records_of(zoho)
    [attached] = record["Attachment"]
    assert data in zoho.files[attached["File_Id__s"]]
    assert stored(receipts) == []
    assert Submission.objects.get().receipt.name == ""


@pytest.mark.parametrize("fault", ["drop_after", "drop_before"])
def test_a_create_without_an_answer_makes_one_record(sara, school, zoho, fault):
    send(sara, "change", city="غزة")
    zoho.fail(fault, matches=lambda request: request.path.endswith(MODULE))
    school()
    PeerState.objects.update(open_until=None)
    school()
    assert len(records_of(zoho)) == 1
    assert Submission.objects.get().zoho_id == records_of(zoho)[0]["id"]


def test_a_run_that_was_killed_after_the_create_makes_no_second_record(
    sara, school, zoho
):
    send(sara, "change", city="غزة")
    school()
    Submission.objects.update(zoho_id="")
    Effect.objects.update(state="pending")
    school()
    [record] = records_of(zoho)
    assert Submission.objects.get().zoho_id == record["id"]


def test_a_request_waits_while_the_crm_is_away(sara, school, zoho):
    zoho.fail("drop_before", times=50)
    send(sara, "change", city="غزة")
    school()
    assert Effect.objects.get().state == "pending"
    [part] = sara.client.get("/student/requests/").context["parts"]
    assert not part.is_sent


def test_requests_are_sent_without_moodle_and_wait_without_zoho(db, settings, lms):
    assert "request" not in handlers.of_site(Site(moodle=lms))
    assert handlers.current() is None
    settings.ZOHO_CLIENT_ID = settings.ZOHO_CLIENT_SECRET = "x"
    settings.ZOHO_REFRESH_TOKEN = "x"
    assert set(handlers.current()) == {"request", "grade", "criteria"}
