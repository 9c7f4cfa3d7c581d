"""What players did, as it is recorded: lessons and reviews, of one request or of many."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from players.services.access import PlayerAccess
from publishing.api import PlanStructure


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a queued event comes from.

    ``seq`` is its number on the device, ``time`` when it happened by the device's
    clock. ``fingerprint`` is equal for events that say the same.
    """

    device_id: UUID
    seq: int
    time: datetime
    fingerprint: str


@dataclass(frozen=True, slots=True)
class LessonEvent:
    """A player finished a lesson with ``hearts`` (0 to 5), at an aware time.

    ``event_id`` is that of the ledger; ``origin`` is None for an online request.
    """

    event_id: str
    lesson_id: str
    hearts: int
    at: datetime
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class ReviewEvent:
    """A player answered an item, rated 1 to 4, at an aware time."""

    event_id: str
    item_id: str
    lesson_id: str
    rating: int
    at: datetime
    origin: Origin | None = None


Event = LessonEvent | ReviewEvent


@dataclass(frozen=True, slots=True)
class Context:
    """Whose events they are, and what the player may open."""

    player_id: int
    now: datetime
    access: PlayerAccess
    plan: PlanStructure

    def subjects_of(self, events: Collection[Event]) -> tuple[str, ...]:
        """Return the subjects of the plan's lessons that the events change, each once."""
        lessons = self.plan.lessons
        return tuple(
            dict.fromkeys(
                lessons[event.lesson_id].subject_id
                for event in events
                if isinstance(event, LessonEvent) and event.lesson_id in lessons
            )
        )
