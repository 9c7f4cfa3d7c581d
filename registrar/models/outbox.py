"""The outbox: each effect on a peer that is due, under way, or done."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from registrar.models.work import Work


class Kind(models.TextChoices):
    """What an effect does. Each looks up first what the peer has, so it may be repeated."""

    USER = "user", _("account in Moodle")
    COURSE = "course", _("course in Moodle")
    STAFF = "staff", _("teacher and managers of the course")
    ENROLMENT = "enrolment", _("place in the course")
    RECORD = "record", _("record in Moodle's plugin")
    WRITE_BACK = "write_back", _("Moodle id to Zoho")
    TEMPLATE = "template", _("template for grading in Moodle")
    REQUEST = "request", _("request of a student to Zoho")
    GRADE = "grade", _("grade to Zoho")
    CRITERIA = "criteria", _("criteria of a grade to Zoho")


GRADES = "BTEC_Grades"
GRADE_KINDS = (Kind.GRADE, Kind.CRITERIA)
"""Effects of this module whose ``record_id`` is the grade's composite key."""


class Effect(Work):
    """A row of the mirror that a peer does not have as it is.

    It says what to do and not with which values: these are read when it is done.
    """

    kind = models.CharField(_("effect"), max_length=10, choices=Kind.choices)
    peer = models.CharField(_("system"), max_length=10)
    version = models.PositiveIntegerField(editable=False)
    """The version of the row for which it was added."""
    key = models.CharField(max_length=150, unique=True, editable=False)
    """Its idempotency key: the same effect is added once."""
    waits_for = models.CharField(max_length=90, default="", editable=False)
    """Module and id of a record without which it cannot be done."""
    result = models.TextField(_("result"), default="", blank=True)

    class Meta:
        verbose_name = _("effect")
        verbose_name_plural = _("effects")
        permissions = [("replay_effect", _("Can send to Moodle and Zoho again"))]
        indexes = [
            # What is due, and the first unfinished row of a record.
            models.Index(fields=["state", "due_at"], name="registrar_effect_due"),
            models.Index(
                fields=["module", "record_id", "state"], name="registrar_effect_record"
            ),
            # What waits for a record.
            models.Index(fields=["waits_for"], name="registrar_effect_waits"),
        ]

    def __str__(self) -> str:
        return self.key
