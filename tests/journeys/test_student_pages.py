"""A student reads their pages and makes a card, on a phone and at a desk."""

import os
from pathlib import Path

import pytest
from django.utils import timezone

from players.models import PlayerProfile
from registrar.models import RequestWindow, Submission
from registrar.student_pages import access
from tests.registrar.student_pages.conftest import Person

PAGES = ("", "programs/", "classes/", "grades/", "requests/", "requests/late/", "card/")
DIRECTIONS = {"ar": "rtl", "en": "ltr"}
SIZES = {"phone": (360, 740), "desk": (1280, 900)}
PICTURES = os.environ.get("MEMORA_STUDENT_PAGES_PICTURES")
"""A folder for a picture of each page; none without it."""


@pytest.fixture
def layla(transactional_db) -> Person:
    layla = Person.make(
        "ليلى أحمد عبد الرحمن حداد",
        first_name="ليلى",
        last_name="Haddad",
        academic_email="a.very.long.academic.address.layla@students.school.example",
        city="نابلس",
        phone_number="+970 59 123 4567",
        national_number="904512345",
        status="Active",
        address="شارع الجامعة، عمارة ١٢، الطابق الثالث",
        emergency_contact_name="أحمد حداد",
    )
    layla.register("R-2026-00042")
    layla.enrol("Networks and Cybersecurity, evening class B")
    layla.enrol("برمجة 1", status="Withdrawn", days_ago=60)
    for number, mark in enumerate(("R", "RR", "P")):
        layla.grade(mark, f"70-8-9-{number}")
    RequestWindow.objects.create(kind="drop", is_enabled=True)
    return layla


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("language", DIRECTIONS)
def test_a_student_reads_the_pages_and_makes_a_card(
    chromium, server, layla, language, size
):
    direction = DIRECTIONS[language]
    width, height = SIZES[size]
    context = chromium.new_context(
        viewport={"width": width, "height": height}, locale=language
    )
    errors: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on(
        "console",
        lambda line: errors.append(line.text) if line.type == "error" else None,
    )
    token, _expires = access.create_link(layla.student, now=timezone.now())
    page.goto(f"{server}/student/link/?token={token}")
    page.locator("button.main").click()
    page.wait_for_url(f"{server}/student/")
    for address in PAGES:
        page.goto(f"{server}/student/{address}")
        look_at(page, direction, f"{address.replace('/', '-')}{language}-{size}")
    page.locator("button.main").click()
    page.locator("svg.qr").wait_for()
    look_at(page, direction, f"card-made-{language}-{size}")
    context.close()
    assert errors == []
    assert not PlayerProfile.objects.exists()


def test_a_student_sends_a_request_on_a_phone_in_arabic(chromium, server, layla):
    context = chromium.new_context(viewport={"width": 360, "height": 740}, locale="ar")
    page = context.new_page()
    token, _expires = access.create_link(layla.student, now=timezone.now())
    page.goto(f"{server}/student/link/?token={token}")
    page.locator("button.main").click()
    page.wait_for_url(f"{server}/student/")
    page.goto(f"{server}/student/requests/change/")
    page.fill("[name=city]", "رام الله")
    page.locator("button.main").click()
    page.wait_for_url(f"{server}/student/requests/?sent=1")
    look_at(page, "rtl", "request-sent-ar-phone")
    context.close()
    sent = Submission.objects.get()
    assert (sent.student, sent.kind) == (layla.student, "change")
    assert "رام الله" in sent.description


def look_at(page, direction: str, name: str) -> None:
    assert page.locator("html").get_attribute("dir") == direction
    overflow = "document.documentElement.scrollWidth - window.innerWidth"
    assert page.evaluate(overflow) <= 0, name
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)
