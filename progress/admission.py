"""Which events of a device are decided now, and when they happened. No Django imports.

See docs/architecture.md, "Batches". A device numbers its events 1, 2, 3 …; each number
is decided once, in that order.
"""

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

OLDEST = timedelta(days=7)
"""An event counts as at most this old."""


class Verdict(StrEnum):
    """What happens to a sent event."""

    DECIDE = "decide"
    """Its number is the next one."""
    KNOWN = "known"
    """An event with its id was recorded."""
    AGAIN = "again"
    """An earlier event of this batch has its id."""
    INVALID = "invalid"
    """It cannot be read."""
    OUT_OF_ORDER = "out_of_order"
    """An event before it is missing."""
    NO_ROOM = "no_room"
    """It would be held, and as many events as may be are held."""
    SEQ_USED = "seq_used"
    """Its number was decided, and nothing was recorded for its id."""


@dataclass(frozen=True, slots=True)
class Sent:
    """An event as it was sent.

    ``seq`` and ``event_id`` are None where they cannot be read; ``occurred_at``, by the
    device's clock, is None for every event that cannot be read.
    """

    seq: int | None
    event_id: str | None
    occurred_at: datetime | None


@dataclass(frozen=True, slots=True)
class DeviceState:
    """The last number that was decided, and the corrected time of the last event."""

    last_seq: int = 0
    last_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Admission:
    """The verdict on one event; ``at`` is its corrected time if it is to be decided."""

    verdict: Verdict
    at: datetime | None = None


def admit(
    events: Sequence[Sent],
    state: DeviceState,
    known: Container[str],
    *,
    device_time: datetime,
    now: datetime,
    no_room: int | None = None,
) -> tuple[list[Admission], DeviceState]:
    """Return the verdict on each event, and the device's state after them.

    The events are looked at in the order of their numbers, however they are sent.

    Args:
        known: the ids of recorded events.
        device_time: the device's clock when it sent the events; ``now`` is the
            server's.
        no_room: the number of the first event that cannot be held. It and what comes
            after it stays on the device.
    """
    order = sorted(range(len(events)), key=lambda index: events[index].seq or 0)
    found: dict[int, Admission] = {}
    met: set[str] = set()
    for index in order:
        event = events[index]
        verdict = _verdict(event, state, known, met)
        if verdict is Verdict.DECIDE and event.seq == no_room:
            verdict = Verdict.NO_ROOM
        at = None
        if event.seq == state.last_seq + 1 and verdict is not Verdict.NO_ROOM:
            state = replace(state, last_seq=event.seq)
            if verdict is Verdict.DECIDE and event.occurred_at is not None:
                at = corrected(
                    event.occurred_at,
                    device_time=device_time,
                    last_at=state.last_at,
                    now=now,
                )
                state = replace(state, last_at=at)
                met.add(event.event_id or "")
        found[index] = Admission(verdict, at)
    return [found[index] for index in range(len(events))], state


def _verdict(
    event: Sent, state: DeviceState, known: Container[str], met: Container[str]
) -> Verdict:
    if event.seq is None:
        return Verdict.INVALID
    if event.occurred_at is not None:
        if event.event_id in known:
            return Verdict.KNOWN
        if event.event_id in met:
            return Verdict.AGAIN
    if event.seq > state.last_seq + 1:
        return Verdict.OUT_OF_ORDER
    if event.occurred_at is None:
        return Verdict.INVALID
    if event.seq <= state.last_seq:
        return Verdict.SEQ_USED
    return Verdict.DECIDE


def corrected(
    occurred_at: datetime,
    *,
    device_time: datetime,
    last_at: datetime | None,
    now: datetime,
) -> datetime:
    """Return when an event happened, by the server's clock.

    The device's time is moved by the difference of the clocks. The result is not before
    the device's event before it, not more than `OLDEST` ago, and not in the future.
    """
    try:
        at = occurred_at + (now - device_time)
    except OverflowError:
        at = now if now > device_time else now - OLDEST
    earliest = now - OLDEST if last_at is None else max(last_at, now - OLDEST)
    return min(max(at, earliest), now)
