"""The kinds of nodes, their nesting, and the format of ids.

Plain Python: no Django here.
"""

import hashlib
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

_ID_PREFIXES = {
    Kind.SUBJECT: "SUBJ",
    Kind.TRACK: "TRK",
    Kind.UNIT: "UNIT",
    Kind.TOPIC: "TOP",
    Kind.LESSON: "LES",
}
STAGE_PREFIX = "STG"

ID_MAX_LENGTH = 64
ID_PATTERN = re.compile("^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")
"""The pattern of a public id, as JSON Schema and Python's ``fullmatch`` read it."""
_ID_ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"  # without 0/O, 1/I/L and U
_RESERVED_IDS = frozenset({"manifest", "search_index", "search"})
_RESERVED_ENDINGS = ("_h", "_b")


def parent_kind(kind: Kind) -> Kind | None:
    """Return the only kind that a ``kind`` node may be inside; None for a subject."""
    return _PARENT.get(kind)


def child_kind(kind: Kind) -> Kind | None:
    """Return the only kind that a ``kind`` node may contain; None for a lesson."""
    return _CHILD.get(kind)


def new_id(prefix: str) -> str:
    """Return a new public id such as ``LES-7K3M9QX2VB``.

    Its 10 characters hold 49 random bits.
    """
    return f"{prefix}-{''.join(secrets.choice(_ID_ALPHABET) for _ in range(10))}"


def new_node_id(kind: Kind) -> str:
    """Return a new public id for a node of ``kind`` (see `new_id`)."""
    return new_id(_ID_PREFIXES[kind])


def derived_id(kind: Kind | None, source: str) -> str:
    """Return the id of a node (of a stage, without ``kind``) that ``source`` determines.

    Its 20 hexadecimal digits hold 80 bits of a hash.
    """
    prefix = STAGE_PREFIX if kind is None else _ID_PREFIXES[kind]
    return f"{prefix}-{hashlib.sha256(source.encode()).hexdigest()[:20].upper()}"


class IdProblem(StrEnum):
    """Why a text cannot be a public id."""

    MALFORMED = "malformed"
    RESERVED = "reserved"


def id_problem(public_id: str) -> IdProblem | None:
    """Return why ``public_id`` is not valid, or None.

    Ids are file names (``{topic_id}.json`` beside ``manifest.json``,
    ``{subject}_h.json`` and ``{subject}_b.json``), so those names are reserved.
    Characters with a meaning in paths or URLs are not allowed. See
    docs/architecture.md, "Published files".
    """
    if not ID_PATTERN.fullmatch(public_id):
        return IdProblem.MALFORMED
    lowered = public_id.lower()
    if lowered in _RESERVED_IDS or lowered.endswith(_RESERVED_ENDINGS):
        return IdProblem.RESERVED
    return None
