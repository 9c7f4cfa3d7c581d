"""Assignments, attempts and rubrics: simulated, and on a real Moodle."""

import time
from decimal import Decimal

import pytest

from registrar.moodle import (
    assignments,
    courses,
    enrolments,
    rubrics,
    scales,
    users,
)
from registrar.moodle.assignments import Assignment
from registrar.moodle.rubrics import Criterion, Level
from registrar.peers.errors import PeerRefusedError
from tests.registrar.moodle.samples import course_values, new_user
from tests.registrar.simulators.server import Response

LEVELS = (Level(0, "لم يتحقق"), Level(1, "تحقق"))
PASS, MERIT = Criterion("P1 يشرح", LEVELS), Criterion("M1: يقارن", LEVELS)


@pytest.fixture
def assignment(any_lms, mark) -> Assignment:
    """The assignment of a new course, copied from the template."""
    template = courses.find(any_lms, field="shortname", value="contract")
    values = course_values(mark, "grading")
    course = courses.duplicate(any_lms, template_id=template.id, values=values)
    [found] = assignments.assignments(any_lms, course_ids=[course])
    return found


@pytest.fixture
def student(any_lms, mark, assignment) -> int:
    [key] = users.create(any_lms, users=[new_user(mark, "student")])
    enrolments.enrol(any_lms, course_id=assignment.course_id, user_ids=[key])
    return key


def grade(
    client, assignment, student, *, level: int, reopen: bool = False, remark: str = ""
) -> None:
    """Grade the latest attempt by its rubric, as a teacher does."""
    area = rubrics.area(client, cm_id=assignment.cm_id)
    criteria = [
        {
            "criterionid": one.id,
            "fillings": [
                {
                    "criterionid": one.id,
                    "levelid": one.levels[level].id,
                    "remark": remark or f"ملاحظة {level}",
                    "remarkformat": 1,
                }
            ],
        }
        for one in area.criteria
    ]
    comment = {"text": f"تعليق {level}", "format": 1}
    client.write(
        "mod_assign_save_grade",
        assignmentid=assignment.id,
        userid=student,
        grade=0,
        attemptnumber=-1,
        addattempt=reopen,
        workflowstate="",
        applytoall=True,
        plugindata={"assignfeedbackcomments_editor": comment},
        advancedgradingdata={"rubric": {"criteria": criteria}},
    )


def read_attempts(client, assignment, student) -> list[assignments.Attempt]:
    return assignments.attempts(client, assignment_id=assignment.id, user_id=student)


def test_an_assignment_names_its_module_and_course(any_lms, assignment):
    assert (assignment.name, assignment.max_grade) == ("Assignment", 100)
    assert assignments.assignments(any_lms, course_ids=[99999999]) == []
    assert assignments.assignments(any_lms, course_ids=[]) == []


def test_a_student_without_grades_has_no_attempts(any_lms, assignment, student):
    assert read_attempts(any_lms, assignment, student) == []
    found = assignments.changed(any_lms, assignment_ids=[assignment.id], since=0)
    assert found == {}


def test_all_attempts_have_their_grades_and_feedback(any_lms, assignment, student):
    began = int(time.time()) - 60
    watched = {"assignment_ids": [assignment.id], "since": began}
    grade(any_lms, assignment, student, level=0)
    [only] = read_attempts(any_lms, assignment, student)
    assert (only.number, only.grade.value, only.feedback) == (0, 0, "تعليق 0")
    before = assignments.changed(any_lms, **watched)
    assert before.keys() == {(assignment.id, student)}

    grade(any_lms, assignment, student, level=0, reopen=True)
    first, second = read_attempts(any_lms, assignment, student)
    assert (first.grade.value, second.grade, second.status) == (0, None, "reopened")
    # Moodle lists no grade now, but the new attempt.
    reopened = assignments.changed(any_lms, **watched)
    assert reopened.keys() == {(assignment.id, student)}
    assert reopened != before

    grade(any_lms, assignment, student, level=1)
    first, second = read_attempts(any_lms, assignment, student)
    assert [one.grade.attempt for one in (first, second)] == [0, 1]
    assert second.grade.value == Decimal(100)
    assert second.feedback == "تعليق 1"
    later = int(time.time()) + 3600
    unchanged = {"assignment_ids": [assignment.id], "since": later}
    assert assignments.changed(any_lms, **unchanged) == {}


def test_the_work_of_a_group_is_handed_in_by_the_group(lms, moodle):
    own = {"attemptnumber": 0, "status": "new"}
    grade = {"id": 7, "userid": 3, "attemptnumber": 0, "grade": "50.00000"}
    grade |= {"grader": 2, "timemodified": 1_800_000_000}
    answer = {
        "lastattempt": {
            "submission": own,
            "teamsubmission": own | {"status": "submitted"},
        },
        "feedback": {"grade": grade, "plugins": []},
    }
    moodle.fail("status", response=Response(answer))
    [found] = assignments.attempts(lms, assignment_id=1, user_id=3)
    assert (found.status, found.grade.value) == ("submitted", 50)


