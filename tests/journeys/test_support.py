"""Support helps a student on the phone, in a browser and in both languages."""

import pytest
from django.contrib.auth.models import Group

from memora_site.demo_client import StudentApp
from plans.models import AcademicPlan
from players import roles
from players.models import User
from tests.journeys.conftest import EDITOR, EMAIL, PASSWORD, publish, refusal

playwright = pytest.importorskip(
    "playwright.sync_api", reason="needs playwright (requirements/dev.txt)"
)

SAID = {
    "en": {"allow": "is allowed", "xp": "now has 50 XP", "end": "session has ended"},
    "ar": {"allow": "سُمح بالجهاز", "xp": "نقاط الخبرة: 50", "end": "انتهت الجلسة"},
}


@pytest.fixture
def open_desk(open_page):
    """Return a function that opens the browser of a member of Support."""
    support = User.objects.get(email=EDITOR)
    User.objects.filter(pk=support.pk).update(is_superuser=False)
    support.groups.add(Group.objects.get(name=roles.SUPPORT))
    return open_page


@pytest.mark.parametrize(("language", "width"), [("ar", 390), ("en", 1400)])
def test_a_student_calls_and_is_helped(
    open_desk, server, student, phone, language, width
):
    other = AcademicPlan.objects.create(
        public_id="PLAN-2", title="الصف السادس", is_published=True
    )
    publish(other)
    User.objects.filter(pk=student.user_id).update(full_name="سارة علي")
    student.school_number = "2041"
    student.save()
    phone.sign_in(EMAIL, PASSWORD)
    tablet = StudentApp(server)
    assert refusal(tablet.sign_in, EMAIL, PASSWORD) == (403, "DEVICE_NOT_AUTHORIZED")

    page = open_desk(language, width=width)
    said = SAID[language]

    # She is found by the number that her school gave her, and by her name.
    page.goto("/admin/players/playerprofile/?q=ساره")
    playwright.expect(page.locator("#result_list tbody tr")).to_have_count(1)
    page.goto("/admin/")
    page.locator("form.find [name=q]").first.fill("٢٠٤١")
    page.locator("form.find button").first.click()
    page.locator("#result_list tbody th a").first.click()
    page.locator("h1", has_text="سارة علي").wait_for()
    fits = "document.documentElement.scrollWidth <= innerWidth"
    assert page.evaluate(fits)

    # Her tablet was refused; one button allows it.
    page.locator(".attempts form button").click()
    page.locator(".messagelist .success", has_text=said["allow"]).wait_for()
    tablet.sign_in(EMAIL, PASSWORD)

    # She is enrolled in another plan.
    page.locator("#enrollments-group .add-row a").click()
    page.locator("select[name=enrollments-1-plan]").select_option(label="الصف السادس")
    page.locator("input[name=_continue]").click()
    page.locator(".messagelist .success").wait_for()
    assert student.enrollments.count() == 2

    # She gets XP for the olympiad.
    xp = page.locator("details", has=page.locator("[name=xp]"))
    xp.locator("summary").click()
    xp.locator("[name=xp]").fill("50")
    xp.locator("[name=reason]").fill("أولمبياد الرياضيات")
    xp.locator("button").click()
    page.locator(".messagelist .success", has_text=said["xp"]).wait_for()
    assert tablet.get("wallet/")["total_xp"] == 50
    page.locator("#ledger", has_text="أولمبياد الرياضيات").wait_for()

    # Her session ends, with a reason.
    end = page.locator("details", has=page.locator("#session-reason"))
    end.locator("summary").click()
    end.locator("[name=reason]").fill("نُسي الجهاز في المدرسة")
    end.locator("button").click()
    page.locator(".messagelist .success", has_text=said["end"]).wait_for()
    assert refusal(tablet.get, "wallet/") == (401, "SESSION_ENDED_BY_STAFF")
    page.locator(".events", has_text="نُسي الجهاز في المدرسة").wait_for()


def test_a_code_for_a_new_password_is_read_out(open_desk, student, phone):
    page = open_desk("en")
    page.goto(f"/admin/players/playerprofile/{student.pk}/change/")
    page.get_by_text("Forgotten password …").click()
    page.get_by_role("button", name="One-time code to hand over").click()
    code = page.locator(".the-code").inner_text()
    body = {"email": EMAIL, "code": code, "new_password": "another-long-phrase"}
    phone.post("auth/password-reset/confirm/", body)
    phone.sign_in(EMAIL, "another-long-phrase")
    page.get_by_role("link", name="Back to the student").click()
    page.locator("h1", has_text="Sara").wait_for()
