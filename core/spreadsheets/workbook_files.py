"""Read XLSX workbooks (ECMA-376) in bounded memory.

openpyxl's streaming mode does not report merged cells and fills rows up to the last
used column. Its other mode keeps an object for every cell of a merged range. Both parse
whole parts before any limit can be checked. This module streams each part through
expat, checks limits before it allocates memory, and distinguishes text cells from
others.

Elements are matched by local name: "Strict" workbooks and report generators use other
namespaces or prefixes than Excel.
"""

import io
import re
import zipfile
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from core.spreadsheets.cells import (
    Cell,
    CellType,
    NonTextCell,
    display_type,
    unescape_xml,
    with_line_feeds,
)

MAX_UNPACKED = 64 * 1024 * 1024
_MAX_MEMBERS = 1_000
_MAX_ELEMENTS = 4_000_000
_MAX_DEPTH = 64
_MAX_TOKEN = 1024 * 1024
_MAX_STRINGS = 500_000
_MAX_ENTRIES = 70_000  # of one kind in styles, workbook or relations; Excel: 65,490
_LAST_COLUMN = 16_384
_LAST_ROW = 1_048_576
_CHUNK = 64 * 1024
_MAX_DIGITS = 15

_DIRECTORY_ENTRY = b"PK\x01\x02"


class WorkbookError(Exception):
    """The file is damaged, encrypted, or not a workbook."""


class TooBigError(Exception):
    """Reading the file would take too much memory or time."""


@dataclass(frozen=True, slots=True)
class Row:
    """The non-empty cells of a row by column; rows and columns count from 1."""

    number: int
    cells: dict[int, Cell]


@dataclass(slots=True)
class Worksheet:
    """A visible sheet; ``merged`` is complete once all rows have been read."""

    title: str
    part: str
    merged: list[tuple[int, int, int, int]] = field(default_factory=list)
    """Ranges: first row, first column, last row, last column."""


class Workbook:
    """An XLSX file.

    Raises:
        WorkbookError: from any method.
        TooBigError: from any method.
    """

    def __init__(self, data: bytes) -> None:
        if data.count(_DIRECTORY_ENTRY) > _MAX_MEMBERS:
            raise TooBigError
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, ValueError, OSError) as error:
            raise WorkbookError from error
        self._members: dict[str, zipfile.ZipInfo] = {}
        for member in self._zip.infolist():
            name = _part_name(member.filename)
            if name in self._members:
                raise WorkbookError
            self._members[name] = member
        self._limits = _Limits()
        self._strings: list[str] = []
        self._formats: list[CellType] = []
        self.sheets = self._sheets()

    def rows(self, sheet: Worksheet) -> Iterator[Row]:
        """Yield the sheet's rows that are not empty, from top to bottom."""
        sheet.merged.clear()
        reader = _Rows(sheet, self._strings, self._formats)
        for _chunk in self._parse(sheet.part, reader):
            while reader.rows:
                yield reader.rows.popleft()

    def _sheets(self) -> list[Worksheet]:
        """Return the visible sheets in order; also read shared strings and formats."""
        roots = self._relations("")
        book = next(
            (target for kind, target in roots.values() if kind == "officeDocument"),
            "xl/workbook.xml",
        )
        listed = _Sheets()
        self._read(book, listed)
        relations = self._relations(book)
        for kind, target in relations.values():
            if kind == "sharedStrings" and target in self._members:
                strings = _Strings()
                self._read(target, strings)
                self._strings = strings.found
            elif kind == "styles" and target in self._members:
                styles = _Styles()
                self._read(target, styles)
                self._formats = styles.formats()
        found = [(title, relations.get(key)) for title, key in listed.visible]
        return [
            Worksheet(title, relation[1])
            for title, relation in found
            if relation is not None and relation[0] == "worksheet"
        ]

    def _relations(self, part: str) -> dict[str, tuple[str, str]]:
        """Return the relations of a part: (kind, part) by id."""
        folder, _slash, name = part.rpartition("/")
        listed = f"{folder}/_rels/{name}.rels".lstrip("/")
        if listed not in self._members:
            return {}
        relations = _Relations(folder)
        self._read(listed, relations)
        return relations.found

    def _read(self, part: str, reader: "_Reader") -> None:
        deque(self._parse(part, reader), maxlen=0)

    def _parse(self, part: str, reader: "_Reader") -> Iterator[None]:
        """Parse a part and pass its elements to ``reader``, one chunk at a time."""
        member = self._members.get(part)
        # Other compression methods allocate as much memory as the file requests.
        if member is None or member.compress_type not in (
            zipfile.ZIP_STORED,
            zipfile.ZIP_DEFLATED,
        ):
            raise WorkbookError
        elements = _Elements(reader, self._limits)
        try:
            with self._zip.open(member) as stream:
                while chunk := stream.read(_CHUNK):
                    elements.feed(chunk)
                    yield
            elements.close()
        except (
            zipfile.BadZipFile,
            zlib.error,
            expat.ExpatError,
            EOFError,
            OSError,
            RuntimeError,  # raised by zipfile for a password
            ValueError,
            LookupError,
        ) as error:
            raise WorkbookError from error
        yield


