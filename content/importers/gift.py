"""Read question banks in GIFT, the text format of Moodle.

https://docs.moodle.org/en/GIFT_format describes it. Questions are separated by empty
lines. Where Moodle reads ``\\n`` before a letter as a line break, it stays here, because
TeX has commands such as ``\\nu``.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from django.utils.translation import gettext as _

from content.importers import questions
from content.importers.outlines import ImporterError, Loss, Outline, decoded
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

MAX_BYTES = 20 * 1024 * 1024
_CATEGORY = re.compile(r"\A\$CATEGORY:(.*+)\Z", re.IGNORECASE)
_NAME = re.compile(r"\A\s*+::((?:(?!::).)*+)::", re.DOTALL)
_FORMAT = re.compile(r"\A\s*+\[(html|moodle|plain|markdown)\]", re.IGNORECASE)
_ESCAPED = re.compile(r"\\([~=#{}:\\]|n(?![A-Za-z]))")
_FIRST_ESCAPE = 0xF0000
"""Escaped characters are replaced by private code points while a question is read."""
_KEPT_ESCAPES = "~=#{}:\\n"
_UNESCAPED = {
    _FIRST_ESCAPE + at: "\n" if char == "n" else char
    for at, char in enumerate(_KEPT_ESCAPES)
}
_TRUE_FALSE = re.compile(
    r"\A(T|TRUE|F|FALSE)\s*+(?:#(.*+))?\Z", re.IGNORECASE | re.DOTALL
)
_ANSWER_START = re.compile("(?=[=~])")
_ANSWER = re.compile(
    r"\A([=~])\s*+(?:%(-?[0-9]{1,3}(?:\.[0-9]{1,9})?)%)?([^#]*+)(?:#(.*+))?\Z",
    re.DOTALL,
)
_MOST = 100


def read(data: bytes, title: str) -> Outline:
    """Return the questions of a bank as lessons, one for each category.

    Raises:
        ImporterError: it is no text, is too large, or has no question or too many.
    """
    if len(data) > MAX_BYTES:
        raise ImporterError(
            _("The text is larger than %(limit)d MB.") % {"limit": MAX_BYTES >> 20}
        )
    return questions.outline_of(_questions(decoded(data)), title)


@dataclass(frozen=True, slots=True)
class _Answer:
    mark: str
    weight: float | None
    text: str
    written_as: str
    feedback: str


def _questions(text: str) -> Iterator[Question | Loss]:
    path: tuple[str, ...] = ()
    number = 0
    for line, block in _blocks(text):
        if category := _CATEGORY.match(block.strip()):
            path = questions.category_path(category[1])
            continue
        number += 1
        escaped = _ESCAPED.sub(_escape, block)
        name, rest = _name(escaped)
        place = place_of(number, name or _start(rest), line)
        try:
            question = _question(place, name, rest)
        except UnkeptError as error:
            yield unkept(place, str(error))
        else:
            question.lesson = path
            yield question


def _blocks(text: str) -> Iterator[tuple[int, str]]:
    """Yield the blocks between empty lines, without comments, with their first line."""
    lines: list[str] = []
    first = 0
    for number, line in enumerate([*text.split("\n"), ""], start=1):
        is_category = bool(_CATEGORY.match(line.strip()))
        if lines and (is_category or not line.strip()):
            yield first, "\n".join(lines)
            lines = []
        if is_category:
            yield number, line
        elif line.strip() and not line.lstrip().startswith("//"):
            first = first if lines else number
            lines.append(line)


def _escape(found: re.Match[str]) -> str:
    return chr(_FIRST_ESCAPE + _KEPT_ESCAPES.index(found[1]))


def _plain(text: str) -> str:
    return text.translate(_UNESCAPED).strip()


def _name(block: str) -> tuple[str, str]:
    found = _NAME.match(block)
    if found is None:
        return "", block
    return " ".join(_plain(found[1]).split()), block[found.end() :]


def _start(block: str) -> str:
    """Return the beginning of a question, to name one that has no name."""
    return as_text(_plain(_format(block)[1].partition("{")[0]))


def _format(text: str) -> tuple[str, str]:
    """Return the declared format of a text, and the text."""
    found = _FORMAT.match(text)
    if found is None:
        return "", text
    return found[1].lower(), text[found.end() :]


def _question(place: str, name: str, block: str) -> Question:
    written_as, block = _format(block)
    start, end = block.find("{"), block.rfind("}")
    if (start < 0) != (end < 0) or end < start:
        raise UnkeptError(_("a brace has no counterpart; write \\{ for a brace itself"))
    if start < 0:
        return _description(place, name, as_html(_plain(block), written_as))
    body, _marks, feedback = block[start + 1 : end].partition("####")
    if "{" in body or "}" in body:
        raise UnkeptError(_("it has more than one part in braces"))
    before, after = _plain(block[:start]), _plain(block[end + 1 :])
    text = f"{before} _____ {after}" if after else before
    prompt = as_html(text, written_as)
    question = _answered(place, name, prompt, body.strip())
    if feedback.strip():
        key = "model_answer" if question.type == "OpenAnswer" else "explanation"
        if question.type == "Matching":
            question.remarks.append(not_kept(_("the general feedback")))
        else:
            question.content[key] = as_html(_plain(feedback), written_as)
    return question


def _description(place: str, name: str, html: str) -> Question:
    return Question(place, name, "Text", {"format": "html", "body": html})


def _answered(place: str, name: str, prompt: str, body: str) -> Question:
    if not body:
        return Question(place, name, "OpenAnswer", {"prompt": prompt})
    if body.startswith("#"):
        return _number(place, name, prompt, body[1:].strip())
    if found := _TRUE_FALSE.match(body):
        is_true = found[1].upper().startswith("T")
        content = questions.true_or_false(prompt, is_true=is_true)
        return _with_remarks(
            Question(place, name, "Quiz", content), feedback=bool(found[2])
        )
    answers = _answers(body)
    if all(one.mark == "=" and "->" in one.text for one in answers):
        return _matching(place, name, prompt, answers)
    if any(one.mark == "~" for one in answers):
        is_single = any(one.mark == "=" for one in answers)
        options = [
            (as_text(one.text, one.written_as), _is_right(one, is_single=is_single))
            for one in answers
        ]
        question = Question(place, name, "Quiz", questions.quiz(prompt, options))
    else:
        question = _short_answer(place, name, prompt, answers)
    for one in answers:
        if remark := lost_in_text(one.text, one.written_as):
            question.remarks.append(remark)
    return _with_remarks(
        question,
        feedback=any(one.feedback for one in answers),
        weights=_has_partly_right(answers),
    )


def _is_right(answer: _Answer, *, is_single: bool = True) -> bool:
    """Return whether an answer is right: with several right ones, if it has points."""
    if answer.mark == "=":
        return answer.weight is None or answer.weight >= _MOST
    return not is_single and (answer.weight or 0) > 0


def _has_partly_right(answers: list[_Answer]) -> bool:
    """Return whether the points of answers mean more than right and wrong."""
    is_single = any(one.mark == "=" for one in answers)
    positive = {one.weight for one in answers if one.weight and one.weight > 0}
    return bool(positive - {float(_MOST)}) if is_single else len(positive) > 1


def _answers(body: str) -> list[_Answer]:
    if body[0] not in "=~":
        raise UnkeptError(_("its answers do not begin with = or ~"))
    found = []
    for part in filter(None, _ANSWER_START.split(body)):
        mark, weight, text, feedback = _ANSWER.match(part).groups("")  # type: ignore[union-attr]
        written_as, text = _format(text)
        found.append(
            _Answer(
                mark,
                float(weight) if weight else None,
                _plain(text),
                written_as,
                _plain(feedback),
            )
        )
    return found


def _with_remarks(
    question: Question, *, feedback: bool = False, weights: bool = False
) -> Question:
    if feedback:
        question.remarks.append(not_kept(_("the feedback of single answers")))
    if weights:
        question.remarks.append(not_kept(_("the points of partly right answers")))
    return question


def _short_answer(
    place: str, name: str, prompt: str, answers: list[_Answer]
) -> Question:
    texts = [as_text(one.text, one.written_as) for one in answers if _is_right(one)]
    content, remarks = questions.short_answer(prompt, texts)
    return Question(place, name, "FillIn", content, remarks=remarks)


def _matching(place: str, name: str, prompt: str, answers: list[_Answer]) -> Question:
    sides = [one.text.partition("->") for one in answers]
    pairs = [(as_text(left), as_text(right)) for left, _arrow, right in sides]
    config, remarks = questions.matching(prompt, pairs)
    return Question(place, name, "Matching", config, remarks=remarks)


_NUMBER = r"[+-]?(?:[0-9]++\.?[0-9]*+|\.[0-9]++)(?:[eE][+-]?[0-9]{1,2})?"
_RANGE = re.compile(rf"\A\s*+({_NUMBER})\s*+\.\.\s*+({_NUMBER})\s*+\Z")
_NEAR = re.compile(rf"\A\s*+({_NUMBER})\s*+(?::\s*+({_NUMBER}))?\s*+\Z")


def _number(place: str, name: str, prompt: str, body: str) -> Question:
    answers = _answers(body if body[:1] in ("=", "~") else f"={body}")
    values = [_value(one.text) for one in answers if _is_right(one)]
    content = questions.number_question(prompt, values)
    return _with_remarks(
        Question(place, name, "FillIn", content),
        feedback=any(one.feedback for one in answers),
        weights=_has_partly_right(answers),
    )


def _value(text: str) -> tuple[str, float]:
    text = " ".join(text.split())
    if found := _RANGE.match(text):
        low, high = sorted((float(found[1]), float(found[2])))
        return f"{(low + high) / 2:.12g}", float(f"{(high - low) / 2:.12g}")
    if found := _NEAR.match(text):
        return found[1], abs(float(found[2] or 0))
    raise UnkeptError(_("“%(text)s” is not a number") % {"text": text[:60]})
