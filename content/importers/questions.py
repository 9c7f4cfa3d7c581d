"""Questions of any bank, as stages: each is checked alone, so a bad one is left out."""

import html as references
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby, islice
from typing import Any

from django.utils.translation import get_language, gettext as _
from markdown_it import MarkdownIt

from content import fill_in
from content.html_tokens import tokens
from content.importers.outlines import ImporterError, Loss, Outline
from content.kinds import Kind
from content.stage_configs import ConfigError, clean
from content.stage_types import schema_in
from core.folding import fold, visible_text

MAX_QUESTIONS = 20_000
_LISTED = {"Quiz": 100, "FillIn": 100, "OpenAnswer": 50}
"""The types whose stages hold several questions, and how many."""
_MAX_TITLE = 255
_MAX_NAME = 60


@dataclass(slots=True)
class Question:
    """One question of a bank.

    ``content`` is an element of ``questions`` for the types that list questions, else
    the whole config. ``lesson`` is the path of titles below which it stands.
    ``remarks`` say what of the question is not kept.
    """

    place: str
    name: str
    type: str
    content: dict[str, Any]
    lesson: tuple[str, ...] = ()
    remarks: list[str] = field(default_factory=list)


class UnkeptError(ValueError):
    """A question cannot be a stage; the message is the reason."""


def unkept(place: str, reason: str) -> Loss:
    """Return the loss of a whole question."""
    return Loss(place, _("the question is left out: %(reason)s") % {"reason": reason})


def not_kept(what: str) -> str:
    """Return a remark about a part of a question."""
    return _("not kept: %(what)s") % {"what": what}


def place_of(number: int, name: str, line: int | None = None) -> str:
    """Return how a report names a question."""
    short = name if len(name) <= _MAX_NAME else f"{name[: _MAX_NAME - 1]}…"
    values = {"number": number, "name": short, "line": line}
    if line is None:
        text = _("question %(number)d “%(name)s”") if name else _("question %(number)d")
    elif name:
        text = _("line %(line)d, question %(number)d “%(name)s”")
    else:
        text = _("line %(line)d, question %(number)d")
    return text % values


_SLASH = re.compile(r"(?<!/)/(?!/)")
_VARIABLE = re.compile(r"\A\$[a-z]{1,40}\$\Z")


def category_path(written: str) -> tuple[str, ...]:
    """Return the titles in a category such as ``$course$/top/Algebra/Sets``."""
    parts = (part.strip() for part in _SLASH.split(written))
    shown = [part.replace("//", "/") for part in parts if part]
    while shown and (shown[0] == "top" or _VARIABLE.match(shown[0])):
        del shown[0]
    return tuple(shown)


# --- Texts --------------------------------------------------------------------

_ARABIC = re.compile("[\u0621-\u064a]")
_TAG = re.compile(r"</?[A-Za-z][A-Za-z0-9]{0,30}[\s/>]")
_DOLLARS = re.compile(r"\$\$(.{1,1000}?)\$\$", re.DOTALL)
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable(["table"])


def as_html(text: str, written_as: str = "") -> str:
    """Return a text as HTML.

    Args:
        written_as: ``html``, ``markdown`` or ``plain``; else it is HTML if it has tags.
    """
    text = _with_formulas(text.strip())
    if written_as == "markdown":
        return str(_MARKDOWN.render(text)).strip()
    if written_as == "html" or (written_as != "plain" and _TAG.search(text)):
        return text
    lines = references.escape(text, quote=False).strip().split("\n")
    paragraphs = groupby(lines, key=lambda line: bool(line.strip()))
    return "".join(
        f"<p>{'<br>'.join(some).strip()}</p>"
        for has_text, some in paragraphs
        if has_text
    )


def as_text(text: str, written_as: str = "") -> str:
    """Return a text without tags, on one line; pictures are lost."""
    text = _with_formulas(text.strip())
    if written_as == "html" or (written_as != "plain" and _TAG.search(text)):
        parts = (" " if token.name else token.source for token in tokens(text))
        text = references.unescape("".join(parts))
    return " ".join(text.split())