def _part_name(name: str) -> str:
    """Normalise a part's name: some writers use backslashes or another case."""
    return name.replace("\\", "/").lstrip("/").lower()


# --- Elements -------------------------------------------------------------------


@dataclass(slots=True)
class _Limits:
    """The remaining budget of a workbook, shared by its parts."""

    elements: int = field(default_factory=lambda: _MAX_ELEMENTS)
    unpacked: int = field(default_factory=lambda: MAX_UNPACKED)


class _Reader:
    """Receives the elements of a part, by local name."""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Handle the start of an element; ``attributes`` are by local name."""

    def text(self, text: str) -> None:
        """Handle text between two tags, possibly in pieces."""

    def end(self, name: str) -> None:
        """Handle the end of an element."""


class _Elements:
    """An expat parser that refuses document types and enforces the limits."""

    def __init__(self, reader: _Reader, limits: _Limits) -> None:
        self._reader = reader
        self._limits = limits
        self._depth = 0
        self._fed = 0
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = reader.text
        self._parser.StartDoctypeDeclHandler = self._refuse_document_type

    def feed(self, chunk: bytes) -> None:
        self._limits.unpacked -= len(chunk)
        if self._limits.unpacked < 0:
            raise TooBigError
        self._fed += len(chunk)
        self._parser.Parse(chunk, False)
        # Expat buffers a tag or a comment until its end.
        if self._fed - self._parser.CurrentByteIndex > _MAX_TOKEN + _CHUNK:
            raise TooBigError

    def close(self) -> None:
        self._parser.Parse(b"", True)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._limits.elements -= 1
        self._depth += 1
        if self._limits.elements < 0 or self._depth > _MAX_DEPTH:
            raise TooBigError
        self._reader.start(
            name.rpartition(" ")[2],
            {key.rpartition(" ")[2]: value for key, value in attributes.items()},
        )

    def _end(self, name: str) -> None:
        self._depth -= 1
        self._reader.end(name.rpartition(" ")[2])

    def _refuse_document_type(self, *_declared: object) -> None:
        """Refuse document types: without them there are no entities to expand."""
        raise WorkbookError


# --- The parts ------------------------------------------------------------------


class _Relations(_Reader):
    """``_rels/*.rels``."""

    def __init__(self, folder: str) -> None:
        self.found: dict[str, tuple[str, str]] = {}
        self._folder = folder

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name != "Relationship" or attributes.get("TargetMode") == "External":
            return
        target = attributes["Target"].replace("\\", "/")
        if not target.startswith("/"):
            target = f"{self._folder}/{target}"
        steps: list[str] = []
        for step in target.split("/"):
            if step == "..":
                del steps[-1:]
            elif step not in ("", "."):
                steps.append(step)
        kind = attributes["Type"].rpartition("/")[2]
        self.found[attributes["Id"]] = kind, _part_name("/".join(steps))
        if len(self.found) > _MAX_ENTRIES:
            raise TooBigError


class _Sheets(_Reader):
    """``workbook.xml``: the titles and relation ids of the visible sheets."""

    def __init__(self) -> None:
        self.visible: list[tuple[str, str]] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "sheet" and attributes.get("state", "visible") == "visible":
            self.visible.append((attributes["name"], attributes["id"]))
            if len(self.visible) > _MAX_MEMBERS:
                raise TooBigError


class _Text(_Reader):
    """Collects the text of ``t`` elements and joins the runs of rich text.

    Phonetic text (``rPh``) is ignored.
    """

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._takes = False
        self._is_aloud = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "rPh":
            self._is_aloud = True
        self._takes = name == "t" and not self._is_aloud

    def text(self, text: str) -> None:
        if self._takes:
            self._pieces.append(text)

    def end(self, name: str) -> None:
        self._takes = False
        if name == "rPh":
            self._is_aloud = False

    def _taken(self) -> str:
        text = with_line_feeds(unescape_xml("".join(self._pieces)))
        self._pieces.clear()
        return text


class _Strings(_Text):
    """``sharedStrings.xml``: the texts that cells refer to by index."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def end(self, name: str) -> None:
        super().end(name)
        if name == "si":
            self.found.append(self._taken())
            if len(self.found) > _MAX_STRINGS:
                raise TooBigError


class _Styles(_Reader):
    """``styles.xml``: the number format of every cell style."""

    def __init__(self) -> None:
        self._codes: dict[int, str] = {}
        self._of_style: list[int] = []
        self._list = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name in ("numFmts", "cellXfs"):
            self._list = name
        elif name == "numFmt" and self._list == "numFmts":
            code = attributes.get("formatCode", "")
            self._codes[int(attributes["numFmtId"])] = code
        elif name == "xf" and self._list == "cellXfs":
            self._of_style.append(int(attributes.get("numFmtId", 0)))
        if max(len(self._codes), len(self._of_style)) > _MAX_ENTRIES:
            raise TooBigError

    def end(self, name: str) -> None:
        if name == self._list:
            self._list = ""

    def formats(self) -> list[CellType]:
        """Return how a number is displayed in each cell style."""
        known = {
            number: display_type(number, self._codes.get(number))
            for number in {*self._of_style}
        }
        return [known[number] for number in self._of_style]


def _index(text: str) -> int:
    index = int(text)
    if index < 0:
        raise WorkbookError
    return index


_REFERENCE = re.compile(r"\$?([A-Za-z]{1,3})\$?([0-9]{1,7})\Z")


def _column_number(letters: str) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - 64
    if not 0 < number <= _LAST_COLUMN:
        raise WorkbookError
    return number


def column_letters(number: int) -> str:
    """Return the letters of a column: 1 is A, 27 is AA."""
    letters = ""
    while number:
        number, place = divmod(number - 1, 26)
        letters = chr(65 + place) + letters
    return letters


class _Rows(_Text):
    """A worksheet: its completed rows and its merged ranges."""

    def __init__(
        self, sheet: Worksheet, strings: list[str], formats: list[CellType]
    ) -> None:
        super().__init__()
        self.rows: deque[Row] = deque()
        self._sheet = sheet
        self._strings = strings
        self._formats = formats
        self._row: Row | None = None
        self._last_row = 0
        self._column = 0
        self._cell: dict[str, str] | None = None
        self._is_formula = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        super().start(name, attributes)
        match name:
            case "row":
                self._begin_row(attributes)
            case "c" if self._row is not None:
                self._begin_cell(attributes)
            case "f" if self._cell is not None:
                self._is_formula = True
            case "v" if self._cell is not None:
                self._takes = True
            case "mergeCell":
                self._merge(attributes["ref"])
        if self._cell is None:
            self._takes = False

    def end(self, name: str) -> None:
        super().end(name)
        if name == "c" and self._row is not None and self._cell is not None:
            value = self._value(self._cell, self._taken())
            if value != "":
                self._row.cells[self._column] = value
            self._cell = None
        elif name == "row" and self._row is not None:
            if self._row.cells:
                self.rows.append(self._row)
            self._row = None

    def _begin_row(self, attributes: dict[str, str]) -> None:
        number = int(attributes.get("r", self._last_row + 1))
        if not self._last_row < number <= _LAST_ROW or self._row is not None:
            raise WorkbookError
        self._row, self._last_row, self._column = Row(number, {}), number, 0

    def _begin_cell(self, attributes: dict[str, str]) -> None:
        if found := _REFERENCE.match(attributes.get("r", "")):
            column = _column_number(found[1])
        else:
            column = self._column + 1
        if column <= self._column:
            raise WorkbookError
        self._column, self._cell, self._is_formula = column, attributes, False

    def _merge(self, reference: str) -> None:
        first, _colon, last = reference.partition(":")
        corners = [_REFERENCE.match(corner) for corner in (first, last or first)]
        places = [
            (int(corner[2]), _column_number(corner[1])) for corner in corners if corner
        ]
        if len(places) < len(corners):
            raise WorkbookError
        self._sheet.merged.append((*places[0], *places[1]))
        if len(self._sheet.merged) > _MAX_ENTRIES:
            raise TooBigError

    def _value(self, cell: dict[str, str], text: str) -> Cell:
        """Return the value of a cell; "" if it is empty."""
        kind = cell.get("t", "n")
        if self._is_formula:
            return self._odd(CellType.FORMULA, "")
        match kind:
            case "s":
                return self._strings[_index(text)] if text else ""
            case "inlineStr" | "str":
                return text
            case _ if not text:
                return ""
            case "n":
                return self._number(cell, float(text))
            case "b":
                return self._odd(CellType.BOOLEAN, "TRUE" if text == "1" else "FALSE")
            case "e":
                return self._odd(CellType.ERROR, text[:20])
            case "d":
                return self._odd(CellType.DATE, "")
        return self._odd(CellType.UNKNOWN, "")

    def _number(self, cell: dict[str, str], number: float) -> NonTextCell:
        style = int(cell.get("s", 0))
        content = CellType.NUMBER
        if 0 <= style < len(self._formats):
            content = self._formats[style]
        is_exact = abs(number) < 10**_MAX_DIGITS and number.is_integer()
        return self._odd(content, str(int(number)) if is_exact else repr(number))

    def _odd(self, content: CellType, text: str) -> NonTextCell:
        assert self._row is not None
        place = f"{column_letters(self._column)}{self._row.number}"
        return NonTextCell(content, text, self._sheet.title, place)
