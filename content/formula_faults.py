"""Why formulas are not valid, in words for editors."""

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from django.utils.translation import gettext as _

from content import formulas

_MAX_SHOWN = 60


def reasons(found: Iterable[formulas.Formula]) -> Iterator[str]:
    """Yield a reason for each formula of a text that cannot be drawn.

    Only one reason if the text has too many formulas.
    """
    written = list(islice(found, formulas.MAX_FORMULAS + 1))
    if len(written) > formulas.MAX_FORMULAS:
        yield _("has more than %(count)d formulas") % {"count": formulas.MAX_FORMULAS}
        return
    for fault in filter(None, map(formulas.find_fault, written)):
        formula = fault.formula.strip()
        if len(formula) > _MAX_SHOWN:
            formula = f"{formula[: _MAX_SHOWN - 1]}…"
        yield _("the formula “%(formula)s” is not valid: %(reason)s") % {
            # Isolated, because TeX is written from left to right.
            "formula": f"\u2066{formula}\u2069",
            "reason": _formula_reason(fault.reason),
        }


_UNKNOWN_COMMAND = re.compile(r"Undefined control sequence: (\\.{1,50}+)\Z", re.DOTALL)
_NO_ENVIRONMENT = re.compile(r"No such environment: (.{1,50}+)\Z", re.DOTALL)
_REASONS: dict[str, Callable[[], str]] = {
    "": lambda: _("its end is missing"),
    "Double superscript": lambda: _("it has two superscripts at one place"),
    "Double subscript": lambda: _("it has two subscripts at one place"),
    "Expected '}', got 'EOF'": lambda: _("a brace is not closed"),
    "Expected 'EOF', got '}'": lambda: _("a brace is closed that was not opened"),
    "Expected 'EOF', got '&'": lambda: _("“&” is outside a table: write “\\&”"),
    "Expected 'EOF', got '#'": lambda: _("write “\\#” for “#”"),
    "Unexpected end of input in a macro argument, expected '}'": lambda: _(
        "a brace is not closed"
    ),
}


def _formula_reason(reason: str) -> str:
    """Return KaTeX's reason in the language of the page where we have words for it."""
    if reason in _REASONS:
        return _REASONS[reason]()
    if found := _UNKNOWN_COMMAND.match(reason):
        return _("there is no command “%(name)s”") % {"name": found[1]}
    if found := _NO_ENVIRONMENT.match(reason):
        return _("there is no environment “%(name)s”") % {"name": found[1]}
    return reason
