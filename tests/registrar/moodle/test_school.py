"""A school of the simulated CRM in Moodle: simulated, and a real one.

What is in Moodle is read through our client, so that both answer.
"""

import time
from dataclasses import replace

import pytest
from cryptography.fernet import Fernet
from django.utils import timezone

from registrar import accounts, drift
from registrar.effects import handlers
from registrar.effects.site import Site
from registrar.grades import polling
from registrar.models import GradePoll, PeerState, Unit
from registrar.moodle import assignments, cohorts, courses, enrolments, rubrics, users
from registrar.outbox import adding, running
from tests.registrar.moodle.samples import new_user
from tests.registrar.outbox.conftest import School

pytestmark = pytest.mark.django_db

CRITERIA = "Learning_Outcomes_Assessm"


class AnySchool(School):
    """A school whose Moodle is read and changed through its functions alone."""

    @property
    def lms(self):
        return self.site.moodle

    def person(self, name: str) -> str:
        number = len(self.zoho.store.records["BTEC_Students"])
        address = f"s{number}.{self.zoho.store._last_id}@example.org"
        return self.student(name, Academic_Email=address)

    def teacher(self, name: str) -> str:
        address = f"{name}.{self.zoho.store._last_id}@example.org"
        return self.add("BTEC_Teachers", Name=f"{name} R", Email=address)

    def moodle_id(self, module: str, record_id: str) -> int:
        return self.row(module, record_id).moodle_id

    def places(self, school_class: str) -> dict[int, tuple[set[int], bool]]:
        """The roles of each user of a class's course, and whether they are suspended."""
        course = self.moodle_id("BTEC_Classes", school_class)
        return {
            one.user_id: (set(one.roles), one.suspended)
            for one in enrolments.enrolled(self.lms, course_id=course)
        }

    def members(self, school_class: str) -> set[int]:
        found = cohorts.find(self.lms, idnumber=school_class)
        return cohorts.members(self.lms, cohort_id=found.id)

    def grade(self, school_class: str, student: str, *, reopen=False, **values) -> None:
        """Grade the latest attempt at the only assignment of a class."""
        [assignment] = assignments.assignments(
            self.lms, course_ids=[self.moodle_id("BTEC_Classes", school_class)]
        )
        criteria = []
        for one in rubrics.area(self.lms, cm_id=assignment.cm_id).criteria:
            level = one.levels[values["levels"][one.short_name]]
            filling = {"criterionid": one.id, "levelid": level.id, "remark": "R & D"}
            filling["remarkformat"] = 1
            criteria.append({"criterionid": one.id, "fillings": [filling]})
        rubric = {"advancedgradingdata": {"rubric": {"criteria": criteria}}}
        self.lms.write(
            "mod_assign_save_grade",
            assignmentid=assignment.id,
            userid=self.moodle_id("BTEC_Students", student),
            grade=values.get("number", 0),
            attemptnumber=-1,
            addattempt=reopen,
            workflowstate="",
            applytoall=True,
            plugindata={"assignfeedbackcomments_editor": {"text": "x", "format": 1}},
            **(rubric if criteria else {}),
        )

    def send_grades(self) -> list[dict]:
        """Read the grades and send them; return the records in the order of attempts."""
        polling.poll(self.lms)
        adding.add_grades_due(most=100)
        while running.run(handlers=handlers.of_site(self.site)).tried:
            pass
        assert GradePoll.objects.get().last_error == ""
        records = self.zoho.store.records["BTEC_Grades"].values()
        return sorted(records, key=lambda one: one["Moodle_Grade_Composite_Key"])


@pytest.fixture
def school(db, zoho, crm, any_lms, settings) -> AnySchool:
    settings.SECRETS_KEYS = [Fernet.generate_key().decode()]
    # A real Moodle keeps the records of earlier runs.
    zoho.store._last_id = time.time_ns() // 1000
    template = courses.find(any_lms, field="shortname", value="contract")
    site = Site(moodle=any_lms, zoho=crm, template_id=template.id, has_cohorts=True)
    return AnySchool(zoho, None, site)


@pytest.fixture
def full(school) -> tuple[str, str, str, str]:
    """A class with its teacher and a student; the enrolment."""
    teacher, student = school.teacher("Rana"), school.person("Layla & Co")
    made = school.school_class(Class_Name="R & D < X", Teacher={"id": teacher})
    place = school.enrolment(student, made)
    for _ in range(2):
        school.run_later()
    return made, teacher, student, place


def test_a_school_is_in_moodle_as_it_is_in_zoho(school, full):
    made, teacher, student, _place = full
    ids = [school.moodle_id("BTEC_Teachers", teacher)]
    ids.append(school.moodle_id("BTEC_Students", student))
    assert school.places(made) == {ids[0]: ({3}, False), ids[1]: ({5}, False)}
    assert school.members(made) == {ids[1]}
    assert drift.find(school.site) == []
    records = school.zoho.store.records
    assert records["BTEC_Students"][student]["Student_Moodle_ID"] == str(ids[1])
    assert records["BTEC_Teachers"][teacher]["Teacher_Moodle_ID"] == str(ids[0])


def test_a_withdrawal_suspends_and_a_return_restores(school, full):
    made, _teacher, student, place = full
    key = school.moodle_id("BTEC_Students", student)
    for status, suspended in (("Withdrawn", True), ("Active", False)):
        school.change("BTEC_Enrollments", place, Enrollment_Status=status)
        school.run_later()
        assert school.places(made)[key] == ({5}, suspended)
        assert (key in school.members(made)) is not suspended


