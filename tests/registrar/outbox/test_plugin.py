"""A site with the plugin gets every record; a site without it gets what it has."""

from dataclasses import replace

import pytest

from registrar.effects import handlers
from registrar.models import Effect
from registrar.outbox.adding import EVERY_SITE


@pytest.fixture
def plugin(school):
    """The tables of the plugin, by kind and Zoho's id."""
    school.moodle.plugin = True
    return school.moodle.plugin_records


def test_every_kind_of_record_reaches_the_plugin(school, plugin):
    student = school.student(National_Number="9981", Birth_Date="2008-02-29")
    teacher = school.add("BTEC_Teachers", Name="Omar K", Academic_Email="o@x.edu")
    program = school.add("Products", Product_Name="BTEC IT", Program_Price=1250.5)
    made = school.school_class(BTEC_Program={"id": program})
    registration = school.add(
        "BTEC_Registrations",
        Student_ID={"id": student},
        Program={"id": program},
        Total_Fees=900,
    )
    payment = school.add(
        "BTEC_Payments", Registration_ID={"id": registration}, Payment_Amount=50.25
    )
    enrolment = school.enrolment(student, made)
    grade = school.add(
        "BTEC_Grades",
        Student={"id": student},
        Grade="Merit",
        Moodle_Grade_Composite_Key="1-2-3-0",
    )
    request = school.add("BTEC_Student_Requests", Subject="r1", Status="Open")
    school.run()
    row = plugin["student"][student]
    assert row["national_id"] == "9981"
    assert row["birth_date"] == "2008-02-29"
    assert row["moodle_user_id"] == school.row("BTEC_Students", student).moodle_id
    assert plugin["teacher"][teacher]["moodle_user_id"]
    assert plugin["program"][program]["price"] == "1250.500"
    found = plugin["class"][made]
    assert found["moodle_class_id"] == school.row("BTEC_Classes", made).moodle_id
    assert found["zoho_program_id"] == program
    assert plugin["registration"][registration]["zoho_student_id"] == student
    assert plugin["payment"][payment]["amount"] == "50.250"
    assert plugin["enrollment"][enrolment]["status"] == "Active"
    assert plugin["grade"][grade]["grade"] == "Merit"
    assert plugin["request"][request]["status"] == "Open"
    assert not Effect.objects.exclude(state="done").exists()


def test_a_deletion_reaches_the_plugin_as_the_final_status(school, plugin):
    payment = school.add("BTEC_Payments", Payment_Amount=5)
    school.run()
    assert plugin["payment"][payment]["status"] == ""
    school.delete("BTEC_Payments", payment)
    school.run()
    assert plugin["payment"][payment]["status"] == "Voided"


def test_a_withdrawal_is_not_sent_to_the_plugin_which_would_lose_the_grades(
    school, plugin
):
    student, made = school.student(), school.school_class()
    enrolment = school.enrolment(student, made)
    school.run()
    school.change("BTEC_Enrollments", enrolment, Enrollment_Status="Withdrawn")
    school.run()
    assert plugin["enrollment"][enrolment]["status"] == "Active"
    school.site = replace(school.site, unenrols=True)
    school.change("BTEC_Enrollments", enrolment, Enrollment_Date="2026-01-01")
    school.run()
    assert plugin["enrollment"][enrolment]["status"] == "Withdrawn"


def test_a_site_without_the_plugin_gets_no_effects_for_its_records(school):
    school.add("Products", Product_Name="BTEC IT")
    school.add("BTEC_Payments", Payment_Amount=5)
    school.run()
    assert not Effect.objects.exists()


def test_while_moodle_is_away_the_plugin_counts_as_not_there(settings, school):
    settings.MOODLE_URL, settings.MOODLE_TOKEN = school.moodle.url, "wrong"
    assert tuple(handlers.modules()) == EVERY_SITE
    handlers.site().moodle.close()
    handlers._client.cache_clear()
    settings.MOODLE_URL = ""
    assert handlers.modules() == ()
