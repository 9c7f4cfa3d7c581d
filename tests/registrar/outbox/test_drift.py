"""What was changed in Moodle by hand, or by a restored backup, is found and repaired."""

import pytest

from registrar import drift, tasks
from registrar.effects import handlers
from tests.commands import run_json

STUDENTS, CLASSES = "BTEC_Students", "BTEC_Classes"


@pytest.fixture
def full(school, monkeypatch):
    """A student, a class and a place, in Moodle as they are here."""
    monkeypatch.setattr(handlers, "site", lambda: school.site)
    student, made = school.student(), school.school_class()
    enrolment = school.enrolment(student, made)
    school.run()
    assert drift.find(school.site) == []
    return student, made, enrolment


def problems(school) -> set:
    return {(one.record_id, str(one.problem)) for one in drift.find(school.site)}


def repair(school) -> None:
    answer, code = run_json("reconcile_registrar", "--moodle", "--apply")
    assert code == 0
    assert answer["repaired"]
    school.run()
    assert problems(school) == set()


def test_a_name_changed_in_moodle_is_restored(school, full):
    school.accounts(full[0])[0]["firstname"] = "Other"
    assert problems(school) == {(full[0], "values")}
    repair(school)
    assert school.accounts(full[0])[0]["firstname"] == "ليلى"


def test_a_lost_account_is_created_again_and_zoho_gets_the_new_id(school, full):
    lost = school.accounts(full[0])[0]["id"]
    del school.moodle.users[lost]
    school.moodle.enrolments.clear()
    assert (full[0], "missing") in problems(school)
    drift.repair(drift.find(school.site))
    school.run()
    row = school.row(STUDENTS, full[0])
    assert row.moodle_id != lost
    record = school.zoho.store.records[STUDENTS][full[0]]
    assert record["Student_Moodle_ID"] == str(row.moodle_id)
    assert problems(school) == set()


def test_a_lost_course_is_created_again(school, full):
    del school.moodle.courses[school.courses(full[1])[0]["id"]]
    assert (full[1], "missing") in problems(school)
    drift.repair(drift.find(school.site))
    school.run()
    assert len(school.courses(full[1])) == 1


def test_a_place_suspended_in_moodle_is_restored(school, full):
    course = school.row(CLASSES, full[1]).moodle_id
    user = school.row(STUDENTS, full[0]).moodle_id
    row = {"roleid": 5, "userid": user, "courseid": course, "suspend": 1}
    school.moodle.run("enrol_manual_enrol_users", enrolments=[row])
    assert problems(school) == {(full[2], "place")}
    repair(school)


def test_a_withdrawn_student_who_is_back_in_moodle_is_suspended_again(school, full):
    school.change("BTEC_Enrollments", full[2], Enrollment_Status="Withdrawn")
    school.run()
    assert problems(school) == set()
    course = school.row(CLASSES, full[1]).moodle_id
    user = school.row(STUDENTS, full[0]).moodle_id
    row = {"roleid": 5, "userid": user, "courseid": course, "suspend": 0}
    school.moodle.run("enrol_manual_enrol_users", enrolments=[row])
    assert problems(school) == {(full[2], "place")}
    repair(school)


def test_a_deleted_student_who_may_sign_in_again_is_suspended_again(school, full):
    school.delete(STUDENTS, full[0])
    school.run()
    school.accounts(full[0])[0]["suspended"] = False
    assert problems(school) == {(full[0], "access")}
    repair(school)


def test_a_dry_run_changes_nothing(school, full):
    school.accounts(full[0])[0]["firstname"] = "Other"
    before = len(school.moodle.requests)
    answer, code = run_json("reconcile_registrar", "--moodle")
    assert (code, answer["repaired"]) == (0, 0)
    assert answer["drift"][0]["problem"] == "values"
    school.run()
    assert len(school.moodle.requests) - before <= 5
    assert school.accounts(full[0])[0]["firstname"] == "Other"


def test_the_nightly_task_repairs_and_survives_moodles_absence(school, full):
    school.accounts(full[0])[0]["firstname"] = "Other"
    school.moodle.maintenance = True
    tasks.repair_moodle()
    school.moodle.maintenance = False
    tasks.repair_moodle()
    school.run_later()
    assert school.accounts(full[0])[0]["firstname"] == "ليلى"
