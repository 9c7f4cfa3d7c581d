"""Texts that Moodle answers as HTML."""

import html
import re

from django.utils.html import strip_tags

_LINE_BREAK = re.compile(r"<br {0,9}/?>\n?")


def plain(text: str) -> str:
    """Return the text of an answer without tags and character references.

    Names of courses, assignments and scales, and the texts of a rubric arrive as HTML:
    ``R & D`` as ``R &amp; D``. Names of users and cohorts arrive as they are.
    """
    return html.unescape(strip_tags(_LINE_BREAK.sub("\n", text)))
