"""Signing in and out, and checking sessions; docs/architecture.md, "Players"."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, ClassVar
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext as _

from core.db import retry_on_conflict
from core.errors import MemoraError
from core.parsing import time_text
from players import audit, records, tokens
from players.errors import (
    DeviceInSlot,
    DeviceMismatchError,
    DeviceNotAuthorizedError,
    InvalidCredentialsError,
    NotAPlayerError,
    RefusedDevice,
    StoreAwayError,
)
from players.models import (
    Device,
    PlayerProfile,
    SecurityEventType,
    Session,
    SessionEndReason,
    User,
)
from players.records import (
    NOTHING,
    Found,
    SessionStatus,
    StoreUnavailableError,
    Wanted,
)
from players.services import (
    device_replacements,
    rates,
    session_ends,
    sign_in_state,
)
from players.services.devices import claim_slot, lock_player
from players.services.rates import Rule, Usage
from players.tokens import Token

log = structlog.get_logger(__name__)

_USE_NOTED_EVERY = timedelta(hours=1)
"""How often the use of a session is written at most: most requests write nothing."""


@dataclass(frozen=True, slots=True)
class Player:
    """The user of a request: a player signed in on one of their devices.

    ``found`` has the records that the session check read in the same round trip; None
    while Redis does not answer.
    """

    id: int
    device_id: UUID
    found: Found | None = field(default=None, repr=False, compare=False)
    is_authenticated: ClassVar[bool] = True
    is_active: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class NewDevice:
    """The device of a sign-in, as its app names it; see `sign_in`."""

    id: UUID
    name: str
    replace_slot: int | None


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The result of a sign-in; ``token`` is not stored and cannot be read again."""

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
    replace_slot: int | None = None,
    ip_address: str | None = None,
    now: datetime,
    report: Callable[[Usage | None], None] = lambda _usage: None,
) -> SignedIn:
    """Start the player's session on this device and end any other.

    The first sign-in authorises its device. Later ones are authorised by staff, or
    replace one of the player's devices (`device_replacements`). Wrong passwords are
    limited (`rates.take_login`), before a password is hashed.

    Args:
        replace_slot: the slot of the device to replace, if this one is not authorised.
        report: called with the usage of the limit, None while Redis does not answer.

    Raises:
        RateLimitedError: too many refused sign-ins; with the time to wait.
        InvalidCredentialsError: e-mail or password is wrong.
        AccountInactiveError: the password is right, but the account is switched off.
        NotAPlayerError: the password is right, but the account is not a student's.
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
        player_id, checked = require_player(user, password)
        new_device = NewDevice(device_id, device_name, replace_slot)
        # Staff who change the player's enrolments lock the same rows in another order.
        signed_in = retry_on_conflict(
            partial(_start, player_id, password, checked, new_device, ip_address, now)
        )
    except MemoraError as refusal:
        # Staff recognise a device by its name; only who knows the password names it.
        is_new_device = isinstance(refusal, DeviceNotAuthorizedError)
        named: dict[str, Any] = (
            {"device_name": device_name} if is_new_device and device_name else {}
        )
        note(SecurityEventType.REFUSED, code=refusal.code, **named)
        if isinstance(refusal, StoreAwayError):
            attempt.give_back()
        elif not isinstance(refusal, InvalidCredentialsError):
            # The right password is not a guess, but its hashing is limited by account.
            attempt.give_back("login_ip")
        raise
    except Exception:
        attempt.give_back()
        raise
    attempt.give_back("login_ip", "login_account")
    return signed_in


def require_player(user: User | None, password: str) -> tuple[int, str]:
    """Return the player's id and the password's hash if the password is right.

    Raises:
        InvalidCredentialsError: e-mail or password is wrong.
        AccountInactiveError: the account is switched off.
        NotAPlayerError: the account is not a student's.
    """
    # An unknown address costs the same hashes, so the time does not show which exist.
    if not (user or _nobody()).check_password(password) or user is None:
        raise _wrong_credentials()
    if not user.is_active:
        raise session_ends.inactive()
    player_id: int | None = (
        PlayerProfile.objects.filter(user=user).values_list("pk", flat=True).first()
    )
    if player_id is None:
        raise NotAPlayerError(
            _("This account is not a student's. Staff sign in to the admin.")
        )
    return player_id, user.password


def _nobody() -> User:
    """Return an account that no password matches."""
    user = User()
    user.set_unusable_password()
    return user


def _wrong_credentials() -> InvalidCredentialsError:
    return InvalidCredentialsError(_("The e-mail or the password is wrong."))


@transaction.atomic
def _start(
    player_id: int,
    password: str,
    checked: str,
    new_device: NewDevice,
    ip_address: str | None,
    now: datetime,
) -> SignedIn:
    """Start the session; ``checked`` is the hash that the password matched."""
    profile = lock_player(player_id)
    user = profile.user
    # Both may have changed since the password was checked. A different hash may be of
    # the same password: two concurrent sign-ins both upgrade an old hash.
    if user.password != checked and not user.check_password(password):
        raise _wrong_credentials()
    if not user.is_active:
        raise session_ends.inactive()
    held = list(Device.objects.filter(player=profile))
    device = next((found for found in held if found.device_id == new_device.id), None)
    is_first = device is None and not held and profile.first_signed_in_at is None
    note = partial(
        audit.record, user_id=user.pk, device_id=new_device.id, ip_address=ip_address
    )
    if is_first:
        device = claim_slot(profile, device_id=new_device.id, name=new_device.name)
        held.append(device)
        note(SecurityEventType.DEVICE_ADDED, first=True)
    if device is None and new_device.replace_slot is not None:
        device = device_replacements.replace(
            profile,
            held,
            slot=new_device.replace_slot,
            device_id=new_device.id,
            name=new_device.name,
            ip_address=ip_address,
            now=now,
        )
    if device is None:
        raise _not_authorized(profile, held, new_device.id, now)
    token = tokens.new(player_id, key=settings.SECRET_KEY)
    new = {
        "token_sha256": token.sha256,
        "device": device,
        "created_at": now,
        "last_used_at": now,
    }
    session: Session | None = Session.objects.filter(player=profile).first()
    if session is None:
        Session.objects.create(player=profile, **new)
    else:
        reason = _limit_passed(session, now) or SessionEndReason.REPLACED
        session_ends.keep(session, reason)
        note(SecurityEventType.SESSION_ENDED, reason=reason)
        for name, value in new.items():
            setattr(session, name, value)
        session.save(update_fields=list(new))
    user.last_login = now
    user.save(update_fields=["last_login"])
    if profile.first_signed_in_at is None:
        profile.first_signed_in_at = now
        profile.save(update_fields=["first_signed_in_at"])
    note(SecurityEventType.LOGIN)
    return SignedIn(token, profile, is_first, len(held))


def _not_authorized(
    profile: PlayerProfile, held: list[Device], device_id: UUID, now: datetime
) -> DeviceNotAuthorizedError:
    """Return the error for a device that is not one of those ``held``."""
    allowance = device_replacements.allowance(profile, held, now=now)
    message = _(
        "This device is not one of yours. Ask your school to add it, "
        "and tell them its id: %(device)s"
    )
    if allowance.may_replace:
        message = _(
            "This device is not one of yours. Replace one of your devices by it, or ask "
            "your school to add it, and tell them its id: %(device)s"
        )
    possible_at = allowance.possible_at
    return DeviceNotAuthorizedError(
        message % {"device": device_id},
        details=RefusedDevice(
            device_id,
            may_replace=allowance.may_replace,
            may_replace_at=None if possible_at is None else time_text(possible_at),
            devices=[DeviceInSlot(device.slot, device.name) for device in held],
        ),
    )


# --- Ending a session ---------------------------------------------------------


@transaction.atomic
def sign_out(*, token: Token, ip_address: str | None = None) -> None:
    """End this token's session; a session that has replaced it is not affected.

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
        session.end_reason = SessionEndReason.SIGNED_OUT
        session.delete()
        audit.record(
            SecurityEventType.LOGOUT,
            user_id=profile.user_id,
            device_id=session.device.device_id,
            ip_address=ip_address,
        )


