"""Signing in and out: one session per player, and the last sign-in wins (DESIGN 6)."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import ClassVar
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils.translation import gettext as _

from content.errors import MemoraError
from players import audit, store, tokens
from players.errors import (
    AccountInactiveError,
    DeviceNotAuthorizedError,
    InvalidCredentialsError,
    NotAPlayerError,
    SessionEndedError,
    StoreAwayError,
)
from players.models import (
    Device,
    PlayerProfile,
    SecurityEventType,
    Session,
    User,
)
from players.services import rates, sign_in_state
from players.services.devices import claim_slot, lock_player
from players.services.rates import Rule, Usage
from players.tokens import Token

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Player:
    """Who sends a request: a player, signed in on a device of theirs."""

    id: int
    device_id: UUID
    is_authenticated: ClassVar[bool] = True
    is_active: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class SignedIn:
    """What a sign-in gives; ``token`` is shown this once."""

    token: Token
    profile: PlayerProfile
    is_first_device: bool
    devices_authorized: int


# --- Signing in ---------------------------------------------------------------


def sign_in(
    *,
    email: str,
    password: str,
    device_id: UUID,
    device_name: str = "",
    ip_address: str | None = None,
    now: datetime,
    report: Callable[[Usage | None], None] = lambda _usage: None,
) -> SignedIn:
    """Start the player's session on this device, ending any other.

    The very first sign-in authorises its device; after that only staff do. Wrong
    passwords are limited (`rates.take_login`); a refusal costs no hash.

    Args:
        report: told what is left of the limit, None while Redis does not answer.

    Raises:
        RateLimitedError: too many refused sign-ins; says how long to wait.
        InvalidCredentialsError: e-mail or password is wrong.
        AccountInactiveError, NotAPlayerError: the password is right, but the
            account is switched off, or no student's.
        DeviceNotAuthorizedError: the device is not one of the player's.
        StoreAwayError: Redis does not answer; nothing has changed.
    """
    own_device = Device.objects.filter(player__user=OuterRef("pk"), device_id=device_id)
    user = (
        User.objects.filter(email=email)
        .annotate(is_own_device=Exists(own_device))
        .first()
    )
    note = partial(
        audit.record,
        user_id=user.pk if user else None,
        device_id=device_id,
        ip_address=ip_address,
    )
    attempt = rates.take_login(
        email=email,
        device_id=device_id,
        is_own_device=user is not None and user.is_own_device,
        ip_address=ip_address,
    )
    report(attempt.usage)
    rates.require_allowed(
        attempt.usage,
        note=partial(note, SecurityEventType.RATE_LIMITED, endpoint="auth-login"),
    )
    try:
        player_id = _require_player(user, password)
        signed_in = _start(player_id, device_id, device_name, ip_address, now)
    except MemoraError as refusal:
        note(SecurityEventType.REFUSED, code=refusal.code)
        if isinstance(refusal, StoreAwayError):
            attempt.give_back()
        elif not isinstance(refusal, InvalidCredentialsError):
            # The right password: no guess, but hashing it is limited by account.
            attempt.give_back("login_ip")
        raise
    except Exception:
        attempt.give_back()
        raise
    attempt.give_back("login_ip", "login_account")
    return signed_in


def _require_player(user: User | None, password: str) -> int:
    """The player's id, if the password is right and the account may play."""
    # An unknown address costs the same hashes: the time must not tell which exist.
    if not (user or _nobody()).check_password(password) or user is None:
        raise InvalidCredentialsError(_("The e-mail or the password is wrong."))
    if not user.is_active:
        raise _inactive()
    player_id: int | None = (
        PlayerProfile.objects.filter(user=user).values_list("pk", flat=True).first()
    )
    if player_id is None:
        raise NotAPlayerError(
            _("This account is not a student's. Staff sign in to the admin.")
        )
    return player_id


def _nobody() -> User:
    """An account that no password opens."""
    user = User()
    user.set_unusable_password()
    return user


def _inactive() -> AccountInactiveError:
    return AccountInactiveError(
        _("This account is switched off. Please ask your school.")
    )


@transaction.atomic
def _start(
    player_id: int,
    device_id: UUID,
    device_name: str,
    ip_address: str | None,
    now: datetime,
) -> SignedIn:
    profile = lock_player(player_id)
    user = profile.user
    if not user.is_active:
        raise _inactive()  # switched off since the password was looked at
    held = list(Device.objects.filter(player=profile))
    device = next((found for found in held if found.device_id == device_id), None)
    is_first = device is None and not held and user.last_login is None
    note = partial(
        audit.record, user_id=user.pk, device_id=device_id, ip_address=ip_address
    )
    if is_first:
        device = claim_slot(profile, device_id=device_id, name=device_name)
        held.append(device)
        note(SecurityEventType.DEVICE_ADDED, first=True)
    if device is None:
        raise DeviceNotAuthorizedError(
            _(
                "This device is not one of yours. Ask your school to add it, "
                "and tell them its id: %(device)s"
            )
            % {"device": device_id},
            details={"device_id": str(device_id)},
        )
    token = tokens.new(player_id, key=settings.SECRET_KEY)
    new = {"token_sha256": token.sha256, "device": device, "created_at": now}
    session: Session | None = Session.objects.filter(player=profile).first()
    if session is None:
        Session.objects.create(player=profile, **new)
    else:
        note(SecurityEventType.SESSION_ENDED, reason="replaced")
        for name, value in new.items():
            setattr(session, name, value)
        session.save(update_fields=list(new))
    user.last_login = now
    user.save(update_fields=["last_login"])
    note(SecurityEventType.LOGIN)
    return SignedIn(token, profile, is_first, len(held))


