"""Paths of published files, relative to the content root.

See docs/architecture.md, "Published files". Plain rules: no Django here.
"""

from functools import lru_cache

from content.kinds import id_problem

GENERATIONS = ".generations"
"""The folder of all kept generations; it is not served."""


def _safe(public_id: str) -> str:
    """Return ``public_id`` after checking that it is safe as part of a path.

    Raises:
        ValueError: the id could leave its folder or take a reserved name.
    """
    if (problem := id_problem(public_id)) is not None:
        raise ValueError(f"{problem} id: {public_id!r}")
    return public_id


def plan_folder(plan_id: str) -> str:
    return f"plans/{_safe(plan_id)}"


def manifest(plan_id: str) -> str:
    return f"{plan_folder(plan_id)}/manifest.json"


def hierarchy(plan_id: str, subject_id: str) -> str:
    return f"{plan_folder(plan_id)}/{_safe(subject_id)}_h.json"


def bitmap(plan_id: str, subject_id: str) -> str:
    return f"{plan_folder(plan_id)}/{_safe(subject_id)}_b.json"


def topic(plan_id: str, topic_id: str) -> str:
    return f"{plan_folder(plan_id)}/{_safe(topic_id)}.json"


def search_index(plan_id: str) -> str:
    return f"{plan_folder(plan_id)}/search_index.json"


def search_shard(plan_id: str, subject_id: str) -> str:
    return f"{plan_folder(plan_id)}/search/{_safe(subject_id)}.json"


@lru_cache(maxsize=1 << 15)
def lesson(lesson_id: str) -> str:
    return f"lessons/{_safe(lesson_id)}.json"


def lesson_id_of(path: str) -> str | None:
    """Return the id of the lesson whose file (or ``.prev``) is ``path``, or None."""
    if not path.startswith("lessons/"):
        return None
    name = path.removeprefix("lessons/").removesuffix(".prev")
    return name.removesuffix(".json") if name.endswith(".json") else None
