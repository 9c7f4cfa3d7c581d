"""Session tokens: ``{player id}.{secret}``, of which only a hash is kept.

Plain rules: no Django here.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass, field

_SECRET_BYTES = 32
# 32 bytes are 43 characters of URL-safe Base64. Eighteen digits fit a BIGINT.
_TOKEN = re.compile(r"([1-9][0-9]{0,17})\.([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True)
class Token:
    """A session token; printing one shows no secret."""

    player_id: int
    secret: str = field(repr=False)

    @property
    def text(self) -> str:
        """What the client keeps and sends."""
        return f"{self.player_id}.{self.secret}"

    @property
    def sha256(self) -> str:
        """What we keep: 64 hexadecimal digits.

        The secret has 256 random bits, so a fast hash without salt is enough.
        """
        return hashlib.sha256(self.secret.encode()).hexdigest()


def new(player_id: int) -> Token:
    """A token nobody can guess."""
    return Token(player_id, secrets.token_urlsafe(_SECRET_BYTES))


def parse(text: str) -> Token | None:
    """The token ``text`` spells, or None when it spells none."""
    match = _TOKEN.fullmatch(text)
    return Token(int(match[1]), match[2]) if match else None
