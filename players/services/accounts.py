"""Creating players: an account, a profile, a wallet, a plan."""

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction

from plans.models import AcademicPlan, Grade
from players.models import Enrollment, PlayerProfile, PlayerWallet, User


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
