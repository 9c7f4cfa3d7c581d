"""Names of the players' keys in Redis. No Django imports.

The player id is in literal braces, the hash tag of Redis Cluster: all keys of one
player are in one slot, so one script may use several of them.
"""

PENDING_WALLETS = "pending_wallet_sync"
"""Set: ids of players whose wallet changed since it was last written back."""

CLAIMED_WALLETS = "{pending_wallet_sync}:claimed"
"""Set: ids being written back. Same slot as `PENDING_WALLETS`: ids move atomically."""


def devices(player_id: int) -> str:
    """Set: the ids of the devices that the player may sign in from."""
    return f"player:{{{player_id}}}:devices"


def active_session(player_id: int) -> str:
    """String: the player's session; `players.store` defines its format."""
    return f"active_session:{{{player_id}}}"


def session_lease(player_id: int) -> str:
    """String: the lease to fill `active_session` and `devices` from the database."""
    return f"active_session:{{{player_id}}}:lease"


def access(player_id: int) -> str:
    """String: the player's plans and products, as JSON."""
    return f"access:{{{player_id}}}"


def access_lease(player_id: int) -> str:
    """String: the lease to fill `access` from the database."""
    return f"access:{{{player_id}}}:lease"


def wallet(player_id: int) -> str:
    """Hash: total_xp, current_streak, last_success_date, last_played_at."""
    return f"wallet:{{{player_id}}}"


def wallet_lease(player_id: int) -> str:
    """String: the lease to fill `wallet` from the ledger."""
    return f"wallet:{{{player_id}}}:lease"


def in_flight(player_id: int) -> str:
    """Sorted set: the player's pending writes to the ledger, marked by progress.

    While it has a member, the ledger and the wallet may differ by that write.
    """
    return f"in_flight:{{{player_id}}}"


def rate_limit(who: str, endpoint: str) -> str:
    """String: the number of requests of ``who`` to ``endpoint`` in the current window.

    ``who`` is a player's id, or a prefixed id of another caller (``staff-7``).
    """
    return f"rate_limit:{{{who}}}:{endpoint}"


def attempts(who: str, scope: str) -> str:
    """Hash: attempts of ``who`` in the current window, as ``spent`` and ``refused``."""
    return f"rate_limit:{{{who}}}:{scope}:attempts"
