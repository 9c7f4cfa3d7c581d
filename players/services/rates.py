"""How often one caller may ask (DESIGN 6): fixed windows counted in Redis.

While Redis does not answer nobody is counted and everybody is let through: a school
that cannot learn is worse than a limit that pauses.
"""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

import structlog
from django.conf import settings

from players import store
from players.addresses import network_of
from players.credentials import canonical_email
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


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt, spent before it is made so that a race cannot exceed a limit.

    ``usage`` is that of its tightest budget; None while Redis does not answer.
    """

    budgets: tuple[store.Budget, ...]
    usage: Usage | None

    def give_back(self, *scopes: str) -> None:
        """Do not count this attempt; with ``scopes``, not in these budgets.

        While Redis does not answer the attempt stays spent.
        """
        budgets = [
            budget for budget in self.budgets if not scopes or budget.scope in scopes
        ]
        if self.usage is None or not budgets:
            return
        try:
            store.give_attempt_back(budgets)
        except store.StoreUnavailableError as error:
            log.warning("attempt_not_given_back", error=type(error).__name__)


def take(**who_by_scope: str) -> Attempt:
    """Spend one attempt of each budget, or of none when one of them is used up.

    Args:
        who_by_scope: whose budget of each scope; ``RATE_LIMITS`` has the scopes.
    """
    rules = {scope: rule_for(scope) for scope in who_by_scope}
    budgets = tuple(
        store.Budget(who, scope, rules[scope].requests, rules[scope].window_ms)
        for scope, who in who_by_scope.items()
    )
    if not budgets:
        return Attempt((), None)
    try:
        taken, found = store.take_attempt(budgets)
    except store.StoreUnavailableError as error:
        log.warning("attempt_not_counted", error=type(error).__name__)
        return Attempt(budgets, None)
    usages = [
        _attempts_usage(rules[budget.scope], attempts, taken=taken)
        for budget, attempts in zip(budgets, found, strict=True)
    ]
    return Attempt(budgets, min(usages, key=lambda usage: usage.margin))


def _attempts_usage(rule: Rule, attempts: store.Attempts, *, taken: bool) -> Usage:
    requests = attempts.spent
    if not taken and requests >= rule.requests:
        requests = rule.requests + attempts.refused
    return Usage(rule, requests, max(1, math.ceil(attempts.rest_ms / 1000)))


def account_key(email: str) -> str:
    """Whose attempts those of a typed address are: of its account, in any spelling.

    Hashed, because keys show up in logs and dumps.
    """
    canonical = canonical_email(email)
    return hashlib.sha256(canonical.encode(errors="replace")).hexdigest()[:32]


def take_login(
    *, email: str, device_id: UUID, is_own_device: bool, ip_address: str | None
) -> Attempt:
    """Spend an attempt to sign in, before any password is hashed.

    A device that the account has authorised has a budget of its own, so that nobody
    else can use up its owner's attempts. Others share the account's budget and, where
    the address is known, that of their network.
    """
    account = account_key(email)
    if is_own_device:
        return take(login_device=f"account-{account}-{device_id}")
    who = {"login_account": f"account-{account}"}
    if ip_address is not None:
        who["login_ip"] = network_key(ip_address)
    return take(**who)


def network_key(ip_address: str) -> str:
    """Whose attempts those from an address are: of its network."""
    return f"ip-{network_of(ip_address)}"


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
