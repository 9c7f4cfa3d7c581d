"""The PDF of sign-in slips: what is drawn, where, and on how many pages."""

import logging

import pytest
from django.utils import translation
from fpdf import FPDF

from players import slip_pdf
from players.slip_pdf import Slip

SARA = Slip("سارة محمد", "sara@school.example", "k7mpq-3xhw9", "S-7", "٥ أ")


@pytest.fixture
def cells(monkeypatch):
    """Record the text, the left edge and the alignment of each cell."""
    drawn = []
    real = FPDF.cell

    def cell(self, width, height, text, *, align):
        drawn.append((text, self.get_x(), align))
        return real(self, width, height, text, align=align)

    monkeypatch.setattr(FPDF, "cell", cell)
    return drawn


def pages_of(data):
    assert data.startswith(b"%PDF")
    return data.count(b"/Type /Page\n")


def test_a_slip_has_everything_and_leaves_out_what_is_empty(cells):
    slip_pdf.render([SARA], heading="memora.example")
    texts = [text for text, _left, _align in cells]
    assert texts[:2] == ["memora.example", "سارة محمد"]
    assert {"٥ أ", "S-7", "sara@school.example", "k7mpq-3xhw9"} <= set(texts)
    cells.clear()
    slip_pdf.render([Slip("Lina", "l@b.example", "x")], heading="memora.example")
    assert "School number" not in [text for text, _left, _align in cells]


@pytest.mark.parametrize(
    ("language", "align", "first"), [("ar", "R", 1), ("en", "L", 0)]
)
def test_slips_begin_where_reading_begins(cells, language, align, first):
    with translation.override(language):
        slip_pdf.render([SARA, SARA], heading="memora.example")
    edges = [left for text, left, _align in cells if text == SARA.name]
    assert [left > 105 for left in edges] == [first == 1, first == 0]
    assert {found for _text, _left, found in cells} == {align}


def test_letters_with_vowel_marks_stay_joined():
    pdf = slip_pdf.document()
    width = pdf.get_string_width("جدا العمري تطلع")
    assert pdf.get_string_width("جدًّا العُمَري تُطلع") == pytest.approx(width)
    pdf.output()  # closes the files of the font


def test_eight_slips_are_on_a_page():
    assert pages_of(slip_pdf.render([SARA] * 8, heading="x")) == 1
    assert pages_of(slip_pdf.render([SARA] * 9, heading="x")) == 2


def test_a_long_name_and_characters_without_a_glyph_are_drawn():
    slips = [Slip("عبد الرحمن " * 12, f"{'s' * 200}@b.example", "x", "๗", "漢字")]
    assert pages_of(slip_pdf.render(slips, heading="x")) == 1


def test_no_name_is_logged(caplog):
    with caplog.at_level(logging.INFO):
        slip_pdf.render([SARA], heading="x")
    assert not [record for record in caplog.records if "glyph" in record.getMessage()]
