"""How the tree looks to somebody: what apps to the right can say of its rows.

Content knows no plans. An app that does registers a lens when it starts, and the tree
page offers its choices as "View as".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from django.utils.safestring import SafeString

from content.tree_rows import Row


@dataclass(frozen=True, slots=True)
class RowAnnotation:
    """A row as it is seen.

    ``title`` where it is another; ``access`` is a badge; ``is_hidden`` says that it is
    not seen at all; ``lessons`` counts what is seen inside, None where nobody counted.
    """

    access: SafeString
    title: str = ""
    is_hidden: bool = False
    lessons: int | None = None


class TreeAnnotator(Protocol):
    """Who looks, and what they see."""

    def choices(self) -> Sequence[tuple[str, str]]:
        """Whose eyes there are, as value and label."""
        ...

    def see(self, choice: str, rows: Sequence[Row]) -> Mapping[int, RowAnnotation]:
        """What ``choice`` sees of each row, by the node's key, in a fixed number of
        queries; empty where there is no such choice (any more)."""
        ...


_annotators: list[TreeAnnotator] = []


def register(lens: TreeAnnotator) -> None:
    """Offer ``lens`` on the tree page."""
    _annotators.append(lens)


def choices() -> list[tuple[str, str]]:
    """Every choice of every lens."""
    return [choice for lens in _annotators for choice in lens.choices()]


def annotate(choice: str, rows: Sequence[Row]) -> Mapping[int, RowAnnotation]:
    """`Lens.see` of the lens that has this choice."""
    for lens in _annotators:
        if sights := lens.see(choice, rows):
            return sights
    return {}
