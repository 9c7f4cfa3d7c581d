"""Students and teachers have one account in Moodle each, and Zoho has its id (D1)."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from registrar.models import Effect, PeerState, Student
from registrar.moodle import users
from registrar.outbox import adding
from tests.registrar.simulators.moodle_people import add_user
from tests.registrar.simulators.server import Response

STUDENTS, TEACHERS = "BTEC_Students", "BTEC_Teachers"


def dead_reason() -> str:
    return Effect.objects.get(state="dead").last_error


def writes(simulator, name: str) -> int:
    return sum(
        one.form.get("wsfunction") == name for one in simulator.requests if one.form
    )


def test_a_new_student_gets_an_account_and_zoho_its_id(school):
    student = school.student(City="Amman")
    school.run()
    [account] = school.accounts(student)
    assert account["firstname"] == "ليلى"
    assert account["email"] == "s0@x.edu"
    row = school.row(STUDENTS, student)
    assert row.moodle_id == account["id"]
    assert row.crm_moodle_id == str(account["id"])
    record = school.zoho.store.records[STUDENTS][student]
    assert record["Student_Moodle_ID"] == str(account["id"])
    assert set(Effect.objects.values_list("state", flat=True)) == {"done"}


def test_our_own_write_back_causes_nothing(school):
    student = school.student()
    school.run()
    before = Effect.objects.count()
    assert school.mirror(STUDENTS, student).outcome == "unchanged"
    school.run()
    assert Effect.objects.count() == before


def test_a_teacher_gets_an_account_too(school):
    teacher = school.add(TEACHERS, Name="Omar Al Khatib", Academic_Email="o@x.edu")
    school.run()
    [account] = school.accounts(teacher)
    assert (account["firstname"], account["lastname"]) == ("Omar", "Al Khatib")
    record = school.zoho.store.records[TEACHERS][teacher]
    assert record["Teacher_Moodle_ID"] == str(account["id"])


def test_a_changed_name_reaches_the_account(school):
    student = school.student()
    school.run()
    school.change(STUDENTS, student, First_Name="Laila", City="Irbid")
    school.run()
    [account] = school.accounts(student)
    assert (account["firstname"], account["city"]) == ("Laila", "Irbid")


def test_a_crash_between_moodles_create_and_our_save_makes_no_second_account(
    school, monkeypatch
):
    student = school.student()
    real = users.create

    class Killed(BaseException):
        pass

    def create_and_die(*args, **kwargs):
        real(*args, **kwargs)
        raise Killed

    monkeypatch.setattr(users, "create", create_and_die)
    with pytest.raises(Killed):
        school.run()
    assert Student.objects.get().moodle_id is None
    monkeypatch.undo()
    school.run_later()
    assert len(school.accounts(student)) == 1
    assert Student.objects.get().moodle_id == school.accounts(student)[0]["id"]


def test_a_create_without_an_answer_makes_no_second_account(school):
    student = school.student()
    school.moodle.fail(
        "drop_after",
        matches=lambda one: one.form.get("wsfunction") == "core_user_create_users",
    )
    school.run()
    assert Effect.objects.get().state == "pending"
    school.run_later()
    assert len(school.accounts(student)) == 1


def test_a_write_back_without_an_answer_is_repeated(school):
    student = school.student()
    school.zoho.fail("drop_after", matches=lambda one: one.method == "PUT")
    school.run()
    assert school.row(STUDENTS, student).crm_moodle_id == ""
    school.run_later()
    row = school.row(STUDENTS, student)
    assert row.crm_moodle_id == str(row.moodle_id)


def test_an_account_made_in_moodle_is_found_by_its_address_and_linked(school):
    there = add_user(school.moodle, username="laila", email="s0@x.edu")
    student = school.student()
    school.run()
    assert [one["id"] for one in school.accounts(student)] == [there]
    assert writes(school.moodle, "core_user_create_users") == 0


def test_an_account_that_zoho_names_is_linked(school):
    there = add_user(school.moodle, username="laila", email="other@x.edu")
    student = school.student(Student_Moodle_ID=str(there))
    school.run()
    assert school.row(STUDENTS, student).moodle_id == there


def test_an_account_of_another_record_is_not_taken(school):
    add_user(school.moodle, username="laila", email="s0@x.edu", idnumber="999")
    student = school.student()
    school.run()
    assert school.accounts(student) == []
    assert "belongs to another record" in dead_reason()


def test_a_user_name_that_moodle_refuses_is_replaced_by_our_key(school):
    add_user(school.moodle, username="s0@x.edu", email="else@x.edu")
    student = school.student()
    school.run()
    [account] = school.accounts(student)
    assert (account["username"], account["email"]) == (student, "s0@x.edu")


def test_a_student_whom_moodle_refuses_in_any_case_is_shown_with_the_reason(school):
    school.student()
    refusal = {"exception": "x", "errorcode": "invalidparameter", "message": ""}
    school.moodle.fail(
        "status",
        times=2,
        matches=lambda one: one.form.get("wsfunction") == "core_user_create_users",
        response=Response(refusal),
    )
    school.run()
    assert dead_reason() == "Moodle refuses the request (invalidparameter)."


def test_a_student_without_an_address_waits_for_one(school):
    student = school.student(Academic_Email=None)
    school.run()
    assert "academic e-mail" in dead_reason()
    school.change(STUDENTS, student, Academic_Email="new@x.edu")
    school.run()
    assert len(school.accounts(student)) == 1
    assert not Effect.objects.filter(state="dead").exists()


def test_a_deleted_student_is_suspended_and_a_restored_one_no_longer(school):
    student = school.student()
    school.run()
    record = school.zoho.store.records[STUDENTS][student]
    school.delete(STUDENTS, student)
    school.run()
    assert school.accounts(student)[0]["suspended"]
    school.zoho.store.records[STUDENTS][student] = record
    assert school.mirror(STUDENTS, student).outcome == "restored"
    school.run()
    assert not school.accounts(student)[0]["suspended"]


def test_a_suspension_by_staff_in_moodle_stays(school):
    student = school.student()
    school.run()
    school.accounts(student)[0]["suspended"] = True
    school.change(STUDENTS, student, City="Irbid")
    school.run()
    assert school.accounts(student)[0]["suspended"]


def test_a_student_deleted_before_the_first_effect_gets_no_account(school):
    student = school.student()
    school.delete(STUDENTS, student)
    school.run()
    assert school.accounts(student) == []
    row = school.row(STUDENTS, student)
    assert row.pushed_version == row.version


def test_several_changes_that_wait_need_one_effect(school):
    student = school.student()
    for city in ("A", "B", "C"):
        school.change(STUDENTS, student, City=city)
        adding.add_due([(STUDENTS, student)])
    school.run()
    results = list(Effect.objects.order_by("pk").values_list("kind", "result"))
    assert [kind for kind, result in results if "later effect" in result] == [
        "user",
        "user",
    ]
    assert school.accounts(student)[0]["city"] == "C"


def test_the_same_effect_is_added_once(school):
    student = school.student()
    assert adding.add_due([(STUDENTS, student)]) == [(STUDENTS, student)]
    assert adding.add_due([(STUDENTS, student)]) == []
    assert adding.add_all_due(most=10) == 0


def test_while_moodle_is_away_nothing_is_lost_and_the_breaker_opens(school):
    students = [school.student() for _ in range(10)]
    school.moodle.maintenance = True
    for _ in range(20):
        school.run_later()
    assert set(Effect.objects.values_list("state", flat=True)) == {"pending"}
    assert PeerState.objects.get().open_until > timezone.now()
    before = len(school.moodle.requests)
    Effect.objects.update(due_at=timezone.now())
    school.run()
    assert len(school.moodle.requests) == before
    school.moodle.maintenance = False
    school.run_later()
    school.run_later()
    assert [len(school.accounts(one)) for one in students] == [1] * 10
    assert PeerState.objects.get().failures == 0


def test_moodle_down_for_two_minutes_loses_nothing(school):
    students = [school.student() for _ in range(10)]
    started = timezone.now()
    for seconds in range(0, 360, 15):  # as often as beat starts the task
        school.moodle.maintenance = seconds < 120
        moment = started + timedelta(seconds=seconds)
        with time_machine.travel(moment, tick=False):
            school.run()
        if school.moodle.maintenance:
            assert not any(map(school.accounts, students))
    assert [len(school.accounts(one)) for one in students] == [1] * 10
    assert set(Effect.objects.values_list("state", flat=True)) == {"done"}


def test_a_wrong_token_stops_moodle_and_loses_nothing(school):
    school.student()
    school.moodle.withheld.add("core_user_get_users_by_field")
    school.run()
    assert Effect.objects.get().state == "pending"
    assert PeerState.objects.get().open_until > timezone.now()


def test_an_effect_takes_a_fixed_number_of_calls(school):
    school.student()
    school.run()
    # By our key, by the address, the create; once a process, what the site offers.
    assert len(school.moodle.requests) == 4
