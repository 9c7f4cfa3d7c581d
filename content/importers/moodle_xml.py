"""Read question banks in Moodle XML. https://docs.moodle.org/en/Moodle_XML_format"""

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, unquote
from xml.etree.ElementTree import Element, ParseError

import defusedxml
import orjson
from defusedxml import ElementTree
from django.utils.translation import gettext as _

from content import fill_in
from content.importers import questions
from content.importers.outlines import ImporterError, Loss, Outline
from content.importers.questions import (
    Question,
    UnkeptError,
    as_html,
    as_text,
    lost_in_text,
    not_kept,
    place_of,
    unkept,
)
from core.pictures import FORMATS

MAX_TAGS = 2_000_000
_PICTURES = (*(kind.suffix for kind in FORMATS.values()), ".jpeg")
_PLUGIN_FILE = re.compile(r"@@PLUGINFILE@@/([^\"'\s<>?#]{1,1000})")
_FILE_PATH = re.compile(r"question-[0-9]{1,9}/[0-9]{1,9}-[^\s\"'\\<>?#]{1,1000}")
_FORMATS = {
    "html": "html",
    "moodle_auto_format": "",
    "plain_text": "plain",
    "markdown": "markdown",
}
_MOST = 100.0


def read(data: bytes, title: str) -> Outline:
    """Return the questions of a bank as lessons, one for each category.

    Raises:
        ImporterError: it is no XML, has a document type declaration, is not a question
            bank, or has no question or too many.
    """
    if data.count(b"<") > MAX_TAGS:
        raise ImporterError(
            _("The file has more than %(count)d tags: divide it into several files.")
            % {"count": MAX_TAGS}
        )
    try:
        root = ElementTree.fromstring(data, forbid_dtd=True)
    except ParseError as error:
        line, column = error.position
        raise ImporterError(
            _("The file is not XML: line %(line)d, column %(column)d: %(problem)s")
            % {"line": line, "column": column, "problem": error.msg}
        ) from error
    except defusedxml.DefusedXmlException as error:
        raise ImporterError(
            _("The file has a document type declaration, which is not allowed.")
        ) from error
    except (ValueError, LookupError) as error:
        raise ImporterError(_("The encoding of the file is not supported.")) from error
    if root.tag != "quiz":
        raise ImporterError(
            _(
                "The file is not Moodle XML: its first element is <%(name)s>, not <quiz>."
            )
            % {"name": str(root.tag)[:60]}
        )
    files: dict[str, bytes] = {}
    outline = questions.outline_of(_questions(root, files), title)
    used = set(_FILE_PATH.findall(orjson.dumps(outline.nodes).decode()))
    outline.files = {path: file for path, file in files.items() if quote(path) in used}
    return outline


def _questions(root: Element, files: dict[str, bytes]) -> Iterator[Question | Loss]:
    path: tuple[str, ...] = ()
    number = 0
    for element in root.iter("question"):
        kind = element.get("type", "")
        if kind == "category":
            path = questions.category_path(_text_in(element, "category"))
            continue
        number += 1
        name = " ".join(_text_in(element, "name").split())
        place = place_of(number, name)
        try:
            if kind not in _READERS:
                raise UnkeptError(
                    _("questions of the type “%(type)s” are not supported")
                    % {"type": kind[:60]}
                )
            reader = _Reader(element, place, name, number, files)
            question = _READERS[kind](reader)
            reader.complete(question)
        except UnkeptError as error:
            yield unkept(place, str(error))
        else:
            question.lesson = path
            yield question


def _text_in(element: Element | None, *names: str) -> str:
    """Return the text of ``<text>`` in a child; "" if there is none."""
    for name in names:
        element = element.find(name) if element is not None else None
    found = element.find("text") if element is not None else None
    return (found.text or "").strip() if found is not None else ""


