"""Classes have one course each, and students their places in it (D4, D5)."""

from dataclasses import replace

import pytest

from registrar import drift
from registrar.models import Effect, Enrolment
from registrar.moodle import courses
from tests.registrar.simulators.moodle_grading import add_assignment, add_course
from tests.registrar.simulators.moodle_people import add_user

CLASSES, ENROLMENTS, STUDENTS = "BTEC_Classes", "BTEC_Enrollments", "BTEC_Students"


def is_suspended(school, student: str, school_class: str) -> bool | None:
    user = school.row(STUDENTS, student).moodle_id
    course = school.row(CLASSES, school_class).moodle_id
    found = [
        one
        for one in school.moodle.run(
            "core_enrol_get_enrolled_users",
            courseid=course,
            options=[{"name": "onlysuspended", "value": "1"}],
        )
        if one["id"] == user
    ]
    return bool(found)


def test_a_new_class_gets_a_course_and_zoho_its_id(school):
    made = school.school_class(Start_Date="2026-09-01", End_Date="2027-01-31")
    school.run()
    [course] = school.courses(made)
    assert course["fullname"] == "Networks B"
    assert (course["startdate"], course["enddate"]) == (1788220800, 1801353600)
    record = school.zoho.store.records[CLASSES][made]
    assert record["Moodle_Class_ID"] == str(course["id"])


def template_of(school) -> int:
    [found] = [
        one["id"]
        for one in school.moodle.courses.values()
        if one["shortname"] == "contract"
    ]
    return found


def test_a_class_is_copied_from_the_template(school):
    template = template_of(school)
    school.site = replace(school.site, template_id=template)
    made = school.school_class()
    school.run()
    [course] = school.courses(made)
    assert course["id"] != template
    assert any(
        one["course"] == course["id"] for one in school.moodle.assignments.values()
    )


def test_an_interrupted_copy_is_found_by_its_short_name(school, monkeypatch):
    template = template_of(school)
    school.site = replace(school.site, template_id=template)
    made = school.school_class()
    school.moodle.fail(
        "drop_before",
        matches=lambda one: one.form.get("wsfunction") == "core_course_update_courses",
    )
    school.run()
    assert school.courses(made) == []
    school.run_later()
    assert len(school.courses(made)) == 1
    assert len(school.moodle.courses) == 3


def test_a_crash_after_moodles_create_makes_no_second_course(school, monkeypatch):
    made = school.school_class()
    real = courses.create

    class Killed(BaseException):
        pass

    def create_and_die(*args, **kwargs):
        real(*args, **kwargs)
        raise Killed

    monkeypatch.setattr(courses, "create", create_and_die)
    with pytest.raises(Killed):
        school.run()
    monkeypatch.undo()
    school.run_later()
    assert len(school.courses(made)) == 1


def test_a_course_that_zoho_names_is_only_updated(school):
    there = add_course(school.moodle, fullname="Old", shortname="old")
    made = school.school_class(Moodle_Class_ID=str(there))
    school.run()
    [course] = school.courses(made)
    assert (course["id"], course["fullname"]) == (there, "Networks B")


def test_two_classes_with_the_same_short_name_get_two_courses(school):
    one, other = school.school_class(), school.school_class()
    school.run()
    assert len(school.courses(one)) == len(school.courses(other)) == 1


def test_a_cancelled_class_is_hidden_and_shown_again(school):
    made = school.school_class(Class_Status="Active")
    school.run()
    school.change(CLASSES, made, Class_Status="Cancelled")
    school.run()
    assert not school.courses(made)[0]["visible"]
    school.change(CLASSES, made, Class_Status="Active")
    school.run()
    assert school.courses(made)[0]["visible"]


def test_a_course_hidden_by_staff_stays_hidden(school):
    made = school.school_class()
    school.run()
    school.courses(made)[0]["visible"] = False
    school.change(CLASSES, made, Class_Name="Networks C")
    school.run()
    [course] = school.courses(made)
    assert (course["fullname"], course["visible"]) == ("Networks C", False)


def test_the_teacher_and_the_managers_are_enrolled_when_the_teacher_has_an_account(
    school,
):
    boss = add_user(school.moodle, username="boss", email="boss@x.edu")
    school.site = replace(school.site, manager_ids=(boss,))
    teacher = school.add("BTEC_Teachers", Name="Omar Khatib")
    made = school.school_class(Teacher={"id": teacher, "name": "Omar Khatib"})
    school.run()
    course = school.row(CLASSES, made).moodle_id
    staff = school.moodle.run("core_enrol_get_enrolled_users", courseid=course)
    assert [one["id"] for one in staff] == [boss]
    waiting = Effect.objects.get(kind="staff")
    assert waiting.last_error == "The teacher has no account in Moodle yet."
    school.change("BTEC_Teachers", teacher, Academic_Email="o@x.edu")
    school.run()
    staff = school.moodle.run("core_enrol_get_enrolled_users", courseid=course)
    roles = {one["id"]: [role["roleid"] for role in one["roles"]] for one in staff}
    assert roles == {
        boss: [1],
        school.row("BTEC_Teachers", teacher).moodle_id: [3],
    }


