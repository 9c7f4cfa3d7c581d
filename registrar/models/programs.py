"""What the school sells: Products, BTEC_Units, BTEC_Registrations, BTEC_Payments."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from registrar.models.rows import MirrorRow, lookup, money, text


class Program(MirrorRow):
    """A program of study, with its list price."""

    name = text(_("name"))
    code = text(_("code"))
    level = text(_("level"))
    duration = text(_("duration"))
    category = text(_("category"))
    price = money(_("price"))
    currency = text(_("currency"))

    class Meta:
        verbose_name = _("program in Zoho")
        verbose_name_plural = _("programs in Zoho")

    def __str__(self) -> str:
        return self.name or self.zoho_id


class Unit(MirrorRow):
    """A BTEC unit; in Moodle a template for grading by its criteria."""

    name = text(_("name"))
    code = text(_("code"))
    criteria = models.JSONField(_("criteria"), default=dict, blank=True)
    """The texts of the criteria by short name, such as ``P1``."""
    template_hash = models.CharField(max_length=64, default="", editable=False)
    """The digest of the template that Moodle has; "" while it is unknown."""
    template_synced_at = models.DateTimeField(
        _("last published"), null=True, editable=False
    )

    class Meta:
        verbose_name = _("unit in Zoho")
        verbose_name_plural = _("units in Zoho")

    def __str__(self) -> str:
        return self.name or self.zoho_id


class Template(Unit):
    """A unit as a template for grading in Moodle; the table of units has it."""

    class Meta:
        proxy = True
        verbose_name = _("BTEC template")
        verbose_name_plural = _("BTEC templates")
        permissions = [("replay_template", _("Can publish templates again"))]


class Registration(MirrorRow):
    """A student's registration for a program, with its fees."""

    name = text(_("name"))
    student = lookup("Student", _("student"), related_name="registrations")
    program = lookup("Program", _("program"), related_name="registrations")
    program_name = text(_("name of the program"))
    number = text(_("registration number"))
    registered_on = models.DateField(_("registration date"), null=True)
    registration_status = text(_("registration status"))
    status = text(_("status"))
    program_price = money(_("price"))
    total_fees = money(_("total fees"))
    paid_amount = money(_("paid"))
    remaining_amount = money(_("remaining"))
    currency = text(_("currency"))
    payment_plan = text(_("payment plan"))
    study_mode = text(_("study mode"))
    expected_graduation = models.DateField(_("expected graduation"), null=True)
    number_of_installments = models.PositiveIntegerField(_("instalments"), null=True)
    program_level = text(_("level"))

    class Meta:
        verbose_name = _("registration in Zoho")
        verbose_name_plural = _("registrations in Zoho")

    def __str__(self) -> str:
        return self.number or self.name or self.zoho_id


class Payment(MirrorRow):
    """A payment for a registration, in the registration's currency."""

    registration = lookup("Registration", _("registration"), related_name="payments")
    student = lookup("Student", _("student"), related_name="payments")
    amount = money(_("amount"))
    paid_on = models.DateField(_("payment date"), null=True)
    method = text(_("payment method"))
    note = models.TextField(_("note"), default="", blank=True)
    status = text(_("status"))
    """Ours: ``Voided`` after a deletion in Zoho; Zoho has no such field."""

    class Meta:
        verbose_name = _("payment in Zoho")
        verbose_name_plural = _("payments in Zoho")

    def __str__(self) -> str:
        return str(self.zoho_id)
