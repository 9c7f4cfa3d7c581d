"""The course of a class has the teacher that Zoho names, and not the former one."""

from dataclasses import replace

import pytest

from registrar import drift
from registrar.effects import staff
from registrar.models import Effect
from registrar.moodle import enrolments
from tests.registrar.simulators.moodle_people import add_user

CLASSES, TEACHERS = "BTEC_Classes", "BTEC_Teachers"


class Killed(BaseException):
    pass


@pytest.fixture
def omar(school) -> str:
    return school.add(TEACHERS, Name="Omar Khatib", Academic_Email="o@x.edu")


@pytest.fixture
def rana(school) -> str:
    return school.add(TEACHERS, Name="Rana Saleh", Academic_Email="r@x.edu")


@pytest.fixture
def taught(school, omar) -> str:
    """A class that Omar teaches, in Moodle."""
    made = school.school_class(Teacher={"id": omar})
    school.run()
    assert in_course(school, made) == {account(school, omar): False}
    return made


def account(school, teacher: str) -> int:
    return school.row(TEACHERS, teacher).moodle_id


def in_course(school, school_class: str) -> dict[int, bool]:
    """Whether the users of the course are suspended, by id."""
    course = school.row(CLASSES, school_class).moodle_id
    return {
        user: row["suspended"]
        for (course_id, user), row in school.moodle.enrolments.items()
        if course_id == course
    }


def by_hand(school, school_class: str, user: int, role: int = 3) -> None:
    course = school.row(CLASSES, school_class).moodle_id
    row = {"roleid": role, "userid": user, "courseid": course}
    school.moodle.run("enrol_manual_enrol_users", enrolments=[row])


def replace_teacher(school, school_class: str, teacher: str | None) -> None:
    value = {"id": teacher} if teacher else None
    school.change(CLASSES, school_class, Teacher=value)


def test_a_former_teacher_is_suspended_and_comes_back(school, taught, omar, rana):
    replace_teacher(school, taught, rana)
    school.run()
    former, now = account(school, omar), account(school, rana)
    assert in_course(school, taught) == {former: True, now: False}
    replace_teacher(school, taught, omar)
    school.run()
    assert in_course(school, taught) == {former: False, now: True}


def test_a_former_teacher_is_unenrolled_if_the_school_wants_it(
    school, taught, omar, rana
):
    school.site = replace(school.site, unenrols=True)
    replace_teacher(school, taught, rana)
    school.run()
    assert in_course(school, taught) == {account(school, rana): False}


def test_a_class_without_a_teacher_ends_the_former_one(school, taught, omar):
    replace_teacher(school, taught, None)
    school.run()
    assert in_course(school, taught) == {account(school, omar): True}


def test_the_former_teacher_ends_also_while_the_new_one_has_no_account(
    school, taught, omar
):
    new = school.add(TEACHERS, Name="Sami")
    replace_teacher(school, taught, new)
    school.run()
    assert in_course(school, taught) == {account(school, omar): True}
    assert Effect.objects.filter(kind="staff", state="pending").count() == 1
    school.change(TEACHERS, new, Academic_Email="s@x.edu")
    school.run()
    assert in_course(school, taught)[account(school, new)] is False


def test_staff_enrolled_by_hand_stay(school, taught, omar, rana):
    colleague = add_user(school.moodle, username="colleague", email="c@x.edu")
    by_hand(school, taught, colleague)
    replace_teacher(school, taught, rana)
    school.run()
    assert in_course(school, taught)[colleague] is False


def test_a_teacher_whom_staff_had_enrolled_before_zoho_named_them_stays(
    school, taught, omar, rana
):
    school.run()
    by_hand(school, taught, account(school, rana))
    replace_teacher(school, taught, rana)
    school.run()
    replace_teacher(school, taught, omar)
    school.run()
    assert in_course(school, taught) == {
        account(school, omar): False,
        account(school, rana): False,
    }


def test_a_former_teacher_with_another_role_in_the_course_stays(
    school, taught, omar, rana
):
    by_hand(school, taught, account(school, omar), role=1)
    replace_teacher(school, taught, rana)
    school.run()
    assert in_course(school, taught)[account(school, omar)] is False


def test_a_former_teacher_who_is_a_manager_stays(school, taught, omar, rana):
    school.site = replace(school.site, manager_ids=(account(school, omar),))
    replace_teacher(school, taught, rana)
    school.run()
    assert in_course(school, taught)[account(school, omar)] is False


def test_the_same_teacher_costs_no_comparison(school, taught):
    def reads() -> int:
        return sum(
            one.form.get("wsfunction") == "core_enrol_get_enrolled_users"
            for one in school.moodle.requests
        )

    before = reads()
    school.change(CLASSES, taught, Class_Name="Other")
    school.run()
    assert reads() == before


@pytest.mark.parametrize("fault", ["drop_before", "drop_after"])
def test_a_lost_answer_ends_the_former_teacher_all_the_same(
    school, taught, omar, rana, fault
):
    replace_teacher(school, taught, rana)
    school.moodle.fail(
        fault,
        times=2,
        matches=lambda one: one.form.get("wsfunction") == "enrol_manual_enrol_users",
    )
    for _time in range(3):
        school.run_later()
    assert in_course(school, taught) == {
        account(school, omar): True,
        account(school, rana): False,
    }


@pytest.mark.parametrize("at", [1, 2])
def test_killed_at_any_call_and_changed_again_only_the_last_teacher_is_left(
    school, taught, omar, rana, monkeypatch, at
):
    """Killed after the former one was ended, or after the new one was enrolled."""
    last = school.add(TEACHERS, Name="Sami N", Academic_Email="s@x.edu")
    school.run()
    real, calls = enrolments.enrol, []

    def enrol_and_die(*args, **kwargs):
        real(*args, **kwargs)
        if kwargs["role_id"] == school.site.teacher_role:
            calls.append(kwargs)
            if len(calls) == at:
                raise Killed

    replace_teacher(school, taught, rana)
    monkeypatch.setattr(enrolments, "enrol", enrol_and_die)
    with pytest.raises(Killed):
        school.run()
    monkeypatch.undo()
    replace_teacher(school, taught, last)
    school.run_later()
    active = [user for user, ended in in_course(school, taught).items() if not ended]
    assert active == [account(school, last)]


def test_killed_before_the_new_teacher_was_enrolled_it_is_done_later(
    school, taught, omar, rana, monkeypatch
):
    real = staff._change

    def change_and_die(*args):
        real(*args)
        raise Killed

    replace_teacher(school, taught, rana)
    monkeypatch.setattr(staff, "_change", change_and_die)
    with pytest.raises(Killed):
        school.run()
    monkeypatch.undo()
    school.run_later()
    assert in_course(school, taught) == {
        account(school, omar): True,
        account(school, rana): False,
    }


def test_a_teacher_lost_in_moodle_is_found_and_enrolled_again(school, taught, omar):
    school.moodle.enrolments.clear()
    found = drift.find(school.site)
    assert [(one.record_id, str(one.problem)) for one in found] == [(taught, "staff")]
    drift.repair(found)
    school.run()
    assert in_course(school, taught) == {account(school, omar): False}
    assert drift.find(school.site) == []


def test_a_course_that_was_created_again_has_its_teacher(school, taught, omar):
    del school.moodle.courses[school.row(CLASSES, taught).moodle_id]
    drift.repair(drift.find(school.site))
    school.run()
    assert in_course(school, taught) == {account(school, omar): False}
