"""Sign-in slips as a PDF: A4 pages with eight slips, to be cut apart.

The text is shaped by HarfBuzz, so Arabic letters are joined, and names and addresses in
Latin letters stand in their own direction. No file is written.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.utils.translation import get_language_bidi, gettext as _

from core.batches import batches

if TYPE_CHECKING:
    from fpdf import FPDF

_FONTS = Path(__file__).parent / "fonts"
FAMILY = "IBM Plex Sans Arabic"

# Millimetres on A4.
_COLUMNS, _ROWS = 2, 4
_WIDTH, _HEIGHT = 210 / _COLUMNS, 297 / _ROWS
_MARGIN = 7.0
_INNER = _WIDTH - 2 * _MARGIN
_LABEL = 27.0


@dataclass(frozen=True, slots=True)
class Slip:
    """What a student needs to sign in."""

    name: str
    email: str
    password: str
    school_number: str = ""
    group: str = ""


def render(slips: Sequence[Slip], *, heading: str) -> bytes:
    """Return the PDF in the current language; in Arabic from right to left.

    About 10 ms of CPU a slip.

    Args:
        heading: the text at the top of each slip, such as the address of the school.
    """
    pdf = document()
    page = _Page(pdf, is_rtl=get_language_bidi(), heading=heading)
    for some in batches(slips, _COLUMNS * _ROWS):
        page.add(some)
    return bytes(pdf.output())


def document(
    *, size: str | tuple[float, float] = "A4", is_landscape: bool = False
) -> "FPDF":
    """Return an empty document with the font.

    Args:
        size: of a page; width and height in millimetres, upright.
    """
    # Imported here: the web server needs the library only for this page.
    from fpdf import FPDF
    from fpdf.line_break import Fragment

    class Document(FPDF):
        def _parse_chars(
            self, text: str, markdown: bool, **_style: Any
        ) -> "Iterator[Fragment]":
            """Shape each run of one direction as a whole.

            fpdf2 2.8.9 also divides runs by script, and takes a vowel mark for a script
            of its own: the letters beside it are not joined.
            """
            yield Fragment(text, self._get_current_graphics_state(), self.k)

    pdf = Document("landscape" if is_landscape else "portrait", format=size)
    pdf.set_auto_page_break(False)
    pdf.c_margin = 0
    for style, name in (("", "Regular"), ("B", "SemiBold")):
        pdf.add_font(FAMILY, style, _FONTS / f"IBMPlexSansArabic-{name}.ttf")
    pdf.set_text_shaping(True)
    pdf.set_font(FAMILY)
    return pdf


class _Page:
    """Draws pages of slips; the first slip is where reading begins."""

    def __init__(self, pdf: "FPDF", *, is_rtl: bool, heading: str) -> None:
        self._pdf = pdf
        self._is_rtl = is_rtl
        self._start, self._end = ("R", "L") if is_rtl else ("L", "R")
        self._heading = heading
        self._widths: dict[tuple[str, str], float] = {}
        self._steps = [
            _("1. Open the app and choose “Sign in”."),
            _("2. Type the e-mail address and the password as they stand here."),
            _("3. Then choose a password of your own. Show this slip to nobody."),
        ]
        self._labels = {
            "email": _("E-mail"),
            "password": _("Password"),
            "school_number": _("School number"),
            "group": _("Class"),
        }

    def _width_of(self, text: str, style: str) -> float:
        """Return the width of a text in millimetres at one point; most texts recur."""
        if (text, style) not in self._widths:
            self._pdf.set_font(FAMILY, style, 100)
            self._widths[text, style] = self._pdf.get_string_width(text) / 100
        return self._widths[text, style]

    def add(self, slips: Sequence[Slip]) -> None:
        """Add a page of up to eight slips."""
        self._pdf.add_page()
        self._draw_cutting_lines()
        for place, slip in enumerate(slips):
            row, column = divmod(place, _COLUMNS)
            if self._is_rtl:
                column = _COLUMNS - 1 - column
            self._draw(slip, column * _WIDTH, row * _HEIGHT)

    def _draw_cutting_lines(self) -> None:
        pdf = self._pdf
        pdf.set_draw_color(150)
        pdf.set_line_width(0.2)
        pdf.set_dash_pattern(dash=2, gap=2)
        for column in range(1, _COLUMNS):
            pdf.line(column * _WIDTH, 0, column * _WIDTH, 297)
        for row in range(1, _ROWS):
            pdf.line(0, row * _HEIGHT, 210, row * _HEIGHT)
        pdf.set_dash_pattern()

    def _draw(self, slip: Slip, left: float, top: float) -> None:
        left += _MARGIN
        y = top + 6
        self._text(left, y, _INNER, 4, self._heading, size=8, grey=110)
        y += 5
        self._text(left, y, _INNER, 7, slip.name, size=14, style="B")
        y += 9
        for name in ("group", "school_number", "email", "password"):
            if value := getattr(slip, name):
                self._field(left, y, name, value)
                y += 8 if name == "password" else 6
        y = top + _HEIGHT - 5 - 4.5 * len(self._steps)
        for step in self._steps:
            self._text(left, y, _INNER, 4.5, step, size=8, grey=70)
            y += 4.5

    def _field(self, left: float, y: float, name: str, value: str) -> None:
        """Draw a label and its value at the side where reading begins."""
        is_password = name == "password"
        label, room = left, left + _LABEL
        if self._is_rtl:
            label, room = left + _INNER - _LABEL, left
        height = 7 if is_password else 5.5
        self._text(label, y, _LABEL, height, self._labels[name], size=9, grey=110)
        self._text(
            room,
            y,
            _INNER - _LABEL,
            height,
            value,
            size=15 if is_password else 11,
            style="B" if is_password else "",
        )

    def _text(
        self,
        left: float,
        y: float,
        width: float,
        height: float,
        text: str,
        *,
        size: float,
        style: str = "",
        grey: int = 0,
    ) -> None:
        """Draw one line at the side where reading begins; smaller if it is too long."""
        pdf = self._pdf
        pdf.set_text_color(grey)
        needed = self._width_of(text, style) * size
        pdf.set_font(FAMILY, style, size * min(1, width / needed) if needed else size)
        pdf.set_xy(left, y)
        pdf.cell(width, height, text, align=self._start)
