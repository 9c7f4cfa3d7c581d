"""Support helps a student on the phone, in a browser and in both languages."""

import pytest
from django.contrib.auth.models import Group

from memora_site.demo_client import AnswerError, StudentApp
from plans.models import AcademicPlan
from players import roles
from players.models import User
from tests.journeys.conftest import EDITOR, EMAIL, PASSWORD, publish, refusal

playwright = pytest.importorskip(
    "playwright.sync_api", reason="needs playwright (requirements/dev.txt)"
)

SAID = {
    "en": {
        "allow": "is allowed",
        "xp": "now has 50 XP",
        "end": "session has ended",
        "off": "is switched off",
        "was off": "switched the account of",
        "on": "is switched on",
        "unknown device": "Unknown device",
    },
    "ar": {
        "allow": "سُمح بالجهاز",
        "xp": "نقاط الخبرة: 50",
        "end": "انتهت الجلسة",
        "off": "أُوقف الحساب",
        "was off": "أوقف",
        "on": "فُعِّل الحساب",
        "unknown device": "جهاز غير معروف",
    },
}
LOOKS = [("ar", 390), ("ar", 1400), ("en", 390), ("en", 1400)]
PLAYERS = "/admin/players/playerprofile/"


@pytest.fixture
def open_desk(open_page):
    """Return a function that opens the browser of a member of Support."""
    support = User.objects.get(email=EDITOR)
    User.objects.filter(pk=support.pk).update(is_superuser=False)
    support.groups.add(Group.objects.get(name=roles.SUPPORT))
    return open_page


def fits(page) -> bool:
    """Whether the page needs no horizontal scrolling."""
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def do(page, field: str, **given: str) -> None:
    """Open the action that has a field, fill its form and send it."""
    action = page.locator("details", has=page.locator(field))
    if action.get_attribute("open") is None:
        action.locator("summary").click()
    for name, text in given.items():
        action.locator(f"[name={name}]").first.fill(text)
    action.locator("form button").first.click()


def is_told(page, words: str) -> None:
    page.locator(".messagelist .success", has_text=words).wait_for()


@pytest.mark.parametrize(("language", "width"), LOOKS)
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
    page.goto(f"{PLAYERS}?q=ساره")
    playwright.expect(page.locator("#result_list tbody tr")).to_have_count(1)
    page.goto("/admin/")
    page.locator("form.find [name=q]").first.fill("٢٠٤١")
    page.locator("form.find button").first.click()
    page.locator("#result_list tbody th a").first.click()
    page.locator("h1", has_text="سارة علي").wait_for()
    assert fits(page)

    # Her tablet was refused; one button allows it.
    page.locator(".attempts form button").click()
    is_told(page, said["allow"])
    tablet.sign_in(EMAIL, PASSWORD)

    # She is enrolled in another plan.
    page.locator("#enrollments-group .add-row a").click()
    page.locator("select[name=enrollments-1-plan]").select_option(label="الصف السادس")
    page.locator("input[name=_continue]").click()
    page.locator(".messagelist .success").wait_for()
    assert student.enrollments.count() == 2

    # She gets XP for the olympiad.
    do(page, "#xp-reason", xp="50", reason="أولمبياد الرياضيات")
    is_told(page, said["xp"])
    assert tablet.get("wallet/")["total_xp"] == 50
    page.locator("#ledger", has_text="أولمبياد الرياضيات").wait_for()

    # Her session ends, with a reason.
    do(page, "#session-reason", reason="نُسي الجهاز في المدرسة")
    is_told(page, said["end"])
    assert refusal(tablet.get, "wallet/") == (401, "SESSION_ENDED_BY_STAFF")
    page.locator(".events", has_text="نُسي الجهاز في المدرسة").wait_for()


@pytest.mark.parametrize(("language", "width"), LOOKS)
def test_a_code_for_a_new_password_is_read_out(
    open_desk, student, phone, language, width
):
    page = open_desk(language, width=width)
    page.goto(f"{PLAYERS}{student.pk}/change/")
    do(page, "#code-reason", reason="نسيت كلمة المرور")
    code = page.locator(".the-code").inner_text()
    assert fits(page)
    body = {"email": EMAIL, "code": code, "new_password": "another-long-phrase"}
    phone.post("auth/password-reset/confirm/", body)
    phone.sign_in(EMAIL, "another-long-phrase")
    page.locator(".reset-code .cancel-link").click()
    page.locator("h1", has_text="Sara").wait_for()


@pytest.mark.parametrize(("language", "width"), LOOKS)
def test_an_account_is_blocked_and_the_audit_trail_says_why(
    open_desk, server, student, phone, language, width
):
    said = SAID[language]
    phone.sign_in(EMAIL, PASSWORD)
    with pytest.raises(AnswerError, match="DEVICE_NOT_AUTHORIZED"):
        StudentApp(server).sign_in(EMAIL, PASSWORD)
    page = open_desk(language, width=width)
    page.goto(f"{PLAYERS}{student.pk}/change/")
    do(page, "#off-reason", reason="هاتف مسروق")
    is_told(page, said["off"])
    assert refusal(phone.get, "wallet/") == (403, "ACCOUNT_INACTIVE")
    assert refusal(phone.sign_in, EMAIL, PASSWORD) == (403, "ACCOUNT_INACTIVE")

    # Who did it, and why; what was refused before is told in words, too.
    page.locator("a[href*=user__id__exact]").click()
    page.wait_for_url("**/securityevent/**")
    told = page.locator("#result_list tr", has_text="هاتف مسروق")
    told.filter(has_text=said["was off"]).filter(has_text=EDITOR).wait_for()
    page.locator("#result_list tr", has_text=said["unknown device"]).first.wait_for()
    assert "DEVICE_NOT_AUTHORIZED" not in page.content()
    assert fits(page)

    page.go_back()
    do(page, "#on-reason", reason="عاد الهاتف")
    is_told(page, said["on"])
    phone.sign_in(EMAIL, PASSWORD)
