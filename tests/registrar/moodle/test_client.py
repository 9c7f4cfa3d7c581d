"""Calls of Moodle's functions: parameters, errors, what a site offers, the plugin."""

import io

import pytest

from registrar.moodle import enrolments, files, mzi, users
from registrar.moodle.client import MoodleClient, MoodleSite, error_of
from registrar.moodle.mzi import BtecCriterion
from registrar.moodle.parameters import flatten
from registrar.peers.errors import (
    PeerAnswerError,
    PeerCredentialsError,
    PeerRefusedError,
    PeerUnavailableError,
    PeerUncertainError,
)
from tests.registrar.moodle.samples import new_user
from tests.registrar.simulators.server import Response


def test_parameters_are_flattened():
    found = flatten(
        {
            "users": [{"id": 7, "suspended": True, "city": None}, {"name": "ليلى"}],
            "options": [],
            "since": 0,
        }
    )
    assert found == {
        "users[0][id]": "7",
        "users[0][suspended]": "1",
        "users[1][name]": "ليلى",
        "since": "0",
    }


def test_a_site_says_what_it_offers(any_lms):
    info = any_lms.info()
    assert info.user_id == 2
    assert info.release.startswith("4.5")
    assert any_lms.offers("core_user_create_users")
    assert not any_lms.offers("local_mzi_update_student")


def test_the_site_is_asked_once_what_it_offers(lms, moodle):
    assert lms.offers("core_user_create_users")
    assert not lms.offers("core_no_such_function")
    assert len(moodle.requests) == 1


def test_a_wrong_token_is_reported_without_it(moodle, lms):
    site = MoodleSite(url=moodle.url, token="wrong-token")
    client = MoodleClient(site)
    with pytest.raises(PeerCredentialsError) as refused:
        client.info()
    client.close()
    assert refused.value.reason == "invalidtoken"
    assert "wrong-token" not in f"{refused.value!r}{site!r}"


def test_a_function_that_is_withheld_is_a_matter_of_permissions(lms, moodle):
    moodle.withheld = {"core_user_create_users"}
    with pytest.raises(PeerCredentialsError) as refused:
        users.create(lms, users=[new_user("1")])
    assert refused.value.reason == "accessexception"


@pytest.mark.parametrize("state", ["maintenance", "upgrading"])
def test_a_site_in_maintenance_can_be_called_later(lms, moodle, state):
    setattr(moodle, state, True)
    with pytest.raises(PeerUnavailableError) as refused:
        lms.info()
    assert not refused.value.permanent
    setattr(moodle, state, False)
    assert lms.info().user_id == 2


def test_a_site_without_web_services_is_a_matter_of_settings(lms, moodle):
    moodle.web_services = False
    with pytest.raises(PeerCredentialsError) as refused:
        lms.info()
    assert refused.value.reason == "HTTP_403"


def test_a_function_that_does_not_exist_is_refused(any_lms):
    with pytest.raises(PeerRefusedError) as refused:
        any_lms.read("core_no_such_function")
    assert refused.value.reason == "invalidrecord"


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (Response(b"<html>Fatal error</html>"), PeerAnswerError),
        (Response(b"", 404), PeerRefusedError),
    ],
)
def test_an_answer_that_is_not_of_the_web_services(lms, moodle, response, error):
    moodle.fail("status", response=response)
    with pytest.raises(error):
        lms.info()


def test_a_create_that_times_out_after_success_is_found_by_idnumber(lms, moodle):
    moodle.fail("drop_after")
    with pytest.raises(PeerUncertainError):
        users.create(lms, users=[new_user("1")])
    [user] = users.by_idnumber(lms, idnumbers=["a1"])
    assert user.username == "a1"


def test_the_token_is_not_in_the_address(lms, moodle):
    lms.info()
    [request] = moodle.requests
    assert request.query == {}


def test_a_call_that_php_would_cut_off_is_not_sent(lms, moodle):
    with pytest.raises(ValueError, match="4900"):
        enrolments.enrol(lms, course_id=1, user_ids=range(1300))
    assert moodle.requests == []


def test_a_file_is_uploaded_into_a_draft_area(any_lms):
    receipt = io.BytesIO(b"paid")
    receipt.read()
    key = files.upload(
        any_lms, name="إيصال.txt", file=receipt, content_type="text/plain"
    )
    assert key > 0


def test_no_error_has_details_that_moodle_wrote():
    assert error_of("invalidparameter").details == {}


# --- The plugin -----------------------------------------------------------------------


def test_a_site_without_the_plugin_offers_none_of_its_functions(lms):
    assert not any(mzi.offers(lms, kind=kind) for kind in mzi.FUNCTIONS)
    assert not mzi.offers_btec_form(lms)


@pytest.mark.parametrize("kind", mzi.FUNCTIONS)
def test_every_record_of_the_plugin_is_created_and_then_updated(lms, moodle, kind):
    moodle.plugin = True
    assert mzi.offers(lms, kind=kind)
    table = "request" if kind.startswith("request") else kind
    key = f"zoho_{table}_id"
    for action, city in (("created", "غزة"), ("updated", "جنين")):
        answer = mzi.send(lms, kind=kind, values={key: "7", "city": city})
        assert (answer["success"], answer["action"]) == (True, action)
    assert moodle.plugin_records[table] == {"7": {key: "7", "city": "جنين"}}


def test_a_record_without_zohos_id_is_refused(lms, moodle):
    moodle.plugin = True
    with pytest.raises(PeerRefusedError):
        mzi.send(lms, kind="student", values={"city": "غزة"})


def test_the_plugin_keeps_one_definition_for_a_unit(lms, moodle):
    moodle.plugin = True
    assert mzi.offers_btec_form(lms)
    criteria = [BtecCriterion(short_name="P1", description="يشرح", level=1)]
    first, second = (
        mzi.save_btec_definition(lms, unit_id="7", name="وحدة", criteria=criteria)
        for _ in range(2)
    )
    assert first == second
    [stored] = moodle.plugin_records["definition"].values()
    assert stored["criteria"][0]["shortname"] == "P1"