def lost_in_text(text: str, written_as: str = "") -> str:
    """Return what `as_text` leaves out of a text, as a remark; "" if nothing."""
    if written_as == "plain" or not _TAG.search(text):
        return ""
    lost = dict.fromkeys(
        f"<{token.name}>"
        for token in tokens(text)
        if token.name and not token.is_end and token.name not in _PLAIN
    )
    if not lost:
        return ""
    return _("answers are plain text here; removed: %(what)s") % {
        "what": ", ".join(lost)
    }


_PLAIN = frozenset({"p", "div", "span", "br"})


def _with_formulas(text: str) -> str:
    r"""Return ``text`` with ``$$…$$``, as Moodle writes formulas, as ``\(…\)``."""
    return _DOLLARS.sub(r"\\(\1\\)", text)


# --- Kinds of questions ---------------------------------------------------------


def quiz(prompt: str, options: Iterable[tuple[str, bool]]) -> dict[str, Any]:
    """Return a question with options; ``prompt`` is HTML."""
    return {
        "prompt": prompt,
        "options": [
            {"text": text, **({"correct": True} if is_right else {})}
            for text, is_right in options
        ],
    }


def true_or_false(prompt: str, *, is_true: bool) -> dict[str, Any]:
    """Return a question with the options true and false, in the prompt's language."""
    is_arabic = _ARABIC.search(prompt)
    yes, no = ("صواب", "خطأ") if is_arabic else ("True", "False")
    return quiz(prompt, [(yes, is_true), (no, not is_true)])


