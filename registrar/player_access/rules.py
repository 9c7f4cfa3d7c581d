"""What a registration says about a rule. Plain values, no database."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import IntEnum

from django.db import models
from django.utils.translation import gettext_lazy as _

from registrar.models import ProgramAccess
from registrar.models.player_access import statuses


class Wish(IntEnum):
    """What should be; of several registrations the highest one counts."""

    END = 0
    KEEP = 1
    """Nothing changes: it is not known what should be."""
    GIVE = 2


class Reason(models.TextChoices):
    """Why a change is due, or why none is made."""

    REGISTERED = "registered", _("registered and paid")
    ENDED = "ended", _("the registration ended")
    DELETED = "deleted", _("the registration was deleted in Zoho")
    UNPAID = "unpaid", _("the payment is missing")
    NO_REGISTRATION = "no_registration", _("no registration for the program")
    NOT_LINKED = "not_linked", _("the player is no longer linked with the student")
    STUDENT_DELETED = "student_deleted", _("the student was deleted in Zoho")
    UNKNOWN_STATUS = "unknown_status", _("the rule does not name the status")
    UNKNOWN_FEES = "unknown_fees", _("Zoho has no total fees")
    NO_ACCOUNT = "no_account", _("no player is linked, and none is to be created")
    NO_EMAIL = "no_email", _("the student has no academic e-mail address")
    SAME_EMAIL = "same_email", _("another student has the same e-mail address")
    PLAYER_EXISTS = (
        "player_exists",
        _("a player has the e-mail address: link them if it is the same person"),
    )
    ERASED = "erased", _("the student's account was erased")
    TAKEN = "taken", _("staff took it away")
    HELD = "held", _("staff gave it with another end")


@dataclass(frozen=True, slots=True)
class Registered:
    """A registration; ``paid`` is the sum of its payments."""

    status: str
    deleted_at: datetime | None
    total_fees: Decimal | None
    paid: Decimal


def wish(rule: ProgramAccess, registration: Registered) -> tuple[Wish, Reason]:
    """Return what a registration for the rule's program asks for, and why."""
    if registration.deleted_at is not None:
        return Wish.END, Reason.DELETED
    status = registration.status.strip().casefold()
    if status in statuses(rule.ending_statuses):
        return Wish.END, Reason.ENDED
    if status not in statuses(rule.giving_statuses):
        return Wish.KEEP, Reason.UNKNOWN_STATUS
    match rule.payment:
        case ProgramAccess.Payment.ANY if registration.paid <= 0:
            return Wish.END, Reason.UNPAID
        case ProgramAccess.Payment.FULL if registration.total_fees is None:
            return Wish.KEEP, Reason.UNKNOWN_FEES
        case ProgramAccess.Payment.FULL if (
            registration.total_fees is not None
            and registration.paid < registration.total_fees
        ):
            return Wish.END, Reason.UNPAID
    return Wish.GIVE, Reason.REGISTERED
