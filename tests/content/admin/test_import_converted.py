"""Documents and question banks on the import page: dry run, losses, then import."""

import io

import pytest
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from PIL import Image

from content.models import LessonStage, Node
from tests.admin_fixtures import messages_of
from tests.content.importers import documents
from tests.content.importers.documents import heading, paragraph

pytestmark = pytest.mark.django_db

PAGE = reverse("admin:exchange")
CONVERTED = reverse("admin:import_converted")
BANK = "::A:: 2 + 2? {=4 ~3}\n\n::B:: x {=*}"


def upload(browser, data, name, **fields):
    if isinstance(data, str):
        data = data.encode()
    return browser.post(CONVERTED, {"file": SimpleUploadedFile(name, data), **fields})


def confirm(browser, page, **fields):
    posted = {
        "upload": page.context["token"],
        "shown": page.context["fingerprint"],
        **page.context["choices"],
    }
    return browser.post(CONVERTED, posted | fields, follow=True)


def picture():
    out = io.BytesIO()
    Image.new("RGB", (4, 4)).save(out, "PNG")
    return out.getvalue()


def test_a_bank_is_tried_out_then_imported_with_its_losses_accepted(browser):
    page = upload(browser, BANK, "bank.gift")
    content = page.content.decode()
    assert "line 3, question 2 “B”" in content
    assert not Node.objects.exists()
    refused = confirm(browser, page)
    assert "you have not accepted the loss" in refused.content.decode()
    page = confirm(browser, upload(browser, BANK, "bank.gift"), accept_losses="yes")
    assert "“bank” was imported: 6 created" in messages_of(page)[0]
    assert LessonStage.objects.get().type == "Quiz"


def test_a_word_document_and_its_pictures_are_imported_as_a_draft(browser):
    data = documents.docx(
        heading("Unit", 1),
        heading("Topic", 2),
        heading("Lesson", 3),
        paragraph("Hello"),
        documents.PICTURE,
        picture=picture(),
    )
    page = upload(browser, data, "book.docx", as_draft="yes", title="Biology")
    assert page.context["report"].left_out == ()
    page = confirm(browser, page)
    assert "“Biology” was imported" in messages_of(page)[0]
    body = LessonStage.objects.get().config["body"]
    path = body.partition('src="/media/')[2].partition('"')[0]
    assert default_storage.exists(path)
    drafts = Node.objects.filter(is_published=False)
    assert [node.title for node in drafts] == ["Biology"]


def test_a_bank_is_put_into_the_topic_that_a_link_names(browser, maths):
    topic = maths["lessons"][0].parent
    page = browser.get(f"{PAGE}?into={topic.public_id}")
    assert f'<option value="{topic.public_id}" selected>' in page.content.decode()
    page = upload(browser, "a {T}", "bank.gift", into=topic.public_id)
    confirm(browser, page)
    lessons = Node.objects.filter(parent=topic).order_by("lft")
    assert lessons.last().title == "bank"


@pytest.mark.parametrize(
    ("data", "name", "message"),
    [
        (b"\xff", "a.gift", "The file is not UTF-8 text (line 1)."),
        (b"<quiz>", "a.xml", "The file is not XML: line 1"),
        (b"PK\x03\x04", "a.docx", "The file is not a Word document"),
        (b"a", "a.exe", "Files of the type “exe” are not supported"),
        (b"a,b\n1,2\n", "a.csv", "question"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_the_reason(
    browser, data, name, message
):
    page = upload(browser, data, name)
    assert page.status_code == 400
    assert message in page.content.decode()
