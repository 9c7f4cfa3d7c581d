"""A student card as a PDF of one page, as large as a bank card (ISO/IEC 7810 ID-1)."""

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import segno
from django.utils.translation import get_language_bidi, gettext as _

from players import slip_pdf

if TYPE_CHECKING:
    from fpdf import FPDF

# Millimetres.
WIDTH, HEIGHT = 85.6, 53.98
_MARGIN = 5.0
_BAND = 11.0
_QR = 24.0
_PHOTO = (18.0, 24.0)
_TEAL, _SAND = (11, 79, 77), (255, 250, 240)


@dataclass(frozen=True, slots=True)
class CardFace:
    """What a card shows; dates as texts in the reader's language.

    ``photo`` is an encoded picture, None without one; ``address`` that of the QR code.
    """

    school: str
    name: str
    number: str
    program: str
    valid_until: str
    address: str
    photo: bytes | None = None


def svg(address: str) -> str:
    """Return the QR code of ``address`` as an inline SVG element that scales."""
    code: str = segno.make(address, error="m").svg_inline(
        border=2, omitsize=True, light="#fff", svgclass="qr", lineclass=None
    )
    return code


def render(face: CardFace) -> bytes:
    """Return the PDF in the current language; in Arabic from right to left."""
    pdf = slip_pdf.document(size=(HEIGHT, WIDTH), is_landscape=True)
    is_rtl = get_language_bidi()
    pdf.add_page()
    pdf.set_fill_color(*_TEAL)
    pdf.rect(0, 0, WIDTH, _BAND, style="F")
    text = _Text(pdf, align="R" if is_rtl else "L")
    inner = WIDTH - 2 * _MARGIN
    begin, end = (_MARGIN, WIDTH / 2) if not is_rtl else (WIDTH / 2, _MARGIN)
    text.draw(begin, 2.5, inner / 2, 6, face.school, size=11, bold=True, color=_SAND)
    opposite = _Text(pdf, align="L" if is_rtl else "R")
    opposite.draw(end, 2.5, inner / 2, 6, _("Student card"), size=9, color=_SAND)
    # The photo is where reading begins, the code at the other end.
    left = _MARGIN
    room = inner - _QR - 2
    code_left = _MARGIN if is_rtl else WIDTH - _MARGIN - _QR
    if is_rtl:
        left += _QR + 2
    if face.photo:
        photo_left = WIDTH - _MARGIN - _PHOTO[0] if is_rtl else _MARGIN
        _draw_photo(pdf, face.photo, photo_left)
        room -= _PHOTO[0] + 3
        left += 0 if is_rtl else _PHOTO[0] + 3
    _draw_code(pdf, face.address, code_left)
    # The name is above the code and may be as long as both.
    name_left = _MARGIN if is_rtl else left
    text.draw(name_left, 14, room + _QR + 2, 7, face.name, size=12, bold=True)
    y = 22.0
    for label, value in (
        (_("Number"), face.number),
        (_("Program"), face.program),
        (_("Valid until"), face.valid_until),
    ):
        if value:
            text.draw(left, y, room, 3.5, label, size=6.5, color=(110, 110, 110))
            text.draw(left, y + 3.2, room, 5, value, size=9)
            y += 9.5
    return bytes(pdf.output())


class _Text:
    """Draws lines of one alignment; a line that is too long becomes smaller."""

    def __init__(self, pdf: "FPDF", *, align: str) -> None:
        self._pdf, self._align = pdf, align

    def draw(
        self,
        left: float,
        y: float,
        width: float,
        height: float,
        text: str,
        *,
        size: float,
        bold: bool = False,
        color: tuple[int, int, int] = (0, 0, 0),
    ) -> None:
        pdf = self._pdf
        style = "B" if bold else ""
        pdf.set_font(slip_pdf.FAMILY, style, size)
        needed = pdf.get_string_width(text)
        if needed > width:
            pdf.set_font(slip_pdf.FAMILY, style, size * width / needed)
        pdf.set_text_color(*color)
        pdf.set_xy(left, y)
        pdf.cell(width, height, text, align=self._align)


def _draw_code(pdf: "FPDF", address: str, left: float) -> None:
    picture = io.BytesIO()
    segno.make(address, error="m").save(picture, kind="png", scale=8, border=2)
    picture.seek(0)
    pdf.image(picture, left, HEIGHT - _MARGIN - _QR - 3, _QR, _QR)


def _draw_photo(pdf: "FPDF", photo: bytes, left: float) -> None:
    width, height = _PHOTO
    pdf.image(io.BytesIO(photo), left, _BAND + 4, width, height, keep_aspect_ratio=True)
