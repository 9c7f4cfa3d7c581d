"""Passed lessons and best hearts as packed bytes. No Django imports.

Bits are in the order of Redis's SETBIT (bit 0 is the highest bit of the first byte), so
Python and Redis use the same bytes. Hearts are one byte per lesson, at the offset of
its bit.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from players.player_state import LastPlayed, SubjectProgress


def is_set(bitmap: bytes, index: int) -> bool:
    """Return whether bit ``index`` is set; bits beyond the end are 0, as in GETBIT."""
    byte = index >> 3
    return byte < len(bitmap) and bool(bitmap[byte] & (0x80 >> (index & 7)))


def with_attempt(
    progress: SubjectProgress, index: int, *, at: datetime
) -> SubjectProgress:
    """Return the progress after an attempt at the lesson on bit ``index``."""
    played = LastPlayed(at, index)
    if progress.last_played is not None:
        played = max(played, progress.last_played)
    return replace(progress, last_played=played)


def with_completion(
    progress: SubjectProgress, index: int, *, best_hearts: int, xp: int
) -> SubjectProgress:
    """Return the progress after the lesson on bit ``index`` was passed.

    Both byte strings are padded with zeros, as by SETBIT and SETRANGE.
    """
    byte = index >> 3
    bits = bytearray(progress.bitmap.ljust(byte + 1, b"\0"))
    bits[byte] |= 0x80 >> (index & 7)
    hearts = bytearray(progress.hearts.ljust(index + 1, b"\0"))
    hearts[index] = best_hearts
    return replace(
        progress, bitmap=bytes(bits), hearts=bytes(hearts), xp=progress.xp + xp
    )


def without(progress: SubjectProgress, index: int) -> SubjectProgress:
    """Return the progress after the lesson on bit ``index`` was reset; the XP stays.

    Without zeros at the ends, as `pack` returns it.
    """
    bits, hearts = bytearray(progress.bitmap), bytearray(progress.hearts)
    if index >> 3 < len(bits):
        bits[index >> 3] &= ~(0x80 >> (index & 7)) & 0xFF
    if index < len(hearts):
        hearts[index] = 0
    ends = bytes(bits).rstrip(b"\0"), bytes(hearts).rstrip(b"\0")
    return replace(progress, bitmap=ends[0], hearts=ends[1])


def hearts_at(hearts: bytes, index: int) -> int:
    """Return the best hearts of the lesson on bit ``index``; 0 if it is not passed."""
    return hearts[index] if index < len(hearts) else 0


def pack(
    best: Mapping[int, int], *, xp: int = 0, last_played: LastPlayed | None = None
) -> SubjectProgress:
    """Pack the best hearts of each passed lesson, by bit."""
    if not best:
        return SubjectProgress(xp=xp, last_played=last_played)
    last = max(best)
    bits = bytearray((last >> 3) + 1)
    hearts = bytearray(last + 1)
    for index, most in best.items():
        bits[index >> 3] |= 0x80 >> (index & 7)
        hearts[index] = most
    return SubjectProgress(bytes(bits), bytes(hearts), xp, last_played)


def unpack_hearts(hearts: bytes) -> dict[int, int]:
    """Return the best hearts by bit, without lessons that have none."""
    return {index: most for index, most in enumerate(hearts) if most}


def unpack(bits: str, hearts: str) -> dict[int, int]:
    """Return the best hearts by bit of passed lessons, from two Base64 texts."""
    bitmap, most = decode(bits), decode(hearts)
    return {
        index: hearts_at(most, index)
        for index in range(len(bitmap) * 8)
        if is_set(bitmap, index)
    }


def encode(bitmap: bytes) -> str:
    """Return the Base64 text that the snapshot in the database stores."""
    return base64.b64encode(bitmap).decode("ascii")


def decode(text: str) -> bytes:
    """Return the bytes of a snapshot's Base64 text; b"" for an empty text.

    Raises:
        ValueError: the text is not Base64.
    """
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"not a Base64 bitmap: {error}") from None
