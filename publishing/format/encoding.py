"""Encode and hash published documents. Plain rules: no Django here."""

import hashlib
import re
from datetime import UTC, datetime
from typing import Any

import orjson

_VERSION = re.compile(rb'\{"version":([0-9]{1,18}),')
"""How `add_version` begins a document."""


def canonical(value: Any) -> bytes:
    """Return ``value`` as published: compact UTF-8 JSON, keys in insertion order.

    The order is part of a document's format (a bitmap's mappings are in tree order),
    so builders insert keys in a fixed order and this function does not sort them.
    """
    return orjson.dumps(value)


def raw_json(text: str) -> orjson.Fragment:
    """Wrap JSON text (a stored stage config) to be copied into a document unchanged."""
    return orjson.Fragment(text)


def sha256(data: bytes) -> str:
    """Return the SHA-256 of ``data`` as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def iso_instant(unix_time: int) -> str:
    """Return the time in ISO 8601, UTC, such as ``2026-01-27T10:30:00+00:00``."""
    return datetime.fromtimestamp(unix_time, UTC).isoformat()


def add_version(body: bytes, version: int) -> bytes:
    """Insert version and time at the front of a non-empty object's canonical bytes."""
    head = f'{{"version":{version},"generated_at":"{iso_instant(version)}",'
    return head.encode() + body[1:]


def version_of(data: bytes) -> int:
    """Return the version in a published file; 0 when it is not such a file."""
    try:
        version = orjson.loads(data)["version"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return 0
    return version if isinstance(version, int) else 0


def first_version_of(data: bytes) -> int:
    """Return the version that a file begins with, without reading the rest of it.

    0 when it does not begin with one.
    """
    match = _VERSION.match(data)
    return int(match[1]) if match else 0
