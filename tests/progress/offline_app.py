"""A reference client: an app that works offline and syncs when it can.

It follows docs/app-guide.md, "Work done offline". `Store` is what the app keeps on its
device; a new `Store` is an app that was installed again.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from core.parsing import time_text

MAX_EVENTS = 200


@dataclass
class Store:
    """What the app keeps.

    ``queue`` has the events that the server has not decided, in order; ``state`` the
    last answers of ``sync/`` put together, ``since`` the token of the last one.
    """

    queue: list[dict[str, Any]] = field(default_factory=list)
    next_seq: int = 1
    since: str | None = None
    state: dict[str, Any] = field(default_factory=dict)


@dataclass
class OfflineApp:
    """The app on one device.

    ``send`` posts a body to ``sync/events/`` and returns the answer's JSON. ``read`` gets
    ``sync/`` with a token, and returns the answer's JSON, or None for a 304.
    ``clock_ahead`` is how much the device's clock is ahead of the server's.
    """

    send: Any
    read: Any = None
    store: Store = field(default_factory=Store)
    clock_ahead: timedelta = timedelta()
    results: list[dict[str, Any]] = field(default_factory=list)
    """The final result of each event, in the order in which they came."""

    def complete(self, lesson_id: str, hearts: int, now: datetime) -> dict[str, Any]:
        kind = "lesson_completed" if hearts else "lesson_failed"
        return self._add(now, kind=kind, lesson_id=lesson_id, hearts=hearts)

    def review(
        self, item_id: str, lesson_id: str, rating: int, now: datetime
    ) -> dict[str, Any]:
        about = {"item_id": item_id, "lesson_id": lesson_id, "rating": rating}
        return self._add(now, kind="review", **about)

    def bury(self, item_id: str, lesson_id: str, now: datetime) -> dict[str, Any]:
        return self._add(now, kind="bury", item_id=item_id, lesson_id=lesson_id)

    def _add(self, now: datetime, **about: Any) -> dict[str, Any]:
        event = {
            "id": str(uuid4()),
            "seq": self.store.next_seq,
            "occurred_at": time_text(now + self.clock_ahead),
            **about,
        }
        self.store.next_seq += 1
        self.store.queue.append(event)
        return event

    def body(self, events: list[dict[str, Any]], now: datetime) -> dict[str, Any]:
        return {"device_time": time_text(now + self.clock_ahead), "events": events}

    def sync(self, now: datetime) -> None:
        """Send the queue, 200 events at a time; what was decided leaves it."""
        while self.store.queue:
            part = self.store.queue[:MAX_EVENTS]
            answer = self.send(self.body(part, now))
            decided = {one["id"] for one in answer["results"] if not one["keep"]}
            self.results += [one for one in answer["results"] if not one["keep"]]
            self.store.queue = [
                event for event in self.store.queue if event["id"] not in decided
            ]
            self.number_from(answer["next_seq"])

    def number_from(self, next_seq: int) -> None:
        """Number the queue from what the server expects.

        Nothing changes unless this device's numbers were lost, such as by a restored
        backup: the ids stay, so what was recorded is answered as a duplicate.
        """
        for place, event in enumerate(self.store.queue):
            event["seq"] = next_seq + place
        self.store.next_seq = next_seq + len(self.store.queue)

    def pull(self) -> None:
        """Read what changed, and put it into the state."""
        answer = self.read(self.store.since)
        if answer is None:
            return
        held = self.store.state
        if answer["is_complete"] or not held:
            held = {"subjects": {}, "cards": {}}
        subjects = {one["subject_id"]: one for one in answer["subjects"]}
        cards = dict(held["cards"])
        for card in answer["cards"]:
            name = card["item_id"], card["lesson_id"]
            cards.pop(name, None)
            if card["is_active"]:
                cards[name] = card
        self.store.state = answer | {
            "subjects": held["subjects"] | subjects,
            "cards": cards,
        }
        self.store.since = answer["since"]
        self.number_from(answer["next_seq"])
