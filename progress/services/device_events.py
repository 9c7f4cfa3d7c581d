"""The tables of devices' events: what is known, what is held, and the next number.

See docs/architecture.md, "Batches".
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from django.db import connection

from core.db import parameter_marks, utc_time
from progress.admission import DeviceState
from progress.models import DeviceSequence, HeldEvent
from progress.services.events import Event, LessonEvent, Origin, ReviewEvent
from progress.services.ledger import PositionTakenError


@dataclass(frozen=True, slots=True)
class KnownEvent:
    """A recorded event: what it says, and what was answered.

    ``position`` is that in the ledger, 0 for reviews and held events. ``fingerprint``
    is None for an event that was recorded online.
    """

    lesson_id: str
    hearts: int | None
    position: int
    fingerprint: str | None
    answer: dict[str, Any] | None = None
    is_held: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the events of a batch, by event id, and of its device.

    ``held`` is how many events of the player are held.
    """

    events: dict[str, KnownEvent] = field(default_factory=dict)
    device: DeviceState = field(default_factory=DeviceState)
    held: int = 0


@dataclass(frozen=True, slots=True)
class Move:
    """The device's state that a batch was decided on, and the one after it."""

    device_id: UUID
    before: DeviceState
    after: DeviceState


# All texts are cast to one collation, which a UNION needs on MariaDB.
_IN_LEDGER = """
SELECT 'ledger', CAST(event_id AS CHAR), CAST(reference_id AS CHAR), hearts, seq,
  CAST(data AS CHAR)
FROM {table} WHERE player_id = %s AND event_id IN ({{marks}})
UNION ALL
"""
_IN_REVIEWS = """
SELECT 'review', CAST(idempotency_key AS CHAR), CAST(lesson_id AS CHAR), NULL, 0,
  CAST(batch AS CHAR)
FROM {table} WHERE player_id = %s AND idempotency_key IN ({{marks}})
UNION ALL
"""
_KNOWN = (
    _IN_LEDGER.format(table="progress_interactionlog")
    + _IN_LEDGER.format(table="progress_archivedinteraction")
    + _IN_REVIEWS.format(table="progress_reviewrating")
    + _IN_REVIEWS.format(table="progress_archivedrating")
    + """
SELECT 'held', CAST(event_id AS CHAR), CAST(lesson_id AS CHAR), hearts, 0,
  CAST(fingerprint AS CHAR)
FROM progress_heldevent WHERE player_id = %s AND event_id IN ({marks})
UNION ALL
SELECT 'number', '', '', NULL, COUNT(*), ''
FROM progress_heldevent WHERE player_id = %s
UNION ALL
SELECT 'device', '', '', NULL, last_seq, CAST(last_at AS CHAR)
FROM progress_devicesequence WHERE player_id = %s AND device_id = %s
"""
)


def known(player_id: int, event_ids: Collection[str], device_id: UUID) -> Known:
    """Return which events are recorded, and how far the device is. One query."""
    ids = list(event_ids) or [""]
    statement = _KNOWN.format(marks=parameter_marks(len(ids)))
    column = DeviceSequence._meta.get_field("device_id")
    device = column.get_db_prep_value(device_id, connection)
    own: list[Any] = [player_id, *ids]
    with connection.cursor() as cursor:
        cursor.execute(statement, [*(own * 5), player_id, player_id, device])
        rows = cursor.fetchall()
    events: dict[str, KnownEvent] = {}
    state, held = DeviceState(), 0
    for source, event_id, lesson_id, *numbers, text in rows:
        # A UNION of different integers is a decimal on MariaDB.
        hearts, number = (None if one is None else int(one) for one in numbers)
        assert number is not None
        if source == "device":
            state = DeviceState(number, _time(text))
        elif source == "number":
            held = number
        elif source == "held":
            events[event_id] = KnownEvent(lesson_id, hearts, 0, text, is_held=True)
        else:
            stored = orjson.loads(text)
            answer = stored.get("answer" if source == "ledger" else "response")
            events[event_id] = KnownEvent(
                lesson_id, hearts, number, stored.get("fingerprint"), answer
            )
    return Known(events, state, held)


_POSITIONS = """
SELECT
  (SELECT MAX(position) FROM progress_reviewrating WHERE player_id = %s),
  (SELECT last_seq FROM progress_devicesequence WHERE player_id = %s AND device_id = %s)
"""


def positions(player_id: int, device_id: UUID) -> tuple[int, int]:
    """Return the last position of the ratings, and the device's last number. One query."""
    column = DeviceSequence._meta.get_field("device_id")
    device = column.get_db_prep_value(device_id, connection)
    with connection.cursor() as cursor:
        cursor.execute(_POSITIONS, [player_id, player_id, device])
        [(rating, last_seq)] = cursor.fetchall()
    return rating or 0, last_seq or 0


def _time(text: str | None) -> datetime | None:
    return None if text is None else utc_time(text)


def move(player_id: int, moved: Move) -> None:
    """Move the device's number, in the caller's transaction. One statement.

    Raises:
        PositionTakenError: another batch moved it.
        IntegrityError: another batch made its row, or the player has been deleted.
    """
    after = {"last_seq": moved.after.last_seq, "last_at": moved.after.last_at}
    if not moved.before.last_seq:
        DeviceSequence.objects.create(
            player_id=player_id, device_id=moved.device_id, **after
        )
        return
    rows = DeviceSequence.objects.filter(
        player_id=player_id,
        device_id=moved.device_id,
        last_seq=moved.before.last_seq,
    )
    if not rows.update(**after):
        raise PositionTakenError


def hold(player_id: int, events: Sequence[Event], now: datetime) -> None:
    """Keep events of devices, in the caller's transaction. One statement."""
    HeldEvent.objects.bulk_create([_held(player_id, event, now) for event in events])


def _held(player_id: int, event: Event, now: datetime) -> HeldEvent:
    assert event.origin is not None
    held = HeldEvent(
        player_id=player_id,
        event_id=event.event_id,
        fingerprint=event.origin.fingerprint,
        lesson_id=event.lesson_id,
        device_id=event.origin.device_id,
        device_seq=event.origin.seq,
        device_time=event.origin.time,
        occurred_at=event.at,
        received_at=now,
    )
    if isinstance(event, LessonEvent):
        held.hearts = event.hearts
    else:
        held.item_id, held.rating = event.item_id, event.rating
    return held


def held_players() -> list[int]:
    """Return the players with held events. One query."""
    rows = HeldEvent.objects.order_by("player_id").values_list("player_id", flat=True)
    return list(rows.distinct())


def held_of(player_id: int) -> list[Event]:
    """Return the player's held events in the order of their times. One query."""
    rows = HeldEvent.objects.filter(player_id=player_id)
    return [_event(row) for row in rows.order_by("occurred_at", "pk")]


def _event(row: HeldEvent) -> Event:
    origin = Origin(row.device_id, row.device_seq, row.device_time, row.fingerprint)
    about = row.event_id, row.lesson_id
    if row.hearts is not None:
        return LessonEvent(*about, row.hearts, row.occurred_at, origin)
    assert row.rating is not None
    return ReviewEvent(
        row.event_id, row.item_id, row.lesson_id, row.rating, row.occurred_at, origin
    )


def delete_held(player_id: int, event_ids: Collection[str]) -> None:
    """Delete held events that were decided, in the caller's transaction."""
    HeldEvent.objects.filter(player_id=player_id, event_id__in=event_ids).delete()
