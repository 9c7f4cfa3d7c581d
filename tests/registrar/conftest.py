"""The peers of the registrar, simulated; each test has its own."""

from collections.abc import Callable, Iterator

import pytest

from registrar.peers.http import PeerClient
from registrar.zoho.account import ZohoAccount
from registrar.zoho.client import DEFAULT_LIMITS, ZohoClient
from tests.registrar.simulators import zoho as zoho_simulator
from tests.registrar.simulators.zoho import ZohoSimulator


@pytest.fixture
def zoho() -> Iterator[ZohoSimulator]:
    """A simulated CRM without records."""
    with ZohoSimulator() as simulator:
        yield simulator


@pytest.fixture
def zoho_account(zoho: ZohoSimulator) -> ZohoAccount:
    return ZohoAccount(
        client_id=zoho_simulator.CLIENT_ID,
        client_secret=zoho_simulator.CLIENT_SECRET,
        refresh_token=zoho_simulator.REFRESH_TOKEN,
        accounts_url=zoho.url,
    )


@pytest.fixture
def zoho_clients() -> Iterator[Callable[[ZohoAccount], ZohoClient]]:
    """Makes clients, which are closed after the test."""
    made: list[ZohoClient] = []

    def make(account: ZohoAccount) -> ZohoClient:
        made.append(ZohoClient(account, http=PeerClient(DEFAULT_LIMITS, read=5.0)))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def crm(
    zoho_account: ZohoAccount, zoho_clients: Callable[[ZohoAccount], ZohoClient]
) -> ZohoClient:
    """Our client of the simulated CRM."""
    return zoho_clients(zoho_account)
