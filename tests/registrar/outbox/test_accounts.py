"""Accounts that staff create in Moodle itself are found and linked."""

import pytest
from django.utils import timezone

from registrar import accounts, tasks
from registrar.effects import handlers
from registrar.models import Effect, PeerState, UnlinkedAccount
from registrar.peers.errors import PeerError
from tests.registrar.simulators.moodle_people import add_user

STUDENTS, TEACHERS = "BTEC_Students", "BTEC_Teachers"


class Killed(BaseException):
    pass


@pytest.fixture
def waiting(school) -> str:
    """A student without an address, who therefore has no account."""
    student = school.student(Academic_Email=None)
    school.run()
    assert school.row(STUDENTS, student).moodle_id is None
    return student


def create(school, name: str, **values) -> int:
    """What staff do in Moodle."""
    values = {"email": f"{name}@x.edu", "firstname": "A", "lastname": "B", **values}
    return add_user(school.moodle, username=name, **values)


def find(school) -> accounts.Found:
    return accounts.find(school.site, now=timezone.now())


def reasons() -> dict[int, str]:
    return dict(UnlinkedAccount.objects.values_list("moodle_id", "reason"))


def test_an_account_with_the_number_of_a_student_is_linked_and_zoho_gets_its_id(
    school, waiting
):
    made = create(school, "layla", idnumber=waiting)
    assert find(school).linking == [(STUDENTS, waiting)]
    school.run()
    assert school.row(STUDENTS, waiting).moodle_id == made
    record = school.zoho.store.records[STUDENTS][waiting]
    assert record["Student_Moodle_ID"] == str(made)
    find(school)
    assert reasons() == {}


def test_an_account_with_the_address_of_a_teacher_is_linked_in_any_case(school):
    # The name alone makes no account: Moodle needs both names and an address.
    teacher = school.add(TEACHERS, Name="", Email="Omar@X.edu")
    school.run()
    made = create(school, "omar", email="omar@x.edu")
    assert find(school).linking == [(TEACHERS, teacher)]
    school.run()
    assert school.row(TEACHERS, teacher).moodle_id == made
    assert school.moodle.users[made]["idnumber"] == teacher
    record = school.zoho.store.records[TEACHERS][teacher]
    assert record["Teacher_Moodle_ID"] == str(made)


def test_our_own_accounts_are_not_found(school):
    school.student()
    school.run()
    found = find(school)
    assert (found.linking, reasons()) == ([], {})
    # The administrator, who is the token's user, the student.
    assert found.read == 2


def test_an_unknown_account_is_kept_for_staff_and_is_no_error(school):
    made = create(school, "guest1")
    create(school, "guest", email="root@localhost")
    find(school)
    assert reasons() == {made: "unknown"}
    assert not Effect.objects.exists()


def test_an_unknown_account_is_linked_once_its_student_is_in_zoho(school):
    made = create(school, "late")
    find(school)
    student = school.student(Academic_Email="late@x.edu")
    school.run()
    assert school.row(STUDENTS, student).moodle_id == made
    find(school)
    assert reasons() == {}


def test_an_unknown_account_that_gets_a_number_in_moodle_is_linked(school, waiting):
    made = create(school, "layla")
    find(school)
    school.moodle.users[made]["idnumber"] = waiting
    find(school)
    school.run()
    assert school.row(STUDENTS, waiting).moodle_id == made


def test_an_account_that_moodle_has_no_more_is_forgotten(school):
    made = create(school, "gone")
    create(school, "stays")
    find(school)
    del school.moodle.users[made]
    find(school)
    assert made not in reasons()
    assert len(reasons()) == 1


def test_a_second_account_of_a_student_is_shown_and_links_nothing(school):
    student = school.student()
    school.run()
    first = school.row(STUDENTS, student).moodle_id
    second = create(school, "second", idnumber=student)
    assert find(school).linking == []
    assert reasons() == {second: "taken"}
    assert UnlinkedAccount.objects.get().record_id == student
    school.run()
    assert school.row(STUDENTS, student).moodle_id == first


