"""The names of the players' keys in Redis (spec 4, Redis Keys).

The player id stands in literal braces, Redis Cluster's hash tag, so that all keys
of one player share a slot and one script may touch several. Plain rules: no Django
here.
"""

PENDING_WALLETS = "pending_wallet_sync"
"""Set: ids of players whose wallet changed since it was last written back."""

CLAIMED_WALLETS = "{pending_wallet_sync}:claimed"
"""Set: ids being written back. Same slot as `PENDING_WALLETS`: ids move atomically."""


def devices(player_id: int) -> str:
    """Set: the ids of the devices the player may sign in from."""
    return f"player:{{{player_id}}}:devices"


def active_session(player_id: int) -> str:
    """String: the player's session; `players.store` says how it is spelled."""
    return f"active_session:{{{player_id}}}"


def session_lease(player_id: int) -> str:
    """String: who may fill `active_session` and `devices` from the database."""
    return f"active_session:{{{player_id}}}:lease"


def access(player_id: int) -> str:
    """String: the player's plans and products, as JSON."""
    return f"access:{{{player_id}}}"


def access_lease(player_id: int) -> str:
    """String: who may fill `access` from the database."""
    return f"access:{{{player_id}}}:lease"


def wallet(player_id: int) -> str:
    """Hash: total_xp, current_streak, last_success_date, last_played_at."""
    return f"wallet:{{{player_id}}}"


def wallet_lease(player_id: int) -> str:
    """String: who may fill `wallet` from the ledger."""
    return f"wallet:{{{player_id}}}:lease"


def in_flight(player_id: int) -> str:
    """Sorted set: writes of the player's ledger under way, marked by progress.

    While there is one, ledger and wallet may differ by what it is about to add.
    """
    return f"in_flight:{{{player_id}}}"


def rate_limit(who: str, endpoint: str) -> str:
    """String: requests of ``who`` to ``endpoint`` in the current window.

    ``who`` is a player's id, or another caller's prefixed one (``staff-7``).
    """
    return f"rate_limit:{{{who}}}:{endpoint}"


def attempts(who: str, scope: str) -> str:
    """Hash: attempts of ``who`` in the current window, ``spent`` and ``refused``."""
    return f"rate_limit:{{{who}}}:{scope}:attempts"
