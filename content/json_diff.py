"""Compute the differences between two JSON values, for display.

List entries with ids are matched by id, others by their content. Plain Python: no
Django here.
"""

import difflib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from content.word_diff import visible

Path = tuple[str | int, ...]
"""Keys, numbers of entries (from 1), and names of entries that have one."""
Ignored = Callable[[str], bool]


class DifferenceKind(StrEnum):
    """The kind of a difference."""

    CHANGED = "changed"
    ADDED = "added"
    REMOVED = "removed"
    REORDERED = "reordered"


@dataclass(frozen=True, slots=True)
class Difference:
    """A place that differs; ``old`` and ``new`` are None where there is no value."""

    path: Path
    how: DifferenceKind
    old: Any = None
    new: Any = None

    @property
    def place(self) -> str:
        """The path as text, such as ``options › 2 › text``."""
        return " › ".join(str(step) for step in self.path)


def differences(
    old: Any, new: Any, *, ignored: Ignored = lambda _key: False, path: Path = ()
) -> Iterator[Difference]:
    """Yield every difference, in document order.

    Args:
        ignored: returns whether a key of an object is skipped.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        yield from _of_objects(old, new, ignored, path)
    elif isinstance(old, list) and isinstance(new, list):
        by_name = _names(old), _names(new)
        if by_name[0] is not None and by_name[1] is not None:
            yield from _of_named(by_name[0], by_name[1], ignored, path)
        else:
            yield from _of_lists(old, new, ignored, path)
    elif type(old) is not type(new) or old != new:
        yield Difference(path, DifferenceKind.CHANGED, old, new)


def _of_objects(
    old: dict[str, Any], new: dict[str, Any], ignored: Ignored, path: Path
) -> Iterator[Difference]:
    before = {key: value for key, value in old.items() if not ignored(key)}
    after = {key: value for key, value in new.items() if not ignored(key)}
    yield from _of_values(before, after, ignored, path, name=lambda key: key)


def _of_values(
    old: dict[str, Any],
    new: dict[str, Any],
    ignored: Ignored,
    path: Path,
    *,
    name: Callable[[str], str],
) -> Iterator[Difference]:
    """Yield the differences of the values by key; ``name`` is a key's step in paths."""
    for key in [*old, *(key for key in new if key not in old)]:
        place = (*path, name(key))
        if key not in new:
            yield Difference(place, DifferenceKind.REMOVED, old=old[key])
        elif key not in old:
            yield Difference(place, DifferenceKind.ADDED, new=new[key])
        else:
            yield from differences(old[key], new[key], ignored=ignored, path=place)


def _names(entries: list[Any]) -> dict[str, Any] | None:
    """Return the entries by id; None if an id is missing or repeated."""
    if not all(isinstance(entry, dict) and "id" in entry for entry in entries):
        return None
    found = {str(entry["id"]): entry for entry in entries}
    return found if len(found) == len(entries) else None


def _of_named(
    old: dict[str, Any], new: dict[str, Any], ignored: Ignored, path: Path
) -> Iterator[Difference]:
    entries = {**old, **new}
    yield from _of_values(
        old, new, ignored, path, name=lambda key: name_of(entries[key], key)
    )
    before = [key for key in old if key in new]
    after = [key for key in new if key in old]
    if before != after:
        yield Difference(
            path,
            DifferenceKind.REORDERED,
            old=[name_of(old[key], key) for key in before],
            new=[name_of(new[key], key) for key in after],
        )


def name_of(entry: Any, key: str) -> str:
    """Return how paths name an entry with an id: by its title or text, else its id."""
    found = (entry[name] for name in _NAMES if entry.get(name))
    title = next((visible(text) for text in found if isinstance(text, str)), "")
    if len(title) > _LONGEST_NAME:
        title = f"{title[:_LONGEST_NAME]}…"
    return f"“{title}”" if title else key


_NAMES = ("title", "text", "prompt", "front", "left", "right")
"""The fields that name an entry; questions and cards have no title."""
_LONGEST_NAME = 60


def _of_lists(
    old: list[Any], new: list[Any], ignored: Ignored, path: Path
) -> Iterator[Difference]:
    texts = [[_text(entry) for entry in entries] for entries in (old, new)]
    matcher = difflib.SequenceMatcher(a=texts[0], b=texts[1], autojunk=False)
    for opcode, i, to_i, j, to_j in matcher.get_opcodes():
        if opcode == "equal":
            continue
        both = min(to_i - i, to_j - j)
        for step in range(both):
            place = (*path, j + step + 1)
            yield from differences(
                old[i + step], new[j + step], ignored=ignored, path=place
            )
        for index in range(i + both, to_i):
            yield Difference((*path, index + 1), DifferenceKind.REMOVED, old=old[index])
        for index in range(j + both, to_j):
            yield Difference((*path, index + 1), DifferenceKind.ADDED, new=new[index])


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
