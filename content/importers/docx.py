"""Read a Word document (DOCX): mammoth makes HTML of it, `html_document` the tree."""

import io
import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import ParseError

import defusedxml
import mammoth
from defusedxml import ElementTree
from django.utils.translation import gettext as _, ngettext

from content.curriculum import archive
from content.html_tokens import tokens
from content.importers import html_document
from content.importers.outlines import ImporterError, Loss, Outline

MAX_ENTRIES = 2_000
MAX_XML = 12 * 1024 * 1024
MAX_ELEMENTS = 400_000
"""The bytes and elements of all XML in the file: mammoth builds a tree of objects, some
kilobytes for each element."""
MAX_UNPACKED = 256 * 1024 * 1024
_MAX_DEPTH = 200
_STYLES = """
p[style-name='Title'] => p.document-title:fresh
p[style-name='Subtitle'] => p:fresh
p[style-name='Quote'] => blockquote > p:fresh
p[style-name='Intense Quote'] => blockquote > p:fresh
u => u
"""
_TITLE = '<p class="document-title">'
_OMML = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_IGNORED = re.compile(r"ignored: (?:\{[^}]{0,300}\})?([^{}]{1,80})\Z")
_STYLE = re.compile(r"style: (?:'([^']{1,80})'|None) \(Style ID: ([^)]{0,80})\)")
_REPORTED = ("oMath", "was referenced but not defined")
"""Parts of warnings about what is reported otherwise."""


def read(data: bytes, title: str) -> Outline:
    """Return the units of a document.

    Raises:
        ImporterError: it is no DOCX, is damaged or too large, or shows nothing.
    """
    formulas, comments = _check(data)
    try:
        result = mammoth.convert_to_html(io.BytesIO(data), style_map=_STYLES)
    except (
        Exception
    ) as error:  # mammoth raises KeyError, AttributeError … for bad files
        raise ImporterError(
            _("The Word document is damaged: save it again with Word or LibreOffice.")
        ) from error
    html, opened, after = result.value.partition(_TITLE)
    if opened:
        written, _end, after = after.partition("</p>")
        named = "".join(one.source for one in tokens(written) if not one.name)
        html = f"<title>{named}</title>{html}{after}"
    outline = html_document.read_text(html, title)
    document = _("the document")
    if formulas:
        remark = ngettext(
            "%(count)d formula of Word's equation editor is not kept: write it as TeX",
            "%(count)d formulas of Word's equation editor are not kept: write them as "
            "TeX",
            formulas,
        )
        outline.losses.append(Loss(document, remark % {"count": formulas}))
    if comments:
        remark = ngettext(
            "%(count)d comment is not kept", "%(count)d comments are not kept", comments
        )
        outline.losses.append(Loss(document, remark % {"count": comments}))
    outline.losses += [Loss(document, what) for what in _remarks(result.messages)]
    return outline


def _check(data: bytes) -> tuple[int, int]:
    """Check the ZIP and its XML; return the numbers of formulas and comments.

    mammoth parses the XML with minidom, which resolves entities; here they are refused.

    Raises:
        ImporterError: it is no DOCX, is damaged or too large.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as opened:
            entries = opened.infolist()
            is_xml = {
                entry.filename: entry.filename.lower().endswith((".xml", ".rels"))
                for entry in entries
            }
            size = sum(e.file_size for e in entries if is_xml[e.filename])
            whole = sum(entry.file_size for entry in entries)
            if len(entries) > MAX_ENTRIES or size > MAX_XML or whole > MAX_UNPACKED:
                raise _too_large()
            if "word/document.xml" not in is_xml and not any(
                name.startswith("word/") for name in is_xml
            ):
                raise _no_document()
            found: Counter[str] = Counter()
            for entry in entries:
                if is_xml[entry.filename]:
                    found += _counted(opened.read(entry), MAX_ELEMENTS - found.total())
                elif not entry.is_dir():
                    opened.read(entry)  # raises for a wrong checksum
    except (*archive.DAMAGE, RuntimeError, ValueError) as error:
        raise _no_document() from error
    return found[f"{_OMML}oMath"], found[f"{_WORD}comment"]


def _no_document() -> ImporterError:
    return ImporterError(_("The file is not a Word document (.docx), or is damaged."))


def _too_large() -> ImporterError:
    return ImporterError(
        _("The Word document is too large: divide it into several files.")
    )


def _counted(data: bytes, most: int) -> Counter[str]:
    """Return how often elements occur.

    Raises:
        ImporterError: it is no XML, has a document type, is nested too deeply, or has
            more than ``most`` elements.
    """
    if data.count(b"<") > 2 * most:
        raise _too_large()
    found: Counter[str] = Counter()
    depth = 0
    try:
        for event, element in ElementTree.iterparse(
            io.BytesIO(data), ("start", "end"), forbid_dtd=True
        ):
            depth += 1 if event == "start" else -1
            if depth > _MAX_DEPTH:
                raise _no_document()
            if event == "end":
                found[element.tag] += 1
                element.clear()
    except (
        ParseError,
        defusedxml.DefusedXmlException,
        ValueError,
        LookupError,
    ) as error:
        raise _no_document() from error
    return found


def _remarks(messages: list[Any]) -> Iterator[str]:
    """Yield each of mammoth's warnings once, with its count."""
    counted = Counter(str(message.message) for message in messages)
    for text, count in counted.most_common(50):
        if any(part in text for part in _REPORTED):
            continue
        if element := _IGNORED.search(text):
            what = _("the element %(name)s") % {"name": element[1]}
        elif style := _STYLE.search(text):
            what = _("the style “%(name)s”; its text is kept") % {
                "name": style[1] or style[2]
            }
        else:
            what = text[:200]
        yield _("not kept: %(what)s (%(count)d)") % {"what": what, "count": count}
