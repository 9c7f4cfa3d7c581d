"""Students and teachers: BTEC_Students, BTEC_Teachers."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from registrar.models.rows import LinkedRow, text


class Student(LinkedRow):
    """A student of the school, as Zoho describes them. Not an account of Memora."""

    first_name = text(_("first name"))
    last_name = text(_("last name"))
    display_name = text(_("display name"))
    academic_email = models.CharField(
        _("academic e-mail"), max_length=255, default="", blank=True, db_index=True
    )
    phone_number = text(_("phone number"))
    address = models.TextField(_("address"), default="", blank=True)
    city = text(_("city"))
    nationality = text(_("nationality"))
    birth_date = models.DateField(_("date of birth"), null=True)
    gender = text(_("gender"))
    status = text(_("status"))
    national_number = text(_("national number"))
    emergency_contact_name = text(_("emergency contact"))
    emergency_phone_number = text(_("emergency phone number"))
    erased_at = models.DateTimeField(null=True, editable=False)
    """When the personal columns were emptied, long after a deletion in Zoho."""
    is_account_erased = models.BooleanField(default=False, editable=False)
    """Whether the player was erased, so that no account is created any more."""

    class Meta:
        verbose_name = _("student in Zoho")
        verbose_name_plural = _("students in Zoho")

    def __str__(self) -> str:
        names = f"{self.first_name} {self.last_name}".strip()
        return self.display_name or names or self.zoho_id


class Teacher(LinkedRow):
    """A teacher, as Zoho describes them."""

    name = text(_("name"))
    email = text(_("e-mail"))
    academic_email = text(_("academic e-mail"))
    phone_number = text(_("phone number"))

    class Meta:
        verbose_name = _("teacher in Zoho")
        verbose_name_plural = _("teachers in Zoho")

    def __str__(self) -> str:
        return self.name or self.zoho_id
