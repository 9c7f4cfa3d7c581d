"""What some students cannot see or hear: alternative texts, captions, contrast.

Contrast is that of WCAG 2.1, 1.4.3: (L1 + 0.05) / (L2 + 0.05), with relative luminances.
"""

import html
from collections.abc import Iterable, Iterator

from django.utils.translation import gettext as _
from PIL import ImageColor

from content import config_texts, formulas
from content.config_texts import has_dollar_formulas
from content.html_tokens import Token, tokens
from content.quality.findings import Finding, Problem, StageContent, of_stage
from content.tree import ContentNode
from content.video_pages import find_video_page

MIN_CONTRAST = 4.5
"""Of text of normal size, at level AA."""
WHITE, DARK = "#ffffff", "#212121"
"""The texts that apps write on a node's colour."""
_BACKGROUNDS = frozenset({"rect", "circle", "ellipse", "polygon"})
"""Shapes that may be behind the text of a drawing."""


# --- Alternative texts and captions -------------------------------------------


def missing_alt(stages: Iterable[StageContent]) -> Iterator[Finding]:
    """Yield the pictures in texts that have no alternative text, and untitled drawings.

    Fields for a picture have no alternative text: the words beside them describe it.
    """
    for stage in stages:
        for path, place, text in config_texts.fields(stage.type, stage.config):
            if place.get("contentMediaType") == "text/html":
                found = _in_html(text)
            elif place.get("x-widget") == "text":
                found = _in_markdown(text, dollars=has_dollar_formulas(stage.config))
            else:
                continue
            for detail in found:
                yield of_stage(Problem.NO_ALT, stage, detail, path)


def _in_html(text: str) -> Iterator[str]:
    if "<img" not in text and "<svg" not in text:
        return
    is_titled: bool | None = None  # None outside of drawings
    for token in tokens(text):
        if token.name == "img" and not token.is_end:
            values = dict(token.attribute_values())
            if not html.unescape(values.get("alt", "")).strip():
                yield _picture(html.unescape(values.get("src", "")))
        elif token.name == "svg":
            if token.is_end and is_titled is False:
                yield _("a drawing without a title")
            has_label = bool(dict(token.attribute_values()).get("aria-label"))
            is_titled = None if token.is_end else has_label
        elif token.name == "title" and is_titled is False:
            is_titled = True


def _in_markdown(text: str, *, dollars: bool) -> Iterator[str]:
    if "![" not in text:
        return
    for block in formulas.parse_markdown(text, dollars=dollars):
        for part in block.children or ():
            if part.type == "image" and not part.content.strip():
                yield _picture(str(part.attrs.get("src", "")))


def _picture(address: str) -> str:
    return _("the picture “%(file)s”") % {"file": address}


def missing_captions(stages: Iterable[StageContent]) -> Iterator[Finding]:
    """Yield the videos without captions; the players of other sites have their own."""
    for stage in stages:
        if stage.type != "Video" or stage.config.get("captions"):
            continue
        source = str(stage.config.get("source", ""))
        if find_video_page(source) is None:
            detail = _("the video “%(file)s”") % {"file": source}
            yield of_stage(Problem.NO_CAPTIONS, stage, detail)


# --- Contrast -----------------------------------------------------------------


def luminance(colour: str) -> float:
    """Return the relative luminance of a colour, from 0 to 1.

    Raises:
        ValueError: it is no colour.
    """
    red, green, blue = (
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in (part / 255 for part in ImageColor.getrgb(colour)[:3])
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(first: str, second: str) -> float:
    """Return the contrast of two colours, from 1 to 21.

    Raises:
        ValueError: one is no colour.
    """
    darker, lighter = sorted((luminance(first), luminance(second)))
    return (lighter + 0.05) / (darker + 0.05)


def low_contrast_nodes(nodes: Iterable[ContentNode]) -> Iterator[Finding]:
    """Yield the nodes on whose colour neither white nor dark text can be read."""
    for node in nodes:
        if not node.color_code:
            continue
        white, dark = contrast(node.color_code, WHITE), contrast(node.color_code, DARK)
        if max(white, dark) < MIN_CONTRAST:
            detail = _(
                "%(colour)s: white text has a contrast of %(white).1f, dark text of "
                "%(dark).1f; at least %(limit)s is readable"
            ) % {
                "colour": node.color_code,
                "white": white,
                "dark": dark,
                "limit": MIN_CONTRAST,
            }
            yield Finding(Problem.LOW_CONTRAST, node, detail)


def low_contrast_drawings(stages: Iterable[StageContent]) -> Iterator[Finding]:
    """Yield the drawings with text that cannot be read on a white page.

    Texts in HTML have no colours (`content.html_policy`). Drawings with a shape before
    the text, which may be its background, are not judged.
    """
    for stage in stages:
        for path, place, text in config_texts.fields(stage.type, stage.config):
            if place.get("contentMediaType") == "text/html" and "<svg" in text:
                for colour in _text_colours(text):
                    if detail := _on_white(colour):
                        yield of_stage(Problem.LOW_CONTRAST, stage, detail, path)


def _text_colours(text: str) -> list[str]:
    """Return the colours of texts in the drawings of an HTML text, each once."""
    found: dict[str, None] = {}
    has_background = False
    for token in tokens(text):
        if token.name == "svg":
            has_background = False
        elif token.name in _BACKGROUNDS:
            has_background = True
        elif token.name in ("text", "tspan") and not has_background:
            found.update(dict.fromkeys(_fill_of(token)))
    return list(found)


def _fill_of(token: Token) -> list[str]:
    values = dict(token.attribute_values())
    return [values["fill"].strip()] if values.get("fill") else []


def _on_white(colour: str) -> str:
    """Return why a colour cannot be read on white; "" if it can or is no colour."""
    try:
        found = contrast(colour, WHITE)
    except ValueError:
        return ""
    if found >= MIN_CONTRAST:
        return ""
    return _(
        "%(colour)s text in a drawing has a contrast of %(found).1f on white; at least "
        "%(limit)s is readable"
    ) % {"colour": colour, "found": found, "limit": MIN_CONTRAST}
