"""Students' requests: BTEC_Student_Requests."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from registrar.models.rows import MirrorRow, lookup, text


class StudentRequest(MirrorRow):
    """A request of a student, with the status that Zoho gives it."""

    subject = models.CharField(
        _("subject of the request"),
        max_length=255,
        default="",
        blank=True,
        db_index=True,
    )
    student = lookup("Student", _("student"), related_name="requests")
    request_type = text(_("type"))
    status = text(_("status"))
    description = models.TextField(_("description"), default="", blank=True)
    class_ids = models.JSONField(_("classes to drop"), default=list, blank=True)
    """Zoho ids of classes."""
    requested_on = models.DateField(_("request date"), null=True)

    class Meta:
        verbose_name = _("student request in Zoho")
        verbose_name_plural = _("student requests in Zoho")

    def __str__(self) -> str:
        return self.subject or self.zoho_id