def test_an_active_enrolment_enrols(school):
    student, made = school.student(), school.school_class()
    school.enrolment(student, made)
    school.run()
    assert is_suspended(school, student, made) is False
    course = school.row(CLASSES, made).moodle_id
    assert len(school.moodle.run("core_enrol_get_enrolled_users", courseid=course)) == 1


def test_withdraw_and_reactivate_suspends_and_restores_the_same_place(school):
    student, made = school.student(), school.school_class()
    enrolment = school.enrolment(student, made)
    school.run()
    school.change(ENROLMENTS, enrolment, Enrollment_Status="Withdrawn")
    school.run()
    assert is_suspended(school, student, made) is True
    school.change(ENROLMENTS, enrolment, Enrollment_Status="Active")
    school.run()
    assert is_suspended(school, student, made) is False
    assert not any(
        one.form.get("wsfunction") == "enrol_manual_unenrol_users"
        for one in school.moodle.requests
    )


def test_withdraw_and_reactivate_keeps_the_grade(school):
    student, made = school.student(), school.school_class()
    enrolment = school.enrolment(student, made)
    school.run()
    user, course = school.row(STUDENTS, student), school.row(CLASSES, made)
    assignment = add_assignment(school.moodle, course.moodle_id, name="A1")

    def grades() -> list:
        found = school.moodle.run("mod_assign_get_grades", assignmentids=[assignment])
        return [one["grades"] for one in found["assignments"]]

    school.moodle.run(
        "mod_assign_save_grade",
        assignmentid=assignment,
        userid=user.moodle_id,
        grade=75,
        attemptnumber=-1,
        addattempt=0,
        workflowstate="",
        applytoall=0,
    )
    before = grades()
    assert before[0][0]["userid"] == user.moodle_id
    for status in ("Withdrawn", "Active"):
        school.change(ENROLMENTS, enrolment, Enrollment_Status=status)
        school.run()
    assert grades() == before


def test_a_deleted_enrolment_suspends(school):
    student, made = school.student(), school.school_class()
    enrolment = school.enrolment(student, made)
    school.run()
    school.delete(ENROLMENTS, enrolment)
    school.run()
    assert is_suspended(school, student, made) is True


def test_a_deleted_enrolment_suspends_no_place_that_another_one_has(school):
    student, made = school.student(), school.school_class()
    first = school.enrolment(student, made)
    school.run()
    school.enrolment(student, made)
    school.run()
    school.delete(ENROLMENTS, first)
    school.run()
    assert is_suspended(school, student, made) is False
    assert drift.find(school.site) == []


def test_a_withdrawal_removes_the_student_only_if_the_school_wants_it(school):
    school.site = replace(school.site, unenrols=True)
    student, made = school.student(), school.school_class()
    enrolment = school.enrolment(student, made)
    school.run()
    school.change(ENROLMENTS, enrolment, Enrollment_Status="Withdrawn")
    school.run()
    course = school.row(CLASSES, made).moodle_id
    assert school.moodle.run("core_enrol_get_enrolled_users", courseid=course) == []


def test_an_unknown_status_changes_nothing_in_moodle(school):
    student, made = school.student(), school.school_class()
    enrolment = school.enrolment(student, made)
    school.run()
    # Past the picklist of the simulator.
    record = school.zoho.store.records[ENROLMENTS][enrolment]
    record["Enrollment_Status"] = "Frozen"
    school.mirror(ENROLMENTS, enrolment)
    school.run()
    assert is_suspended(school, student, made) is False
    assert Enrolment.objects.get().has_conflict


def test_an_enrolment_waits_for_account_and_course_and_is_then_done_at_once(school):
    student = school.student(Academic_Email=None)
    made = school.school_class()
    school.enrolment(student, made)
    school.run()
    assert Effect.objects.get(kind="enrolment").state == "pending"
    school.change(STUDENTS, student, Academic_Email="late@x.edu")
    school.run()
    assert is_suspended(school, student, made) is False


def test_a_class_that_is_reopened_gets_its_students(school):
    student = school.student()
    made = school.school_class(Class_Status="Cancelled")
    school.enrolment(student, made)
    school.run()
    assert school.courses(made) == []
    school.change(CLASSES, made, Class_Status="Active")
    school.run()
    course = school.row(CLASSES, made).moodle_id
    [place] = school.moodle.run("core_enrol_get_enrolled_users", courseid=course)
    assert place["id"] == school.row(STUDENTS, student).moodle_id


def test_a_student_who_is_restored_in_zoho_gets_their_place(school):
    student, made = school.student(), school.school_class()
    school.enrolment(student, made)
    record = school.zoho.store.records[STUDENTS][student]
    school.delete(STUDENTS, student)
    school.run()
    assert school.accounts(student) == []
    school.zoho.store.records[STUDENTS][student] = record
    school.mirror(STUDENTS, student)
    school.run()
    course = school.row(CLASSES, made).moodle_id
    [place] = school.moodle.run("core_enrol_get_enrolled_users", courseid=course)
    assert place["id"] == school.row(STUDENTS, student).moodle_id


def test_an_enrolment_in_a_class_that_was_never_in_moodle_is_over(school):
    student = school.student()
    made = school.school_class(Class_Status="Cancelled")
    school.enrolment(student, made)
    school.run()
    assert not Effect.objects.exclude(state="done").exists()
    assert school.courses(made) == []
