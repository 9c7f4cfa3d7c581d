"""MathML as plain text: ``(a + b)/2``, ``x^2``, ``√(x)``. Plain Python: no Django here.

The text is for searches and for places that show no formulas. It is no notation to
compute with.
"""

import html as references
from collections.abc import Callable
from dataclasses import dataclass, field

from content.html_tokens import names, tokens

_UNREAD = names("annotation annotation-xml")
_INVISIBLE = {"\u2061": " ", "\u2062": "", "\u2063": "", "\u2064": ""}
_MAX_DEPTH = 100
_TIGHT = frozenset("()[]{}|.!/′'\u2016⟨⟩⌊⌋⌈⌉^~¯→ˉ˙")
"""Operators without spaces around them."""
_PRIMES = frozenset("′″‴'*†°∘")


@dataclass(slots=True)
class _Element:
    name: str
    children: list["_Element"] = field(default_factory=list)
    text: str = ""


def plain_text(mathml: str) -> str:
    """Return the text of a piece of HTML with MathML; linear in its length.

    "" if elements are nested more than 100 deep.
    """
    root = _Element("")
    is_open = [root]
    for token in tokens(mathml):
        if not token.name:
            is_open[-1].children.append(
                _Element("", text=references.unescape(token.source))
            )
        elif len(is_open) > _MAX_DEPTH and not token.is_end:
            return ""
        elif not token.is_end:
            is_open.append(_Element(token.name))
            is_open[-2].children.append(is_open[-1])
        elif len(is_open) > 1:
            is_open.pop()
    return " ".join(_text(root).split())


def _text(element: _Element) -> str:
    if element.name in _UNREAD:
        return ""
    if not element.name and not element.children:
        return element.text
    parts = [_text(child) for child in element.children]
    if element.name == "mo":
        return _operator("".join(parts))
    if element.name == "mspace":
        return " "
    if element.name == "mtable":
        return "; ".join(parts)
    if element.name in ("mtr", "mlabeledtr"):
        return ", ".join(parts)
    joined = _JOINED.get(element.name)
    if joined is not None and len(parts) > 1:
        return joined([" ".join(part.split()) for part in parts])
    return f"√{_grouped(''.join(parts))}" if element.name == "msqrt" else "".join(parts)


def _operator(text: str) -> str:
    text = _INVISIBLE.get(text, text)
    if not text or text in _TIGHT or text.isspace():
        return text
    return f"{text} " if text in ",;" else f" {text} "


def _grouped(text: str) -> str:
    text = " ".join(text.split())
    return text if text.isalnum() else f"({text})"


_JOINED: dict[str, Callable[[list[str]], str]] = {
    "mfrac": lambda parts: f"{_grouped(parts[0])}/{_grouped(parts[1])}",
    "msup": lambda parts: (
        parts[0] + parts[1]
        if set(parts[1]) <= _PRIMES
        else f"{parts[0]}^{_grouped(parts[1])}"
    ),
    "msub": lambda parts: f"{parts[0]}_{_grouped(parts[1])}",
    "munder": lambda parts: f"{parts[0]}_{_grouped(parts[1])} ",
    "mover": lambda parts: f"{parts[0]}{parts[1]}",
    "mroot": lambda parts: f"√[{parts[1]}]{_grouped(parts[0])}",
}
_JOINED["msubsup"] = _JOINED["munderover"] = lambda parts: (
    f"{parts[0]}_{_grouped(parts[1])}^{_grouped(parts[2])} "
    if len(parts) > 2
    else "".join(parts)
)