@transaction.atomic
def end_session(
    player_id: int,
    reason: SessionEndReason,
    actor: User | None = None,
    *,
    only_if: Callable[[Session], bool] = lambda _session: True,
) -> bool:
    """End the player's session if there is one; effective after the commit.

    Args:
        reason: determines the error of later requests with the token.
        actor: the member of staff who does it.
        only_if: called with the session, under the player's lock.

    Returns:
        Whether a session was ended.

    Raises:
        PlayerNotFoundError: there is no such player.
        StoreAwayError: Redis does not answer; nothing has changed.
    """
    profile = lock_player(player_id)
    session = Session.objects.filter(player=profile).select_related("device").first()
    if session is None or not only_if(session):
        return False
    session.end_reason = reason
    session.delete()
    audit.record(
        SecurityEventType.SESSION_ENDED,
        user_id=profile.user_id,
        actor_id=actor.pk if actor else None,
        device_id=session.device.device_id,
        reason=reason,
    )
    return True


def _limit_passed(session: Session, now: datetime) -> SessionEndReason | None:
    return session_ends.limit_passed(
        created_at=session.created_at, last_used_at=session.last_used_at, now=now
    )


def end_expired(now: datetime) -> int:
    """End every session that has passed an age limit, and delete old ended sessions.

    Such a session is refused anyway; this adds the audit rows and keeps the tables
    small. Safe to run twice.

    Returns:
        How many were ended.

    Raises:
        StoreAwayError: Redis does not answer; the next run ends the rest.
    """
    ended = 0
    for reason, old in (
        (
            SessionEndReason.TOO_OLD,
            Q(created_at__lte=now - timedelta(days=settings.SESSION_MAX_DAYS)),
        ),
        (
            SessionEndReason.IDLE,
            Q(last_used_at__lte=now - timedelta(days=settings.SESSION_IDLE_DAYS)),
        ),
    ):
        players = Session.objects.filter(old).values_list("player_id", flat=True)
        for player_id in list(players):
            # A sign-in may have replaced the session since the query.
            ended += end_session(
                player_id,
                reason,
                only_if=lambda session: _limit_passed(session, now) is not None,
            )
    session_ends.forget_old(now)
    return ended


