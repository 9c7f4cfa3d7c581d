"""What a reader of a format returns: a part of a tree, its pictures, and the losses."""

from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

from content.kinds import Kind
from core.errors import MemoraError


class ImporterError(MemoraError):
    """A file that cannot be read at all; the message says where and why."""

    code = "UNREADABLE_FILE"


@dataclass(frozen=True, slots=True)
class Loss:
    """Something in the file that is not kept.

    ``place`` is for people: a line, the number and the name of a question, a heading.
    """

    place: str
    reason: str


@dataclass(slots=True)
class Outline:
    """The content of a file.

    ``nodes`` are nodes of ``kind`` as in a curriculum file, without ids. ``files`` holds
    pictures by their paths, to which the texts refer.
    """

    kind: Kind
    title: str = ""
    nodes: list[dict[str, Any]] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)


def decoded(data: bytes) -> str:
    """Return a text file's text: UTF-8, or UTF-16 with a byte order mark.

    Raises:
        ImporterError: it is neither, or contains U+0000.
    """
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ImporterError(
            _("The file is not UTF-8 text (line %(line)d). Save it as UTF-8.")
            % {"line": line}
        ) from error
    if "\0" in text:
        raise ImporterError(
            _("The file contains the character U+0000 (line %(line)d).")
            % {"line": text[: text.index("\0")].count("\n") + 1}
        )
    return text.replace("\r\n", "\n").replace("\r", "\n")