# --- Ending a session ---------------------------------------------------------


@transaction.atomic
def sign_out(*, token: Token, ip_address: str | None = None) -> None:
    """End this token's session; one that has replaced it meanwhile goes on.

    Raises:
        StoreAwayError: Redis does not answer; nothing has changed.
    """
    profile = lock_player(token.player_id)
    session = (
        Session.objects.filter(player=profile, token_sha256=token.sha256)
        .select_related("device")
        .first()
    )
    if session is not None:
        session.delete()
        audit.record(
            SecurityEventType.LOGOUT,
            user_id=profile.user_id,
            device_id=session.device.device_id,
            ip_address=ip_address,
        )


@transaction.atomic
def end_session(player_id: int, reason: str, actor: User | None = None) -> bool:
    """End the player's session, if there is one, for all to see after the commit.

    Args:
        reason: a word for the audit trail, such as ``deactivated``.
        actor: the member of staff who does it.

    Returns:
        Whether there was one.

    Raises:
        PlayerNotFoundError: there is no such player.
        StoreAwayError: Redis does not answer; nothing has changed.
    """
    profile = lock_player(player_id)
    session = Session.objects.filter(player=profile).select_related("device").first()
    if session is None:
        return False
    session.delete()
    audit.record(
        SecurityEventType.SESSION_ENDED,
        user_id=profile.user_id,
        actor_id=actor.pk if actor else None,
        device_id=session.device.device_id,
        reason=reason,
    )
    return True


def end_sessions_of_users(user_ids: list[int]) -> None:
    """End the sessions of accounts that were switched off in this transaction."""
    players = Session.objects.filter(player__user_id__in=user_ids)
    for player_id in players.values_list("player_id", flat=True):
        end_session(player_id, "deactivated")


# --- Checking a session, at every request --------------------------------------


def check(
    *,
    token: Token,
    device_id: UUID,
    endpoint: str,
    rule: Rule,
    ip_address: str | None = None,
) -> tuple[Player, Usage | None]:
    """The player behind a request, and what is left of their rate limit.

    One round trip to Redis; when Redis has lost the state or does not answer, the
    database decides, and Redis learns it again. Tokens that this server may not have
    made are limited for each network before the database is asked; while Redis does
    not answer they are not.

    Raises:
        RateLimitedError: too many bad tokens came from this address.
        SessionEndedError: the token's session is not the player's, or not any more.
        DeviceNotAuthorizedError: the session is another device's.
    """
    try:
        found = store.check_session(
            player_id=token.player_id,
            sha256=token.sha256,
            device_id=str(device_id),
            endpoint=endpoint,
            window_ms=rule.window_ms,
        )
    except store.StoreUnavailableError as error:
        log.warning("session_checked_in_database", error=type(error).__name__)
        _require(_compare(token, device_id, sign_in_state.read(token.player_id)))
        return Player(token.player_id, device_id), None
    if found.count is not None:
        return Player(token.player_id, device_id), rates.usage_of(rule, found.count)
    if found.seen is not store.Seen.UNKNOWN:
        _require(found.seen)
    attempt = _take_guess(token, ip_address)
    state = sign_in_state.read(token.player_id)
    if found.lease:
        _warm(token.player_id, found.lease, state)
    _require(_compare(token, device_id, state))
    attempt.give_back()
    usage = rates.spend(who=str(token.player_id), scope=endpoint)
    return Player(token.player_id, device_id), usage


def _take_guess(token: Token, ip_address: str | None) -> rates.Attempt:
    """Count a token that may be made up, until it is known to be good.

    Tokens of ours are not counted: whoever else sends bad ones from the same address
    cannot have them refused.

    Raises:
        RateLimitedError: too many bad tokens came from this network.
    """
    if ip_address is None or token.is_made_with(settings.SECRET_KEY):
        return rates.take()
    attempt = rates.take(bad_token=rates.network_key(ip_address))
    rates.require_allowed(
        attempt.usage,
        note=partial(
            audit.record,
            SecurityEventType.RATE_LIMITED,
            ip_address=ip_address,
            endpoint="bad_token",
        ),
    )
    return attempt


def _warm(player_id: int, lease: str, state: sign_in_state.SignInState) -> None:
    try:
        sign_in_state.put(player_id, lease=lease, state=state)
    except store.StoreUnavailableError as error:
        log.warning("sign_in_state_not_renewed", error=type(error).__name__)


def _compare(
    token: Token, device_id: UUID, state: sign_in_state.SignInState
) -> store.Seen:
    if state.token_sha256 != token.sha256:
        return store.Seen.ENDED
    if state.session_device != device_id:
        return store.Seen.OTHER_DEVICE
    return store.Seen.GOOD


def _require(seen: store.Seen) -> None:
    if seen is store.Seen.ENDED:
        raise SessionEndedError(
            _("Your session has ended. Please sign in again."),
        )
    if seen is store.Seen.OTHER_DEVICE:
        raise DeviceNotAuthorizedError(
            _("This session belongs to another device. Please sign in on this one.")
        )
