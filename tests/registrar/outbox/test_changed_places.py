"""A student whose enrolment names another class in Zoho leaves the former one in Moodle."""

from dataclasses import replace

import pytest

from registrar import drift
from registrar.models import Effect, Enrolment
from registrar.moodle import cohorts, enrolments

CLASSES, ENROLMENTS, STUDENTS = "BTEC_Classes", "BTEC_Enrollments", "BTEC_Students"


class Killed(BaseException):
    pass


@pytest.fixture
def school(school):
    school.site = replace(school.site, has_cohorts=True)
    return school


@pytest.fixture
def layla(school) -> str:
    return school.student()


@pytest.fixture
def morning(school) -> str:
    return school.school_class(Class_Name="Morning")


@pytest.fixture
def evening(school) -> str:
    return school.school_class(Class_Name="Evening")


@pytest.fixture
def place(school, layla, morning, evening) -> str:
    """Layla's place in the morning class, in Moodle."""
    made = school.enrolment(layla, morning)
    school.run()
    assert places(school, layla) == {morning: False}
    assert is_member(school, layla, morning)
    return made


def places(school, student: str) -> dict[str, bool]:
    """Whether the places of a student are suspended, by class."""
    user = school.row(STUDENTS, student).moodle_id
    return {
        school.moodle.courses[course]["idnumber"]: bool(row["suspended"])
        for (course, one), row in school.moodle.enrolments.items()
        if one == user
    }


def is_member(school, student: str, school_class: str) -> bool:
    user = school.row(STUDENTS, student).moodle_id
    return any(
        user in one["members"]
        for one in school.moodle.cohorts.values()
        if one["idnumber"] == school_class
    )


def move(school, place: str, school_class: str, **values) -> None:
    school.change(ENROLMENTS, place, Classes={"id": school_class}, **values)


def test_the_place_in_the_former_class_is_suspended_and_the_cohort_left(
    school, place, layla, morning, evening
):
    move(school, place, evening)
    school.run()
    assert places(school, layla) == {morning: True, evening: False}
    assert not is_member(school, layla, morning)
    assert is_member(school, layla, evening)
    assert drift.find(school.site) == []


def test_a_student_who_returns_to_the_former_class_gets_the_place_back(
    school, place, layla, morning, evening
):
    for school_class in (evening, morning):
        move(school, place, school_class)
        school.run()
    assert places(school, layla) == {morning: False, evening: True}
    assert is_member(school, layla, morning)


def test_the_former_place_is_removed_if_the_school_wants_it(
    school, place, layla, evening
):
    school.site = replace(school.site, unenrols=True)
    move(school, place, evening)
    school.run()
    assert places(school, layla) == {evening: False}


def test_a_former_class_in_which_another_enrolment_is_active_is_kept(
    school, place, layla, morning, evening
):
    school.enrolment(layla, morning)
    move(school, place, evening)
    school.run()
    assert places(school, layla) == {morning: False, evening: False}
    assert is_member(school, layla, morning)


def test_two_enrolments_that_swap_their_classes_end_no_place(
    school, place, layla, morning, evening
):
    other = school.enrolment(layla, evening)
    school.run()
    move(school, place, evening)
    move(school, other, morning)
    school.run()
    assert places(school, layla) == {morning: False, evening: False}


def test_the_former_place_ends_although_the_new_class_has_no_course_yet(
    school, place, layla, morning
):
    missing = "9" * 19
    record = school.zoho.store.records[ENROLMENTS][place]
    record["Classes"] = {"id": missing}
    school.mirror(ENROLMENTS, place)
    school.run()
    assert places(school, layla) == {morning: True}
    assert Effect.objects.get(kind="enrolment", state="pending").waits_for


@pytest.mark.parametrize("status", ["Completed", "Withdrawn"])
def test_the_former_place_ends_with_any_status(
    school, place, layla, morning, evening, status
):
    move(school, place, evening, Enrollment_Status=status)
    school.run()
    active = [one for one, ended in places(school, layla).items() if not ended]
    assert active == []


def test_a_record_that_names_another_student_moves_the_place(
    school, place, layla, morning
):
    omar = school.student("Omar")
    school.change(ENROLMENTS, place, Enrolled_Students={"id": omar})
    school.run()
    assert places(school, layla) == {morning: True}
    assert places(school, omar) == {morning: False}
    assert not is_member(school, layla, morning)


def test_a_former_course_that_is_lost_in_moodle_does_not_stop_the_move(
    school, place, layla, morning, evening
):
    course = school.row(CLASSES, morning).moodle_id
    user = school.row(STUDENTS, layla).moodle_id
    del school.moodle.courses[course]
    del school.moodle.enrolments[course, user]
    move(school, place, evening)
    school.run()
    assert places(school, layla) == {evening: False}
    assert not Effect.objects.exclude(state="done").exists()


def test_an_enrolment_whose_class_stays_costs_no_further_call(
    school, place, layla, morning
):
    before = len(school.moodle.requests)
    school.change(ENROLMENTS, place, Enrollment_Date="2026-09-01")
    school.run()
    functions = [one.form.get("wsfunction") for one in school.moodle.requests[before:]]
    assert functions.count("enrol_manual_enrol_users") == 1
    assert "core_course_get_courses_by_field" not in functions


@pytest.mark.parametrize("fault", ["drop_before", "drop_after"])
@pytest.mark.parametrize(
    "function", ["enrol_manual_enrol_users", "core_cohort_delete_cohort_members"]
)
def test_a_lost_answer_ends_the_former_place_all_the_same(
    school, place, layla, morning, evening, fault, function
):
    school.moodle.fail(
        fault, matches=lambda one: one.form.get("wsfunction") == function
    )
    move(school, place, evening)
    for _time in range(3):
        school.run_later()
    assert places(school, layla) == {morning: True, evening: False}
    assert not is_member(school, layla, morning)


WRITES = [
    (enrolments, "enrol", 1),
    (cohorts, "remove", 1),
    (enrolments, "enrol", 2),
    (cohorts, "add", 1),
]
"""What a move writes in Moodle, in order."""


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize(("owner", "name", "time"), WRITES)
def test_killed_at_any_write_and_moved_again_only_the_last_place_is_left(
    school, place, layla, evening, monkeypatch, owner, name, time, before
):
    last = school.school_class(Class_Name="Weekend")
    school.run()
    real, calls = getattr(owner, name), []

    def call_and_die(*args, **kwargs):
        calls.append(kwargs)
        if before and len(calls) == time:
            raise Killed
        real(*args, **kwargs)
        if len(calls) == time:
            raise Killed

    move(school, place, evening)
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, call_and_die)
        with pytest.raises(Killed):
            school.run()
    move(school, place, last)
    school.run_later()
    active = [one for one, ended in places(school, layla).items() if not ended]
    assert active == [last]
    assert [
        one["idnumber"] for one in school.moodle.cohorts.values() if one["members"]
    ] == [last]
    assert Enrolment.objects.get().placed_class_id == last
