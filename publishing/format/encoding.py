"""Bytes and hashes of published documents. Plain rules: no Django here."""

import hashlib
from datetime import UTC, datetime
from typing import Any

import orjson


def canonical(value: Any) -> bytes:
    """``value`` as published: compact UTF-8 JSON, keys in the order they were put.

    The order is part of a document's form (a bitmap's mappings are in tree order), so
    builders put keys in a fixed order and nothing sorts them here.
    """
    return orjson.dumps(value)


def spliced(text: str) -> orjson.Fragment:
    """JSON text that goes into a document as it is (a stored stage config)."""
    return orjson.Fragment(text)


def sha256(data: bytes) -> str:
    """The SHA-256 of ``data``, 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def iso_instant(unix_time: int) -> str:
    """ISO 8601 in UTC, such as ``2026-01-27T10:30:00+00:00``."""
    return datetime.fromtimestamp(unix_time, UTC).isoformat()


def stamped(body: bytes, version: int) -> bytes:
    """A non-empty object's canonical bytes with version and time put in front."""
    head = f'{{"version":{version},"generated_at":"{iso_instant(version)}",'
    return head.encode() + body[1:]


def version_of(data: bytes) -> int:
    """The version a published file says it has; 0 when it is no such file."""
    try:
        version = orjson.loads(data)["version"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return 0
    return version if isinstance(version, int) else 0
