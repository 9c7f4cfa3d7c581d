"""Values of Zoho that were not understood."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from core.fields import ExactCharField
from registrar.models.rows import ID_LENGTH


class Reason(models.TextChoices):
    """Why the mapping does not accept a value (`registrar.mapping.converters`)."""

    TYPE = "type", _("The value has another type than this field should have.")
    LENGTH = "length", _("The text is too long.")
    CHOICE = "choice", _("This choice is not known, so it is not acted upon.")
    DATE = "date", _("The value is not a date such as 2026-01-31.")
    NUMBER = "number", _("The value is not a number in the permitted range.")
    DECIMALS = "decimals", _("The amount has more than three decimals.")
    LOOKUP = "lookup", _("The value does not name another record.")


class Conflict(models.Model):
    """A value that the mapping does not accept; the row keeps its former value.

    It is deleted when a later record has an accepted value in this field.
    """

    module = models.CharField(_("module"), max_length=40)
    record_id = ExactCharField(_("Zoho id"), max_length=ID_LENGTH)
    api_name = models.CharField(_("field"), max_length=60)
    value = models.TextField(_("value in Zoho"))
    reason = models.CharField(_("reason"), max_length=20, choices=Reason.choices)
    since = models.DateTimeField(_("since"))

    class Meta:
        verbose_name = _("conflict")
        verbose_name_plural = _("conflicts")
        constraints = [
            # One conflict for a field, whatever the number of records with it.
            models.UniqueConstraint(
                fields=["module", "record_id", "api_name"],
                name="registrar_conflict_field",
            )
        ]

    def __str__(self) -> str:
        return f"{self.module} {self.record_id}: {self.api_name}"
