"""The simulator answers as a real Moodle did; a real one, if there is one, still does.

``MOODLE_URL`` and ``MOODLE_TOKEN`` name a real site for tests (`contract` says what it
needs). With ``MEMORA_WRITE_MOODLE_CONTRACT=1`` its answers are recorded anew.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.registrar.moodle.contract import Site, converse
from tests.registrar.simulators import moodle as simulator_module

RECORDED = Path(__file__).with_name("contract.json")


def recorded() -> dict[str, Any]:
    return json.loads(RECORDED.read_text(encoding="utf-8"))


def differences(answers: dict[str, Any]) -> dict[str, Any]:
    """Each exchange that differs: as it was recorded, and as it is."""
    expected = recorded()
    return {
        label: (expected.get(label), answers.get(label))
        for label in [*expected, *(answers.keys() - expected.keys())]
        if expected.get(label) != answers.get(label)
    }


def test_the_simulator_answers_as_a_real_moodle_did(moodle):
    site = Site(moodle.url, simulator_module.TOKEN)
    assert differences(converse(site)) == {}


@pytest.mark.skipif(
    not (os.environ.get("MOODLE_URL") and os.environ.get("MOODLE_TOKEN")),
    reason="needs a real Moodle (MOODLE_URL, MOODLE_TOKEN)",
)
def test_a_real_moodle_answers_as_recorded():
    answers = converse(Site(os.environ["MOODLE_URL"], os.environ["MOODLE_TOKEN"]))
    if os.environ.get("MEMORA_WRITE_MOODLE_CONTRACT"):
        text = json.dumps(answers, ensure_ascii=False, indent=1, sort_keys=False)
        RECORDED.write_text(text + "\n", encoding="utf-8")
    assert differences(answers) == {}


def test_the_recorded_answers_contain_no_address_and_no_token():
    text = RECORDED.read_text(encoding="utf-8")
    assert "://" not in text
    assert os.environ.get("MOODLE_TOKEN", "no token") not in text
