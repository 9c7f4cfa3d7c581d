"""A cache of published subjects, compiled for `progress.unlock` once per release."""

from progress.unlock import StructureOutline
from publishing.api import SubjectStructure

_KEPT = 256
_compiled: dict[tuple[str, str], tuple[SubjectStructure, StructureOutline]] = {}


def of_subject(subject: SubjectStructure) -> StructureOutline:
    """Return the outline of one subject of one release.

    It is cached while `publishing.published_content` returns the same object for it.
    """
    key = (subject.plan_id, subject.root.id)
    held = _compiled.get(key)
    if held is not None and held[0] is subject:
        return held[1]
    outline = StructureOutline(subject.root)
    if len(_compiled) >= _KEPT:
        _compiled.clear()
    _compiled[key] = (subject, outline)
    return outline
