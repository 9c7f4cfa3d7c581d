"""Rate limits per caller: fixed windows counted in Redis.

While Redis does not answer, requests are not counted and all are allowed: students who
cannot learn are worse than a limit that pauses.
"""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from uuid import UUID

import structlog
from django.conf import settings

from players import request_counts
from players.addresses import network_of
from players.credentials import canonical_email
from players.errors import RateLimitedError, UsedUpLimit
from players.records import Count, StoreUnavailableError

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
    """Return the rule for ``scope`` in ``RATE_LIMITS``, or its ``default``."""
    limits = settings.RATE_LIMITS
    return _rule(*limits.get(scope, limits["default"]))


@cache
def _rule(requests: int, seconds: int) -> Rule:
    """Return one object for equal rules: every request asks for one."""
    return Rule(requests, seconds)


def usage_of(rule: Rule, count: Count) -> Usage:
    """Return the usage that a count means under ``rule``."""
    return Usage(rule, count.requests, max(1, math.ceil(count.window_rest_ms / 1000)))


def spend(*, who: str, scope: str) -> Usage | None:
    """Count one request of ``who``; return None while Redis does not answer."""
    rule = rule_for(scope)
    try:
        count = request_counts.count_request(
            who=who, endpoint=scope, window_ms=rule.window_ms
        )
    except StoreUnavailableError as error:
        log.warning("rate_limit_not_counted", error=type(error).__name__)
        return None
    return usage_of(rule, count)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt, counted before it is made so that a race cannot exceed a limit.

    ``usage`` is that of its tightest budget, or None while Redis does not answer.
    """

    budgets: tuple[request_counts.Budget, ...]
    usage: Usage | None

    def give_back(self, *scopes: str) -> None:
        """Refund this attempt to all its budgets, or only to those of ``scopes``.

        While Redis does not answer, the attempt stays counted.
        """
        budgets = [
            budget for budget in self.budgets if not scopes or budget.scope in scopes
        ]
        if self.usage is None or not budgets:
            return
        try:
            request_counts.give_attempt_back(budgets)
        except StoreUnavailableError as error:
            log.warning("attempt_not_given_back", error=type(error).__name__)


def take(**who_by_scope: str) -> Attempt:
    """Count one attempt in each budget, or in none if one of them is used up.

    Args:
        who_by_scope: the owner of the budget, by scope; ``RATE_LIMITS`` has the scopes.
    """
    rules = {scope: rule_for(scope) for scope in who_by_scope}
    budgets = tuple(
        request_counts.Budget(who, scope, rules[scope].requests, rules[scope].window_ms)
        for scope, who in who_by_scope.items()
    )
    if not budgets:
        return Attempt((), None)
    try:
        taken, found = request_counts.take_attempt(budgets)
    except StoreUnavailableError as error:
        log.warning("attempt_not_counted", error=type(error).__name__)
        return Attempt(budgets, None)
    usages = [
        _attempts_usage(rules[budget.scope], attempts, taken=taken)
        for budget, attempts in zip(budgets, found, strict=True)
    ]
    return Attempt(budgets, min(usages, key=lambda usage: usage.margin))


def _attempts_usage(
    rule: Rule, attempts: request_counts.Attempts, *, taken: bool
) -> Usage:
    requests = attempts.spent
    if not taken and requests >= rule.requests:
        requests = rule.requests + attempts.refused
    return Usage(rule, requests, max(1, math.ceil(attempts.rest_ms / 1000)))


def account_key(email: str) -> str:
    """Return the hashed account under which attempts with this address count.

    All spellings of an address have one key. It is hashed because keys appear in logs
    and dumps.
    """
    canonical = canonical_email(email)
    return hashlib.sha256(canonical.encode(errors="replace")).hexdigest()[:32]


def take_login(
    *, email: str, device_id: UUID, is_own_device: bool, ip_address: str | None
) -> Attempt:
    """Count a sign-in attempt, before a password is hashed.

    A device that the account has authorised has its own budget, so others cannot use up
    its owner's attempts. Other devices share the account's budget and, if the address
    is known, that of their network.
    """
    account = account_key(email)
    if is_own_device:
        return take(login_device=f"account-{account}-{device_id}")
    who = {"login_account": f"account-{account}"}
    if ip_address is not None:
        who["login_ip"] = network_key(ip_address)
    return take(**who)


def network_key(ip_address: str) -> str:
    """Return the key of the network under which attempts from an address count."""
    return f"ip-{network_of(ip_address)}"


def require_allowed(usage: Usage | None, *, note: Callable[[], None]) -> None:
    """Refuse a request that exceeds its limit.

    Args:
        note: writes the audit row; called only for the first refusal of a window, so
            that many requests do not add many rows.

    Raises:
        RateLimitedError: with the time to wait.
    """
    if usage is None or usage.is_allowed:
        return
    if usage.is_first_refusal:
        note()
    raise refusal(usage)


def refusal(usage: Usage) -> RateLimitedError:
    """Return the error for a request that exceeds its limit."""
    return RateLimitedError(
        UsedUpLimit(
            limit=usage.rule.requests,
            window_seconds=usage.rule.seconds,
            retry_after=usage.reset_seconds,
        )
    )
