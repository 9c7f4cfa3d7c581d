"""The hashes of passwords (ADR 18, ADR 23)."""

import secrets

from django.contrib.auth.hashers import Argon2PasswordHasher, get_hasher


class Argon2idHasher(Argon2PasswordHasher):
    """Argon2id with the least parameters that OWASP recommends.

    Django's own need 100 MiB for each sign-in. A hash with other parameters is
    replaced at the next sign-in.
    """

    time_cost = 2
    memory_cost = 19 * 1024  # KiB
    parallelism = 1

    def harden_runtime(self, password: str, encoded: str) -> None:
        """Hash once more after a wrong password for a hash with other parameters.

        The time would otherwise tell that the account still has a generated password.
        """
        self.encode(password, self.salt())


class _GeneratedPasswordHasher(Argon2idHasher):
    """Argon2id for passwords of `generate`: a twentieth of the cost.

    It has the same name as `Argon2idHasher`, which checks its hashes and replaces each
    at the first sign-in.
    """

    time_cost = 1
    memory_cost = 2 * 1024


_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without letters and digits that look alike in print: i, l, 1, o, 0."""
_PART = 5


def generate() -> str:
    """Return a random password that can be read from paper, such as ``k7mpq-3xhw9``.

    It has 49 bits of entropy and passes the validators.
    """
    return "-".join(
        "".join(secrets.choice(_ALPHABET) for _place in range(_PART))
        for _part in range(2)
    )


def hash_generated(password: str) -> str:
    """Return the hash of a password that `generate` made; never of a chosen one.

    About a millisecond. Where ``PASSWORD_HASHERS`` prefers another hasher, that one
    hashes.
    """
    preferred = get_hasher()
    hasher = (
        _GeneratedPasswordHasher()
        if isinstance(preferred, Argon2idHasher)
        else preferred
    )
    return str(hasher.encode(password, hasher.salt()))
