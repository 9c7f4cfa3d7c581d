"""Template filters for differences and times in the history pages."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from typing import Any

from django import template
from django.contrib.humanize.templatetags.humanize import naturaltime
from django.utils import timezone
from django.utils.formats import localize
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import get_language, gettext as _

from content import word_diff
from content.json_diff import Difference
from content.stage_types import SCHEMAS, translated_texts

register = template.Library()

_CONTAINERS = ("stages", "config")
"""Steps of a path that the form does not show."""
_CONTEXT = 60
_MAX_LENGTH = 1500
_MAX_LINES = 40


@register.filter
def when(moment: datetime) -> SafeString:
    """Render how long ago it was, with the exact time on hover."""
    exact = localize(timezone.localtime(moment))
    iso = moment.isoformat(timespec="seconds")
    text = naturaltime(moment)
    return format_html('<time datetime="{}" title="{}">{}</time>', iso, exact, text)


@register.filter
def as_text(value: Any) -> str:
    """Render a JSON value as text; a list or an object as the list of its texts."""
    match value:
        case None:
            return "–"
        case bool():
            return _("yes") if value else _("no")
        case str():
            return _cut(value)
        case int() | float():
            return str(value)
    lines = list(_leaves(value, ()))
    shown = format_html_join(
        "",
        '<li dir="auto">{}{}</li>',
        (
            (f"{' › '.join(where)}: " if where else "", text)
            for where, text in lines[:_MAX_LINES]
        ),
    )
    more = format_html("<li>…</li>") if len(lines) > _MAX_LINES else ""
    return format_html('<ul class="readable">{}{}</ul>', shown, more)


def _leaves(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield each text in a JSON value with its place, without ids; HTML as text."""
    if isinstance(value, dict):
        labels = _field_labels(get_language() or "en")
        for key, inner in value.items():
            if key != "id":
                label = () if key in _CONTAINERS else (labels.get(str(key), str(key)),)
                yield from _leaves(inner, (*path, *label))
    elif isinstance(value, list):
        for number, inner in enumerate(value, start=1):
            above = (*path[:-1], f"{path[-1]} {number}") if path else (str(number),)
            yield from _leaves(inner, above)
    else:
        text = word_diff.visible(value) if isinstance(value, str) else value
        yield path, as_text(text)


@register.simple_tag
def before_and_after(old: Any, new: Any) -> SafeString:
    """Render two texts with the changed words marked; other values side by side.

    HTML is shown as its text, unless only its markup differs.
    """
    before, after = as_text(old), as_text(new)
    if isinstance(old, str) and isinstance(new, str):
        seen = word_diff.visible(old), word_diff.visible(new)
        if seen[0] != seen[1]:
            old, new = seen
        if parts := word_diff.words(old, new):
            return format_html(
                '<span class="words" dir="auto">{}</span>',
                format_html_join("", "{}", ((_marked(part),) for part in parts)),
            )
        before, after = _around(old, new)
    return format_html(
        '<del dir="auto">{}</del> <span class="arrow" aria-hidden="true">→</span> '
        '<ins dir="auto">{}</ins>',
        before or "–",
        after or "–",
    )


def _marked(part: word_diff.Part) -> SafeString:
    if part.old == part.new:
        return format_html("{}", part.new)
    return format_html(
        "{}{}",
        format_html('<del dir="auto">{}</del> ', part.old) if part.old else "",
        format_html('<ins dir="auto">{}</ins> ', part.new) if part.new else "",
    )


@register.filter
def place(difference: Difference) -> str:
    """Return the place of a difference; fields of stages by their labels in the form."""
    labels = _field_labels(get_language() or "en")
    *above, last = difference.path or ("",)
    steps = [*(step for step in above if step not in _CONTAINERS), last]
    return " › ".join(labels.get(str(step), str(step)) for step in steps)


@cache
def _field_labels(language: str) -> dict[str, str]:
    """Return the labels of the fields of all stage types, by key.

    A key that has different labels in two types has none.
    """
    found: dict[str, set[str]] = defaultdict(set)
    for schema in SCHEMAS.values():
        for key, label in _labels_in(schema, language):
            found[key].add(label)
    return {key: next(iter(some)) for key, some in found.items() if len(some) == 1}


def _labels_in(schema: Any, language: str) -> Iterator[tuple[str, str]]:
    if isinstance(schema, list):
        for value in schema:
            yield from _labels_in(value, language)
    elif isinstance(schema, dict):
        properties = schema.get("properties")
        for key, field in properties.items() if isinstance(properties, dict) else ():
            if label := translated_texts(field, language).get("title"):
                yield key, label
        for value in schema.values():
            yield from _labels_in(value, language)


def _around(old: str, new: str) -> tuple[str, str]:
    """Remove the common start and end of two texts, except for some context."""
    same = 0
    while same < min(len(old), len(new)) and old[same] == new[same]:
        same += 1
    start = max(same - _CONTEXT, 0)
    tail = 0
    longest = min(len(old), len(new)) - same
    while tail < longest and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    end = max(tail - _CONTEXT, 0)
    return _part(old, start, end), _part(new, start, end)


def _part(text: str, start: int, end: int) -> str:
    """Return ``text`` without its first ``start`` and last ``end`` characters."""
    cut = text[start : len(text) - end].strip()
    return _cut(("… " if start else "") + cut + (" …" if end else ""))


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_LENGTH else f"{text[:_MAX_LENGTH]} …"
