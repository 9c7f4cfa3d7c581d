"""What registrations give to players: the school's rules, and what was given."""

from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

from content.fields import validate_item_code
from core.fields import ExactCharField
from registrar.models.rows import lookup


class ProgramAccess(models.Model):
    """The plan and the product that a registration for a program gives to a player."""

    class Payment(models.TextChoices):
        """What must be paid. Voided and deleted payments do not count."""

        NONE = "none", _("nothing")
        ANY = "any", _("at least one payment")
        FULL = "full", _("the total fees")

    program = lookup("Program", _("program"), related_name="access_rules")
    plan = models.ForeignKey(
        "plans.AcademicPlan",
        models.CASCADE,
        related_name="+",
        verbose_name=_("plan"),
    )
    item = ExactCharField(
        _("product code"),
        max_length=64,
        default="",
        blank=True,
        validators=[validate_item_code],
        help_text=_("If the plan's lessons are sold. Empty: no product is given."),
    )
    giving_statuses = models.CharField(
        _("statuses that give"),
        max_length=255,
        default="Active",
        help_text=_("Registration statuses in Zoho, separated by commas."),
    )
    ending_statuses = models.CharField(
        _("statuses that end"),
        max_length=255,
        default="Cancelled, Withdrawn",
        help_text=_(
            "With another status nothing changes. A deletion in Zoho always ends."
        ),
    )
    payment = models.CharField(
        _("paid"), max_length=10, choices=Payment.choices, default=Payment.ANY
    )
    creates_accounts = models.BooleanField(
        _("create accounts"),
        default=False,
        help_text=_(
            "For students without one. Where a player has the e-mail address already, "
            "staff decide whether they are the same person."
        ),
    )
    is_enabled = models.BooleanField(
        _("enabled"),
        default=False,
        help_text=_("Look first at what would happen. Off: nothing is given or ended."),
    )

    class Meta:
        verbose_name = _("access by registration")
        verbose_name_plural = _("access by registration")
        constraints = [
            # Two rules about one plan could contradict each other.
            models.UniqueConstraint(
                fields=["program", "plan"],
                name="registrar_rule_once_per_program_and_plan",
                violation_error_message=_("The program gives this plan already."),
            )
        ]

    def __str__(self) -> str:
        return f"{self.program or self.program_id} → {self.plan}"

    def clean(self) -> None:
        """Refuse a status that would give and end."""
        both = statuses(self.giving_statuses) & statuses(self.ending_statuses)
        if both:
            message = _("A status cannot give and end.")
            raise ValidationError({"ending_statuses": message})


def statuses(text: str) -> set[str]:
    """Return the statuses of a comma-separated text, for comparisons."""
    return {one.strip().casefold() for one in text.split(",") if one.strip()}


class GivenAccess(models.Model):
    """A plan or a product that the registrar gave to a player, and may end.

    What staff gave has no row here, so the registrar never ends it.
    """

    class Kind(models.TextChoices):
        PLAN = "plan", _("plan")
        PRODUCT = "product", _("product")

    rule = models.ForeignKey(
        ProgramAccess, models.CASCADE, related_name="+", verbose_name=_("rule")
    )
    player = models.ForeignKey(
        "players.PlayerProfile",
        models.CASCADE,
        related_name="+",
        verbose_name=_("player"),
    )
    kind = models.CharField(_("type"), max_length=10, choices=Kind.choices)
    plan_id = models.BigIntegerField(default=0, editable=False)
    """The plan of an enrolment; 0 for a product."""
    item = ExactCharField(_("product code"), max_length=64, default="", blank=True)
    row_id = models.BigIntegerField(editable=False)
    """The key of the enrolment or the entitlement. Another row of the same plan or
    product was given by staff."""
    given_at = models.DateTimeField(_("given"), auto_now_add=True)

    class Meta:
        verbose_name = _("access given by registration")
        verbose_name_plural = _("access given by registration")
        constraints = [
            # Each plan and product is given to a player once.
            models.UniqueConstraint(
                fields=["player", "kind", "plan_id", "item"],
                name="registrar_given_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.item or self.plan_id}"

    @property
    def thing(self) -> tuple[str, Any]:
        """The kind, and the plan or the product."""
        return self.kind, self.item or self.plan_id
