"""The keys of Redis and their slots in a Redis Cluster (docs/adr/0011)."""

import pytest
from redis.crc import key_slot

from players import keys as players
from progress import keys as progress

OF_ONE_PLAYER = [
    *(
        name(42)
        for name in (
            players.devices,
            players.active_session,
            players.session_lease,
            players.access,
            players.access_lease,
            players.wallet,
            players.wallet_lease,
            players.in_flight,
            progress.rebuilding,
        )
    ),
    *(
        name(42, subject)
        for name in (progress.bitmap, progress.best_hearts, progress.subject_xp)
        # The scripts build the names of other subjects' keys from the bare prefix.
        for subject in ("SUBJ-MATH", "SUBJ-ARABIC", "")
    ),
    players.rate_limit("42", "api"),
]
WRITTEN_BACK = [
    [players.PENDING_WALLETS, players.CLAIMED_WALLETS],
    [progress.PENDING_BITMAPS, progress.TAKEN_BITMAPS, progress.BITMAP_SYNC_LOCK],
]


@pytest.mark.parametrize("names", [OF_ONE_PLAYER, *WRITTEN_BACK])
def test_what_one_script_may_touch_lies_in_one_slot(names):
    assert len({key_slot(name.encode()) for name in names}) == 1


def test_two_players_are_apart():
    assert key_slot(players.wallet(1).encode()) != key_slot(players.wallet(2).encode())
