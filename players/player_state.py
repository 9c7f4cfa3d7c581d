"""A player's wallet and progress as values. No Django imports."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class WalletState:
    """The contents of a wallet; the defaults are those of a new one.

    ``seq`` is the position in the player's ledger that it is complete up to.
    ``current_streak`` and ``freezes`` are as of ``last_success_date``, not as of today.
    ``frozen_days`` are those of the weeks before it on which a freeze was spent.
    """

    seq: int = 0
    total_xp: int = 0
    current_streak: int = 0
    last_success_date: date | None = None
    last_played_at: datetime | None = None
    freezes: int = 0
    frozen_days: tuple[date, ...] = ()


class LastPlayed(NamedTuple):
    """The last attempt at a lesson: its time, and the lesson's progress bit.

    Of two attempts at one time the higher bit is the last, so that they may be recorded
    in any order.
    """

    at: datetime
    bit_index: int


@dataclass(frozen=True, slots=True)
class SubjectProgress:
    """A player's progress in one subject, in the bytes that Redis holds.

    ``bitmap`` has one bit per lesson, in the order of Redis's SETBIT, set when the
    lesson is passed; ``hearts`` one byte per lesson, its best hearts. ``last_played``
    counts failed attempts, too.
    """

    bitmap: bytes = b""
    hearts: bytes = b""
    xp: int = 0
    last_played: LastPlayed | None = None

    @property
    def passed(self) -> int:
        """The number of lessons ever passed, published now or not."""
        return int.from_bytes(self.bitmap, "big").bit_count()
