"""Setting a new password without the old one: by a link, or by a code from support.

A student asks for a link by e-mail, or support issues a code and tells it to the
student. Both are valid for an hour and once. Accounts with rights in the admin are
treated like unknown ones. No function here tells a client which accounts exist.
"""

import secrets
import unicodedata
from datetime import datetime, timedelta
from functools import partial
from urllib.parse import urlencode

import structlog
from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.contrib.auth.tokens import default_token_generator
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import F, QuerySet
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.translation import gettext as _

from core.parsing import whole_number
from players import audit
from players.errors import (
    AccountInactiveError,
    InvalidResetCodeError,
    PlayerNotFoundError,
    StaffAccountError,
    StoreAwayError,
)
from players.models import PasswordResetCode, PlayerProfile, SecurityEventType, User
from players.services import rates
from players.services.devices import lock_player

log = structlog.get_logger(__name__)

CODE_DIGITS = 8
CODE_LIFE = timedelta(hours=1)
CODE_ATTEMPTS = 5


def _accounts() -> "QuerySet[User]":
    """Return the accounts whose password can be reset."""
    found: QuerySet[User] = User.objects.filter(
        is_active=True, is_staff=False, is_superuser=False, player__erased_at=None
    ).exclude(player=None)
    return found.select_related("player")


# --- A link by e-mail -----------------------------------------------------------


def request_link(*, email: str, ip_address: str | None = None) -> int:
    """Count and audit a request for a link.

    The work is the same for every address.

    Returns:
        The account to pass to `send_link`; 0 if there is none.

    Raises:
        RateLimitedError: too many requests for this address, or from this network.
        StoreAwayError: Redis does not answer, so mails cannot be counted.
    """
    user = _accounts().filter(email=email).first()
    attempt = _take(email, ip_address, scope="reset_link_account")
    if attempt.usage is None:
        raise StoreAwayError(
            _("The e-mail cannot be sent at the moment. Please try again shortly.")
        )
    note = partial(
        audit.record, user_id=user.pk if user else None, ip_address=ip_address
    )
    rates.require_allowed(
        attempt.usage,
        note=partial(
            note, SecurityEventType.RATE_LIMITED, endpoint="auth-password-reset"
        ),
    )
    note(SecurityEventType.RESET_REQUESTED)
    return user.pk if user else 0


def send_link(user_id: int) -> bool:
    """Send an account the link to set a new password, in the player's language.

    Returns:
        Whether there is nothing left to do: the link is sent, or the account is unknown
        or cannot be reset. False if the mail server refuses or does not answer.
    """
    user = _accounts().filter(pk=user_id).first()
    if user is None:
        return True
    query = {"account": user.pk, "token": default_token_generator.make_token(user)}
    with translation.override(user.player.locale or settings.LANGUAGE_CODE):
        mail = EmailMessage(
            subject=_("A new password for Memora"),
            body=render_to_string(
                "players/reset_link.txt",
                {
                    "name": user.full_name,
                    "link": f"{settings.SITE_URL}{reverse('new-password')}"
                    f"?{urlencode(query)}",
                },
            ),
            to=[user.email],
        )
    try:
        mail.send()
    except OSError as error:  # an SMTPException, too; its text may hold the address
        log.warning("reset_link_not_sent", error=type(error).__name__)
        return False
    return True


def allow_link(player: PlayerProfile, actor: User) -> int:
    """Audit that staff send the player a link.

    Returns:
        The account to pass to `send_link`.

    Raises:
        AccountInactiveError: the account is switched off: a link would be refused.
        StaffAccountError: the account also has rights in the admin.
    """
    _refuse_staff_account(player.user)
    if not player.user.is_active:
        raise AccountInactiveError(
            _("The account is switched off: switch it on before the password is reset.")
        )
    audit.record(
        SecurityEventType.RESET_REQUESTED, user_id=player.user_id, actor_id=actor.pk
    )
    return player.user_id


def account_of_link(account: str, token: str) -> User | None:
    """Return the account that a link is for, or None if the link is not valid.

    A link stops being valid after an hour (``PASSWORD_RESET_TIMEOUT``), and when the
    account gets another password or address, signs in, or is switched off.
    """
    user = _accounts().filter(pk=whole_number(account) or 0).first()
    if user is None or not default_token_generator.check_token(user, token):
        return None
    return user


@transaction.atomic
def use_link(
    user: User, token: str, new: str, *, ip_address: str | None = None
) -> bool:
    """Set the new password, which a form has validated, and end the session.

    Returns:
        False if the link is not valid any more; nothing has changed.

    Raises:
        StoreAwayError: Redis does not answer; nothing has changed.
    """
    try:
        profile = lock_player(user.player.pk)
    except PlayerNotFoundError:
        return False
    # Again, under the lock: a link is used once.
    if account_of_link(str(profile.user_id), token) is None:
        return False
    _set(profile.user, new, by="link", ip_address=ip_address)
    return True


# --- A code from support --------------------------------------------------------


