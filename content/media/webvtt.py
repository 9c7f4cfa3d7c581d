"""Parse WebVTT (W3C, “WebVTT: The Web Video Text Tracks Format”) into cues.

Plain rules: no Django here, besides the messages.
"""

import html
import re
from typing import Any

from django.utils.translation import gettext as _

MAX_BYTES = 1_000_000
MAX_CUES = 5_000
MAX_TEXT = 500
"""The most captions of a file, and characters of one, as in ``Video.schema.json``."""
_TIME = r"(?:(\d{2,}+):)?([0-5]\d):([0-5]\d)\.(\d{3})"
_TIMES = re.compile(rf"\A\s*+{_TIME}\s++-->\s++{_TIME}(?:\s.*+)?\Z")
_TAG = re.compile(r"<[^<>]{0,300}>")
_OTHER = ("NOTE", "STYLE", "REGION")


class WebVTTError(ValueError):
    """The text is not valid WebVTT; the message names the line."""


def parse(data: bytes) -> list[dict[str, Any]]:
    """Return the cues as in the config of a Video stage.

    Each is ``{"start", "end", "text"}``, with times in seconds. Tags such as ``<v Name>``
    are removed, because a cue of ours is plain text.

    Raises:
        WebVTTError: it is too large, not UTF-8, has no header or no cue, or a cue has
            no text or invalid times.
    """
    if len(data) > MAX_BYTES:
        raise WebVTTError(
            _("The caption file is larger than %(limit)d KB.")
            % {"limit": MAX_BYTES // 1000}
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise WebVTTError(_("The caption file is not UTF-8 text.")) from error
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if lines[0] != "WEBVTT" and not lines[0].startswith(("WEBVTT ", "WEBVTT\t")):
        raise WebVTTError(_("Line 1: a WebVTT file begins with “WEBVTT”."))
    cues = [
        _cue(number, block)
        for number, block in _blocks(lines[1:], first=2)
        if not block[0].startswith(_OTHER)
        # Lines directly below the first one belong to the header.
        and (number > 2 or any("-->" in line for line in block))
    ]
    if not cues:
        raise WebVTTError(_("The caption file has no captions."))
    if len(cues) > MAX_CUES:
        raise WebVTTError(
            _("The caption file has more than %(count)d captions.")
            % {"count": MAX_CUES}
        )
    return cues


def _blocks(lines: list[str], *, first: int) -> list[tuple[int, list[str]]]:
    """Return the blocks between blank lines with the numbers of their first lines."""
    blocks: list[tuple[int, list[str]]] = []
    is_open = False
    for number, line in enumerate(lines, start=first):
        if not line.strip():
            is_open = False
        elif is_open:
            blocks[-1][1].append(line)
        else:
            blocks.append((number, [line]))
            is_open = True
    return blocks


def _cue(number: int, block: list[str]) -> dict[str, Any]:
    at = 0 if "-->" in block[0] else 1  # an identifier may come first
    found = _TIMES.match(block[at]) if at < len(block) else None
    if found is None:
        raise WebVTTError(
            _("Line %(line)d: enter the times of a caption as 00:01.000 --> 00:04.000.")
            % {"line": number + at}
        )
    start, end = _seconds(*found.groups()[:4]), _seconds(*found.groups()[4:])
    if end <= start:
        raise WebVTTError(
            _("Line %(line)d: the caption ends before it begins.")
            % {"line": number + at}
        )
    text = html.unescape(_TAG.sub("", "\n".join(block[at + 1 :]))).strip()
    if not text:
        raise WebVTTError(
            _("Line %(line)d: the caption has no text.") % {"line": number + at}
        )
    if len(text) > MAX_TEXT:
        raise WebVTTError(
            _("Line %(line)d: the caption has more than %(limit)d characters.")
            % {"line": number + at, "limit": MAX_TEXT}
        )
    return {"start": start, "end": end, "text": text}


def _seconds(hours: str | None, minutes: str, seconds: str, milliseconds: str) -> float:
    total = int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds)
    return total + int(milliseconds) / 1000
