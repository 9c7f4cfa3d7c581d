"""The pages: what they show, to whom, in how many queries, in both languages."""

import socket
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import get_resolver
from django.utils import timezone

from registrar.models import Enrolment, Grade, Student, Submission
from registrar.student_pages import urls
from tests.registrar.student_pages.conftest import READ, new_id

PAGES = {
    # The session with its student; then:
    "/student/": 1,
    # registrations with their programs; payments
    "/student/programs/": 3,
    # enrolments with classes, units and teachers
    "/student/classes/": 2,
    # grades with classes and units
    "/student/grades/": 2,
    # windows; submissions; records of the CRM
    "/student/requests/": 4,
    # the card; without one nothing more
    "/student/card/": 2,
}


def texts_of(person) -> str:
    return "".join(person.client.get(page).content.decode() for page in PAGES)


@pytest.fixture
def filled(layla, omar):
    """Both students have records of their own."""
    for person, mark in ((layla, "LAYLA"), (omar, "OMAR")):
        person.register(f"R-{mark}")
        person.enrol(f"Class-{mark}")
        person.grade(f"P-{mark}", "7-8-9-0")
        person.client.post(
            "/student/requests/change/",
            {"uuid": str(uuid4()), "city": f"City-{mark}"},
        )
    return layla, omar


def test_a_student_sees_their_own_records_and_nobody_else_s(filled):
    layla, omar = filled
    for person, own, other in ((layla, "LAYLA", "OMAR"), (omar, "OMAR", "LAYLA")):
        text = texts_of(person)
        for mark in ("R-", "Class-", "P-", "City-", "Networks R-"):
            assert mark + own in text
        assert other not in text


def test_every_page_needs_a_session(db):
    open_names = {"student-sign-in", "student-link", "student-card-check"}
    assert Client().get("/student/may-send/").status_code == 401
    open_names.add("student-may-send")
    for pattern in urls.urlpatterns:
        if pattern.name in open_names:
            continue
        address = "/student/" + str(pattern.pattern).replace("<slug:kind>", "change")
        for method in ("get", "post"):
            answer = getattr(Client(), method)(address)
            assert answer.status_code in (302, 405), address
            if answer.status_code == 302:
                assert answer.headers["Location"] == "/student/sign-in/"


def test_the_pages_take_no_id_of_a_student(db):
    """So there is no address under which another student's records could be asked for."""
    assert get_resolver().reverse_dict is not None
    with_argument = {one.name for one in urls.urlpatterns if one.pattern.converters}
    assert with_argument == {"student-new-request", "student-card-check"}


def test_a_page_makes_a_fixed_number_of_queries_for_5_000_students(
    filled, django_assert_num_queries, monkeypatch
):
    students = Student.objects.bulk_create(
        Student(zoho_id=new_id(), read_at=READ, display_name=f"S{at}")
        for at in range(5_000)
    )
    for model in (Enrolment, Grade):
        model.objects.bulk_create(
            model(zoho_id=new_id(), read_at=READ, student_id=one.zoho_id)
            for one in students
        )
    layla, _omar = filled
    for at in range(5):
        layla.register(f"R-{at}")
        layla.enrol(f"Class {at}")
        layla.grade("P", f"7-{at}-9-0")

    def refuse(*_args, **_kwargs):
        raise AssertionError("a page opened a connection")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    for address, queries in PAGES.items():
        with django_assert_num_queries(queries):
            assert layla.client.get(address).status_code == 200


@pytest.mark.parametrize(("language", "direction"), [("ar", "rtl"), ("en", "ltr")])
def test_pages_are_in_the_reader_s_language_and_no_cache_stores_them(
    filled, language, direction
):
    layla, _omar = filled
    for address in PAGES:
        answer = layla.client.get(address, headers={"accept-language": language})
        assert f'<html lang="{language}" dir="{direction}">' in answer.content.decode()
        assert "no-store" in answer.headers["Cache-Control"]
        assert "<script" not in answer.content.decode()


def test_the_latest_attempt_counts_and_earlier_ones_are_listed(layla):
    for number, mark in enumerate(("R", "RR", "P")):
        layla.grade(mark, f"70-8-9-{number}")
    page = layla.client.get("/student/grades/")
    [assessment] = page.context["assessments"]
    assert [(one.number, one.grade.grade) for one in assessment.attempts] == [
        (3, "P"),
        (2, "RR"),
        (1, "R"),
    ]


def test_attempts_without_a_moodle_key_are_numbered_by_time(layla):
    for hour, mark in ((12, "P"), (9, "F")):
        layla.grade(mark, created_time=datetime(2026, 3, 2, hour, tzinfo=UTC))
    [assessment] = layla.client.get("/student/grades/").context["assessments"]
    assert [(one.number, one.grade.grade) for one in assessment.attempts] == [
        (2, "P"),
        (1, "F"),
    ]


def test_a_deleted_grade_is_not_shown(layla):
    layla.grade("D-GONE", deleted_at=timezone.now())
    assert "D-GONE" not in layla.client.get("/student/grades/").content.decode()


def test_a_voided_payment_is_marked(layla):
    registration = layla.register()
    registration.payments.update(deleted_at=timezone.now(), status="Voided")
    page = layla.client.get("/student/programs/", headers={"accept-language": "en"})
    assert "Voided" in page.content.decode()


def test_a_class_that_the_mirror_lacks_is_shown_by_its_id(layla):
    layla.add(Enrolment, school_class_id="4242", status="Active")
    assert "4242" in layla.client.get("/student/classes/").content.decode()


def test_an_amount_has_its_three_decimals_after_a_point_in_both_languages(layla):
    layla.register()
    for language in ("ar", "en"):
        text = layla.client.get(
            "/student/programs/", headers={"accept-language": language}
        ).content.decode()
        assert ">1500.500 JOD" in text
        assert ">500.250 JOD" in text


def test_markup_in_a_record_is_text(layla):
    layla.enrol("<img src=x onerror=alert(1)>")
    assert "<img src=x" not in layla.client.get("/student/classes/").content.decode()
    assert not Submission.objects.exists()
