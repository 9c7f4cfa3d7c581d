"""With faults at random, who follows the errors does everything once.

The caller repeats after "nothing was done", and after "perhaps" looks up what the peer
has. If an error said "nothing was done" of a write that was, there would be a duplicate.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from registrar.moodle import client as moodle_client, users
from registrar.moodle.client import MoodleClient, MoodleSite
from registrar.peers.errors import PeerBusyError, PeerError
from registrar.peers.http import PeerClient
from registrar.zoho import records
from registrar.zoho.client import DEFAULT_LIMITS, ZohoClient
from registrar.zoho.values import coql_text
from tests.registrar.moodle.samples import new_user
from tests.registrar.simulators import moodle as moodle_simulator
from tests.registrar.simulators.zoho import too_many_requests

NUMBER = 60
FAULTS = {"drop_before": 0.15, "drop_after": 0.15, "status": 0.1}


@pytest.fixture
def faults(zoho, moodle) -> None:
    zoho.store.freeze_index()  # What is created is not found by searches.
    for seed, simulator in enumerate((zoho, moodle)):
        simulator.fail_at_random(FAULTS, seed=seed, response=too_many_requests(0))


def once(create: Callable[[], Any], find: Callable[[], Any]) -> Any:
    """Create something once, however often requests fail."""
    look_first = False
    for _attempt in range(100):
        try:
            if look_first and (found := find()):
                return found
            look_first = False
            return create()
        except PeerBusyError:
            time.sleep(0.002)
        except PeerError as error:
            look_first = look_first or error.may_have_happened
    raise AssertionError("never succeeded")


@pytest.mark.usefixtures("faults")
def test_each_record_of_the_crm_is_created_once(zoho, zoho_account):
    zoho.max_refreshes = NUMBER
    limits = replace(DEFAULT_LIMITS, concurrency=1)
    client = ZohoClient(zoho_account, http=PeerClient(limits))

    def create(number: int) -> Any:
        values = {"City": f"c{number}"}
        [result] = records.create(
            client, module="BTEC_Students", records=[values], run_workflows=True
        )
        return result.checked()

    def find(number: int) -> Any:
        city = coql_text(f"c{number}")
        select = f"select City from BTEC_Students where City = {city}"  # noqa: S608
        return records.query(client, select=select)

    for number in range(NUMBER):
        once(lambda n=number: create(n), lambda n=number: find(n))
    client.close()
    cities = [row["City"] for row in zoho.store.records["BTEC_Students"].values()]
    assert sorted(cities) == sorted(f"c{number}" for number in range(NUMBER))


@pytest.mark.usefixtures("faults")
def test_each_user_of_moodle_is_created_once(moodle):
    site = MoodleSite(url=moodle.url, token=moodle_simulator.TOKEN)
    client = MoodleClient(site, http=PeerClient(moodle_client.DEFAULT_LIMITS))
    for number in range(NUMBER):
        user = new_user(str(number))
        once(
            lambda u=user: users.create(client, users=[u]),
            lambda u=user: users.by_idnumber(client, idnumbers=[u.idnumber]),
        )
    client.close()
    found = [u["idnumber"] for u in moodle.users.values() if u["idnumber"]]
    assert sorted(found) == sorted(f"a{number}" for number in range(NUMBER))
