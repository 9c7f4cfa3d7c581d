"""Versions of apps: Semantic Versioning 2.0.0 (https://semver.org/).

Plain Python: no Django here.
"""

import re

# Words first: a number is a word up to its first letter.
_IDENTIFIER = r"(?:[0-9]*+[a-zA-Z-][0-9a-zA-Z-]*+|0|[1-9][0-9]*+)"
_NUMBER = r"(0|[1-9][0-9]*+)"
_VERSION = re.compile(
    rf"\A{_NUMBER}\.{_NUMBER}\.{_NUMBER}"
    rf"(?:-({_IDENTIFIER}(?:\.{_IDENTIFIER})*+))?"
    r"(?:\+[0-9a-zA-Z-]++(?:\.[0-9a-zA-Z-]++)*+)?"
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
    major, minor, patch, pre_release = match.groups()
    identifiers = pre_release.split(".") if pre_release else []
    return (
        int(major),
        int(minor),
        int(patch),
        not identifiers,
        # Numbers sort before words.
        tuple(
            (0, int(one), "") if one.isdecimal() else (1, 0, one) for one in identifiers
        ),
    )
