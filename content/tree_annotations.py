"""Annotations of the tree page's rows by other apps.

``content`` must not import plans. An app that has annotations adds an annotator at
start-up, and the tree page offers its choices as "View as".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from django.utils.safestring import SafeString

from content.tree_rows import Row
from core.hooks import Hook, Registry


@dataclass(frozen=True, slots=True)
class RowAnnotation:
    """How a row looks for one choice of "View as".

    ``title`` is a different title, or "". ``access`` is a badge. ``is_hidden`` is true
    when the row is not visible. ``lessons`` counts the visible lessons inside; None
    when they were not counted.
    """

    access: SafeString
    title: str = ""
    is_hidden: bool = False
    lessons: int | None = None


class TreeAnnotator(Protocol):
    """An app's choices for "View as", and the annotations for each."""

    def choices(self) -> Sequence[tuple[str, str]]:
        """Return the choices, as value and label."""
        ...

    def subject_pks(self, choice: str) -> Sequence[int]:
        """Return the subjects of ``choice``; empty when it does not exist. One query."""
        ...

    def annotate(self, choice: str, rows: Sequence[Row]) -> Mapping[int, RowAnnotation]:
        """Return the annotation of each row for ``choice``, by the node's key.

        In a fixed number of queries; empty when the choice does not exist (any more).
        """
        ...


annotators: Registry[TreeAnnotator] = Registry()
"""The annotators; the tree page offers their choices."""

row_badges: Hook[[Sequence[Row]], Mapping[int, SafeString]] = Hook()
"""Returns badges that follow the state of a row, by the node's key. One query."""


def choices() -> list[tuple[str, str]]:
    """Return the choices of all annotators."""
    return [choice for annotator in annotators for choice in annotator.choices()]


def subject_pks(choice: str) -> set[int]:
    """Return the primary keys of the subjects that ``choice`` shows."""
    return {pk for annotator in annotators for pk in annotator.subject_pks(choice)}


def annotate(choice: str, rows: Sequence[Row]) -> Mapping[int, RowAnnotation]:
    """Return the annotations of the annotator that has this choice.

    Empty when no annotator has it.
    """
    for annotator in annotators:
        if annotations := annotator.annotate(choice, rows):
            return annotations
    return {}