class _Reader:
    """One ``<question>``."""

    def __init__(
        self,
        element: Element,
        place: str,
        name: str,
        number: int,
        files: dict[str, bytes],
    ) -> None:
        self.element = element
        self.place = place
        self.name = name
        self.number = number
        self.files = files
        self.remarks: list[str] = []
        self.prompt = self.html("questiontext")

    def html(self, name: str) -> str:
        """Return a text with its pictures' paths relative to the curriculum file."""
        found = self.element.find(name)
        text = _text_in(self.element, name)
        if found is None or not text:
            return ""
        names = self._stored_files(found)

        def address(match: re.Match[str]) -> str:
            path = names.get(unquote(match[1]))
            if path is None:
                self.remarks.append(
                    not_kept(_("the file “%(name)s”") % {"name": unquote(match[1])})
                )
            return quote(path) if path else match[0]

        return as_html(_PLUGIN_FILE.sub(address, text), _written_as(found))

    def _stored_files(self, found: Element) -> dict[str, str]:
        names = {}
        for file in found.iter("file"):
            name = file.get("name", "")
            inside = f"{file.get('path', '/').strip('/')}/{name}".lstrip("/")
            if not name.lower().endswith(_PICTURES) or "/" in name:
                continue
            try:
                data = base64.b64decode(file.text or "", validate=False)
            except (binascii.Error, ValueError):
                continue
            path = f"question-{self.number}/{len(self.files)}-{name}"
            self.files[path] = data
            names[inside] = path
        return names

    def answers(self) -> list[Element]:
        return self.element.findall("answer")

    def question(self, type_name: str, content: dict[str, Any]) -> Question:
        return Question(self.place, self.name, type_name, content)

    def option(self, element: Element) -> str:
        """Return the plain text of an answer; note what is lost of it."""
        text = _text_in_itself(element)
        written_as = _written_as(element)
        if remark := lost_in_text(text, written_as):
            self.remarks.append(remark)
        return as_text(text, written_as)

    def complete(self, question: Question) -> None:
        """Add what all types have, and the remarks."""
        feedback = self.html("generalfeedback")
        key = {"Quiz": "explanation", "FillIn": "explanation"}.get(question.type, "")
        if question.type == "OpenAnswer" and "model_answer" not in question.content:
            key = "model_answer"
        if feedback and key:
            question.content[key] = feedback
        answers = self.answers()
        is_several = self.element.findtext("single", "true").strip() in ("false", "0")
        lost = {
            _("the general feedback"): bool(feedback and not key),
            _("the feedback of single answers"): any(
                _text_in(answer, "feedback") for answer in answers
            ),
            _("the hints"): self.element.find("hint") is not None,
            _("the points of partly right answers"): not is_several
            and any(abs(_fraction(one)) not in (0, _MOST) for one in answers),
        }
        question.remarks += self.remarks
        question.remarks += [
            not_kept(what) for what, is_lost in lost.items() if is_lost
        ]


def _text_in_itself(element: Element) -> str:
    found = element.find("text")
    text = found.text if found is not None else element.text
    return (text or "").strip()


def _written_as(element: Element) -> str:
    return _FORMATS.get(element.get("format", ""), "")


def _fraction(answer: Element) -> float:
    try:
        return float(answer.get("fraction", "0"))
    except ValueError as error:
        raise UnkeptError(
            _("“%(text)s” is not a number") % {"text": answer.get("fraction", "")[:60]}
        ) from error


# --- The types --------------------------------------------------------------------


def _multichoice(reader: _Reader) -> Question:
    is_single = reader.element.findtext("single", "true").strip() in ("true", "1")
    options = [
        (
            reader.option(one),
            _fraction(one) >= _MOST if is_single else _fraction(one) > 0,
        )
        for one in reader.answers()
    ]
    return reader.question("Quiz", questions.quiz(reader.prompt, options))


def _true_false(reader: _Reader) -> Question:
    right = [_text_in_itself(one) for one in reader.answers() if _fraction(one) > 0]
    if len(right) != 1:
        raise UnkeptError(_("it has no single right answer"))
    content = questions.true_or_false(reader.prompt, is_true=right[0].lower() == "true")
    return reader.question("Quiz", content)


