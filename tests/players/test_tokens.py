"""Session tokens."""

import pytest

from players import tokens

KEY = "a key of this server"


def test_a_token_reads_back_as_it_was_made():
    token = tokens.new(42, key=KEY)
    assert tokens.parse(token.text) == token


def test_a_secret_has_256_random_bits():
    secrets = {tokens.new(1, key=KEY).secret for _ in range(200)}
    assert len(secrets) == 200
    assert {len(secret) for secret in secrets} == {43}


def test_printing_a_token_shows_no_secret():
    token = tokens.new(42, key=KEY)
    assert token.secret not in repr(token)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "42",
        "42.",
        ".x" * 20,
        f"0.{'a' * 43}",
        f"042.{'a' * 43}",
        f"-1.{'a' * 43}",
        f"{'9' * 19}.{'a' * 43}",
        f"42.{'a' * 42}",
        f"42.{'a' * 44}",
        f"42.{'é' * 43}",
        f"٤٢.{'a' * 43}",
        f"42.{'a' * 43}\n",
        f"42.{'a' * 42} ",
        f"42..{'a' * 43}",
        f"42.{'a' * 21}.{'a' * 43}",
        f"42.{'a' * 22}.{'a' * 42}",
    ],
)
def test_what_is_no_token_is_none(text):
    assert tokens.parse(text) is None


def test_a_token_of_before_the_tag_is_still_a_token():
    old = tokens.parse(f"42.{'a' * 43}")
    assert old == tokens.Token(42, "a" * 43)
    assert old.text == f"42.{'a' * 43}"


@pytest.mark.parametrize("change", ["player_id", "secret", "tag", "key"])
def test_nobody_without_the_key_makes_a_token_of_ours(change):
    token, key = tokens.new(42, key=KEY), KEY
    assert token.is_made_with(key)
    match change:
        case "player_id":
            token = tokens.Token(43, token.secret, token.tag)
        case "secret":
            token = tokens.Token(42, "a" * 43, token.tag)
        case "tag":
            token = tokens.Token(42, token.secret)
        case "key":
            key = "another key"
    assert not token.is_made_with(key)
