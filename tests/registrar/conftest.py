"""The peers of the registrar, simulated; each test has its own."""

import os
from collections.abc import Callable, Iterator

import pytest

from registrar.moodle import client as moodle_client
from registrar.moodle.client import MoodleClient, MoodleSite
from registrar.peers.http import PeerClient
from registrar.zoho.account import ZohoAccount
from registrar.zoho.client import DEFAULT_LIMITS, ZohoClient
from tests.registrar.simulators import (
    moodle as moodle_simulator,
    zoho as zoho_simulator,
)
from tests.registrar.simulators.moodle import MoodleSimulator
from tests.registrar.simulators.moodle_grading import (
    add_assignment,
    add_course,
    add_template,
)
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


@pytest.fixture
def moodle() -> Iterator[MoodleSimulator]:
    """A simulated Moodle with the courses ``contract`` and ``contract-scale``."""
    with MoodleSimulator() as simulator:
        add_template(simulator, shortname="contract", criteria=("P1", "M1"))
        course = add_course(
            simulator, fullname="contract-scale", shortname="contract-scale"
        )
        add_assignment(simulator, course, name="Assignment", method="", grade=-2)
        yield simulator


@pytest.fixture
def lms(moodle: MoodleSimulator) -> Iterator[MoodleClient]:
    """Our client of the simulated Moodle."""
    yield from _moodle_client(moodle.url, moodle_simulator.TOKEN)


REAL_MOODLE = (os.environ.get("MOODLE_URL", ""), os.environ.get("MOODLE_TOKEN", ""))


@pytest.fixture(params=["simulated", "real"] if all(REAL_MOODLE) else ["simulated"])
def any_lms(request: pytest.FixtureRequest) -> Iterator[MoodleClient]:
    """Our client of the simulated Moodle, and of the real one, if there is one.

    `tests.registrar.moodle.contract` says what the real one needs.
    """
    if request.param == "simulated":
        yield request.getfixturevalue("lms")
    else:
        yield from _moodle_client(*REAL_MOODLE)


def _moodle_client(url: str, token: str) -> Iterator[MoodleClient]:
    site = MoodleSite(url=url, token=token)
    client = MoodleClient(site, http=PeerClient(moodle_client.DEFAULT_LIMITS))
    yield client
    client.close()
