"""Published subjects, compiled once per release and process.

They stay while `publishing.published_content` returns the same object for the subject.
"""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from progress.rendering import SubjectRenderer
from progress.unlock import StructureOutline
from publishing.api import SubjectStructure

T = TypeVar("T")


class SubjectCache(Generic[T]):
    """Compiled subjects by plan and id. One that would be too large is emptied first.

    ``limit`` is the number of lessons of all subjects together.
    """

    def __init__(
        self, compiled: Callable[[SubjectStructure], T], *, limit: int
    ) -> None:
        self._compiled = compiled
        self._limit = limit
        self._held: dict[tuple[str, str], tuple[SubjectStructure, T]] = {}
        self._lock = threading.Lock()

    def get(self, subject: SubjectStructure) -> T:
        key = (subject.plan_id, subject.root.id)
        held = self._held.get(key)
        if held is not None and held[0] is subject:
            return held[1]
        with self._lock:
            held = self._held.get(key)
            if held is not None and held[0] is subject:  # another thread was first
                return held[1]
            made = self._compiled(subject)
            self._held.pop(key, None)
            if self._lessons() + len(subject.lessons) > self._limit:
                self._held.clear()
            self._held[key] = (subject, made)
            return made

    def _lessons(self) -> int:
        return sum(len(subject.lessons) for subject, _made in self._held.values())


def of_subject(subject: SubjectStructure) -> StructureOutline:
    """Return the outline of one subject of one release."""
    return _outlines.get(subject)


def renderer_of(subject: SubjectStructure) -> SubjectRenderer:
    """Return the renderer of one subject of one release."""
    return _renderers.get(subject)


# A lesson takes about 0.5 KB in an outline, and up to 3 KB in a renderer that many
# players use.
_outlines = SubjectCache(lambda subject: StructureOutline(subject.root), limit=200_000)
_renderers = SubjectCache(
    lambda subject: SubjectRenderer(of_subject(subject)), limit=30_000
)
