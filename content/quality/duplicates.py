"""Stages and questions that a subject has twice.

Texts are compared folded (`core.folding`), with the addresses of their pictures.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from django.utils.translation import gettext as _

from content.inline_text import plain
from content.json_errors import Path
from content.media.references import of_config
from content.quality.completeness import QUESTIONS
from content.quality.findings import (
    Finding,
    Problem,
    StageContent,
    place_in,
)
from content.stage_texts import words_of
from core.folding import fold

_Key = tuple[str, str, tuple[str, ...]]


def find(stages: Iterable[StageContent]) -> Iterator[Finding]:
    """Yield each stage, and each question of the others, that came before.

    Stages without text, such as videos, are not compared; explanations of questions are
    not part of their text.
    """
    seen: dict[_Key, tuple[StageContent, Path]] = {}
    for stage in stages:
        key = _key(stage.type, stage.config, stage.lines)
        if not key[1]:
            continue
        first = seen.setdefault(key, (stage, ()))
        if first[0] is not stage:
            yield _finding(stage, (), *first)
            continue
        for path, question in _questions(stage):
            other, other_path = seen.setdefault(question, (stage, path))
            if other is not stage or other_path != path:
                yield _finding(stage, path, other, other_path)


def _questions(stage: StageContent) -> Iterator[tuple[Path, _Key]]:
    if stage.type not in QUESTIONS:
        return
    name, explanation = QUESTIONS[stage.type]
    for at, question in enumerate(stage.config.get(name) or []):
        own = {key: value for key, value in question.items() if key != explanation}
        config = {name: [own]}
        key = _key(f"{stage.type}.{name}", config, words_of(stage.type, config).lines)
        if key[1]:
            yield (name, at), key


def _key(kind: str, config: dict[str, Any], lines: Iterable[str]) -> _Key:
    addresses = of_config(kind.partition(".")[0], config)
    return kind, fold("\n".join(lines)), tuple(one.address for one in addresses)


def _finding(
    stage: StageContent, path: Path, other: StageContent, other_path: Path
) -> Finding:
    where = " ".join(filter(None, (plain(other.title), _in(other, other_path))))
    detail = _("The same text as “%(stage)s” in the lesson “%(lesson)s”") % {
        "stage": where,
        "lesson": plain(other.lesson.title),
    }
    return Finding(Problem.DUPLICATE, stage.lesson, detail, stage, path, other)


def _in(stage: StageContent, path: Path) -> str:
    place = place_in(stage.type, path)
    return f"({place})" if place else ""
