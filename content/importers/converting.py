"""Convert a file of another program into a curriculum file."""

import io
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import orjson
from django.utils.translation import gettext as _

from content import kinds
from content.curriculum_format import CHILDREN_KEY, FORMAT
from content.importers import docx, gift, html_document, moodle_xml, question_sheet
from content.importers.outlines import ImporterError, Loss, Outline
from content.kinds import Kind
from content.models import Node

MAX_BYTES = 50 * 1024 * 1024
_READERS: dict[str, Callable[[bytes, str], Outline]] = {
    "gift": gift.read,
    "txt": gift.read,
    "xml": moodle_xml.read,
    "html": html_document.read,
    "htm": html_document.read,
    "docx": docx.read,
}
SUFFIXES = (*_READERS, "csv", "xlsx")
_CURRICULUM = "import.curriculum.json"


@dataclass(frozen=True, slots=True)
class Conversion:
    """A curriculum file, or a ZIP of one with its pictures, and what it does not keep."""

    data: bytes
    document: dict[str, Any]
    losses: tuple[Loss, ...]


def convert(
    data: bytes, name: str, *, into: Node | None = None, title: str = ""
) -> Conversion:
    """Convert a file.

    All nodes and stages get ids that depend on ``into`` and their titles. So the import
    of a changed file into the same place updates them.

    Args:
        name: the file's name; its suffix determines the format.
        into: an existing node that gets the content; None for a new subject.
        title: of the new subject or of the new node in ``into``; else the file's own.

    Raises:
        ImporterError: the file cannot be read, is too large, or does not fit below
            ``into``.
    """
    if len(data) > MAX_BYTES:
        raise ImporterError(
            _("The file is larger than %(limit)d MB.") % {"limit": MAX_BYTES >> 20}
        )
    outline = _read(data, name)
    if title.strip():
        outline.title = " ".join(title.split())
    document = {"format": FORMAT, "subject": _subject(outline, into)}
    packed = orjson.dumps(document)
    if outline.files:
        packed = _zipped(packed, outline.files)
    return Conversion(packed, document, tuple(outline.losses))


def _read(data: bytes, name: str) -> Outline:
    path = PurePath(name)
    suffix = path.suffix.lower().lstrip(".")
    title = path.stem.strip() or _("Import")
    if suffix in ("csv", "xlsx"):
        return question_sheet.read(data, title, name)
    if suffix not in _READERS:
        raise ImporterError(
            _("Files of the type “%(suffix)s” are not supported; these are: %(known)s")
            % {"suffix": suffix[:20], "known": ", ".join(SUFFIXES)}
        )
    return _READERS[suffix](data, title)


def _zipped(document: bytes, files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as opened:
        opened.writestr(_CURRICULUM, document, zipfile.ZIP_DEFLATED)
        for name, file in files.items():
            opened.writestr(name, file)
    return out.getvalue()


def _subject(outline: Outline, into: Node | None) -> dict[str, Any]:
    """Return the subject of the curriculum file, with the outline in its place."""
    if into is None:
        subject_id = kinds.new_node_id(Kind.SUBJECT)
        top: dict[str, Any] = {"id": subject_id, "title": outline.title}
        target, kind = top, Kind.SUBJECT
    else:
        above = list(into.get_ancestors(include_self=True))
        top = {"id": above[0].public_id, "title": above[0].title}
        target, kind = top, Kind(above[0].kind)
        for node in above[1:]:
            below = {"id": node.public_id, "title": node.title}
            target[CHILDREN_KEY[kind]] = [below]
            target, kind = below, Kind(node.kind)
    seed = target["id"]
    _attach(outline, target, kind)
    _give_ids(target, kind, seed)
    return top


def _attach(outline: Outline, target: dict[str, Any], kind: Kind) -> None:
    """Put the outline's nodes into ``target``, below nodes with the outline's title.

    Raises:
        ImporterError: ``target`` is too low in the tree.
    """
    order = list(Kind)
    if order.index(kind) >= order.index(outline.kind):
        raise ImporterError(
            _(
                "The file contains units or topics, which do not fit there: choose a "
                "subject or a track."
            )
        )
    while (below := order[order.index(kind) + 1]) is not outline.kind:
        inner: dict[str, Any] = {"title": outline.title}
        target[CHILDREN_KEY[kind]] = [inner]
        target, kind = inner, below
    target[CHILDREN_KEY[kind]] = outline.nodes


def _give_ids(node: dict[str, Any], kind: Kind, seed: str) -> None:
    """Give ids to the nodes and stages below ``node``, made of their titles' path."""
    key = CHILDREN_KEY[kind]
    below = kinds.child_kind(kind)
    repeats: Counter[str] = Counter()
    for child in node.get(key, ()):
        name = f"{child.get('type', '')}\0{child['title']}"
        repeats[name] += 1
        path = f"{seed}\0{name}\0{repeats[name]}"
        child["id"] = kinds.derived_id(below, path)
        if below is not None:
            _give_ids(child, below, path)
