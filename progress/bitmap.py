"""Which lessons are passed, and with how many hearts, as packed bytes.

Bits stand in Redis's own order (SETBIT: bit 0 is the highest bit of the first byte),
so Python and Redis read the same bytes. Hearts are a byte per lesson, at the offset of
its bit. Plain rules: no Django here.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SubjectProgress:
    """What a player has done in one subject."""

    bitmap: bytes = b""
    hearts: bytes = b""
    xp: int = 0

    @property
    def passed(self) -> int:
        """How many lessons were ever passed, whatever is published now."""
        return int.from_bytes(self.bitmap, "big").bit_count()


def is_set(bitmap: bytes, index: int) -> bool:
    """Whether bit ``index`` is set, as GETBIT says: beyond the end nothing is."""
    byte = index >> 3
    return byte < len(bitmap) and bool(bitmap[byte] & (0x80 >> (index & 7)))


def with_bit(bitmap: bytes, index: int) -> bytes:
    """``bitmap`` with bit ``index`` set, as SETBIT does: grown with zeros."""
    byte = index >> 3
    grown = bytearray(bitmap.ljust(byte + 1, b"\0"))
    grown[byte] |= 0x80 >> (index & 7)
    return bytes(grown)


def hearts_at(hearts: bytes, index: int) -> int:
    """The best hearts of the lesson on bit ``index``; 0 when never passed."""
    return hearts[index] if index < len(hearts) else 0


def pack(best: Mapping[int, int], *, xp: int = 0) -> SubjectProgress:
    """Progress from the best hearts of each passed lesson, by bit."""
    if not best:
        return SubjectProgress(xp=xp)
    last = max(best)
    bits = bytearray((last >> 3) + 1)
    hearts = bytearray(last + 1)
    for index, most in best.items():
        bits[index >> 3] |= 0x80 >> (index & 7)
        hearts[index] = most
    return SubjectProgress(bitmap=bytes(bits), hearts=bytes(hearts), xp=xp)


def unpack_hearts(hearts: bytes) -> dict[int, int]:
    """The best hearts by bit, without the lessons that have none."""
    return {index: most for index, most in enumerate(hearts) if most}


def encode(bitmap: bytes) -> str:
    """Base64, as the snapshot in the database keeps it."""
    return base64.b64encode(bitmap).decode("ascii")


def decode(text: str) -> bytes:
    """The bytes of a snapshot; none for an empty text.

    Raises:
        ValueError: the text is not Base64.
    """
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"not a Base64 bitmap: {error}") from None
