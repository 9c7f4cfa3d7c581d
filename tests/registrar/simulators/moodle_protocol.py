"""Moodle's REST protocol: nested parameters, checked by the form that a function names.

A function is registered with the form of its parameters: a mapping of names to ``int``,
``float``, ``str`` or ``bool``, to a mapping, or to a list of one of them. A name that
ends in ``?`` may be left out. Moodle refuses any other parameter with
``invalidparameter``, whatever is wrong.
"""

import html
import re
from collections.abc import Callable
from typing import Any

_PARTS = re.compile(r"\[([^\]]*)\]")


class Refusal(Exception):
    """An error that Moodle answers with HTTP 200."""

    def __init__(self, exception: str, errorcode: str) -> None:
        super().__init__(errorcode)
        self.exception, self.errorcode = exception, errorcode


def invalid() -> Refusal:
    return Refusal("core\\exception\\invalid_parameter_exception", "invalidparameter")


def missing(errorcode: str = "invalidrecord") -> Refusal:
    return Refusal("dml_missing_record_exception", errorcode)


def refused(errorcode: str) -> Refusal:
    return Refusal("core\\exception\\moodle_exception", errorcode)


_STRAY = re.compile(r"&(?!#?\w+;)|<(?![a-zA-Z/])")
"""What the cleaning of HTML escapes: signs that begin neither a reference nor a tag."""
_SCRIPT = re.compile(r"<script.*?</script>", re.DOTALL)
_TAG = re.compile(r"<[a-zA-Z/][^<>]*>")


def escaped(name: str) -> str:
    """Return a name as functions answer it that format names: without tags, as HTML."""
    return _cleaned(_TAG.sub("", name))


def formatted(text: str, text_format: int) -> str:
    """Return a text as functions answer it that format texts: 1 is HTML, 2 plain text."""
    if text_format == 2:
        return html.escape(text).replace("\n", "<br />\n")
    return _cleaned(_SCRIPT.sub("", text))


def _cleaned(text: str) -> str:
    return _STRAY.sub(lambda found: html.escape(found[0]), text)


FUNCTIONS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {}


def function(name: str, /, **form: Any) -> Callable[[Any], Any]:
    """Register a function of the web services; ``optional_`` before a name adds ``?``."""
    fixed = {
        key.removeprefix("optional_")
        + ("?" if key.startswith("optional_") else ""): value
        for key, value in form.items()
    }

    def add(run: Callable[..., Any]) -> Callable[..., Any]:
        FUNCTIONS[name] = (run, fixed)
        return run

    return add


def nested(form: dict[str, str]) -> Any:
    """Return ``{"users[0][id]": "7"}`` as ``{"users": [{"id": "7"}]}``."""
    found: dict[str, Any] = {}
    for name, value in form.items():
        first, bracket, rest = name.partition("[")
        keys = [first, *_PARTS.findall(bracket + rest)]
        below = found
        for key in keys[:-1]:
            below = below.setdefault(key, {})
        below[keys[-1]] = value
    return _lists(found)


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and all(key.isdigit() for key in value):
        return [_lists(value[key]) for key in sorted(value, key=int)]
    return {key: _lists(below) for key, below in value.items()}


def checked(value: Any, form: Any) -> Any:
    """Return ``value`` with the types of ``form``.

    Raises:
        Refusal: it has another form.
    """
    if isinstance(form, list):
        if not isinstance(value, list):
            raise invalid()
        return [checked(below, form[0]) for below in value]
    if isinstance(form, dict):
        return _checked_mapping(value, form)
    if not isinstance(value, str):
        raise invalid()
    try:
        return value not in ("", "0", "false") if form is bool else form(value)
    except ValueError:
        raise invalid() from None


def _checked_mapping(value: Any, form: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise invalid()
    forms = {name.rstrip("?"): below for name, below in form.items()}
    required = {name for name in form if not name.endswith("?")}
    if value.keys() - forms.keys() or required - value.keys():
        raise invalid()
    return {name: checked(below, forms[name]) for name, below in value.items()}
