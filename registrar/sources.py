"""Where records are read: Zoho CRM, through one interface."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Protocol

from registrar import configuration
from registrar.mapping.modules import MAPPINGS
from registrar.zoho import records
from registrar.zoho.account import ZohoAccount
from registrar.zoho.client import ZohoClient

Record = dict[str, Any]


class RecordSource(Protocol):
    """Reads records of the modules in `MAPPINGS`. All methods raise `PeerError`s."""

    def get(self, *, module: str, record_id: str) -> Record | None:
        """Return one record; None if there is none."""

    def get_many(self, *, module: str, ids: Sequence[str]) -> dict[str, Record]:
        """Return at most 100 records by id; unknown ids are left out."""

    def pages(
        self, *, module: str, since: datetime | None = None
    ) -> Iterator[list[Record]]:
        """Iterate over all records, or those changed ``since``, oldest change first."""

    def deleted(self, *, module: str, since: datetime) -> list[str]:
        """Return the ids that Zoho lists as deleted ``since``."""


class ZohoSource:
    """The records of one Zoho account."""

    def __init__(self, client: ZohoClient) -> None:
        self.client = client

    def get(self, *, module: str, record_id: str) -> Record | None:
        return records.get(self.client, module=module, record_id=record_id)

    def get_many(self, *, module: str, ids: Sequence[str]) -> dict[str, Record]:
        fields = MAPPINGS[module].api_names
        return records.get_many(self.client, module=module, ids=ids, fields=fields)

    def pages(
        self, *, module: str, since: datetime | None = None
    ) -> Iterator[list[Record]]:
        fields = MAPPINGS[module].api_names
        for page in records.pages(
            self.client, module=module, fields=fields, since=since
        ):
            yield page.records

    def deleted(self, *, module: str, since: datetime) -> list[str]:
        found = records.deleted(self.client, module=module, since=since)
        return [one.id for one in found]


def current() -> ZohoSource | None:
    """Return the configured source; None if Zoho is not configured."""
    client = zoho_client()
    return ZohoSource(client) if client else None


def zoho_client() -> ZohoClient | None:
    """Return the client of the configured account, one for the process; or None."""
    account = configuration.connections().zoho
    return _client(account) if account else None


@lru_cache(maxsize=2)
def _client(account: ZohoAccount) -> ZohoClient:
    return ZohoClient(account)
