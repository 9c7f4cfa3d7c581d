"""What the texts of a stage cannot keep, in words and by kind.

A loss is no error: whoever saves or imports the texts confirms it (`fingerprint`).
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple

from django.utils.translation import gettext as _, ngettext

from content.json_errors import Path
from content.rich_text import Loss, LossKind

_MAX_NAMED = 12
"""The most names of one kind that are listed."""


class TextLosses(NamedTuple):
    """The parts that one text cannot keep; ``path`` is from the root of the config."""

    path: Path
    parts: tuple[Loss, ...]

    @property
    def what(self) -> str:
        """One sentence, in the active language."""
        return _("not supported, so it is removed: %(what)s") % {
            "what": describe(self.parts)
        }


def describe(parts: Iterable[Loss]) -> str:
    """Return the parts by kind with their counts, in the active language.

    Such as “2 elements (<video>, <font>), 3 attributes (<p style> × 3)”.
    """
    counts: dict[LossKind, Counter[str]] = {}
    for kind, name, times in parts:
        counts.setdefault(kind, Counter())[name] += times
    return _(", ").join(
        _KINDS[kind](names.total()) % {"count": names.total(), "names": _names(names)}
        for kind, names in sorted(counts.items(), key=lambda found: _ORDER[found[0]])
    )


_ORDER = {kind: number for number, kind in enumerate(LossKind)}
_KINDS: dict[LossKind, Callable[[int], str]] = {
    LossKind.ELEMENT: lambda count: ngettext(
        "%(count)d element (%(names)s)", "%(count)d elements (%(names)s)", count
    ),
    LossKind.ATTRIBUTE: lambda count: ngettext(
        "%(count)d attribute (%(names)s)", "%(count)d attributes (%(names)s)", count
    ),
    LossKind.ADDRESS: lambda count: ngettext(
        "%(count)d address (%(names)s)", "%(count)d addresses (%(names)s)", count
    ),
    LossKind.TEXT: lambda count: ngettext(
        "%(count)d piece of text (%(names)s)",
        "%(count)d pieces of text (%(names)s)",
        count,
    ),
}


def _names(names: Counter[str]) -> str:
    # Isolated: names of HTML are written from left to right in any text.
    listed = [
        f"\u2068{name}\u2069 × {count}" if count > 1 else f"\u2068{name}\u2069"
        for name, count in list(names.items())[:_MAX_NAMED]
    ]
    return _(", ").join([*listed, "…"] if len(names) > _MAX_NAMED else listed)


class StageLosses(NamedTuple):
    """The losses of one stage.

    ``place`` names the stage: its JSON path in a file, or its number on a page.
    """

    place: str
    title: str
    texts: tuple[TextLosses, ...]

    @property
    def summary(self) -> str:
        """All parts of the stage by kind, with counts."""
        return describe(part for text in self.texts for part in text.parts)


def fingerprint(stages: Iterable[StageLosses]) -> str:
    """Return a text that confirms exactly these losses; "" for none."""
    found = [(stage.place, stage.texts) for stage in stages]
    if not found:
        return ""
    return hashlib.sha256(repr(found).encode()).hexdigest()
