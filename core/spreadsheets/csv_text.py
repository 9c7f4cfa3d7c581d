"""CSV text for spreadsheet programs."""

import csv
from collections.abc import Iterable, Sequence

from core.spreadsheets.cells import guard_formulas

BYTE_ORDER_MARK = "\ufeff"
"""At the start of a file it tells spreadsheet programs that the file is UTF-8."""
_ISOLATES = dict.fromkeys((0x2066, 0x2068, 0x2069))
"""Marks of text direction in sentences; a cell needs none."""


class _Line:
    """The file that the CSV writer needs: `write` returns the line."""

    def write(self, line: str) -> str:
        return line


def csv_text(rows: Iterable[Sequence[str]]) -> str:
    """Return the rows as lines; each cell is safe (`guard_formulas`)."""
    writer = csv.writer(_Line())
    return "".join(
        writer.writerow([guard_formulas(cell.translate(_ISOLATES)) for cell in row])
        for row in rows
    )
