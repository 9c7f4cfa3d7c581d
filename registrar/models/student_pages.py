"""What the students' pages store: sign-ins, requests that students sent, cards."""

import secrets
from pathlib import PurePath
from typing import Any

from django.core.files.storage import Storage, storages
from django.db import models
from django.utils.translation import gettext_lazy as _

from core.fields import ExactCharField, PictureField
from registrar.models.rows import ID_LENGTH


class RequestKind(models.TextChoices):
    """What a student may ask for."""

    ENROL = "enrol", _("Enrol for the next semester")
    DROP = "drop", _("Drop a class")
    LATE = "late", _("Late submission")
    CHANGE = "change", _("Change my information")
    CARD = "card", _("Student card")


CRM_TYPES = {
    RequestKind.ENROL: "Enroll Next Semester",
    RequestKind.DROP: "Class Drop",
    RequestKind.LATE: "Late Submission",
    RequestKind.CHANGE: "Change Information",
    RequestKind.CARD: "Student Card",
}
"""The values of ``Request_Type`` in the CRM."""
WINDOWED = (RequestKind.ENROL, RequestKind.DROP)
"""Kinds that are open only while their window is; the others always are."""


class StudentAccount(models.Model):
    """Which player a student of the school is; staff decide it (`link_students`)."""

    student = models.OneToOneField(
        "registrar.Student",
        models.CASCADE,
        related_name="account",
        verbose_name=_("student"),
    )
    player = models.OneToOneField(
        "players.PlayerProfile",
        models.CASCADE,
        related_name="school_record",
        verbose_name=_("player"),
    )
    linked_at = models.DateTimeField(_("linked"), auto_now_add=True)

    class Meta:
        verbose_name = _("account of a student in Zoho")
        verbose_name_plural = _("accounts of students in Zoho")

    def __str__(self) -> str:
        return f"{self.student} – #{self.player_id}"


class StudentToken(models.Model):
    """A one-time link to the students' pages, a session of them, or a used request."""

    class Purpose(models.TextChoices):
        LINK = "link"
        SESSION = "session"
        REQUEST = "request"
        """A signed request for a link. Its signature is not accepted again."""

    student = models.ForeignKey("registrar.Student", models.CASCADE, related_name="+")
    purpose = models.CharField(max_length=10, choices=Purpose.choices)
    sha256 = ExactCharField(max_length=64, unique=True)
    """The hash of the token or signature, which is not stored. Both have 256 bits."""
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.purpose} {self.pk}"


class RequestWindow(models.Model):
    """When students may send requests of a kind; without a row, never."""

    kind = models.CharField(
        _("type"),
        max_length=10,
        unique=True,
        choices=[(kind.value, kind.label) for kind in WINDOWED],
    )
    is_enabled = models.BooleanField(_("enabled"), default=False)
    opens_at = models.DateTimeField(_("open from"), null=True, blank=True)
    closes_at = models.DateTimeField(_("open until"), null=True, blank=True)
    updated_at = models.DateTimeField(_("changed"), auto_now=True)

    class Meta:
        verbose_name = _("request window")
        verbose_name_plural = _("request windows")
        constraints = [
            # An interval that ends before it begins would never be open.
            models.CheckConstraint(
                condition=models.Q(opens_at=None)
                | models.Q(closes_at=None)
                | models.Q(opens_at__lt=models.F("closes_at")),
                name="registrar_window_order",
                violation_error_message=_("The window must open before it closes."),
            )
        ]

    def __str__(self) -> str:
        return str(RequestKind(self.kind).label)


def receipts() -> Storage:
    """Return the private storage of receipts: no address leads to it."""
    return storages["receipts"]


def _receipt_name(_submission: Any, filename: str) -> str:
    return f"{secrets.token_hex(16)}{PurePath(filename).suffix}"


class Submission(models.Model):
    """A request that a student sent. `StudentRequest` is its record in the CRM."""

    uuid = models.UUIDField(unique=True)
    """Chosen with the form, so a form that is sent twice is one request."""
    student = models.ForeignKey(
        "registrar.Student",
        models.PROTECT,
        related_name="submissions",
        verbose_name=_("student"),
    )
    kind = models.CharField(_("type"), max_length=10, choices=RequestKind.choices)
    description = models.TextField(_("description"), default="", blank=True)
    class_ids = models.JSONField(_("classes to drop"), default=list, blank=True)
    """Zoho ids of classes."""
    receipt = PictureField(
        _("receipt"), storage=receipts, upload_to=_receipt_name, blank=True
    )
    """Deleted as soon as the CRM has it."""
    created_at = models.DateTimeField(_("sent"))
    zoho_id = ExactCharField(
        _("Zoho id"), max_length=ID_LENGTH, default="", blank=True, db_index=True
    )
    """The record in the CRM; "" until it is created."""

    class Meta:
        verbose_name = _("request of a student")
        verbose_name_plural = _("requests of students")
        indexes = [
            # The requests of a student, the newest first.
            models.Index(
                fields=["student", "created_at"], name="registrar_submission_list"
            )
        ]

    def __str__(self) -> str:
        return self.subject

    @property
    def subject(self) -> str:
        """The subject in the CRM, by which the record is found again."""
        return f"{CRM_TYPES[RequestKind(self.kind)]} {self.uuid}"


class StudentCard(models.Model):
    """A card that a student generated; a newer one replaces it."""

    student = models.ForeignKey(
        "registrar.Student",
        models.PROTECT,
        related_name="cards",
        verbose_name=_("student"),
    )
    submission = models.OneToOneField(
        Submission, models.PROTECT, related_name="card", verbose_name=_("request")
    )
    number = models.CharField(_("number"), max_length=255)
    """The student's number at the school when the card was made."""
    issued_at = models.DateTimeField(_("issued"))
    valid_until = models.DateField(_("valid until"))
    replaced_at = models.DateTimeField(_("replaced"), null=True)
    withdrawn_at = models.DateTimeField(_("withdrawn"), null=True)
    """Staff have withdrawn it."""

    class Meta:
        verbose_name = _("student card")
        verbose_name_plural = _("student cards")

    def __str__(self) -> str:
        return self.number
