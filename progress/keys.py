"""Names of progress's keys in Redis. No Django imports.

The player id is in literal braces, the hash tag of Redis Cluster: all keys of one
player are in one slot, so one script may use several of them.
"""

PENDING_BITMAPS = "pending_bitmap_sync"
"""Set: ``{player id}:{subject id}`` that changed since it was last written back."""

TAKEN_BITMAPS = "{pending_bitmap_sync}:taken"
"""Set: members being written back. Same slot as `PENDING_BITMAPS`."""

BITMAP_SYNC_LOCK = "{pending_bitmap_sync}:lock"
"""String: the lock of the write-back; its value is the token of the current run."""


def bitmap(player_id: int, subject_id: str) -> str:
    """String: one bit per lesson of the subject, set when it is passed."""
    return f"user_prog:{{{player_id}}}:{subject_id}"


def best_hearts(player_id: int, subject_id: str) -> str:
    """String: one byte per lesson of the subject, its best hearts."""
    return f"best_hearts:{{{player_id}}}:{subject_id}"


def subject_xp(player_id: int, subject_id: str) -> str:
    """String: the XP earned in the subject."""
    return f"subject_xp:{{{player_id}}}:{subject_id}"


def rebuilding(player_id: int) -> str:
    """Set: tokens of the readers that are rebuilding projections from the ledger."""
    return f"rebuilding:{{{player_id}}}"


def pending(player_id: int, subject_id: str) -> str:
    """Return the member of `PENDING_BITMAPS` for a player and a subject."""
    return f"{player_id}:{subject_id}"


def read_pending(member: str) -> tuple[int, str]:
    """Return the player and subject of a member of `PENDING_BITMAPS`."""
    player_id, _sep, subject_id = member.partition(":")
    return int(player_id), subject_id
