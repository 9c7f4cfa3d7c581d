"""Read a document in HTML: its headings become the tree.

``<h1>`` begins a unit, ``<h2>`` a topic, ``<h3>`` a lesson; the text below is a stage
of that lesson. A heading whose level is skipped, and text directly below a unit or a
topic, get the missing nodes with the same title. Lower headings stay in the text.
Pictures in ``data:`` addresses become files. The rules of `content.rich_text` say what
else is kept; the import reports the rest.
"""

import base64
import binascii
import hashlib
import html as references
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote_to_bytes

from django.utils.translation import gettext as _

from content.html_tokens import Token, tokens, well_formed
from content.importers.outlines import ImporterError, Loss, Outline, decoded
from content.importers.questions import shortened
from content.kinds import Kind
from content.rich_text import has_content
from core.folding import visible_text

MAX_BYTES = 20 * 1024 * 1024
"""Without the pictures in it."""
MAX_TAGS = 500_000
_LEVELS = {"h1": 0, "h2": 1, "h3": 2}
_CHILDREN = ("topics", "lessons", "stages")
_BLOCKS = frozenset({"p", "h4", "h5", "h6", "ul", "ol", "table", "blockquote", "pre"})
_WRAPPERS = frozenset({"div", "section", "article", "main", "header", "footer", "span"})
_DROPPED = frozenset({"html", "head", "body", "meta", "link", "base"})
_WITHIN = frozenset({"table", "blockquote", "details", "figure", "li", "dd"})
"""Headings in these do not divide the document."""
_CHARSET = re.compile(
    rb"<meta[^>]{0,200}?charset\s{0,20}=\s{0,20}[\"']?([A-Za-z0-9_-]{2,30})", re.I
)
_DATA = re.compile(
    r"""(?<=\ssrc)(\s*+=\s*+)(["'])data:image/([A-Za-z0-9.+-]{1,20})(;base64)?,([^"']*+)\2"""
)
_SUFFIXES = {
    "png": ".png",
    "jpeg": ".jpg",
    "jpg": ".jpg",
    "gif": ".gif",
    "webp": ".webp",
}
_NOTE = re.compile(r"""\A\sid\s*+=\s*+["']((?:footnote|endnote)-[^"']{1,60})["']""")
_NOTE_LINK = re.compile(
    r"""(?<=href)\s*+=\s*+["']#((?:footnote|endnote)-[^"']{1,60})["']"""
)
_MAX_BODY = 150_000
_MAX_ELEMENTS = 5_000
"""The characters and tags after which a lesson's text continues in another stage."""


def read(data: bytes, title: str) -> Outline:
    """Return the units of a document.

    Raises:
        ImporterError: it is no text, is too large, or shows nothing.
    """
    return read_text(_decoded(data), title)


def read_text(html: str, title: str) -> Outline:
    """Like `read`, for a decoded text."""
    outline = Outline(Kind.UNIT, title)
    html = _without_data(html, outline)
    if len(html) > MAX_BYTES:
        raise ImporterError(
            _("The text of the document is larger than %(limit)d MB.")
            % {"limit": MAX_BYTES >> 20}
        )
    if html.count("<") > MAX_TAGS:
        raise ImporterError(
            _("The file has more than %(count)d tags: divide it into several files.")
            % {"count": MAX_TAGS}
        )
    found, notes = _split_notes(list(_body(tokens(html), outline)))
    _Tree(outline, notes).fill(found)
    if not outline.nodes:
        raise ImporterError(_("The document shows no text."))
    return outline


def _decoded(data: bytes) -> str:
    declared = _CHARSET.search(data[:4096])
    name = declared[1].decode("ascii").lower() if declared else "utf-8"
    if name in ("utf-8", "utf8") or data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return decoded(data)
    try:
        return decoded(data.decode(name).encode())
    except (LookupError, UnicodeError) as error:
        raise ImporterError(
            _("The text is not in the declared encoding %(name)s.") % {"name": name}
        ) from error


def _without_data(html: str, outline: Outline) -> str:
    """Return the text with a path in place of each picture that it contains."""

    def stored(found: re.Match[str]) -> str:
        suffix = _SUFFIXES.get(found[3].lower())
        try:
            packed = references.unescape(found[5])
            data = (
                base64.b64decode("".join(packed.split()), validate=True)
                if found[4]
                else unquote_to_bytes(packed)
            )
        except (binascii.Error, ValueError):
            data = b""
        if suffix is None or not data:
            outline.losses.append(
                Loss(
                    _("picture %(number)d") % {"number": len(outline.files) + 1},
                    _("a picture of the type %(type)s is not supported")
                    % {"type": found[3]},
                )
            )
            return ""
        name = f"pictures/{hashlib.sha256(data).hexdigest()[:16]}{suffix}"
        outline.files[name] = data
        return f"{found[1]}{found[2]}{name}{found[2]}"

    return _DATA.sub(stored, html)


def _body(found: Iterator[Token], outline: Outline) -> Iterator[Token]:
    """Yield the tokens without the head; its title becomes that of the outline."""
    is_title = False
    title: list[str] = []
    for token in found:
        if token.name == "title":
            is_title = not token.is_end
        elif is_title:
            title.append(token.source)
        elif token.name not in _DROPPED:
            yield token
    if text := visible_text(references.unescape("".join(title))):
        outline.title = shortened(text)


