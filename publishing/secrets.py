"""Secrets in the database: encrypted there, readable only with the environment's keys.

``MEMORA_SECRETS_KEYS`` holds Fernet keys, the newest first: what is stored is written
with the first and read with any, so a key is changed by putting a new one in front
(`docs/runbooks/cdn-credentials.md`). On the embedded default a key is derived from
``SECRET_KEY``; production must be given one before it can store a secret.
"""

import base64
import hashlib

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.utils.translation import gettext as _

from core.errors import MemoraError

_TOKEN_PREFIX = "gAAAA"  # noqa: S105 - how every Fernet token begins


class SecretsError(MemoraError):
    """A secret cannot be stored or read; the message says why, and never what."""

    code = "SECRET_UNREADABLE"


def encrypt(plain: str) -> str:
    """What to store for ``plain``; "" for "".

    Raises:
        SecretsError: there is no key to encrypt with.
    """
    return _fernet().encrypt(plain.encode()).decode() if plain else ""


def decrypt(stored: str) -> str:
    """What was encrypted; "" for "".

    Raises:
        SecretsError: none of the keys fits, or it is no encrypted secret at all.
    """
    if not stored:
        return ""
    try:
        return _fernet().decrypt(stored.encode()).decode()
    except InvalidToken:
        raise SecretsError(
            _(
                "A stored secret cannot be read with the keys in MEMORA_SECRETS_KEYS. "
                "Bring back the key it was stored with, or enter the secret again."
            )
        ) from None


def is_encrypted(stored: str) -> bool:
    """Whether this has the form `encrypt` gives; "" counts as encrypted."""
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
                "MEMORA_SECRETS_KEYS must hold at least one key before secrets can be "
                "stored or read. Make one: python -c 'from cryptography.fernet import "
                "Fernet; print(Fernet.generate_key().decode())'"
            )
        ) from None
