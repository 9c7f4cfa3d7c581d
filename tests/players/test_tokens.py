"""Session tokens."""

import pytest

from players import tokens


def test_a_token_reads_back_as_it_was_made():
    token = tokens.new(42)
    assert tokens.parse(token.text) == token


def test_a_secret_has_256_random_bits():
    secrets = {tokens.new(1).secret for _ in range(200)}
    assert len(secrets) == 200
    assert {len(secret) for secret in secrets} == {43}


def test_printing_a_token_shows_no_secret():
    token = tokens.new(42)
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
    ],
)
def test_what_is_no_token_is_none(text):
    assert tokens.parse(text) is None
