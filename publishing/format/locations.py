"""Where each published file lies, relative to the content root (DESIGN 4).

Plain rules: no Django here.
"""

from functools import lru_cache

from content.kinds import id_problem

GENERATIONS = ".generations"
"""The folder of every kept release, hidden from readers."""


def _safe(public_id: str) -> str:
    """``public_id``, which must be a legal id: it becomes part of a path.

    Raises:
        ValueError: it could escape its folder or take a reserved name.
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
    """The lesson whose file (or ``.prev``) ``path`` is, or None."""
    if not path.startswith("lessons/"):
        return None
    name = path.removeprefix("lessons/").removesuffix(".prev")
    return name.removesuffix(".json") if name.endswith(".json") else None
