"""A student who forgot the password sets a new one on a phone."""

import re

import pytest

from players.models import User
from players.services import accounts, password_resets
from tests.players.app import PASSWORD

NEW = "another horse 8"
WORDS = {
    "ar": ("rtl", "حفظ كلمة المرور الجديدة", "حُفظت كلمة مرورك الجديدة"),
    "en": ("ltr", "Save the new password", "Your new password is saved"),
}


@pytest.mark.parametrize("language", WORDS)
def test_a_student_sets_a_new_password_on_a_phone(
    chromium, server, transactional_db, settings, mailoutbox, language
):
    settings.SITE_URL = server
    student = accounts.create_player("lina@school.example", PASSWORD, "Lina")
    password_resets.send_link(student.user_id)
    (link,) = re.findall(r"^http\S+$", mailoutbox[0].body, re.MULTILINE)
    direction, save, done = WORDS[language]
    context = chromium.new_context(
        viewport={"width": 360, "height": 740},
        locale=language,
        is_mobile=True,
        has_touch=True,
    )
    errors: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(link)
    assert page.locator("html").get_attribute("dir") == direction
    overflow = "document.documentElement.scrollWidth - window.innerWidth"
    assert page.evaluate(overflow) <= 0
    for name in ("new_password1", "new_password2"):
        field = page.locator(f"[name={name}]")
        # Browsers on phones zoom into smaller fields.
        size = field.evaluate("field => parseFloat(getComputedStyle(field).fontSize)")
        assert size >= 16
        field.fill(NEW)
    page.get_by_role("button", name=save).tap()
    page.get_by_text(done).wait_for()
    assert "token" not in page.url
    assert page.evaluate(overflow) <= 0
    context.close()
    assert errors == []
    assert User.objects.get(pk=student.user_id).check_password(NEW)
