"""Show where words were found: a part of a text with the words marked. Plain Python.

The words match in any spelling, as in searches (`core.folding`).
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from core.folding import fold, searchable


class Part(NamedTuple):
    """A piece of an excerpt; ``is_match``: it is one of the words."""

    text: str
    is_match: bool


def excerpt(text: str, words: Sequence[str], *, width: int = 160) -> list[Part]:
    """Return about ``width`` characters of ``text`` around the first of the words.

    Empty if none of ``words``, which are folded, is in it. "…" stands for what was
    left out. A word that is in the text in another spelling is marked as a whole.
    """
    folded = searchable(text)
    if all(word not in folded for word in words):
        return []  # most texts; the rest is slower
    matches = _merged(sorted(_matches(text, words)))
    if not matches:
        return []
    start, end = _window(text, matches[0], width)
    parts: list[Part] = []
    at = start
    for first, after in matches:
        if first >= end:
            break
        parts += [Part(text[at:first], False), Part(text[first:after], True)]
        at = after
    parts.append(Part(text[at : max(at, end)], False))
    if start > 0:
        parts.insert(0, Part("…", False))
    if max(at, end) < len(text):
        parts.append(Part("…", False))
    return [part for part in parts if part.text]


def _matches(text: str, words: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield first and last + 1 of each place in ``text`` that reads as a word."""
    folded, places = _with_places(text)
    ends = [*places[1:], len(text)] if places else []
    for word in words:
        at = folded.find(word)
        if at < 0:
            yield from _other_spellings(text, word)
        while at >= 0:
            yield places[at], ends[at + len(word) - 1]
            at = folded.find(word, at + len(word))


def _with_places(text: str) -> tuple[str, list[int]]:
    """Return ``text`` folded, and which character each of its characters came from."""
    letters: list[str] = []
    places: list[int] = []
    for place, char in enumerate(text):
        folded = _folded(char)
        if folded == " " and letters[-1:] == [" "]:
            continue
        letters += folded
        places += [place] * len(folded)
    return "".join(letters), places


@lru_cache(maxsize=10_000)
def _folded(char: str) -> str:
    return " " if char.isspace() else fold(char)


def _other_spellings(text: str, word: str) -> Iterator[tuple[int, int]]:
    at = 0
    for spelled in text.split():
        at = text.index(spelled, at)
        if word in searchable(spelled):
            yield at, at + len(spelled)
        at += len(spelled)


def _merged(matches: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for first, after in matches:
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(after, merged[-1][1]))
        else:
            merged.append((first, after))
    return merged


def _window(text: str, match: tuple[int, int], width: int) -> tuple[int, int]:
    """Return the part of ``text`` to show, which begins and ends between words."""
    first, after = match
    start = max(0, first - width // 3)
    if start:
        start = text.find(" ", start, first) + 1 or first
    end = max(after, start + width)
    if end < len(text):
        end = max(after, text.rfind(" ", after, end))
    return start, end
