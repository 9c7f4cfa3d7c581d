"""How often one caller may ask (DESIGN 6): fixed windows counted in Redis.

While Redis does not answer nobody is counted and everybody is let through: a school
that cannot learn is worse than a limit that pauses.
"""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from django.conf import settings

from players import store
from players.errors import RateLimitedError

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Rule:
    """At most ``requests`` in ``seconds``."""

    requests: int
    seconds: int

    @property
    def window_ms(self) -> int:
        return self.seconds * 1000


@dataclass(frozen=True, slots=True)
class Usage:
    """One request, counted against its rule."""

    rule: Rule
    requests: int
    reset_seconds: int
    """Whole seconds until the window ends, at least 1."""

    @property
    def is_allowed(self) -> bool:
        return self.requests <= self.rule.requests

    @property
    def is_first_refusal(self) -> bool:
        return self.requests == self.rule.requests + 1

    @property
    def margin(self) -> int:
        """Requests left; negative when there were too many."""
        return self.rule.requests - self.requests

    @property
    def remaining(self) -> int:
        return max(0, self.margin)


def rule_for(scope: str) -> Rule:
    """The rule ``RATE_LIMITS`` gives ``scope``, else its ``default``."""
    limits = settings.RATE_LIMITS
    return Rule(*limits.get(scope, limits["default"]))


def usage_of(rule: Rule, count: store.Count) -> Usage:
    """What a count means under ``rule``."""
    return Usage(rule, count.requests, max(1, math.ceil(count.window_rest_ms / 1000)))


def spend(*, who: str, scope: str) -> Usage | None:
    """Count one request of ``who``; None while Redis does not answer."""
    rule = rule_for(scope)
    try:
        count = store.count_request(who=who, endpoint=scope, window_ms=rule.window_ms)
    except store.StoreUnavailableError as error:
        log.warning("rate_limit_not_counted", error=type(error).__name__)
        return None
    return usage_of(rule, count)


def spend_login(*, ip_address: str | None, email: str) -> Usage | None:
    """Count a sign-in by its address and by its account, before any password.

    Returns:
        The tighter of the two; None while Redis does not answer.
    """
    # The account's name is hashed: keys show up in logs and dumps.
    account = hashlib.sha256(email.strip().lower().encode()).hexdigest()[:32]
    counted = (
        spend(who=f"ip-{ip_address or 'unknown'}", scope="login_ip"),
        spend(who=f"account-{account}", scope="login_account"),
    )
    return min(
        (usage for usage in counted if usage is not None),
        key=lambda usage: usage.margin,
        default=None,
    )


def require_allowed(usage: Usage | None, *, note: Callable[[], None]) -> None:
    """Refuse a request that is too many.

    Args:
        note: writes the audit line; called for the first refusal of a window only,
            so that a flood of requests is no flood of rows.

    Raises:
        RateLimitedError: says how long to wait.
    """
    if usage is None or usage.is_allowed:
        return
    if usage.is_first_refusal:
        note()
    raise refusal(usage)


def refusal(usage: Usage) -> RateLimitedError:
    """What to raise for a request that is too many."""
    return RateLimitedError(
        retry_after=usage.reset_seconds,
        details={
            "limit": usage.rule.requests,
            "window_seconds": usage.rule.seconds,
            "retry_after": usage.reset_seconds,
        },
    )
