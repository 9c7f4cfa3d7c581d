"""Users, courses, enrolments and cohorts: simulated, and on a real Moodle."""

import pytest

from registrar.moodle import cohorts, courses, enrolments, users
from registrar.peers.errors import PeerRefusedError
from tests.registrar.moodle.samples import course_values, new_user


@pytest.fixture
def user_id(any_lms, mark) -> int:
    return users.create(any_lms, users=[new_user(mark)])[0]


def refusal(function, client, **arguments) -> PeerRefusedError:
    with pytest.raises(PeerRefusedError) as refused:
        function(client, **arguments)
    assert refused.value.permanent
    return refused.value


# --- Users ----------------------------------------------------------------------------


def test_a_user_is_found_by_idnumber_address_and_id(any_lms, mark):
    [key] = users.create(any_lms, users=[new_user(mark, username=f"A{mark}")])
    [user] = users.by_idnumber(any_lms, idnumbers=[f"a{mark}", "none"])
    assert (user.id, user.username, user.first_name) == (key, f"a{mark}", "ليلى")
    assert users.by_email(any_lms, emails=[f"a{mark}@example.org"]) == [user]
    assert users.by_id(any_lms, ids=[key, 99999999]) == [user]
    assert users.by_idnumber(any_lms, idnumbers=[]) == []


def test_several_users_are_created_in_order_or_none(any_lms, mark):
    both = [new_user(mark, "b"), new_user(mark, "c")]
    first, second = users.create(any_lms, users=both)
    assert [u.id for u in users.by_id(any_lms, ids=[first, second])] == [first, second]
    again = [new_user(mark, "d"), new_user(mark, "b")]
    assert refusal(users.create, any_lms, users=again).reason == "invalidparameter"
    assert users.by_idnumber(any_lms, idnumbers=[f"d{mark}"]) == []


def test_an_idnumber_does_not_prevent_a_second_account(any_lms, mark, user_id):
    twin = new_user(mark, "e", idnumber=f"a{mark}")
    [other] = users.create(any_lms, users=[twin])
    found = users.by_idnumber(any_lms, idnumbers=[f"a{mark}"])
    assert {user.id for user in found} == {user_id, other}


def test_a_user_is_suspended_and_let_in_again(any_lms, user_id):
    for suspended in (True, False):
        users.suspend(any_lms, user_id=user_id, suspended=suspended)
        [user] = users.by_id(any_lms, ids=[user_id])
        assert user.suspended is suspended


def test_a_deleted_user_is_not_found_by_the_id(any_lms, user_id):
    any_lms.write("core_user_delete_users", userids=[user_id])
    assert users.by_id(any_lms, ids=[user_id]) == []
    assert users.created_after(any_lms, last_id=user_id - 1) == []


def test_a_change_of_a_user_who_does_not_exist_is_an_error(any_lms):
    error = refusal(users.update, any_lms, user_id=99999999, city="x")
    assert error.reason == "invaliduserid"


def test_a_change_to_a_used_address_is_an_error(any_lms, mark, user_id):
    users.create(any_lms, users=[new_user(mark, "f")])
    email = f"f{mark}@example.org"
    error = refusal(users.update, any_lms, user_id=user_id, email=email)
    assert error.reason == "useremailduplicate"
    assert email not in str(error)


def test_new_users_are_found_after_the_last_known_id(any_lms, mark, user_id):
    [later] = users.create(any_lms, users=[new_user(mark, "g")])
    found = users.created_after(any_lms, last_id=user_id - 1)
    assert [user.id for user in found] == [user_id, later]
    assert users.created_after(any_lms, last_id=later) == []
    assert {user_id, later} <= {user.id for user in users.everyone(any_lms)}


def test_more_than_500_users_are_not_sent(lms, moodle, mark):
    with pytest.raises(ValueError, match="500"):
        users.create(lms, users=[new_user(mark)] * 501)
    assert moodle.requests == []


# --- Courses --------------------------------------------------------------------------


