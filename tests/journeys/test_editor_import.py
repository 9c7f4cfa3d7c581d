"""Import in a real browser: repeated clicks during a slow request count once."""

import json

import pytest
from django.urls import reverse

playwright = pytest.importorskip(
    "playwright.sync_api", reason="needs playwright (requirements/dev.txt)"
)

NEW = {"format": "memora-curriculum/1", "subject": {"title": "Made", "tracks": []}}

COUNT = """() => {
  window.sent = 0;
  window.addEventListener("submit", (event) => {
    event.preventDefault();
    window.sent += 1;
  });
}"""


def test_a_file_is_sent_once_while_the_server_works_on_it(open_page):
    page = open_page()
    page.goto(reverse("admin:exchange"))
    file = {"name": "new.json", "mimeType": "application/json"}
    page.locator("input[accept*=json]").set_input_files(
        {**file, "buffer": json.dumps(NEW).encode()}
    )
    page.get_by_role("button", name="Preview import").first.click()
    confirmed = page.get_by_role("button", name="Import", exact=True)
    confirmed.wait_for()
    page.evaluate(COUNT)
    confirmed.evaluate("(button) => { button.click(); button.click(); }")
    assert page.evaluate("window.sent") == 1
    playwright.expect(confirmed).to_be_disabled()
