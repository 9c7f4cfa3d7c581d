"""The names of progress's keys in Redis (spec 4, Redis Keys).

The player id stands in literal braces, Redis Cluster's hash tag, so that all keys
of one player share a slot and one script may touch several. Plain rules: no Django
here.
"""

PENDING_BITMAPS = "pending_bitmap_sync"
"""Set: ``{player id}:{subject id}`` changed since it was last written back."""

TAKEN_BITMAPS = "{pending_bitmap_sync}:taken"
"""Set: members being written back. Same slot as `PENDING_BITMAPS`."""

BITMAP_SYNC_LOCK = "{pending_bitmap_sync}:lock"
"""String: the write-back that runs now."""


def bitmap(player_id: int, subject_id: str) -> str:
    """String: a bit per lesson of the subject, set when it is passed."""
    return f"user_prog:{{{player_id}}}:{subject_id}"


def best_hearts(player_id: int, subject_id: str) -> str:
    """String: a byte per lesson of the subject, the most hearts it was passed with."""
    return f"best_hearts:{{{player_id}}}:{subject_id}"


def subject_xp(player_id: int, subject_id: str) -> str:
    """String: the XP earned in the subject."""
    return f"subject_xp:{{{player_id}}}:{subject_id}"


def rebuilding(player_id: int) -> str:
    """Set: claims of who is reading the ledger to rebuild what Redis lost."""
    return f"rebuilding:{{{player_id}}}"


def pending(player_id: int, subject_id: str) -> str:
    """A member of `PENDING_BITMAPS`."""
    return f"{player_id}:{subject_id}"


def read_pending(member: str) -> tuple[int, str]:
    """The player and subject a member of `PENDING_BITMAPS` names."""
    player_id, _sep, subject_id = member.partition(":")
    return int(player_id), subject_id