def filled_in(prompt: str, gaps: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a question with gaps.

    Runs of underscores that cannot be the gaps become ellipses, and the answer is typed
    below the text.
    """
    if len(gaps) == 1 and fill_in.count_gaps(prompt) > 1:
        prompt = fill_in.without_gaps(prompt)
    return {"prompt": prompt, "gaps": gaps}


def short_answer(
    prompt: str, texts: list[str], *, exact: bool = False
) -> tuple[dict[str, Any], list[str]]:
    """Return a question with one gap, and what is not kept.

    Raises:
        UnkeptError: no answer is left without those that stand for any text (``*``).
    """
    kept = [text for text in dict.fromkeys(texts) if "*" not in text]
    if not kept:
        raise UnkeptError(
            _("none of its answers is a text without * that counts fully")
        )
    remarks = []
    if len(kept) < len(set(texts)):
        remarks.append(not_kept(_("answers with *, which stands for any text")))
    gap = {"answers": distinct(kept, exact=exact), **({"exact": True} if exact else {})}
    return filled_in(prompt, [gap]), remarks


def distinct(texts: list[str], *, exact: bool) -> list[str]:
    """Return the answers without those that folding makes equal to an earlier one."""
    face = visible_text if exact else fold
    return list({face(text): text for text in reversed(texts)}.values())[::-1]


def matching(
    prompt: str, pairs: list[tuple[str, str]]
) -> tuple[dict[str, Any], list[str]]:
    """Return the config of a matching stage, and what is not kept.

    A pair without a left side is a wrong answer, which a matching stage has not.
    """
    config: dict[str, Any] = {
        "pairs": [{"left": left, "right": right} for left, right in pairs if left]
    }
    if text := as_text(prompt, "html"):
        config["prompt"] = text
    remarks = [lost_in_text(prompt, "html")]
    if any(not left for left, _right in pairs):
        remarks.append(not_kept(_("answers that belong to no pair")))
    return config, [remark for remark in remarks if remark]


def tolerance(written: str) -> float:
    """Return a tolerance; 0 for an empty text.

    Raises:
        UnkeptError: it is no number.
    """
    try:
        found = abs(float(written or 0))
    except ValueError:
        found = math.inf
    if not math.isfinite(found):
        raise UnkeptError(_("“%(text)s” is not a number") % {"text": written[:60]})
    return found


def number_question(prompt: str, values: list[tuple[str, float]]) -> dict[str, Any]:
    """Return a question with one gap for numbers: each with its tolerance.

    Raises:
        UnkeptError: there is no number, or the tolerances differ.
    """
    if not values:
        raise UnkeptError(_("none of its answers counts fully"))
    tolerances = {tolerance for _number, tolerance in values}
    if len(tolerances) > 1:
        raise UnkeptError(_("its answers have different tolerances"))
    answers: dict[object, str] = {}
    for number, _tolerance in values:
        answers.setdefault(tuple(fill_in.numbers_in(number)) or number, number)
    gap = {"answers": list(answers.values()), "tolerance": tolerances.pop()}
    return filled_in(prompt, [gap])


# --- Stages and lessons ----------------------------------------------------------


def outline_of(questions: Iterable[Question | Loss], title: str) -> Outline:
    """Return the questions as lessons, one for each path.

    Raises:
        ImporterError: there are too many, or no question in the file.
    """
    outline = Outline(Kind.LESSON, title)
    lessons = lessons_of(questions, outline)
    if not lessons and not outline.losses:
        raise ImporterError(_("The file contains no question."))
    outline.nodes = [
        {"title": shortened(" › ".join(path) or title), "stages": stages}
        for path, stages in lessons.items()
    ]
    return outline


def lessons_of(
    questions: Iterable[Question | Loss], outline: Outline
) -> dict[tuple[str, ...], list[dict[str, Any]]]:
    """Return the stages of each lesson by its path; in each, questions by their type.

    ``outline`` receives the losses; a `Loss` in place of a question is one.

    Raises:
        ImporterError: there are too many.
    """
    found = list(islice(questions, MAX_QUESTIONS + 1))
    if len(found) > MAX_QUESTIONS:
        raise ImporterError(
            _("The file has more than %(count)d questions.") % {"count": MAX_QUESTIONS}
        )
    lessons: dict[tuple[str, ...], list[Question]] = {}
    for question in found:
        if isinstance(question, Loss):
            outline.losses.append(question)
        elif reason := _fault(question):
            outline.losses.append(unkept(question.place, reason))
        else:
            outline.losses += [Loss(question.place, what) for what in question.remarks]
            lessons.setdefault(question.lesson, []).append(question)
    return {path: list(_stages(inside)) for path, inside in lessons.items()}


def shortened(title: str) -> str:
    """Return a title of at most 255 characters, on one line."""
    title = " ".join(title.split())
    return title if len(title) <= _MAX_TITLE else f"{title[: _MAX_TITLE - 1]}…"


def _fault(question: Question) -> str:
    """Return why the question cannot be stored; "" if it can."""
    try:
        clean(question.type, _config(question.type, [question.content]))
    except ConfigError as error:
        return "; ".join(message.partition(": ")[2] for message in error.messages[:3])
    return ""


def _config(type_name: str, contents: list[dict[str, Any]]) -> dict[str, Any]:
    return {"questions": contents} if type_name in _LISTED else contents[0]


def _stages(questions: list[Question]) -> Iterator[dict[str, Any]]:
    by_type: dict[str, list[Question]] = {}
    for question in questions:
        by_type.setdefault(question.type, []).append(question)
    language = get_language() or "en"
    for type_name in sorted(by_type, key=lambda name: name != "Text"):
        size = _LISTED.get(type_name, 1)
        found = by_type[type_name]
        label = schema_in(type_name, language)["title"]
        for start in range(0, len(found), size):
            part = found[start : start + size]
            title = part[0].name if size == 1 and part[0].name else label
            if size > 1 and len(found) > size:
                title = f"{label} {start // size + 1}"
            yield {
                "type": type_name,
                "title": shortened(title),
                "config": _config(type_name, [one.content for one in part]),
            }
