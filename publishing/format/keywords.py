"""The words of lessons for the app's search, within a budget. Plain rules: no Django.

A lesson's record has its words in the order of their use to a search; what the index has
of them depends on the number of lessons in the subject.
"""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import accumulate

import orjson

from content.stage_texts import words_of
from content.tree import Stage
from core.folding import searchable

LESSON_BYTES = 8 * 1024
SUBJECT_BYTES = 256 * 1024
"""The most bytes of keywords in UTF-8, of one lesson and of all lessons of a subject in a
plan. A plan with 50 lessons in a subject has 5 KB for each; see docs/content-format.md."""
MIN_LESSON_BYTES = 256
"""Also in a subject of very many lessons."""
_MAX_WORD = 64
_WORD = re.compile(r"(?<!\w)\w++(?:[-'’.]\w++)*+")


def of_stages(stages: Iterable[Stage]) -> str:
    """Return the folded words of a lesson: a line of terms, then one of all others.

    Separated by spaces; terms in the order of the text, others by frequency. A word
    that is part of another is left out, because searches also find parts. At most
    `LESSON_BYTES`.
    """
    terms: dict[str, None] = {}
    count: Counter[str] = Counter()
    for stage in stages:
        found = words_of(stage.type, orjson.loads(stage.config))
        terms.update(dict.fromkeys(_words([stage.title, *found.terms])))
        count.update(_words(found.lines))
    for term in terms:
        count[term] += 1
    kept = _without_parts(count)
    first = dict.fromkeys(_longer(terms, kept))
    others = sorted(kept.keys() - first.keys(), key=lambda word: (-kept[word], word))
    line = " ".join(_fitting(first, LESSON_BYTES))
    rest = LESSON_BYTES - len(line.encode())
    return f"{line}\n{' '.join(_fitting(others, rest))}"


def for_index(recorded: str, *, known: str, lessons: int, only_terms: bool) -> str:
    """Return a lesson's keywords for the index, in alphabetical order.

    Args:
        recorded: what `of_stages` returned.
        known: the item's ``text``; its words are not repeated.
        lessons: how many the subject has in the plan.
        only_terms: leave out the words that are no terms.
    """
    terms, _newline, others = recorded.partition("\n")
    words = terms.split() if only_terms else [*terms.split(), *others.split()]
    room = max(MIN_LESSON_BYTES, min(LESSON_BYTES, SUBJECT_BYTES // max(1, lessons)))
    unknown = (word for word in words if word not in known)
    return " ".join(sorted(_fitting(unknown, room)))


def _words(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        for word in _WORD.findall(searchable(text)):
            if 1 < len(word) <= _MAX_WORD:
                yield word


def _fitting(words: Iterable[str], room: int) -> Iterator[str]:
    """Yield words while they fit into ``room`` bytes, with the spaces between them."""
    for word in words:
        room -= len(word.encode()) + 1
        if room < 0:
            return
        yield word


def _without_parts(count: Counter[str]) -> Counter[str]:
    """Return the words that are in no longer one, which take over the counts of these."""
    ordered = sorted(count, key=lambda word: (-len(word), word))
    kept: Counter[str] = Counter()
    for word, longer in zip(ordered, _containers(ordered), strict=True):
        kept[longer] += count[word]
    return kept


def _longer(terms: Iterable[str], kept: Iterable[str]) -> list[str]:
    """Return for each term the kept word that contains it, which may be itself."""
    ordered = sorted(kept, key=lambda word: (-len(word), word))
    return list(_containers([*ordered, *terms]))[len(ordered) :]


def _containers(words: list[str]) -> Iterator[str]:
    """Yield for each word the first word that contains it, which may be itself."""
    joined = " ".join(words)
    starts = [0, *accumulate(len(word) + 1 for word in words)]
    for word in words:
        yield words[bisect_right(starts, joined.find(word)) - 1]
