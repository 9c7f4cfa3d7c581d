"""Read and replace the video signatures inside a published lesson's bytes.

A signature is not content: it is inserted and removed without changing another byte.
`publishing.format.documents` puts ``signed_url`` and ``expires_at`` last into a Video
stage's config. Plain rules: no Django here.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import orjson

from publishing.format import encoding

_VIDEO = b'"type":"Video"'
"""What the canonical bytes of every Video stage contain."""


def of_lesson(data: bytes) -> list[dict[str, Any]]:
    """Return the configs of the signed videos in a lesson's file, in order.

    Empty when the file is not a lesson.
    """
    return [config for _id, config in videos(data) if "signed_url" in config]


def videos(data: bytes) -> list[tuple[str, dict[str, Any]]]:
    """Return the Video stages of a lesson's file, in order: ids and configs.

    Empty when the file is not a lesson.
    """
    if _VIDEO not in data:  # most lessons: they need not be parsed
        return []
    try:
        return [
            (stage["id"], stage["config"])
            for stage in orjson.loads(data)["stages"]
            if stage["type"] == "Video"
        ]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return []


def renew(data: bytes, *, expires: int, sign: Callable[[str], str]) -> bytes:
    """Return the file with every signature renewed, valid until Unix time ``expires``.

    ``sign(source)`` returns the URL of a video.
    """
    until = encoding.iso_instant(expires)
    return _replaced(data, lambda config: _pair(sign(config["source"]), until))


def remove(data: bytes) -> bytes:
    """Return the file without signatures."""
    return _replaced(data, lambda _config: b"")


def signed_until(data: bytes) -> int | None:
    """Return the Unix time when the first signature expires; None without any."""
    found = [
        int(datetime.fromisoformat(config["expires_at"]).timestamp())
        for config in of_lesson(data)
    ]
    return min(found, default=None)


def _replaced(data: bytes, new: Callable[[dict[str, Any]], bytes]) -> bytes:
    parts, rest = [], data
    for config in of_lesson(data):
        before, old, rest = rest.partition(
            _pair(config["signed_url"], config["expires_at"])
        )
        if not old:  # not a file of this site: leave it unchanged
            return data
        parts += [before, new(config)]
    return b"".join([*parts, rest])


def _pair(url: str, expires_at: str) -> bytes:
    """Return both fields encoded as they follow the config's other fields."""
    pair = orjson.dumps({"signed_url": url, "expires_at": expires_at})
    return b"," + pair[1:-1]
