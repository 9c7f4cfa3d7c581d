"""Grades that Moodle has and Zoho gets (D7A), and how far Moodle has been read."""

from typing import Any, Self

from django.db import models
from django.db.models import Case, Count, Exists, F, OuterRef, Subquery, Value, When
from django.utils.translation import gettext_lazy as _, pgettext_lazy

from core.fields import ExactCharField
from registrar.models.classes import SchoolClass
from registrar.models.outbox import GRADE_KINDS, GRADES, Effect
from registrar.models.people import Student
from registrar.models.rows import ID_LENGTH, text
from registrar.models.work import WorkState


class GradeState(models.TextChoices):
    """Where a grade stands on its way to Zoho."""

    WAITING = "waiting", _("waits to be sent")
    BASIC_SENT = "basic_sent", _("grade sent, criteria follow")
    ENRICHED = "enriched", _("grade and criteria sent")
    FAILED = "failed", _("failed")
    NO_STUDENT = "no_student", _("not a student in Zoho")
    NO_CLASS = "no_class", _("not a class in Zoho")


class MoodleGradeQuerySet(models.QuerySet["MoodleGrade"]):
    """Grades with their state, which follows from the versions and the outbox."""

    def sendable(self) -> Self:
        """Leave out grades whose student or class Zoho does not have."""
        return self.filter(Exists(_students()), Exists(_classes()))

    def with_state(self) -> Self:
        """Annotate ``state``, a `GradeState`, and the ``error`` of a failed one."""
        failed = _effects().filter(state=WorkState.DEAD)
        return self.annotate(
            state=Case(
                When(enriched_version=F("version"), then=Value(GradeState.ENRICHED)),
                When(Exists(failed), then=Value(GradeState.FAILED)),
                When(sent_version=F("version"), then=Value(GradeState.BASIC_SENT)),
                When(~Exists(_students()), then=Value(GradeState.NO_STUDENT)),
                When(~Exists(_classes()), then=Value(GradeState.NO_CLASS)),
                default=Value(GradeState.WAITING),
                output_field=models.CharField(),
            ),
            error=Subquery(
                _effects()
                .exclude(last_error="")
                .order_by("-pk")
                .values("last_error")[:1]
            ),
        )

    def with_names(self) -> Self:
        """Annotate ``student_id`` (Zoho's), ``student_name`` and ``class_name``."""
        student, school_class = _students(), _classes()
        return self.annotate(
            student_id=Subquery(student.values("zoho_id")[:1]),
            student_name=Subquery(student.values("display_name")[:1]),
            class_name=Subquery(school_class.values("name")[:1]),
        )

    def count_states(self) -> dict[str, int]:
        """Return the number of grades by state; states without one are 0. One query."""
        rows: Any = self.with_state().order_by()
        found = rows.values_list("state").annotate(Count("pk"))
        return dict.fromkeys(GradeState.values, 0) | dict(found)


def _students() -> "models.QuerySet[Student]":
    return Student.objects.filter(moodle_id=OuterRef("user_id"), deleted_at=None)


def _classes() -> "models.QuerySet[SchoolClass]":
    return SchoolClass.objects.filter(moodle_id=OuterRef("course_id"), deleted_at=None)


def _effects() -> "models.QuerySet[Effect]":
    return Effect.objects.filter(
        module=GRADES,
        kind__in=GRADE_KINDS,
        record_id=OuterRef("composite_key"),
        version=OuterRef("version"),
    )


class MoodleGrade(models.Model):
    """The grade of one attempt as Moodle has it. The latest attempt decides.

    `registrar.grades.polling` alone writes what comes from Moodle.
    """

    composite_key = ExactCharField(
        _("composite key"), max_length=ID_LENGTH, unique=True
    )
    """Moodle's course, assignment, user and attempt (from 0), joined by ``-``."""
    course_id = models.PositiveBigIntegerField(_("Moodle course"))
    assignment_id = models.PositiveBigIntegerField(_("Moodle assignment"))
    user_id = models.PositiveBigIntegerField(_("Moodle user"), db_index=True)
    attempt = models.PositiveIntegerField(_("attempt"))
    assignment_name = text(_("assignment"))
    grade = text(pgettext_lazy("of an assignment", "grade"))
    """What Zoho gets (`registrar.grades.rules`); "" for a grade that was taken back."""
    criteria = models.JSONField(_("criteria"), default=list, blank=True)
    """A document for each criterion of the rubric: `registrar.grades.rules.Criterion`."""
    graded_at = models.DateTimeField(_("graded"), null=True)
    changed_at = models.DateTimeField(_("changed here"), db_index=True)
    version = models.PositiveIntegerField(default=1, editable=False)
    """Counts the changes of grade and criteria."""
    sent_version = models.PositiveIntegerField(default=0, editable=False)
    """The ``version`` whose grade Zoho has."""
    enriched_version = models.PositiveIntegerField(default=0, editable=False)
    """The ``version`` whose grade and criteria Zoho has."""
    sent_at = models.DateTimeField(_("sent"), null=True, db_index=True)
    zoho_id = ExactCharField(
        _("Zoho id"), max_length=ID_LENGTH, default="", blank=True, db_index=True
    )
    """The record in ``BTEC_Grades``; "" until it is created."""

    objects = MoodleGradeQuerySet.as_manager()

    class Meta:
        verbose_name = _("grade from Moodle")
        verbose_name_plural = _("grade queue")
        indexes = [
            # What Zoho lacks, without reading the rows.
            models.Index(
                fields=["enriched_version", "version"], name="registrar_grade_unsent"
            )
        ]

    def __str__(self) -> str:
        return str(self.composite_key)


class GradePoll(models.Model):
    """How far Moodle's grades have been read: a single row, with the key 1."""

    since = models.PositiveBigIntegerField(default=0)
    """The watermark: Moodle's time, in Unix seconds, of the newest change of the
    assignments below whose grades are all stored."""
    assignment_ids: Any = models.JSONField(default=list)
    """Moodle's ids of the assignments that the watermark holds for. Another one is read
    from its beginning."""
    seen: Any = models.JSONField(default=dict)
    """What was read of changes about as new as the watermark, by assignment and user."""
    claim = models.CharField(max_length=32, default="")
    """A random word of the run that reads; "" if none does."""
    claimed_until = models.DateTimeField(null=True)
    first_tried_at = models.DateTimeField(auto_now_add=True)
    polled_at = models.DateTimeField(null=True)
    """When the last run began that has read everything."""
    last_error = models.TextField(default="")

    def __str__(self) -> str:
        return f"grade poll {self.since}"
