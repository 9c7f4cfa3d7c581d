"""Student cards: one valid card, one record in the CRM for each, an address as proof."""

import io
import uuid
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone, translation
from fpdf import FPDF
from PIL import Image

from players.services import accounts, photos
from registrar.models import Effect, StudentCard, Submission
from registrar.student_pages import card_pdf, cards, linking
from registrar.student_pages.card_pdf import CardFace
from tests.players.app import PASSWORD


def make_card(person, form_id=None) -> StudentCard:
    answer = person.client.post("/student/card/", {"uuid": form_id or uuid.uuid4()})
    assert answer.status_code == 302
    return cards.latest(person.student)


def address_of(card) -> str:
    return cards.address_of(card).removeprefix("http://127.0.0.1:8000")


def check(card):
    return Client().get(address_of(card), headers={"accept-language": "en"})


def test_each_card_is_one_request_to_the_crm(layla):
    layla.register("R-77")
    form_id = uuid.uuid4()
    first = make_card(layla, form_id)
    assert make_card(layla, form_id) == first
    second = make_card(layla)
    assert (first.number, second.number) == ("R-77", "R-77")
    assert StudentCard.objects.count() == Submission.objects.count() == 2
    assert Effect.objects.filter(kind="request").count() == 2
    assert {one.kind for one in Submission.objects.all()} == {"card"}


def test_a_new_card_replaces_the_old_one(layla):
    first = make_card(layla)
    assert "This card is valid" in check(first).content.decode()
    second = make_card(layla)
    assert "A newer card has replaced" in check(first).content.decode()
    assert "This card is valid" in check(second).content.decode()


def test_the_check_shows_name_number_and_validity_to_everybody(layla):
    card = make_card(layla)
    text = check(card).content.decode()
    for shown in ("ليلى حداد", card.number, "This card is valid"):
        assert shown in text
    for private in ("نابلس", "layla@school.example"):
        assert private not in text


def test_a_card_expires_and_ends_with_the_student(layla, settings):
    settings.STUDENT_CARD_DAYS = 10
    card = make_card(layla)
    today = timezone.localdate()
    assert card.valid_until == today + timedelta(days=10)
    StudentCard.objects.update(valid_until=today)
    assert "This card is valid" in check(card).content.decode()
    StudentCard.objects.update(valid_until=today - timedelta(days=1))
    assert "This card has expired" in check(card).content.decode()
    layla.student.deleted_at = timezone.now()
    layla.student.save()
    assert "no longer a student" in check(card).content.decode()


def test_a_forged_address_is_no_card(layla):
    card = make_card(layla)
    right = address_of(card)
    other = right.replace(f"/{card.pk}:", f"/{card.pk + 1}:")
    for forged in (other, right[:-3] + "A/", f"/student/card/check/{card.pk}/"):
        assert Client().get(forged).status_code == 404


def test_the_page_shows_the_code_of_its_address(layla):
    make_card(layla)
    answer = layla.client.get("/student/card/")
    assert answer.context["code"] == card_pdf.svg(
        cards.address_of(cards.latest(layla.student))
    )
    assert "<svg" in answer.content.decode()


def test_the_page_of_a_card_makes_five_queries(layla, django_assert_num_queries):
    layla.register()
    make_card(layla)
    # The session with its student; the card; registrations with programs, payments; the
    # account with its player.
    with django_assert_num_queries(5):
        layla.client.get("/student/card/")


@pytest.fixture
def photo(layla):
    player = accounts.create_player("layla@home.example", PASSWORD, "Layla")
    data = io.BytesIO()
    Image.new("RGB", (60, 80), "teal").save(data, "JPEG")
    picture = SimpleUploadedFile("me.jpg", data.getvalue())
    photos.replace(player_id=player.pk, file=picture)
    linking.link(layla.student, player)
    return player


def test_the_photo_of_the_player_is_on_the_card_and_nobody_else_s(layla, omar, photo):
    make_card(layla)
    make_card(omar)
    answer = layla.client.get("/student/card/photo/")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/jpeg")
    assert "/student/card/photo/" in layla.client.get("/student/card/").content.decode()
    assert omar.client.get("/student/card/photo/").status_code == 404
    assert b"/Subtype /Image" in layla.client.get("/student/card/card.pdf").content


def test_a_student_without_a_card_has_no_pdf(layla):
    assert layla.client.get("/student/card/card.pdf").status_code == 404


FACE = CardFace(
    school="Memora",
    name="ليلى حداد",
    number="R-77",
    program="شبكات الحاسوب",
    valid_until="30/11/2027",
    address="https://memora.example/student/card/check/1:abc/",
)


@pytest.mark.parametrize(("language", "align"), [("ar", "R"), ("en", "L")])
def test_the_pdf_is_one_page_that_begins_where_reading_begins(
    monkeypatch, language, align
):
    drawn = {}
    real = FPDF.cell

    def cell(self, width, height, text, *, align):
        drawn[text] = (align, self.get_x(), width)
        return real(self, width, height, text, align=align)

    monkeypatch.setattr(FPDF, "cell", cell)
    with translation.override(language):
        data = card_pdf.render(FACE)
    assert data.count(b"/Type /Page\n") == 1
    assert b"/MediaBox [0 0 242.65 153.01]" in data
    for text in (FACE.name, FACE.number, FACE.program, FACE.valid_until):
        assert drawn[text][0] == align
        _align, left, width = drawn[text]
        assert left >= 0
        assert left + width <= card_pdf.WIDTH
    school_begins_right = drawn[FACE.school][1] >= card_pdf.WIDTH / 2
    assert school_begins_right == (language == "ar")


def test_the_pdf_comes_in_the_reader_s_language(layla):
    make_card(layla)
    texts = {
        language: layla.client.get(
            "/student/card/card.pdf", headers={"accept-language": language}
        )
        for language in ("ar", "en")
    }
    assert all(
        one.headers["Content-Type"] == "application/pdf" for one in texts.values()
    )
    assert texts["ar"].content != texts["en"].content
