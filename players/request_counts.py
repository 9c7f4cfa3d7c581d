"""Counts of requests and attempts in Redis, for `players.services.rates`.

Every function is one round trip and raises `StoreUnavailableError` when Redis does not
answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from core.redis_client import run_script
from players import keys
from players.records import Count

_COUNT = """
local requests = redis.call('INCR', KEYS[1])
local rest = redis.call('PTTL', KEYS[1])
if rest < 0 then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
  rest = tonumber(ARGV[1])
end
return {requests, rest}
"""


def count_request(*, who: str, endpoint: str, window_ms: int) -> Count:
    """Count one request of ``who``; the window starts with its first. One round trip."""
    requests, rest = run_script(_COUNT, [keys.rate_limit(who, endpoint)], [window_ms])
    return Count(requests, rest)


_TAKE_ATTEMPT = """
local full = false
for i, key in ipairs(KEYS) do
  if tonumber(redis.call('HGET', key, 'spent') or '0') >= tonumber(ARGV[2 * i - 1]) then
    full = true
    redis.call('HINCRBY', key, 'refused', 1)
  end
end
local found = {full and 0 or 1}
for i, key in ipairs(KEYS) do
  if not full then redis.call('HINCRBY', key, 'spent', 1) end
  local rest = redis.call('PTTL', key)
  if rest == -1 then
    redis.call('PEXPIRE', key, ARGV[2 * i])
    rest = tonumber(ARGV[2 * i])
  end
  local spent, refused = unpack(redis.call('HMGET', key, 'spent', 'refused'))
  found[i + 1] = {tonumber(spent or '0'), tonumber(refused or '0'), rest}
end
return found
"""


@dataclass(frozen=True, slots=True)
class Budget:
    """At most ``limit`` attempts of ``who`` in a window."""

    who: str
    scope: str
    limit: int
    window_ms: int

    @property
    def key(self) -> str:
        return keys.attempts(self.who, self.scope)


@dataclass(frozen=True, slots=True)
class Attempts:
    """What a budget's window holds; ``rest_ms`` is negative before its first attempt."""

    spent: int
    refused: int
    rest_ms: int


def take_attempt(budgets: Sequence[Budget]) -> tuple[bool, list[Attempts]]:
    """Spend one attempt of every budget, or of none when one of them is used up.

    The refusal is counted in each budget that is used up. One round trip.

    Returns:
        Whether it was spent; and the budgets' windows, in their order.
    """
    arguments = [
        part for budget in budgets for part in (budget.limit, budget.window_ms)
    ]
    taken, *found = run_script(
        _TAKE_ATTEMPT, [budget.key for budget in budgets], arguments
    )
    return bool(taken), [Attempts(*one) for one in found]


_GIVE_ATTEMPT_BACK = """
for _, key in ipairs(KEYS) do
  if tonumber(redis.call('HGET', key, 'spent') or '0') > 0 then
    redis.call('HINCRBY', key, 'spent', -1)
  end
end
"""


def give_attempt_back(budgets: Sequence[Budget]) -> None:
    """Undo what `take_attempt` spent; nothing where the window has ended."""
    run_script(_GIVE_ATTEMPT_BACK, [budget.key for budget in budgets], [])