def test_an_account_with_a_foreign_number_is_not_linked_by_its_address(school):
    student = school.student("Sami", Academic_Email="sami@x.edu", Last_Name=None)
    made = create(school, "sami", email="sami@x.edu", idnumber="someone else")
    find(school)
    assert reasons() == {made: "unknown"}
    school.run()
    assert school.row(STUDENTS, student).moodle_id is None


def test_an_account_of_a_deleted_student_is_not_suspended(school, waiting):
    school.delete(STUDENTS, waiting)
    school.run()
    made = create(school, "layla", idnumber=waiting)
    find(school)
    school.run()
    assert reasons() == {made: "unknown"}
    assert not school.moodle.users[made]["suspended"]


def test_an_account_is_not_linked_again_while_it_is_being_linked(school, waiting):
    create(school, "layla", idnumber=waiting)
    assert find(school).linking == [(STUDENTS, waiting)]
    assert find(school).linking == []
    assert list(reasons().values()) == ["linking"]


def test_only_new_accounts_are_read(school):
    for number in range(5):
        create(school, f"a{number}")
    find(school)
    assert PeerState.objects.get(peer="moodle").newest_account == 7
    before = len(school.moodle.requests)
    create(school, "new")
    find(school)
    # Two windows of ids and the unknown ones; what the site offers is remembered.
    assert len(school.moodle.requests) - before == 3
    assert len(reasons()) == 6


def test_an_account_that_became_visible_after_a_later_one_is_found(school):
    late = create(school, "late")
    hidden = school.moodle.users.pop(late)
    create(school, "early")
    find(school)
    school.moodle.users[late] = hidden
    find(school)
    assert late in reasons()


def test_after_a_restored_backup_all_accounts_are_read_again(school):
    PeerState.objects.create(peer="moodle", newest_account=90_000)
    made = create(school, "new")
    find(school)
    assert reasons() == {made: "unknown"}
    assert PeerState.objects.get(peer="moodle").newest_account == made


@pytest.mark.parametrize("fault", ["drop_before", "status"])
def test_while_moodle_is_away_nothing_is_lost(school, monkeypatch, fault):
    monkeypatch.setattr(handlers, "site", lambda: school.site)
    create(school, "first")
    find(school)
    made = create(school, "second")
    school.moodle.fail(fault, times=5)
    with pytest.raises(PeerError):
        find(school)
    tasks.find_accounts()
    state = PeerState.objects.get(peer="moodle")
    assert (state.failures, made in reasons()) == (1, False)
    school.moodle._faults.clear()
    PeerState.objects.update(open_until=None)
    tasks.find_accounts()
    assert made in reasons()


@pytest.mark.parametrize("name", ["push_again", "values"])
def test_killed_at_any_line_an_account_is_linked_later(
    school, waiting, monkeypatch, name
):
    made = create(school, "layla", idnumber=waiting)
    if name == "push_again":
        real = accounts.push_again

        def push_and_die(*args):
            real(*args)
            raise Killed

        monkeypatch.setattr(accounts, "push_again", push_and_die)
    else:

        def die(*args):
            raise Killed

        monkeypatch.setattr(accounts, "_values", die)
    with pytest.raises(Killed):
        find(school)
    monkeypatch.undo()
    assert PeerState.objects.get(peer="moodle").newest_account == 0
    find(school)
    school.run()
    assert school.row(STUDENTS, waiting).moodle_id == made
    assert Effect.objects.filter(kind="write_back").count() == 1


def test_the_task_links_an_account_at_once(school, waiting, monkeypatch):
    monkeypatch.setattr(handlers, "site", lambda: school.site)
    made = create(school, "layla", idnumber=waiting)
    tasks.find_accounts()
    assert school.row(STUDENTS, waiting).moodle_id == made


def test_without_moodle_the_task_does_nothing(db):
    tasks.find_accounts()
    assert not PeerState.objects.exists()