def test_a_course_is_created_changed_and_hidden(any_lms, mark):
    key = courses.create(any_lms, values=course_values(mark))
    found = courses.find(any_lms, field="idnumber", value=f"k{mark}")
    assert found == courses.find(any_lms, field="id", value=key)
    assert (found.fullname, found.start, found.visible) == ("صف أ", 1764460800, True)
    courses.update(any_lms, course_id=key, fullname="صف ب", visible=False)
    found = courses.find(any_lms, field="shortname", value=f"k{mark}")
    assert (found.fullname, found.visible) == ("صف ب", False)
    assert courses.find(any_lms, field="idnumber", value="none") is None


def test_a_course_has_its_names_alone(any_lms, mark):
    courses.create(any_lms, values=course_values(mark))
    same = course_values(mark, shortname=f"other{mark}")
    error = refusal(courses.create, any_lms, values=same)
    assert error.reason == "courseidnumbertaken"
    same = course_values(mark, idnumber=f"other{mark}")
    assert refusal(courses.create, any_lms, values=same).reason == "shortnametaken"


def test_a_course_is_copied_from_a_template(any_lms, mark):
    template = courses.find(any_lms, field="shortname", value="contract")
    values = course_values(mark, "copy")
    key = courses.duplicate(any_lms, template_id=template.id, values=values)
    found = courses.find(any_lms, field="idnumber", value=f"copy{mark}")
    assert (found.id, found.shortname) == (key, f"copy{mark}")
    error = refusal(courses.duplicate, any_lms, template_id=template.id, values=values)
    assert error.reason == "shortnametaken"


def test_a_change_of_a_course_that_does_not_exist_is_an_error(any_lms):
    error = refusal(courses.update, any_lms, course_id=99999999, visible=False)
    assert error.reason == "invalidrecord"


# --- Enrolments -----------------------------------------------------------------------


def test_an_enrolment_is_suspended_and_restored(any_lms, mark, user_id):
    course = courses.create(any_lms, values=course_values(mark))
    for suspended in (False, True, True, False):
        enrolments.enrol(
            any_lms, course_id=course, user_ids=[user_id], suspended=suspended
        )
        [found] = enrolments.enrolled(any_lms, course_id=course)
        assert (found.user_id, found.suspended) == (user_id, suspended)
        assert found.roles == {enrolments.STUDENT}
    for _ in range(2):
        enrolments.unenrol(any_lms, course_id=course, user_ids=[user_id])
        assert enrolments.enrolled(any_lms, course_id=course) == []


def test_either_all_users_are_enrolled_or_none(any_lms, mark, user_id):
    course = courses.create(any_lms, values=course_values(mark))
    error = refusal(
        enrolments.enrol, any_lms, course_id=course, user_ids=[user_id, 99999999]
    )
    assert error.reason == "invaliduser"
    assert enrolments.enrolled(any_lms, course_id=course) == []


def test_an_enrolment_in_no_course_is_an_error(any_lms, user_id):
    where = {"course_id": 99999999}
    assert refusal(enrolments.enrolled, any_lms, **where).reason == "invalidrecord"
    error = refusal(enrolments.enrol, any_lms, user_ids=[user_id], **where)
    assert error.reason == "invalidparameter"


# --- Cohorts --------------------------------------------------------------------------


def test_a_cohort_is_made_filled_renamed_and_emptied(any_lms, mark, user_id):
    key = cohorts.create(any_lms, name="فوج", idnumber=f"q{mark}")
    cohort = cohorts.find(any_lms, idnumber=f"q{mark}")
    assert (cohort.id, cohort.name) == (key, "فوج")
    assert cohorts.find(any_lms, idnumber=f"q{mark[:-1]}") is None
    for _ in range(2):
        cohorts.add(any_lms, cohort_id=key, user_id=user_id)
        assert cohorts.members(any_lms, cohort_id=key) == {user_id}
    cohorts.rename(any_lms, cohort=cohort, name="فوج ب")
    assert cohorts.find(any_lms, idnumber=f"q{mark}").name == "فوج ب"
    for _ in range(2):
        cohorts.remove(any_lms, cohort_id=key, user_id=user_id)
        assert cohorts.members(any_lms, cohort_id=key) == set()


def test_a_member_who_does_not_exist_is_an_error(any_lms, mark):
    key = cohorts.create(any_lms, name="فوج", idnumber=f"q{mark}")
    error = refusal(cohorts.add, any_lms, cohort_id=key, user_id=99999999)
    assert error.reason == "2"