# --- Checking a session, in every request ---------------------------------------


def check(
    *,
    token: Token,
    device_id: UUID,
    endpoint: str,
    rule: Rule,
    now: datetime,
    ip_address: str | None = None,
    wanted: Wanted = NOTHING,
) -> tuple[Player, Usage | None]:
    """Return the player who sends a request, and the usage of their rate limit.

    A valid session takes one round trip to Redis, which also reads the records that the
    request needs. If Redis has no copy of the session or does not answer, the database
    is read, and Redis gets the copy again. The reason why a session ended is in the
    database. Before the database is read, requests with tokens that this server may not
    have issued are limited per network, and those with tokens of ended sessions per
    token; while Redis does not answer they are not limited.

    Returns:
        The usage is None while Redis does not answer.

    Raises:
        RateLimitedError: too many invalid tokens from this network, or too many
            requests with this token since its session ended.
        NotAuthenticatedError: the session has ended; the subclass gives the reason.
        AccountInactiveError: it ended because the account was switched off.
        DeviceMismatchError: the session belongs to another device.
        DatabaseError: the database does not answer, and Redis has no valid state.
    """
    enter = partial(
        records.enter,
        player_id=token.player_id,
        device_id=str(device_id),
        endpoint=endpoint,
        window_ms=rule.window_ms,
        limit=rule.requests,
        wanted=wanted,
    )
    try:
        found = enter(sha256=token.sha256)
    except StoreUnavailableError as error:
        log.warning("session_checked_in_database", error=type(error).__name__)
        _require_good(token, device_id, sign_in_state.read(token.player_id), now)
        return Player(token.player_id, device_id), None
    match found.status:
        case SessionStatus.GOOD:
            return _counted(device_id, rule, found)
        case SessionStatus.OTHER_DEVICE:
            raise _device_mismatch()
        case SessionStatus.ENDED:
            _limit_ended(token, ip_address)
    attempt = _take_guess(token, ip_address)
    state = sign_in_state.read(token.player_id)
    if found.may_fill_session:
        sign_in_state.fill(found, state)
    _require_good(token, device_id, state, now)
    attempt.give_back()
    try:
        return _counted(device_id, rule, enter(sha256=""))
    except StoreUnavailableError as error:
        log.warning("rate_limit_not_counted", error=type(error).__name__)
        return Player(token.player_id, device_id), None


def _counted(device_id: UUID, rule: Rule, found: Found) -> tuple[Player, Usage]:
    assert found.count is not None
    player = Player(found.player_id, device_id, found)
    return player, rates.usage_of(rule, found.count)


def _limit_ended(token: Token, ip_address: str | None) -> None:
    """Count a request with the token of an ended session, in a budget per token.

    Raises:
        RateLimitedError: too many requests with it.
    """
    usage = rates.spend(who=f"token-{token.sha256[:32]}", scope="ended_token")
    rates.require_allowed(
        usage,
        note=partial(
            audit.record,
            SecurityEventType.RATE_LIMITED,
            ip_address=ip_address,
            endpoint="ended_token",
        ),
    )


def _take_guess(token: Token, ip_address: str | None) -> rates.Attempt:
    """Count a possibly forged token until it is known to be valid.

    Tokens that this server issued are not counted, so invalid tokens from the same
    address cannot block them.

    Raises:
        RateLimitedError: too many invalid tokens from this network.
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


def _require_good(
    token: Token, device_id: UUID, state: sign_in_state.SignInState, now: datetime
) -> None:
    """Refuse a token that the state does not allow; record that the session is used."""
    if state.token_sha256 != token.sha256:
        raise session_ends.refusal_of(token)
    if state.limit_passed is not None:
        raise session_ends.refusal_for(state.limit_passed)
    if state.session_device != device_id:
        raise _device_mismatch()
    assert state.last_used_at is not None
    if now - state.last_used_at >= _USE_NOTED_EVERY:
        # Not through the manager: the copy in Redis does not need to change.
        Session._base_manager.filter(
            player_id=token.player_id, token_sha256=token.sha256
        ).update(last_used_at=now)


def _device_mismatch() -> DeviceMismatchError:
    return DeviceMismatchError(
        _("This session belongs to another device. Please sign in on this one.")
    )