# --- Footnotes --------------------------------------------------------------------


def _split_notes(found: list[Token]) -> tuple[list[Token], dict[str, str]]:
    """Return the text without the list of footnotes at its end, and them by their ids.

    `content.importers.docx` writes such a list.
    """
    is_note = (one.name == "li" and _NOTE.match(one.attributes) for one in found)
    first = next((at for at, yes in enumerate(is_note) if yes), 0)
    if not first or found[first - 1].name != "ol":
        return found, {}
    notes: dict[str, str] = {}
    name, depth, at = "", 0, first
    for at in range(first, len(found)):
        token = found[at]
        if token.name in ("ol", "ul"):
            depth += -1 if token.is_end else 1
            if depth < 0:
                break
        if not depth and token.name == "li" and not token.is_end:
            id_ = _NOTE.match(token.attributes)
            name = id_[1] if id_ else ""
        if name:
            notes[name] = notes.get(name, "") + token.source
    return [*found[: first - 1], *found[at + 1 :]], notes


# --- The tree -----------------------------------------------------------------------


class _Tree:
    """The units of an outline, and the unit, topic and lesson that text goes to."""

    def __init__(self, outline: Outline, notes: dict[str, str]) -> None:
        self.outline = outline
        self.notes = notes
        self.numbers = {name: number for number, name in enumerate(notes, start=1)}
        self.open: list[dict[str, Any]] = []

    def fill(self, found: list[Token]) -> None:
        body: list[Token] = []
        heading: list[Token] = []
        level, within = -1, 0
        for token in found:
            if token.name in _WITHIN:
                within = max(0, within + (-1 if token.is_end else 1))
            if token.name not in _LEVELS or (within and level < 0):
                (body if level < 0 else heading).append(token)
            elif not token.is_end and level < 0:
                self.write(body)
                body, heading, level = [], [], _LEVELS[token.name]
            elif level >= 0:
                self.begin(level, _text(heading))
                body, level = [one for one in heading if one.name == "img"], -1
        self.write([*body, *heading] if level >= 0 else body)

    def begin(self, level: int, title: str) -> None:
        """Begin a unit (0), a topic (1) or a lesson (2); an empty heading is none."""
        if title:
            del self.open[level:]
            self._open_to(level)
            self._push(title)

    def write(self, found: list[Token]) -> None:
        """Add text to the open lesson."""
        found = _balanced(found)
        if not has_content(well_formed(found)):
            return
        self._open_to(len(_CHILDREN))
        lesson = self.open[-1]
        parts = list(_parts(found))
        for number, part in enumerate(parts, start=len(lesson["stages"]) + 1):
            title = lesson["title"]
            lesson["stages"].append(
                {
                    "type": "Text",
                    "title": title if number == 1 else shortened(f"{title} {number}"),
                    "config": {"format": "html", "body": self._with_notes(part)},
                }
            )

    def _open_to(self, depth: int) -> None:
        while len(self.open) < depth:
            self._push(self.open[-1]["title"] if self.open else self.outline.title)

    def _push(self, title: str) -> None:
        level = len(self.open)
        siblings = self.open[-1][_CHILDREN[level - 1]] if level else self.outline.nodes
        self.open.append({"title": shortened(title), _CHILDREN[level]: []})
        siblings.append(self.open[-1])

    def _with_notes(self, html: str) -> str:
        """Return a text followed by the footnotes that it links to."""
        links = dict.fromkeys(_NOTE_LINK.findall(html))
        used = [name for name in links if name in self.notes]
        if not used:
            return html
        listed = "".join(self.notes[name] for name in used)
        return f'{html}<hr><ol start="{self.numbers[used[0]]}">{listed}</ol>'


def _balanced(found: list[Token]) -> list[Token]:
    """Return a text without the wrappers that begin or end in another section."""
    is_open: list[int] = []
    lonely: set[int] = set()
    for at, token in enumerate(found):
        if token.name not in _WRAPPERS:
            continue
        if not token.is_end:
            is_open.append(at)
        elif is_open and found[is_open[-1]].name == token.name:
            is_open.pop()
        else:
            lonely.add(at)
    lonely.update(is_open)
    return [token for at, token in enumerate(found) if at not in lonely]


def _text(found: list[Token]) -> str:
    parts = (" " if token.name else token.source for token in found)
    return visible_text(references.unescape("".join(parts)))


def _parts(found: list[Token]) -> Iterator[str]:
    """Divide a text that is too long for one stage, before a block of its own."""
    part: list[Token] = []
    size = depth = 0
    for token in found:
        is_full = size > _MAX_BODY or len(part) > _MAX_ELEMENTS
        if token.name in _BLOCKS:
            if is_full and not depth and not token.is_end:
                yield well_formed(part).strip()
                part, size = [], 0
            depth = max(0, depth + (-1 if token.is_end else 1))
        part.append(token)
        size += len(token.source)
    if has_content(html := well_formed(part).strip()):
        yield html
