"""Encrypt secrets for the database with keys from the environment.

``MEMORA_SECRETS_KEYS`` holds Fernet keys, the newest first. The first key encrypts; all
keys decrypt. To rotate, put a new key in front (`docs/runbooks/cdn-credentials.md`).
Outside production a key is derived from ``SECRET_KEY``; production cannot store a
secret until it has a key.
"""

import base64
import hashlib

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.utils.translation import gettext as _

from core.errors import MemoraError

_TOKEN_PREFIX = "gAAAA"  # noqa: S105 - every Fernet token begins with this


class SecretsError(MemoraError):
    """A secret cannot be stored or read; the message never contains the secret."""

    code = "SECRET_UNREADABLE"


def encrypt(plain: str) -> str:
    """Return the encrypted form of ``plain``; "" for "".

    Raises:
        SecretsError: there is no valid key.
    """
    return _fernet().encrypt(plain.encode()).decode() if plain else ""


def decrypt(stored: str) -> str:
    """Return the decrypted form of ``stored``; "" for "".

    Raises:
        SecretsError: no key fits, there is no key, or ``stored`` is not encrypted.
    """
    if not stored:
        return ""
    try:
        return _fernet().decrypt(stored.encode()).decode()
    except InvalidToken:
        raise SecretsError(
            _(
                "A stored secret cannot be read with the keys in MEMORA_SECRETS_KEYS. "
                "Add the key that encrypted it, or enter the secret again."
            )
        ) from None


def is_encrypted(stored: str) -> bool:
    """Whether ``stored`` has the form that `encrypt` returns, or is ""."""
    return not stored or stored.startswith(_TOKEN_PREFIX)


def _fernet() -> MultiFernet:
    keys = list(settings.SECRETS_KEYS)
    if not keys and not settings.PRODUCTION:
        digest = hashlib.sha256(f"memora.secrets:{settings.SECRET_KEY}".encode())
        keys = [base64.urlsafe_b64encode(digest.digest()).decode()]
    try:
        return MultiFernet([Fernet(key) for key in keys])
    except ValueError:  # no key, or not 32 bytes in URL-safe base64
        raise SecretsError(
            _(
                "MEMORA_SECRETS_KEYS must contain at least one key to store or read "
                "secrets. Create one: python -c 'from cryptography.fernet import "
                "Fernet; print(Fernet.generate_key().decode())'"
            )
        ) from None
