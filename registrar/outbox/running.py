"""Do the effects that are due, each record's in order."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

import structlog
from django.db import DatabaseError
from django.utils import timezone

from registrar import breakers, configuration, queues
from registrar.models import Effect
from registrar.models.work import WorkState
from registrar.peers.errors import PeerError

log = structlog.get_logger(__name__)

BATCH = 50
FIRST_WAIT, LAST_WAIT = timedelta(minutes=5), timedelta(days=1)
"""An effect that waits for another record is looked at again anyway: after as long as it
has waited, within these limits."""
PEERS = ("zoho", "moodle")
Handler = Callable[[Effect], str]
"""Does an effect and returns what was done, in words; may be repeated at any time."""


class NotYetError(Exception):
    """The effect needs another record first, which is ``module`` and ``record_id``."""

    def __init__(self, reason: str, *, module: str, record_id: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.waits_for = f"{module} {record_id}"


class ImpossibleError(Exception):
    """The effect cannot be done with these values; ``reason`` says why, to staff."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(slots=True)
class Ran:
    """How many effects were tried, and how many of them are done."""

    tried: int = 0
    done: int = 0


def run(*, handlers: Mapping[str, Handler]) -> Ran:
    """Do up to 50 due effects; safe to run in several workers at once.

    Args:
        handlers: by `Kind`; effects without a handler are left alone.
    """
    ran, now = Ran(), timezone.now()
    open_peers = [peer for peer in PEERS if breakers.may_try(peer, now=now)]
    due = (
        queues.claimable(Effect, now=now)
        .filter(peer__in=open_peers, kind__in=list(handlers))
        .exclude(module__in=configuration.paused_modules())
    )
    for effect in due[:BATCH]:
        if not breakers.may_try(effect.peer, now=timezone.now()):
            continue
        if queues.claim(effect, now=timezone.now()):
            ran.tried += 1
            ran.done += _do(effect, handlers[effect.kind])
    return ran


def _do(effect: Effect, handler: Handler) -> bool:
    try:
        result = handler(effect)
    except NotYetError as error:
        now = timezone.now()
        wait = min(max(now - effect.created_at, FIRST_WAIT), LAST_WAIT)
        queues.postpone(
            effect,
            until=now + wait,
            reason=error.reason,
            waits_for=error.waits_for,
        )
        return False
    except ImpossibleError as error:
        queues.give_up(effect, error.reason, now=timezone.now())
        return False
    except (PeerError, DatabaseError) as error:
        _fail(effect, error)
        return False
    breakers.record_success(effect.peer)
    queues.finish(effect, now=timezone.now(), result=result, waits_for="")
    _wake(effect)
    return True


def _wake(effect: Effect) -> None:
    """Let the effects that wait for this record be done now."""
    waiting = Effect.objects.filter(
        waits_for=f"{effect.module} {effect.record_id}", state=WorkState.PENDING
    )
    waiting.update(due_at=timezone.now(), waits_for="")


def _fail(effect: Effect, error: Exception) -> None:
    now = timezone.now()
    breakers.record_failure(effect.peer, error, now=now)
    state = queues.fail(effect, error, now=now)
    log.warning(
        "registrar_effect_failed",
        effect=effect.pk,
        kind=effect.kind,
        peer=effect.peer,
        state=str(state),
        error=type(error).__name__,
        reason=getattr(error, "reason", ""),
    )
