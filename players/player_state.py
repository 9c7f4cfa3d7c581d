"""A player's wallet and progress as values. No Django imports."""

from dataclasses import dataclass
from datetime import date, datetime


@dataclass(frozen=True, slots=True)
class WalletState:
    """The contents of a wallet; the defaults are those of a new one.

    ``seq`` is the position in the player's ledger that it is complete up to.
    ``current_streak`` is as of ``last_success_date``, not as of today.
    """

    seq: int = 0
    total_xp: int = 0
    current_streak: int = 0
    last_success_date: date | None = None
    last_played_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SubjectProgress:
    """A player's progress in one subject, in the bytes that Redis holds.

    ``bitmap`` has one bit per lesson, in the order of Redis's SETBIT, set when the
    lesson is passed; ``hearts`` one byte per lesson, its best hearts.
    """

    bitmap: bytes = b""
    hearts: bytes = b""
    xp: int = 0

    @property
    def passed(self) -> int:
        """The number of lessons ever passed, published now or not."""
        return int.from_bytes(self.bitmap, "big").bit_count()
