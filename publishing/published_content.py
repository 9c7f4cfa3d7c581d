"""A plan's published structure, as players and progress read it.

`load_plan` reads ``manifest.json``, ``{subject}_h.json`` and ``{subject}_b.json`` of one
generation on the disk together, so that a switch in between cannot mix two releases. No
content table is read. Each release is parsed once per process. A web host without the
content root reads them with `publishing.remote_content`. See docs/architecture.md,
"Releases".
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import orjson
import structlog
from django.conf import settings
from django.utils.translation import gettext as _

from core.errors import MemoraError
from publishing.format import encoding, locations

log = structlog.get_logger(__name__)


class NotPublishedError(MemoraError):
    """The plan has no release yet."""

    code = "NOT_PUBLISHED_YET"
    headers: ClassVar[Mapping[str, str]] = {"Retry-After": "60"}

    def __init__(self) -> None:
        super().__init__(_("This plan has not been published yet. Try again later."))


@dataclass(frozen=True, slots=True)
class LessonEntry:
    """A lesson's entry in the bitmap."""

    id: str
    subject_id: str
    topic_id: str
    bit_index: int
    access_level: str
    required_item: str
    base_xp: int
    review_items: tuple[str, ...] = ()
    """Ids of its reviewable items, in order; none in releases before they were listed."""


@dataclass(frozen=True, slots=True)
class StructureNode:
    """A node of the published tree; a lesson has ``lesson``, others ``children``."""

    id: str
    kind: str
    is_linear: bool
    children: tuple["StructureNode", ...] = ()
    lesson: LessonEntry | None = None


@dataclass(frozen=True, slots=True)
class SubjectStructure:
    """One subject of one release, lessons in tree order."""

    plan_id: str
    generation: str
    root: StructureNode
    lessons: tuple[LessonEntry, ...]


@dataclass(frozen=True, slots=True)
class SoldNode:
    """A node that is sold: it needs a product that no node above it needs."""

    id: str
    kind: str
    title: str


@dataclass(frozen=True, slots=True)
class PlanStructure:
    """All subjects, containers and lessons of one release, by id.

    ``sold_nodes`` has the nodes that each product opens, in tree order; it is empty for
    other products. ``manifest_hash`` is the SHA-256 of the manifest's bytes.
    """

    plan_id: str
    title: str
    generation: str
    manifest_hash: str
    subjects: Mapping[str, SubjectStructure]
    containers: Mapping[str, StructureNode]
    lessons: Mapping[str, LessonEntry]
    sold_nodes: Mapping[str, tuple[SoldNode, ...]]

    def lessons_below(self, node_id: str) -> list[LessonEntry] | None:
        """Return the lessons below a container, by progress bit; None without it.

        The order of the bits does not change while a lesson stays in its subject.
        """
        container = self.containers.get(node_id)
        if container is None:
            return None
        return sorted(_lessons_of(container), key=lambda lesson: lesson.bit_index)


def load_plan(plan_id: str) -> PlanStructure:
    """Return the plan's current release, cached until the next switch.

    Costs one ``readlink`` while the release is the same.

    Raises:
        NotPublishedError: the plan has no release, or it cannot be read.
    """
    # Text, not `Path`: this runs in most requests of students.
    link = f"{settings.CONTENT_ROOT}/{locations.plan_folder(plan_id)}"
    for _attempt in range(3):
        try:
            generation = os.readlink(link)
            return _read_plan(os.path.dirname(link), generation, plan_id)
        except FileNotFoundError:
            continue  # switched and collected after the readlink: read it again
        except OSError:
            break
    raise NotPublishedError


def is_published(plan_id: str) -> bool:
    """Return whether the plan has a release; checks the disk once."""
    return os.path.lexists(f"{settings.CONTENT_ROOT}/{locations.plan_folder(plan_id)}")


_MAX_LESSONS = 1_000_000
_subjects: dict[str, str] = {}
_MAX_PLANS = 10_000
_plan_subjects: dict[str, tuple[str, ...]] = {}


def subject_of_lesson(lesson_id: str) -> str | None:
    """Return a lesson's subject as this process read it last; no file is read.

    None if no release with the lesson was read. A moved lesson may be in another
    subject by now: compare it with the plan.
    """
    return _subjects.get(lesson_id)


def subjects_of_plan(plan_id: str) -> tuple[str, ...]:
    """Return a plan's subjects as this process read them last; no file is read.

    Empty if no release of the plan was read. Another release may have others by now.
    """
    return _plan_subjects.get(plan_id, ())


@lru_cache(maxsize=64)
def _read_plan(folder: str, generation: str, plan_id: str) -> PlanStructure:
    release = Path(folder) / generation
    return read_release(plan_id, generation, lambda name: (release / name).read_bytes())


