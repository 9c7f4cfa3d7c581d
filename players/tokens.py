"""Session tokens: ``{player id}.{tag}.{secret}``; only a hash of the secret is stored.

The tag is a MAC with a key of this server. It shows without a query whether this server
issued the token, so forged tokens cost no query. Tokens without a tag (of an earlier
version) or with a tag of another key are also valid: the secret alone identifies the
session.

No Django imports.
"""

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field

_SECRET_BYTES = 32
_TAG_BYTES = 16
# 32 bytes are 43 characters of URL-safe Base64, 16 are 22. Eighteen digits fit a BIGINT.
_TOKEN = re.compile(
    r"([1-9][0-9]{0,17})\.(?:([A-Za-z0-9_-]{22})\.)?([A-Za-z0-9_-]{43})", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Token:
    """A session token; its ``repr`` shows no secret."""

    player_id: int
    secret: str = field(repr=False)
    tag: str = field(default="", repr=False)

    @property
    def text(self) -> str:
        """The token as the client stores and sends it."""
        return ".".join(
            part for part in (str(self.player_id), self.tag, self.secret) if part
        )

    def is_made_with(self, key: str) -> bool:
        """Return whether `new` made it with this key; its session may have ended."""
        expected = _tag(self.player_id, self.secret, key)
        return hmac.compare_digest(self.tag.encode(), expected.encode())

    @property
    def sha256(self) -> str:
        """The stored form: 64 hexadecimal digits.

        The secret has 256 random bits, so a fast hash without salt is enough.
        """
        return hashlib.sha256(self.secret.encode()).hexdigest()


def new(player_id: int, *, key: str) -> Token:
    """Return a random token, with a tag of ``key``."""
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    return Token(player_id, secret, _tag(player_id, secret, key))


def _tag(player_id: int, secret: str, key: str) -> str:
    message = f"memora.session-token:{player_id}.{secret}"
    digest = hmac.digest(key.encode(), message.encode(), "sha256")
    return base64.urlsafe_b64encode(digest[:_TAG_BYTES]).rstrip(b"=").decode()


def parse(text: str) -> Token | None:
    """Return the token in ``text``, or None if it is malformed."""
    match = _TOKEN.fullmatch(text)
    return Token(int(match[1]), match[3], match[2] or "") if match else None
