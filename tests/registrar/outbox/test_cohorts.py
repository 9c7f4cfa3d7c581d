"""A class has a cohort in Moodle whose members follow the enrolments."""

from dataclasses import replace

import pytest

from registrar import drift
from registrar.models import Effect
from registrar.moodle import cohorts
from tests.registrar.simulators.moodle_people import add_user

CLASSES, ENROLMENTS, STUDENTS = "BTEC_Classes", "BTEC_Enrollments", "BTEC_Students"


class Killed(BaseException):
    pass


@pytest.fixture
def school(school):
    school.site = replace(school.site, has_cohorts=True)
    return school


@pytest.fixture
def full(school):
    """A student, a class and a place."""
    student, made = school.student(), school.school_class()
    return student, made, school.enrolment(student, made)


def cohort(school, school_class: str) -> dict:
    [found] = [
        one for one in school.moodle.cohorts.values() if one["idnumber"] == school_class
    ]
    return found


def user_of(school, student: str) -> int:
    return school.row(STUDENTS, student).moodle_id


def problems(school) -> set:
    return {(one.record_id, str(one.problem)) for one in drift.find(school.site)}


def test_a_new_class_has_a_cohort_with_its_name(school):
    made = school.school_class()
    school.run()
    assert cohort(school, made)["name"] == "Networks B"
    school.change(CLASSES, made, Class_Name="Networks C")
    school.run()
    assert cohort(school, made)["name"] == "Networks C"


def test_members_follow_the_enrolments(school, full):
    student, made, enrolment = full
    school.run()
    assert cohort(school, made)["members"] == {user_of(school, student)}
    school.change(ENROLMENTS, enrolment, Enrollment_Status="Withdrawn")
    school.run()
    assert cohort(school, made)["members"] == set()
    school.change(ENROLMENTS, enrolment, Enrollment_Status="Active")
    school.run()
    assert cohort(school, made)["members"] == {user_of(school, student)}
    school.delete(ENROLMENTS, enrolment)
    school.run()
    assert cohort(school, made)["members"] == set()


def test_without_the_setting_there_are_no_cohorts(school, full):
    school.site = replace(school.site, has_cohorts=False)
    school.run()
    assert school.moodle.cohorts == {}
    assert problems(school) == set()


def test_a_class_that_is_over_before_it_had_a_course_gets_no_cohort(school):
    school.school_class(Class_Status="Cancelled")
    school.run()
    assert school.moodle.cohorts == {}


def test_a_member_whom_staff_added_stays(school, full):
    school.run()
    guest = add_user(school.moodle, username="guest1", email="g@x.edu")
    cohort(school, full[1])["members"].add(guest)
    school.change(ENROLMENTS, full[2], Enrollment_Status="Withdrawn")
    school.run()
    assert cohort(school, full[1])["members"] == {guest}
    assert problems(school) == set()


def test_after_the_setting_was_switched_on_the_comparison_fills_the_cohorts(
    school, full
):
    on = school.site
    school.site = replace(on, has_cohorts=False)
    school.run()
    school.site = on
    assert problems(school) == {(full[1], "cohort"), (full[2], "cohort")}
    drift.repair(drift.find(school.site))
    school.run()
    assert cohort(school, full[1])["members"] == {user_of(school, full[0])}
    assert problems(school) == set()


def test_a_member_lost_in_moodle_and_one_who_should_be_gone_are_repaired(school, full):
    school.run()
    members = cohort(school, full[1])["members"]
    members.clear()
    assert problems(school) == {(full[2], "cohort")}
    drift.repair(drift.find(school.site))
    school.run()
    assert members == {user_of(school, full[0])}
    school.change(ENROLMENTS, full[2], Enrollment_Status="Withdrawn")
    school.run()
    members.add(user_of(school, full[0]))
    assert problems(school) == {(full[2], "cohort")}
    drift.repair(drift.find(school.site))
    school.run()
    assert members == set()


def test_a_name_changed_in_moodle_is_restored(school, full):
    school.run()
    cohort(school, full[1])["name"] = "Other"
    assert problems(school) == {(full[1], "cohort")}
    drift.repair(drift.find(school.site))
    school.run()
    assert cohort(school, full[1])["name"] == "Networks B"


@pytest.mark.parametrize("name", ["create", "add"])
def test_killed_after_a_call_there_is_one_cohort_with_its_member(
    school, full, monkeypatch, name
):
    real = getattr(cohorts, name)

    def call_and_die(*args, **kwargs):
        real(*args, **kwargs)
        raise Killed

    monkeypatch.setattr(cohorts, name, call_and_die)
    with pytest.raises(Killed):
        school.run()
    monkeypatch.undo()
    school.run_later()
    assert len(school.moodle.cohorts) == 1
    assert cohort(school, full[1])["members"] == {user_of(school, full[0])}
    assert not Effect.objects.exclude(state="done").exists()


@pytest.mark.parametrize("fault", ["drop_before", "drop_after"])
def test_a_lost_answer_makes_no_second_cohort(school, full, fault):
    for function in ("core_cohort_create_cohorts", "core_cohort_add_cohort_members"):
        school.moodle.fail(
            fault, matches=lambda one, f=function: one.form.get("wsfunction") == f
        )
    for _time in range(3):
        school.run_later()
    assert cohort(school, full[1])["members"] == {user_of(school, full[0])}


def test_a_cohort_that_another_worker_creates_meanwhile_is_used(
    school, full, monkeypatch
):
    real = cohorts.find
    looked = []

    def find(client, *, idnumber):
        looked.append(idnumber)
        if len(looked) == 1:
            assert real(client, idnumber=idnumber) is None
            cohorts.create(client, name="Networks B", idnumber=idnumber)
            return None
        return real(client, idnumber=idnumber)

    monkeypatch.setattr(cohorts, "find", find)
    school.run()
    assert cohort(school, full[1])["members"] == {user_of(school, full[0])}
    assert not Effect.objects.exclude(state="done").exists()
