"""Who sent a request to the inbox. Plain Python; all comparisons take constant time."""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Any

WINDOW_SECONDS = 300
"""How far the signed time may be from ours: an older request is a replay."""
TIME_HEADER = "X-Registrar-Timestamp"
SIGNATURE_HEADER = "X-Registrar-Signature"
KEY_HEADER = "X-Registrar-Key"


def signature(key: str, *, timestamp: str, body: bytes) -> str:
    """Return the hexadecimal HMAC-SHA256 of ``timestamp``, a dot and ``body``."""
    message = timestamp.encode() + b"." + body
    return hmac.new(key.encode(), message, hashlib.sha256).hexdigest()


def is_signed(
    headers: Mapping[str, str], body: bytes, *, keys: Iterable[str], now: float
) -> bool:
    """Return whether one of ``keys`` has signed the body, less than 5 minutes ago.

    Args:
        headers: with case-insensitive names.
        now: Unix seconds.
    """
    timestamp = headers.get(TIME_HEADER, "")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        return False
    if abs(now - int(timestamp)) > WINDOW_SECONDS:
        return False
    sent = sent_signature(headers)
    right = (signature(key, timestamp=timestamp, body=body) for key in keys)
    return _is_one_of(sent, right)


def sent_signature(headers: Mapping[str, str]) -> str:
    """Return the signature of a request in one spelling; "" if it has none."""
    return headers.get(SIGNATURE_HEADER, "").removeprefix("sha256=").lower()


def has_key(headers: Mapping[str, str], *, keys: Iterable[str]) -> bool:
    """Return whether the header ``X-Registrar-Key`` has one of ``keys``."""
    return _is_one_of(headers.get(KEY_HEADER, ""), keys)


def has_token(value: Any, *, tokens: Iterable[str]) -> bool:
    """Return whether a notification repeats one of ``tokens``."""
    sent = value.get("token") if isinstance(value, Mapping) else None
    return isinstance(sent, str) and _is_one_of(sent, tokens)


def _is_one_of(sent: str, right: Iterable[str]) -> bool:
    # Compare with all of them: the time does not tell which one is right.
    found = False
    for one in right:
        found |= hmac.compare_digest(sent.encode(), one.encode())
    return found and sent != ""
