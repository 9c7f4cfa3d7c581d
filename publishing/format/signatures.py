"""The video signatures inside a published lesson's bytes. Plain rules: no Django.

A signature is no content: it is put in and taken out without touching another byte
(`publishing.format.documents` puts ``signed_url`` and ``expires_at`` last into a Video
stage's config).
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import orjson

from publishing.format import encoding


def of_lesson(data: bytes) -> list[dict[str, Any]]:
    """The configs of the signed videos in a lesson's file, in order.

    None in a file that is no lesson.
    """
    return [config for _id, config in videos(data) if "signed_url" in config]


def videos(data: bytes) -> list[tuple[str, dict[str, Any]]]:
    """The Video stages of a lesson's file, in order: each one's id and its config.

    None in a file that is no lesson.
    """
    try:
        return [
            (stage["id"], stage["config"])
            for stage in orjson.loads(data)["stages"]
            if stage["type"] == "Video"
        ]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return []


def renewed(data: bytes, *, expires: int, sign: Callable[[str], str]) -> bytes:
    """The file with every signature made anew, good until Unix time ``expires``.

    ``sign(source)`` makes the URL of a video.
    """
    until = encoding.iso_instant(expires)
    return _replaced(data, lambda config: _pair(sign(config["source"]), until))


def without(data: bytes) -> bytes:
    """The file as it would be without signatures."""
    return _replaced(data, lambda _config: b"")


def signed_until(data: bytes) -> int | None:
    """The Unix time at which the first signature inside expires; None without any."""
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
        if not old:  # no file of ours: it stays as it is
            return data
        parts += [before, new(config)]
    return b"".join([*parts, rest])


def _pair(url: str, expires_at: str) -> bytes:
    """Both fields as they follow a config's own ones."""
    pair = orjson.dumps({"signed_url": url, "expires_at": expires_at})
    return b"," + pair[1:-1]
