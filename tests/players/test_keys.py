"""The keys of Redis and their slots in a Redis Cluster (docs/adr/0011)."""

from redis.crc import key_slot

from players import keys

OF_ONE_PLAYER = [
    *(
        name(42)
        for name in (keys.devices, keys.active_session, keys.access, keys.wallet)
    ),
    *keys.subject(42, "SUBJ-MATH"),
    *keys.subject(42, "SUBJ-ARABIC"),
    keys.rate_limit("42", "api"),
]


def test_what_one_script_may_touch_lies_in_one_slot():
    assert len({key_slot(name.encode()) for name in OF_ONE_PLAYER}) == 1


def test_two_players_are_apart():
    assert key_slot(keys.wallet(1).encode()) != key_slot(keys.wallet(2).encode())
