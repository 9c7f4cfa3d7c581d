"""Creating players: an account, a profile, a wallet, a plan."""

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from plans.models import AcademicPlan, Grade
from players import audit
from players.errors import StaffAccountError
from players.models import Enrollment, PlayerProfile, PlayerWallet, User
from players.services.devices import lock_player


@transaction.atomic
def create_player(
    email: str,
    password: str,
    full_name: str = "",
    grade: Grade | None = None,
    plan: AcademicPlan | None = None,
    *,
    school_number: str | None = None,
    phone: str = "",
) -> PlayerProfile:
    """Create a student who can sign in, with an empty wallet.

    Args:
        plan: enrol the player in it and make it the active one.

    Raises:
        ValidationError: the address, the school number or the phone number is invalid
            or taken, or the password is too weak; the messages are by field.
    """
    user = User(email=User.objects.normalize_email(email), full_name=full_name)
    _require_good_password(password, user)
    user.set_password(password)
    user.full_clean()
    user.save()
    profile = PlayerProfile(
        user=user, grade=grade, school_number=school_number or None, phone=phone
    )
    profile.full_clean()
    profile.save()
    PlayerWallet.objects.create(player=profile)
    if plan is not None:
        enroll(profile, plan)
    return profile


def _require_good_password(password: str, user: User) -> None:
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise ValidationError({"password": error.messages}) from None


@transaction.atomic
def set_active(*, player_id: int, is_active: bool, reason: str) -> bool:
    """Switch a student's account on, or off, which ends the session.

    Args:
        reason: why, for the audit trail.

    Returns:
        False if the account was in this state already.

    Raises:
        PlayerNotFoundError: there is no such player.
        StaffAccountError: the account also has rights in the admin.
        StoreAwayError: Redis does not answer and a session must end; nothing has
            changed.
    """
    user = lock_player(player_id).user
    if user.is_staff or user.is_superuser:
        raise StaffAccountError(
            _(
                "“%(name)s” also works in the admin. Such an account is switched on and "
                "off on the page of the account only."
            )
            % {"name": user}
        )
    if user.is_active == is_active:
        return False
    user.is_active = is_active
    with audit.because(reason):
        user.save(update_fields=["is_active"])
    return True


@transaction.atomic
def enroll(profile: PlayerProfile, plan: AcademicPlan) -> Enrollment:
    """Enrol the player in ``plan``; it becomes active if they had no active plan.

    An existing enrolment stays as it is.
    """
    enrollment: Enrollment
    enrollment, _created = Enrollment.objects.get_or_create(player=profile, plan=plan)
    if profile.active_plan_id is None:
        profile.active_plan = plan
        profile.save(update_fields=["active_plan"])
    return enrollment
