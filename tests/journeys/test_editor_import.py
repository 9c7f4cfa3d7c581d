"""Import in a real browser: repeated clicks during a slow request count once."""

import json

import pytest
from django.urls import reverse

from content.models import LessonStage, Node
from publishing.models import PublishingSettings
from tests.content.importers import documents
from tests.content.importers.documents import heading, paragraph
from tests.factories.content import make_branch
from tests.publishing.admin_views.test_preview_views import picture

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


BANK = """$CATEGORY: الكسور

::جمع:: ما ناتج ١ + ١؟ {=٢ ~٣}

::فراغ:: نصف الأربعة {#2:0}

::Wild:: anything {=*}
"""
DOCUMENT = (
    heading("الحركة", 1),
    heading("السرعة", 2),
    heading("ما السرعة؟", 3),
    paragraph("السرعة هي المسافة مقسومة على الزمن."),
    documents.PICTURE,
    documents.TABLE,
    documents.NOTED,
    documents.FORMULA,
)


def choose_file(page, name, data):
    page.goto(reverse("admin:exchange"))
    page.locator("input[accept*=docx]").set_input_files(
        {"name": name, "mimeType": "application/octet-stream", "buffer": data}
    )


def import_chosen(page):
    form = page.locator("form[action$='/converted/']").last
    form.locator("button[type=submit]").click()
    playwright.expect(page.locator(".losses")).to_be_visible()
    page.locator(".accept-losses input").check()
    page.locator(".confirmation input[type=submit]").click()
    playwright.expect(page.locator(".messagelist")).to_be_visible()


@pytest.mark.parametrize("language", ["ar", "en"])
def test_a_bank_of_questions_is_imported_and_its_losses_accepted(open_page, language):
    page = open_page(language)
    choose_file(page, "الكسور.gift", BANK.encode())
    import_chosen(page)
    assert Node.objects.get(kind="lesson").title == "الكسور"
    types = sorted(LessonStage.objects.values_list("type", flat=True))
    assert types == ["FillIn", "Quiz"]


@pytest.mark.parametrize("language", ["ar", "en"])
def test_a_word_document_is_imported_with_its_picture_as_a_draft(open_page, language):
    PublishingSettings.get_solo()  # else two requests of the preview create it
    page = open_page(language)
    data = documents.docx(*DOCUMENT, picture=picture())
    choose_file(page, "physics.docx", data)
    form = page.locator("form[action$='/converted/']").last
    form.locator("[name=title]").fill("الفيزياء")
    form.locator("[name=as_draft]").check()
    import_chosen(page)
    assert Node.objects.get(kind="subject").is_published is False
    lesson = Node.objects.get(kind="lesson")
    assert lesson.title == "ما السرعة؟"
    page.goto(reverse("admin:content_node_change", args=[lesson.pk]))
    page.locator(".stage-toggle").click()
    drawn = page.frame_locator(".stage-preview iframe, iframe").locator(".html img")
    playwright.expect(drawn).to_be_visible()


def test_the_menu_of_a_topic_leads_to_an_import_into_it(open_page):
    topic = make_branch("Physics", lessons=1).topic
    page = open_page("ar")
    page.goto(f"{reverse('admin:content_node_changelist')}?at={topic.pk}")
    page.locator(f"#n{topic.pk} > .row .menu-button").click()
    page.locator("[data-name=import_here]").click()
    place = page.locator("select[name=into]")
    playwright.expect(place).to_have_value(topic.public_id)
