"""Read questions from a spreadsheet (CSV or XLSX); it may create units to lessons."""

from collections.abc import Iterator
from typing import Any

from django.utils.translation import gettext as _

from content.importers import questions
from content.importers.outlines import ImporterError, Loss, Outline
from content.importers.questions import (
    Question,
    UnkeptError,
    as_html,
    shortened,
    unkept,
)
from content.kinds import Kind
from content.spreadsheets.lesson_sheet import YesNo
from core.folding import fold
from core.spreadsheets import files
from core.spreadsheets.cells import CellType, NonTextCell
from core.spreadsheets.files import Line, SheetError

HEADERS = {
    "unit": ("unit", "الوحدة"),
    "topic": ("topic", "الموضوع"),
    "lesson": ("lesson", "الدرس"),
    "description": ("description", "وصف الدرس", "الوصف"),
    "type": ("type", "النوع", "نوع السؤال"),
    "question": ("question", "السؤال", "النص"),
    "correct": ("correct", "correct answer", "answer", "الإجابة الصحيحة", "الإجابة"),
    "wrong": ("wrong", "wrong answers", "الإجابات الخاطئة", "الخيارات الخاطئة"),
    "explanation": ("explanation", "الشرح"),
    "tolerance": ("tolerance", "هامش الخطأ"),
    "exact": ("exact", "مطابقة تامة"),
}
"""The names of each column; `fold` compares them."""
TYPES = {
    "Quiz": ("quiz", "multiple choice", "اختبار", "اختيار من متعدد"),
    "FillIn": ("fill-in", "fill in", "short answer", "ملء الفراغات", "أكمل"),
    "Matching": ("matching", "توصيل"),
    "OpenAnswer": ("open answer", "essay", "إجابة مفتوحة", "مقالي"),
    "Text": ("text", "نص"),
}
_COLUMNS = {fold(name): column for column, names in HEADERS.items() for name in names}
_TYPE_NAMES = {fold(name): kind for kind, names in TYPES.items() for name in names}
_KINDS = {"unit": Kind.UNIT, "topic": Kind.TOPIC, "lesson": Kind.LESSON}
_CHILDREN = {Kind.UNIT: "topics", Kind.TOPIC: "lessons"}
_MAX_HEADER = 100
_YES_NO = YesNo()

Path = tuple[str, ...]


def read(data: bytes, title: str, name: str) -> Outline:
    """Return the sheet's questions in its units, topics and lessons.

    An empty cell of these three columns means that of the row above.

    Args:
        name: the file's name; its suffix determines the format.

    Raises:
        ImporterError: it is no such sheet, or has too many questions.
    """
    try:
        sheet = files.read(data, name, known=_column_of, required="question")
    except SheetError as error:
        raise ImporterError(error.message) from error
    if not sheet.lines:
        raise ImporterError(_("The sheet has no rows."))
    levels = list(_KINDS)
    while len(levels) > 1 and levels[0] not in sheet.columns:
        del levels[0]
    outline = Outline(_KINDS[levels[0]], title)
    outline.losses += [Loss(_row(row), why) for row, _column, why in sheet.faults]
    outline.losses += [
        Loss(_("column “%(name)s”") % {"name": name}, _("is unknown and is ignored"))
        for name in sheet.ignored
    ]
    reader = _Reader(levels)
    lessons = questions.lessons_of(reader.rows(sheet.lines), outline)
    _nest(outline, reader, lessons)
    return outline


def _column_of(header: str) -> str | None:
    return None if len(header) > _MAX_HEADER else _COLUMNS.get(fold(header))


def _row(number: int) -> str:
    return _("row %(number)d") % {"number": number}