@transaction.atomic
def issue_code(player: PlayerProfile, actor: User) -> str:
    """Make a code with which the player can set a new password; it replaces an older one.

    Args:
        actor: the member of staff who will tell it to the student.

    Returns:
        Eight digits. They are not stored and cannot be read again.

    Raises:
        PlayerNotFoundError: there is no such player.
        StaffAccountError: the account also has rights in the admin.
    """
    profile = lock_player(player.pk)
    _refuse_staff_account(profile.user)
    code = f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}}"
    PasswordResetCode.objects.update_or_create(
        player=profile,
        defaults={
            "code_hash": _hash_of(profile.pk, code),
            "attempts_left": CODE_ATTEMPTS,
            "expires_at": timezone.now() + CODE_LIFE,
        },
    )
    audit.record(
        SecurityEventType.RESET_CODE_ISSUED,
        user_id=profile.user_id,
        actor_id=actor.pk,
    )
    return code


def use_code(
    *, email: str, code: str, new: str, ip_address: str | None = None, now: datetime
) -> None:
    """Set a new password with a code, and end the session.

    The database lets at most `CODE_ATTEMPTS` guesses be compared with a code, however
    many arrive at once, also while Redis does not answer and no request is counted.

    Args:
        code: its digits in any script; other characters are ignored.

    Raises:
        RateLimitedError: too many attempts for this address, or from this network.
        ValidationError: ``new`` is too weak; the code is still valid.
        InvalidResetCodeError: the code is wrong, used up or expired, or there is none.
        StoreAwayError: Redis does not answer; nothing has changed.
    """
    attempt = _take(email, ip_address, scope="reset_code_account")
    user = _accounts().filter(email=email).first()
    note = partial(
        audit.record, user_id=user.pk if user else None, ip_address=ip_address
    )
    rates.require_allowed(
        attempt.usage,
        note=partial(
            note, SecurityEventType.RATE_LIMITED, endpoint="auth-password-reset-confirm"
        ),
    )
    # With the typed address only, before the code is judged: the account's name must
    # not be told to a guest.
    validate_password(new, User(email=email))
    held = _judge(user.player.pk, code, now) if user else None
    if user is None or held is None:
        note(SecurityEventType.REFUSED, code=InvalidResetCodeError.code)
        raise _invalid()
    try:
        _use(user.player.pk, held, new, ip_address)
    except (ValidationError, StoreAwayError):
        # The code was right: this was no guess.
        codes = PasswordResetCode.objects.filter(player=user.player, code_hash=held)
        codes.update(attempts_left=F("attempts_left") + 1)
        raise
    attempt.give_back()


def _judge(player_id: int, code: str, now: datetime) -> str | None:
    """Compare a guess with the player's code, if it has an attempt left.

    The attempt is taken and committed first, by one statement that names the code's
    hash, so a guess is never compared with a code that it has no attempt of.

    Returns:
        The hash of the code if the guess is right, else None.
    """
    codes = PasswordResetCode.objects.filter(
        player_id=player_id, attempts_left__gt=0, expires_at__gt=now
    )
    held: str | None = codes.values_list("code_hash", flat=True).first()
    if held is None:
        return None
    taken = codes.filter(code_hash=held).update(attempts_left=F("attempts_left") - 1)
    if not taken or not constant_time_compare(held, _hash_of(player_id, code)):
        return None
    return held


@transaction.atomic
def _use(player_id: int, held: str, new: str, ip_address: str | None) -> None:
    try:
        profile = lock_player(player_id)
    except PlayerNotFoundError:
        raise _invalid() from None
    validate_password(new, profile.user)
    used, _by_model = PasswordResetCode.objects.filter(
        player=profile, code_hash=held
    ).delete()
    if not used or not _accounts().filter(pk=profile.user_id).exists():
        raise _invalid()
    _set(profile.user, new, by="code", ip_address=ip_address)


def _hash_of(player_id: int, code: str) -> str:
    """Return an HMAC with ``SECRET_KEY``: a copy of the database does not tell codes."""
    digits = "".join(
        str(unicodedata.decimal(char)) for char in code if char.isdecimal()
    )
    return salted_hmac(
        "players.password_resets", f"{player_id}:{digits}", algorithm="sha256"
    ).hexdigest()


def _invalid() -> InvalidResetCodeError:
    return InvalidResetCodeError(
        _(
            "This code is not valid: it is wrong, was used, or is older than an hour. "
            "Ask your school for a new one."
        )
    )


# --- Both -----------------------------------------------------------------------


def _refuse_staff_account(user: User) -> None:
    if user.is_staff or user.is_superuser:
        raise StaffAccountError(
            _(
                "“%(name)s” also works in the admin. The password of such an account is "
                "changed in the admin only."
            )
            % {"name": user}
        )


def _take(email: str, ip_address: str | None, *, scope: str) -> rates.Attempt:
    who = {scope: f"account-{rates.account_key(email)}"}
    if ip_address is not None:
        who["reset_ip"] = rates.network_key(ip_address)
    return rates.take(**who)


def _set(user: User, new: str, *, by: str, ip_address: str | None) -> None:
    """Set the password of an account whose lock the caller holds."""
    audit.record(
        SecurityEventType.PASSWORD_RESET,
        user_id=user.pk,
        ip_address=ip_address,
        by=by,
    )
    user.set_password(new)
    user.save(update_fields=["password"])