def test_with_unenrolment_a_withdrawal_removes_and_a_return_enrols(school, full):
    made, _teacher, student, place = full
    school.site = replace(school.site, unenrols=True)
    key = school.moodle_id("BTEC_Students", student)
    for status, is_there in (("Withdrawn", False), ("Active", True)):
        school.change("BTEC_Enrollments", place, Enrollment_Status=status)
        school.run_later()
        assert (key in school.places(made)) is is_there


def test_a_former_teacher_ends(school, full):
    made, former, _student, _place = full
    new = school.teacher("Sami")
    school.change("BTEC_Classes", made, Teacher={"id": new})
    school.run_later()
    places = school.places(made)
    assert places[school.moodle_id("BTEC_Teachers", former)] == ({3}, True)
    assert places[school.moodle_id("BTEC_Teachers", new)] == ({3}, False)


def test_a_renamed_class_and_its_deletion_reach_course_and_cohort(school, full):
    made = full[0]
    school.change("BTEC_Classes", made, Class_Name="صف & ب")
    school.run_later()
    course = courses.find(school.lms, field="idnumber", value=made)
    assert (course.fullname, course.visible) == ("صف & ب", True)
    assert cohorts.find(school.lms, idnumber=made).name == "صف & ب"
    school.delete("BTEC_Classes", made)
    school.run_later()
    assert not courses.find(school.lms, field="idnumber", value=made).visible


def test_a_deleted_student_is_suspended_and_restored(school, full):
    student = full[2]
    record = dict(school.zoho.store.records["BTEC_Students"][student])
    key = school.moodle_id("BTEC_Students", student)
    school.delete("BTEC_Students", student)
    school.run_later()
    assert users.by_id(school.lms, ids=[key])[0].suspended
    school.zoho.store.records["BTEC_Students"][student] = record
    school.mirror("BTEC_Students", student)
    school.run_later()
    assert not users.by_id(school.lms, ids=[key])[0].suspended


def test_an_account_that_staff_made_is_found_and_linked(school, full, mark):
    accounts.find(school.site, now=timezone.now())
    student = school.person("Omar")
    address = school.row("BTEC_Students", student).academic_email
    new = new_user(mark, "byhand", email=address, idnumber="")
    [key] = users.create(school.lms, users=[new])
    found = accounts.find(school.site, now=timezone.now())
    assert found.linking == [("BTEC_Students", student)]
    school.run_later()
    assert school.moodle_id("BTEC_Students", student) == key
    assert users.by_id(school.lms, ids=[key])[0].idnumber == student
    record = school.zoho.store.records["BTEC_Students"][student]
    assert record["Student_Moodle_ID"] == str(key)


def test_an_account_that_staff_deleted_is_made_again(school, full):
    made, _teacher, student, _place = full
    lost = school.moodle_id("BTEC_Students", student)
    school.lms.write("core_user_delete_users", userids=[lost])
    drift.repair(drift.find(school.site))
    for _ in range(2):
        school.run_later()
    key = school.moodle_id("BTEC_Students", student)
    assert key != lost
    assert school.places(made)[key] == ({5}, False)
    assert school.members(made) == {key}
    assert drift.find(school.site) == []


def test_all_attempts_reach_zoho_with_their_criteria(school, full):
    made, _teacher, student, _place = full
    school.grade(made, student, levels={"P1": 0, "M1": 0}, reopen=True)
    [first] = school.send_grades()
    # Nothing was submitted.
    assert first["Grade"] == "F"
    school.grade(made, student, levels={"P1": 1, "M1": 1})
    first, second = school.send_grades()
    assert (first["Grade"], second["Grade"]) == ("F", "M")
    assert second["Student"]["id"] == student
    found = [(one["LO_Code"], one["LO_Score"]) for one in second[CRITERIA]]
    assert found == [("P1", "Achieved"), ("M1", "Achieved")]
    assert second[CRITERIA][0]["LO_Feedback"] == "R & D"


def test_a_grade_of_a_scale_reaches_zoho_by_its_name(school):
    template = courses.find(school.lms, field="shortname", value="contract-scale")
    school.site = replace(school.site, template_id=template.id)
    student, made = school.person("Nour"), school.school_class()
    school.enrolment(student, made)
    for _ in range(2):
        school.run_later()
    school.grade(made, student, number=2)
    [record] = school.send_grades()
    assert record["Grade"] == "Competent"


def test_a_student_who_left_stops_no_grades(school, full):
    made, _teacher, left, place = full
    other = school.person("Huda")
    school.enrolment(other, made)
    for _ in range(2):
        school.run_later()
    for student in (left, other):
        school.grade(made, student, levels={"P1": 1, "M1": 0})
    school.site = replace(school.site, unenrols=True)
    school.change("BTEC_Enrollments", place, Enrollment_Status="Withdrawn")
    school.run_later()
    [record] = school.send_grades()
    assert (record["Student"]["id"], record["Grade"]) == (other, "P")


def test_a_unit_is_published_as_a_shared_rubric_and_again(school):
    unit = school.add("BTEC_Units", Name="R & D", P1_description="a < b & <c>")
    school.run_later()
    first = Unit.objects.get().template_hash
    school.change("BTEC_Units", unit, M1_description="يقارن")
    school.run_later()
    assert first
    assert Unit.objects.get().template_hash not in ("", first)
    assert not PeerState.objects.exclude(last_error="").exists()