def read_release(
    plan_id: str, generation: str, read: Callable[[str], bytes]
) -> PlanStructure:
    """Return the structure of a release.

    Args:
        read: returns the bytes of one of the release's files by its name, such as
            ``manifest.json``; its errors are passed on.
    """
    manifest_bytes = read("manifest.json")
    manifest = orjson.loads(manifest_bytes)
    subjects: dict[str, SubjectStructure] = {}
    sold: dict[str, list[SoldNode]] = {}
    for entry in manifest["subjects"]:
        subject_id = entry["id"]
        hierarchy = orjson.loads(read(f"{subject_id}_h.json"))
        mappings = orjson.loads(read(f"{subject_id}_b.json"))
        lessons = tuple(
            LessonEntry(
                id=lesson_id,
                subject_id=subject_id,
                topic_id=mapped["topic_id"],
                bit_index=mapped["bit_index"],
                access_level=mapped["access_level"],
                required_item=mapped.get("required_item", ""),
                base_xp=mapped["base_xp"],
                review_items=tuple(mapped.get("review_items", ())),
            )
            for lesson_id, mapped in mappings["mappings"].items()
        )
        subjects[subject_id] = SubjectStructure(
            plan_id=plan_id,
            generation=generation,
            root=_tree(hierarchy, lessons),
            lessons=lessons,
        )
        for item, node in _sold_in(hierarchy, read, lessons):
            sold.setdefault(item, []).append(node)
    by_id = {
        lesson.id: lesson for subject in subjects.values() for lesson in subject.lessons
    }
    if len(_subjects) > _MAX_LESSONS:
        _subjects.clear()
    _subjects.update({lesson.id: lesson.subject_id for lesson in by_id.values()})
    if len(_plan_subjects) > _MAX_PLANS:
        _plan_subjects.clear()
    _plan_subjects[plan_id] = tuple(subjects)
    return PlanStructure(
        plan_id=plan_id,
        title=manifest["title"],
        generation=generation,
        manifest_hash=encoding.sha256(manifest_bytes),
        subjects=subjects,
        containers={
            node.id: node
            for subject in subjects.values()
            for node in _containers_of(subject.root)
        },
        lessons=by_id,
        sold_nodes={item: tuple(nodes) for item, nodes in sold.items()},
    )


_CHILDREN = (("subject", "tracks"), ("track", "units"), ("unit", "topics"))


def _tree(hierarchy: dict[str, Any], lessons: tuple[LessonEntry, ...]) -> StructureNode:
    of_topic: dict[str, list[StructureNode]] = {}
    for lesson in lessons:
        of_topic.setdefault(lesson.topic_id, []).append(
            StructureNode(lesson.id, "lesson", is_linear=False, lesson=lesson)
        )

    def build(node: dict[str, Any], depth: int) -> StructureNode:
        if depth == len(_CHILDREN):
            children = tuple(of_topic.get(node["id"], ()))
            return StructureNode(node["id"], "topic", node["is_linear"], children)
        kind, key = _CHILDREN[depth]
        below = tuple(build(child, depth + 1) for child in node[key])
        return StructureNode(node["id"], kind, node["is_linear"], below)

    return build(hierarchy, 0)


def _containers_of(node: StructureNode) -> Iterator[StructureNode]:
    yield node
    for child in node.children:
        if child.lesson is None:
            yield from _containers_of(child)


def _lessons_of(node: StructureNode) -> Iterator[LessonEntry]:
    for child in node.children:
        if child.lesson is not None:
            yield child.lesson
        else:
            yield from _lessons_of(child)


def _sold_in(
    hierarchy: dict[str, Any],
    read: Callable[[str], bytes],
    lessons: Iterable[LessonEntry],
) -> Iterator[tuple[str, SoldNode]]:
    """Yield the topmost nodes of a subject that need each product, in tree order.

    A topic's file is read only if one of its lessons is sold by itself, for its title.
    """
    of_topic: dict[str, list[LessonEntry]] = {}
    for lesson in lessons:
        if lesson.required_item:
            of_topic.setdefault(lesson.topic_id, []).append(lesson)

    def walk(
        node: dict[str, Any], depth: int, above: frozenset[str]
    ) -> Iterator[tuple[str, SoldNode]]:
        kind, key = _CHILDREN[depth] if depth < len(_CHILDREN) else ("topic", "")
        item = node["access"].get("required_item", "")
        if item and item not in above:
            above |= {item}
            yield item, SoldNode(node["id"], kind, node["title"])
        for child in node[key] if key else ():
            yield from walk(child, depth + 1, above)
        if not key:
            by_itself = [
                lesson
                for lesson in of_topic.get(node["id"], ())
                if lesson.required_item not in above
            ]
            titles = _lesson_titles(read, node["id"]) if by_itself else {}
            for lesson in by_itself:
                title = titles.get(lesson.id, lesson.id)
                sold = SoldNode(lesson.id, "lesson", title)
                yield lesson.required_item, sold

    return walk(hierarchy, 0, frozenset())


def _lesson_titles(read: Callable[[str], bytes], topic_id: str) -> dict[str, str]:
    """Return the titles of a topic's lessons; none if its file is damaged.

    One damaged topic must not take the plan from everyone.
    """
    try:
        topic = orjson.loads(read(f"{topic_id}.json"))
        return {lesson["id"]: lesson["title"] for lesson in topic["lessons"]}
    except (OSError, ValueError, LookupError, TypeError) as error:
        log.error("topic_unreadable", topic=topic_id, error=type(error).__name__)
        return {}