class _Reader:
    """Reads the rows, and remembers all lessons in their order."""

    def __init__(self, levels: list[str]) -> None:
        self.levels = levels
        self.lessons: dict[Path, str] = {}
        """The descriptions of lessons, by path."""
        self._path: list[str] = ["" for _level in levels]

    def rows(self, lines: list[Line]) -> Iterator[Question | Loss]:
        for line in lines:
            place = _row(line.number)
            try:
                cells = {name: _text(cell) for name, cell in line.cells.items()}
                path = self._lesson(cells)
                if cells.get("question"):
                    question = _question(place, cells)
                    question.lesson = path
                    yield question
            except (UnkeptError, ValueError) as error:
                yield unkept(place, str(error))

    def _lesson(self, cells: dict[str, str]) -> Path:
        for at, level in enumerate(self.levels):
            if title := cells.get(level):
                if title != self._path[at]:
                    self._path[at + 1 :] = ["" for _level in self.levels[at + 1 :]]
                self._path[at] = title
        path = tuple(self._path)
        known = self.lessons.setdefault(path, "")
        self.lessons[path] = known or cells.get("description", "")
        return path


def _text(cell: Any) -> str:
    """Return the text of a cell.

    Raises:
        ValueError: it is a formula, a date or another cell that is not what was typed.
    """
    if isinstance(cell, NonTextCell):
        if cell.content not in (CellType.NUMBER, CellType.BOOLEAN):
            raise ValueError(cell.reason)
        return cell.text
    return str(cell or "").strip()


def _question(place: str, cells: dict[str, str]) -> Question:
    prompt = as_html(cells["question"])
    right = _several(cells.get("correct", ""))
    wrong = _several(cells.get("wrong", ""))
    kind = _kind(cells, has_right=bool(right), has_wrong=bool(wrong))
    content, remarks = _content(kind, prompt, right, wrong, cells)
    explanation = as_html(cells.get("explanation", ""))
    if explanation and kind in ("Quiz", "FillIn"):
        content["explanation"] = explanation
    elif explanation:
        remarks.append(questions.not_kept(_("the explanation")))
    name = questions.as_text(cells["question"])
    return Question(place, shortened(name), kind, content, remarks=remarks)


def _several(cell: str) -> list[str]:
    parts = (part.strip() for part in cell.replace("\n", "|").split("|"))
    return [part for part in parts if part]


def _kind(cells: dict[str, str], *, has_right: bool, has_wrong: bool) -> str:
    if written := cells.get("type"):
        kind = _TYPE_NAMES.get(fold(written))
        if kind is None:
            raise UnkeptError(
                _("“%(type)s” is no type; write one of: %(types)s")
                % {
                    "type": written[:60],
                    "types": ", ".join(names[0] for names in TYPES.values()),
                }
            )
        return kind
    if has_wrong:
        return "Quiz"
    return "FillIn" if has_right else "OpenAnswer"


def _content(
    kind: str, prompt: str, right: list[str], wrong: list[str], cells: dict[str, str]
) -> tuple[dict[str, Any], list[str]]:
    match kind:
        case "Text":
            return {"format": "html", "body": prompt}, []
        case "OpenAnswer":
            model = as_html(cells.get("correct", ""))
            return {"prompt": prompt, **({"model_answer": model} if model else {})}, []
        case "Matching":
            pairs = [part.partition("=") for part in right]
            return questions.matching(
                prompt, [(left.strip(), other.strip()) for left, _sign, other in pairs]
            )
        case "FillIn" if cells.get("tolerance"):
            near = questions.tolerance(cells["tolerance"].replace("٫", "."))
            return questions.number_question(prompt, [(one, near) for one in right]), []
        case "FillIn":
            is_exact = bool(cells.get("exact")) and _YES_NO.clean(cells["exact"])
            return questions.short_answer(prompt, right, exact=is_exact)
    options = [*((text, True) for text in right), *((text, False) for text in wrong)]
    return questions.quiz(prompt, options), []


def _nest(
    outline: Outline, reader: _Reader, lessons: dict[Path, list[dict[str, Any]]]
) -> None:
    """Put the lessons into their units and topics."""
    containers: dict[Path, list[dict[str, Any]]] = {(): outline.nodes}
    for path, description in reader.lessons.items():
        kind, title = outline.kind, outline.title
        above: Path = ()
        for given in path[:-1]:
            within = (*above, given)
            title = shortened(given) or title
            if within not in containers:
                inside = containers[within] = []
                containers[above].append({"title": title, _CHILDREN[kind]: inside})
            kind, above = Kind.TOPIC, within
        lesson = {"title": shortened(path[-1]) or title}
        if description:
            lesson["description"] = description
        containers[above].append({**lesson, "stages": lessons.get(path, [])})
