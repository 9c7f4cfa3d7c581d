"""The hash of passwords (ADR 18)."""

from django.contrib.auth.hashers import Argon2PasswordHasher


class Argon2idHasher(Argon2PasswordHasher):
    """Argon2id with the least parameters that OWASP recommends.

    Django's own need 100 MiB for each sign-in. A hash with other parameters is
    replaced at the next sign-in.
    """

    time_cost = 2
    memory_cost = 19 * 1024  # KiB
    parallelism = 1
