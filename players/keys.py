"""Names of the players' keys in Redis. No Django imports.

The player id is in literal braces, the hash tag of Redis Cluster: all keys of one
player are in one slot, so one script may use several of them.
"""

RECONCILED_SERVER = "reconciled_server"
"""String: the id of the server that was last reconciled (`players.bulk_records`)."""


def devices(player_id: int) -> str:
    """Set: the ids of the devices that the player may sign in from."""
    return f"player:{{{player_id}}}:devices"


def active_session(player_id: int) -> str:
    """Versioned copy (`players.records`): ``{token SHA-256}:{device id}``, or none."""
    return f"active_session:{{{player_id}}}"


def access(player_id: int) -> str:
    """Versioned copy (`players.records`): the player's plans and products, as JSON."""
    return f"access:{{{player_id}}}"


def wallet(player_id: int) -> str:
    """Hash: the wallet record (`players.records`)."""
    return f"wallet:{{{player_id}}}"


def subject(player_id: int, subject_id: str) -> list[str]:
    """Return the names of a subject's record, in the order that scripts expect.

    Strings: a bit per lesson, set when it is passed; a byte per lesson, its best
    hearts; the XP earned in the subject; the last attempt as ``{time} {bit}``, or
    nothing; and the stamp, the incarnation of the wallet record that the others belong
    to.
    """
    return [
        f"user_prog:{{{player_id}}}:{subject_id}",
        f"best_hearts:{{{player_id}}}:{subject_id}",
        f"subject_xp:{{{player_id}}}:{subject_id}",
        f"subject_played:{{{player_id}}}:{subject_id}",
        f"subject_stamp:{{{player_id}}}:{subject_id}",
    ]


def rate_limit(who: str, endpoint: str) -> str:
    """String: the number of requests of ``who`` to ``endpoint`` in the current window.

    ``who`` is a player's id, or a prefixed id of another caller (``staff-7``).
    """
    return f"rate_limit:{{{who}}}:{endpoint}"


def attempts(who: str, scope: str) -> str:
    """Hash: attempts of ``who`` in the current window, as ``spent`` and ``refused``."""
    return f"rate_limit:{{{who}}}:{scope}:attempts"
