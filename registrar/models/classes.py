"""Teaching: BTEC_Classes, BTEC_Enrollments, BTEC_Grades."""

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _, pgettext_lazy

from registrar.models.rows import LinkedRow, MirrorRow, lookup, text

_STORED: dict[str, Any] = {"related_name": "+", "editable": False, "db_index": False}


class SchoolClass(LinkedRow):
    """A class; in Moodle a course."""

    name = text(_("name"))
    short_name = text(_("short name"))
    program = lookup("Program", _("program"), related_name="classes")
    program_name = text(_("name of the program"))
    unit = lookup("Unit", _("unit"), related_name="classes")
    unit_name = text(_("name of the unit"))
    teacher = lookup("Teacher", _("teacher"), related_name="classes")
    taught_by = models.PositiveBigIntegerField(null=True, editable=False)
    """Moodle's id of the teacher whom we enrolled; None if staff did it in Moodle."""
    teacher_name = text(_("name of the teacher"))
    status = text(_("status"))
    start_date = models.DateField(_("start date"), null=True)
    end_date = models.DateField(_("end date"), null=True)

    class Meta:
        verbose_name = _("class in Zoho")
        verbose_name_plural = _("classes in Zoho")

    def __str__(self) -> str:
        return self.name or self.zoho_id


class Enrolment(MirrorRow):
    """A student's place in a class."""

    student = lookup("Student", _("student"), related_name="enrolments")
    school_class = lookup("SchoolClass", _("class"), related_name="enrolments")
    status = text(_("status"))
    enrolled_on = models.DateField(_("enrolment date"), null=True)
    placed_student = lookup("Student", "", **_STORED)
    placed_class = lookup("SchoolClass", "", **_STORED)
    """Whom the record has placed in Moodle, and in which class; None if nowhere yet, or
    if that place was ended because the record now names another student or class."""

    class Meta:
        verbose_name = _("enrolment in Zoho")
        verbose_name_plural = _("enrolments in Zoho")

    def __str__(self) -> str:
        return str(self.zoho_id)


class Grade(MirrorRow):
    """A grade as Zoho has it, for reading only."""

    student = lookup("Student", _("student"), related_name="grades")
    school_class = lookup("SchoolClass", _("class"), related_name="grades")
    unit = lookup("Unit", _("unit"), related_name="grades")
    grade = text(pgettext_lazy("of an assignment", "grade"))
    composite_key = models.CharField(
        _("composite key"), max_length=255, default="", blank=True, db_index=True
    )
    moodle_course_id = text(_("Moodle course"))
    moodle_user_id = text(_("Moodle user"))

    class Meta:
        verbose_name = _("grade in Zoho")
        verbose_name_plural = _("grades in Zoho")

    def __str__(self) -> str:
        return self.composite_key or self.zoho_id
