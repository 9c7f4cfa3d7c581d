"""The kinds of content node, what fits inside what, and what an id may be.

Plain rules: no Django here.
"""

import re
import secrets
from enum import StrEnum


class Kind(StrEnum):
    """A level of the content tree, outermost first."""

    SUBJECT = "subject"
    TRACK = "track"
    UNIT = "unit"
    TOPIC = "topic"
    LESSON = "lesson"


_ORDER = tuple(Kind)
_PARENT = dict(zip(_ORDER[1:], _ORDER, strict=False))
_CHILD = {parent: child for child, parent in _PARENT.items()}

ID_PREFIXES = {
    Kind.SUBJECT: "SUBJ",
    Kind.TRACK: "TRK",
    Kind.UNIT: "UNIT",
    Kind.TOPIC: "TOP",
    Kind.LESSON: "LES",
}
STAGE_PREFIX = "STG"

ID_MAX_LENGTH = 64
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")
_ID_ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"  # no 0/O, 1/I/L, U
_RESERVED_IDS = frozenset({"manifest", "search_index", "search"})
_RESERVED_ENDINGS = ("_h", "_b")


def parent_kind(kind: Kind) -> Kind | None:
    """The only kind a ``kind`` node may lie in; None for a subject."""
    return _PARENT.get(kind)


def child_kind(kind: Kind) -> Kind | None:
    """The only kind a ``kind`` node may hold; None for a lesson."""
    return _CHILD.get(kind)


def new_id(prefix: str) -> str:
    """A fresh public id such as ``LES-7K3M9QX2VB``: 10 characters, 49 random bits."""
    return f"{prefix}-{''.join(secrets.choice(_ID_ALPHABET) for _ in range(10))}"


class IdProblem(StrEnum):
    """Why a text cannot be a public id."""

    MALFORMED = "malformed"
    RESERVED = "reserved"


def id_problem(public_id: str) -> IdProblem | None:
    """What is wrong with ``public_id``, or None.

    Ids name files (``{topic_id}.json`` beside ``manifest.json``, ``{subject}_h.json``
    and ``{subject}_b.json``), so those names are reserved and no character that
    means something to a path or a URL is allowed (DESIGN 2).
    """
    if not _ID.match(public_id):
        return IdProblem.MALFORMED
    lowered = public_id.lower()
    if lowered in _RESERVED_IDS or lowered.endswith(_RESERVED_ENDINGS):
        return IdProblem.RESERVED
    return None