def _short_answer(reader: _Reader) -> Question:
    is_exact = reader.element.findtext("usecase", "0").strip() == "1"
    texts = [reader.option(one) for one in reader.answers() if _fraction(one) >= _MOST]
    content, remarks = questions.short_answer(reader.prompt, texts, exact=is_exact)
    reader.remarks += remarks
    return reader.question("FillIn", content)


def _numerical(reader: _Reader) -> Question:
    values = [
        (_text_in_itself(one), questions.tolerance(one.findtext("tolerance", "0")))
        for one in reader.answers()
        if _fraction(one) >= _MOST
    ]
    if reader.element.find("units") is not None:
        reader.remarks.append(not_kept(_("the units")))
    return reader.question("FillIn", questions.number_question(reader.prompt, values))


def _matching(reader: _Reader) -> Question:
    pairs = []
    for one in reader.element.findall("subquestion"):
        answer = one.find("answer")
        right = reader.option(answer) if answer is not None else ""
        pairs.append((reader.option(one), right))
    config, remarks = questions.matching(reader.prompt, pairs)
    reader.remarks += remarks
    return reader.question("Matching", config)


def _essay(reader: _Reader) -> Question:
    content: dict[str, Any] = {"prompt": reader.prompt}
    if model := reader.html("graderinfo"):
        content["model_answer"] = model
    if reader.html("responsetemplate"):
        reader.remarks.append(not_kept(_("the template of the answer")))
    return reader.question("OpenAnswer", content)


def _description(reader: _Reader) -> Question:
    return reader.question("Text", {"format": "html", "body": reader.prompt})


_CLOZE = re.compile(
    r"\{[0-9]{0,9}:([A-Z_]{1,20}):((?:\\.|[^}\\]){0,1000})\}", re.DOTALL
)
_CLOZE_TEXT = {"SHORTANSWER": False, "SA": False, "MW": False}
_CLOZE_TEXT |= {"SHORTANSWER_C": True, "SAC": True, "MWC": True}
_CLOZE_NUMBER = {"NUMERICAL", "NM"}
_CLOZE_ANSWER = re.compile(
    r"\A\s*+(=|%([0-9.]{1,9})%)?((?:\\.|\\\Z|[^#\\])*+)(?:#.*+)?\Z", re.DOTALL
)
_CLOZE_END = re.compile(r"(?<!\\)~")
_ESCAPED = re.compile(r"\\(.)")


def _cloze(reader: _Reader) -> Question:
    gaps = []

    def gap(found: re.Match[str]) -> str:
        gaps.append(_cloze_gap(found[1], found[2]))
        return "___"

    text = _CLOZE.sub(gap, fill_in.without_gaps(reader.prompt))
    if not gaps:
        raise UnkeptError(_("it has no gap that can be read"))
    return reader.question("FillIn", {"prompt": text, "gaps": gaps})


def _cloze_gap(kind: str, written: str) -> dict[str, Any]:
    if kind not in _CLOZE_TEXT and kind not in _CLOZE_NUMBER:
        raise UnkeptError(
            _("gaps of the type “%(type)s” are not supported") % {"type": kind}
        )
    right = []
    for part in _CLOZE_END.split(written):
        found = _CLOZE_ANSWER.match(part)
        if found and (found[1] == "=" or found[2] in ("100", "100.0")):
            right.append(as_text(_ESCAPED.sub(r"\1", found[3]), "html"))
    if kind in _CLOZE_NUMBER:
        values = [one.partition(":") for one in right]
        content = questions.number_question(
            "", [(number, questions.tolerance(near)) for number, _sign, near in values]
        )
    else:
        content, _remarks = questions.short_answer("", right, exact=_CLOZE_TEXT[kind])
    gap: dict[str, Any] = content["gaps"][0]
    return gap


_READERS = {
    "multichoice": _multichoice,
    "truefalse": _true_false,
    "shortanswer": _short_answer,
    "numerical": _numerical,
    "matching": _matching,
    "essay": _essay,
    "description": _description,
    "cloze": _cloze,
}
