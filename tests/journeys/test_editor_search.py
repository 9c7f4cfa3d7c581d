"""An editor searches the text of lessons, and opens the card of what she found."""

import re

import pytest
from django.urls import reverse

from tests.factories.content import make_stage
from tests.journeys.test_editor_lesson import branch  # noqa: F401 - a fixture

playwright = pytest.importorskip(
    "playwright.sync_api", reason="needs playwright (requirements/dev.txt)"
)


@pytest.mark.parametrize(
    ("language", "width", "scheme"), [("en", 1400, "light"), ("ar", 390, "dark")]
)
def test_a_word_of_a_text_leads_to_its_card(
    open_page,
    branch,  # noqa: F811
    language,
    width,
    scheme,
):
    lesson = branch.lessons[0]
    make_stage(lesson, title="Before")
    body = "<h2>الْكُسُورُ</h2><p>لِكُلِّ كَسْرٍ بَسْطٌ ومَقَامٌ. A denominator is below the line.</p>"
    config = {"format": "html", "body": body}
    stage = make_stage(lesson, title="Parts of a fraction", config=config)
    page = open_page(language, width=width, scheme=scheme)
    page.goto(reverse("admin:content_node_changelist") + "?q=مقام")
    page.locator(".found a").click()
    playwright.expect(page.locator(".text-results mark")).to_have_text("مَقَامٌ")
    width_of_page = page.evaluate("document.documentElement.scrollWidth")
    assert width_of_page <= width
    page.locator(".text-result-stage a").click()
    card = page.locator(f'.stage-card[data-stage="{stage.public_id}"]')
    playwright.expect(card).to_have_class(re.compile("is-open"))
    playwright.expect(card.locator(".stage-body")).to_be_in_viewport()
