"""ETags of answers."""

from django.utils.http import parse_etags


def is_current(etag: str, if_none_match: str | None) -> bool:
    """Return whether a client has this version (RFC 9110, 13.1.2: weak comparison).

    Args:
        etag: in quotes, with ``W/`` before them if it is weak.
        if_none_match: the request's header.
    """
    if if_none_match is None:
        return False
    if if_none_match == etag:  # nearly always, and cheaper than parsing it
        return True
    held = parse_etags(if_none_match)
    return held == ["*"] or _opaque(etag) in map(_opaque, held)


def _opaque(etag: str) -> str:
    return etag.removeprefix("W/")
