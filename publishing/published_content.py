"""Read a plan's published structure from its files, for progress.

Reads ``manifest.json``, ``{subject}_h.json`` and ``{subject}_b.json`` of one generation
together, so that a switch in between cannot mix two releases. No content table is read.
Each release is parsed once per process. See docs/architecture.md, "Releases".
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson
from django.conf import settings
from django.utils.translation import gettext as _

from core.errors import MemoraError
from publishing.format import locations


class NotPublishedError(MemoraError):
    """The plan has no release, or its release lacks the requested subject."""

    code = "NOT_PUBLISHED"


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
class PlanStructure:
    """All subjects (by id) and lessons (by id) of one release."""

    plan_id: str
    title: str
    generation: str
    subjects: Mapping[str, SubjectStructure]
    lessons: Mapping[str, LessonEntry]


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
    raise NotPublishedError(_("This plan has not been published yet."))


_MAX_LESSONS = 1_000_000
_subjects: dict[str, str] = {}


def subject_of_lesson(lesson_id: str) -> str | None:
    """Return a lesson's subject as this process read it last; no file is read.

    None if no release with the lesson was read. A moved lesson may be in another
    subject by now: compare it with the plan.
    """
    return _subjects.get(lesson_id)


def load_subject(plan_id: str, subject_id: str) -> SubjectStructure:
    """Return one subject of the plan's current release.

    Raises:
        NotPublishedError: the plan has no release, or it lacks the subject.
    """
    found = load_plan(plan_id).subjects.get(subject_id)
    if found is None:
        raise NotPublishedError(_("This subject is not part of the plan."))
    return found


def find_lesson(plan_id: str, lesson_id: str) -> LessonEntry | None:
    """Return the lesson in the plan's current release, or None.

    Raises:
        NotPublishedError: the plan has no release.
    """
    return load_plan(plan_id).lessons.get(lesson_id)


@lru_cache(maxsize=64)
def _read_plan(folder: str, generation: str, plan_id: str) -> PlanStructure:
    release = Path(folder) / generation
    manifest = orjson.loads((release / "manifest.json").read_bytes())
    subjects: dict[str, SubjectStructure] = {}
    for entry in manifest["subjects"]:
        subject_id = entry["id"]
        hierarchy = orjson.loads((release / f"{subject_id}_h.json").read_bytes())
        mappings = orjson.loads((release / f"{subject_id}_b.json").read_bytes())
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
    by_id = {
        lesson.id: lesson for subject in subjects.values() for lesson in subject.lessons
    }
    if len(_subjects) > _MAX_LESSONS:
        _subjects.clear()
    _subjects.update({lesson.id: lesson.subject_id for lesson in by_id.values()})
    return PlanStructure(
        plan_id=plan_id,
        title=manifest["title"],
        generation=generation,
        subjects=subjects,
        lessons=by_id,
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
