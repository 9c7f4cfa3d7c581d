"""Guides with requests and answers, which tests send to the server and compare."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TIME = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(Z|\+00:00))?")
VARYING_NUMBERS = {"id", "player_id", "version", "lesson_version"}
"""Keys whose numbers depend on the installation or on the time."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request as a guide shows it: first line, headers, an empty line, the body."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @classmethod
    def read(cls, block: str) -> Self:
        """Return the request of a block."""
        head, _blank, body = block.partition("\n\n")
        first, *lines = head.strip().splitlines()
        method, path = first.split()
        return cls(
            method, path, dict(line.split(": ", 1) for line in lines), body.encode()
        )


def blocks(guide: Path, kind: str) -> list[str]:
    """Return the blocks of a language in a guide."""
    found = BLOCK.findall(guide.read_text(encoding="utf-8"))
    return [text for language, text in found if language == kind]


def steps(guide: Path) -> list[tuple[str, str | None]]:
    """Return each request of a guide, with the answer below it if there is one."""
    found: list[tuple[str, str | None]] = []
    for kind, text in BLOCK.findall(guide.read_text(encoding="utf-8")):
        if kind == "http":
            found.append((text, None))
        elif kind == "json":
            request, answer = found.pop()
            assert answer is None, f"two answers to {request}"
            found.append((request, text))
    return found


def difference(shown: Any, real: Any, at: str = "") -> str:
    """Return the first place where an answer differs from the guide; "" if none does.

    In a text of the guide ``…`` is any text; a time or a date is any time or date.
    """
    if isinstance(shown, dict) and isinstance(real, dict):
        if shown.keys() != real.keys():
            return f"{at}: {sorted(shown.keys() ^ real.keys())}"
        parts = [(f"{at}.{key}", shown[key], real[key]) for key in shown]
    elif isinstance(shown, list) and isinstance(real, list):
        if len(shown) != len(real):
            return f"{at}: {len(real)} elements"
        pairs = zip(shown, real, strict=True)
        parts = [(f"{at}[{n}]", *pair) for n, pair in enumerate(pairs)]
    else:
        return "" if _is_same(shown, real, at) else f"{at}: {real!r}"
    return next((said for p in parts if (said := difference(p[1], p[2], p[0]))), "")


def _is_same(shown: Any, real: Any, at: str) -> bool:
    if isinstance(shown, str) and isinstance(real, str):
        if TIME.fullmatch(shown):
            return len(shown) == len(real) and bool(TIME.fullmatch(real))
        pattern = ".+".join(map(re.escape, shown.split("…")))
        return bool(re.fullmatch(pattern, real, re.DOTALL))
    if type(shown) is int and at.rpartition(".")[2] in VARYING_NUMBERS:
        return type(real) is int
    return type(shown) is type(real) and shown == real