def test_each_attempt_has_its_own_criteria(any_lms, assignment, student):
    grade(any_lms, assignment, student, level=0, reopen=True)
    grade(any_lms, assignment, student, level=1)
    area = rubrics.area(any_lms, cm_id=assignment.cm_id)
    found = rubrics.fillings(any_lms, definition_id=area.definition_id)
    scores = {level.id: level.score for one in area.criteria for level in one.levels}
    grades = [one.grade.id for one in read_attempts(any_lms, assignment, student)]
    by_grade = {
        key: {scores[one.level_id] for one in found if one.grade_id == key}
        for key in grades
    }
    assert by_grade == {grades[0]: {0.0}, grades[1]: {1.0}}
    assert {one.criterion_id for one in found} == {one.id for one in area.criteria}
    assert "ملاحظة 1" in {one.remark for one in found}


def test_attempts_in_no_assignment_are_an_error(any_lms, student):
    with pytest.raises(PeerRefusedError) as refused:
        assignments.attempts(any_lms, assignment_id=99999999, user_id=student)
    assert refused.value.reason == "invalidrecord"


# --- Rubrics --------------------------------------------------------------------------


def test_a_rubric_keeps_the_ids_of_criteria_that_stay(any_lms, assignment, student):
    before = rubrics.area(any_lms, cm_id=assignment.cm_id)
    grade(any_lms, assignment, student, level=1)
    new = Criterion("P2 يحلل", LEVELS)
    where = {"cm_id": assignment.cm_id, "name": "وحدة"}
    for _ in range(2):
        rubrics.save(any_lms, criteria=[PASS, new], **where)
    after = rubrics.area(any_lms, cm_id=assignment.cm_id)
    assert after.definition_id == before.definition_id
    assert [one.description for one in after.criteria] == ["P1 يشرح", "P2 يحلل"]
    assert after.criteria[0].id == before.criteria[0].id
    assert [level.id for level in after.criteria[0].levels] == [
        level.id for level in before.criteria[0].levels
    ]
    found = rubrics.fillings(any_lms, definition_id=after.definition_id)
    assert before.criteria[0].id in {one.criterion_id for one in found}


def test_texts_with_signs_are_read_as_they_were_written(any_lms, assignment, student):
    levels = (Level(0, "a < b & <b>c</b>"), Level(1, "لم يتحقق"))
    one = Criterion('P1 if a<b & "c"\nend', levels)
    rubrics.save(any_lms, cm_id=assignment.cm_id, name="R & D", criteria=[one])
    [found] = rubrics.area(any_lms, cm_id=assignment.cm_id).criteria
    assert found.description == one.description
    assert [level.definition for level in found.levels] == [
        level.definition for level in levels
    ]
    grade(any_lms, assignment, student, level=1, remark="good & a < b")
    area = rubrics.area(any_lms, cm_id=assignment.cm_id)
    [filling] = rubrics.fillings(any_lms, definition_id=area.definition_id)
    assert filling.remark == "good & a < b"


def test_the_name_of_a_course_with_signs_is_read_as_it_was_written(any_lms, mark):
    values = course_values(mark, "r & d", fullname="R & D < X")
    key = courses.create(any_lms, values=values)
    found = courses.find(any_lms, field="shortname", value=values.shortname)
    assert (found.id, found.fullname) == (key, values.fullname)
    assert found.shortname == values.shortname


def test_an_assignment_names_its_scale(any_lms, mark):
    template = courses.find(any_lms, field="shortname", value="contract-scale")
    values = course_values(mark, "scale")
    course = courses.duplicate(any_lms, template_id=template.id, values=values)
    [found] = assignments.assignments(any_lms, course_ids=[course])
    assert (found.max_grade, found.scale_id) == (0, 2)
    assert scales.offers_items(any_lms)
    assert len(scales.items(any_lms, scale_id=2)) == 2


def test_the_items_of_no_scale_are_an_error(any_lms):
    with pytest.raises(PeerRefusedError) as refused:
        scales.items(any_lms, scale_id=99999999)
    assert refused.value.reason == "Error"


def test_a_shared_rubric_can_be_published_again(any_lms, mark):
    for criteria in ([PASS], [PASS, MERIT]):
        rubrics.save_shared(any_lms, key=f"unit{mark}", name="وحدة", criteria=criteria)


def test_there_is_one_shared_rubric_for_a_key(lms, moodle):
    for criteria in ([PASS], [PASS, MERIT]):
        rubrics.save_shared(lms, key="unit", name="وحدة", criteria=criteria)
    [area] = [a for (_, _, name), a in moodle.areas.items() if name == "unit"]
    assert len(area["definition"]["rubric"]["rubric_criteria"]) == 2


def test_the_short_name_of_a_criterion_is_its_first_word():
    names = [one.short_name for one in (PASS, MERIT, Criterion("", LEVELS))]
    assert names == ["P1", "M1", ""]


def test_the_rubric_of_no_assignment_is_an_error(any_lms):
    with pytest.raises(PeerRefusedError) as refused:
        rubrics.area(any_lms, cm_id=99999999)
    assert refused.value.reason == "invalidcoursemodule"
