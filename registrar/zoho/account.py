"""The account with which we call Zoho CRM."""

import hashlib
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class ZohoAccount:
    """A client of Zoho's API console, and the consent of a CRM user.

    Args:
        client_id, client_secret: of the client.
        refresh_token: the consent; it does not expire, and staff can revoke it.
        accounts_url: Zoho's accounts server in the region of the account.
    """

    client_id: str
    client_secret: str = field(repr=False)
    refresh_token: str = field(repr=False)
    accounts_url: str = "https://accounts.zoho.com"

    @property
    def key(self) -> str:
        """Names these credentials in Redis without containing them."""
        parts = (self.client_id, self.client_secret, self.refresh_token)
        text = "\n".join((*parts, self.accounts_url))
        return hashlib.sha256(text.encode()).hexdigest()[:24]
