"""Versions of apps: Semantic Versioning 2.0.0 (https://semver.org/).

Plain Python: no Django here.
"""

import re

_IDENTIFIER = r"(?:0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)"
_VERSION = re.compile(
    r"(?P<major>0|[1-9][0-9]*)\.(?P<minor>0|[1-9][0-9]*)\.(?P<patch>0|[1-9][0-9]*)"
    rf"(?:-(?P<pre>{_IDENTIFIER}(?:\.{_IDENTIFIER})*))?"
    r"(?:\+[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*)?"
)
_MAX_LENGTH = 64

Precedence = tuple[int, int, int, bool, tuple[tuple[int, int, str], ...]]
"""Sorts as versions do: a pre-release before its release; builds are equal."""


def precedence(version: str) -> Precedence | None:
    """Return the sort key of a version such as ``1.2.3`` or ``1.2.3-beta.1+56``.

    Returns:
        None for anything else, and for more than 64 characters.
    """
    match = _VERSION.fullmatch(version) if len(version) <= _MAX_LENGTH else None
    if match is None:
        return None
    identifiers = match["pre"].split(".") if match["pre"] else []
    return (
        int(match["major"]),
        int(match["minor"]),
        int(match["patch"]),
        not identifiers,
        # Numbers sort before words.
        tuple(
            (0, int(one), "") if one.isdecimal() else (1, 0, one) for one in identifiers
        ),
    )
