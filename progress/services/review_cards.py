"""Cards follow the ledger and the published items; see docs/architecture.md, "Reviews".

A player's `ReviewWatermark` says how far they have followed: the last position of the
ledger whose completions have cards, and the version of the items that ``is_active`` was
set by. While neither has moved, nothing is written.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import orjson
from django.db import connection, transaction
from django.utils.translation import gettext as _

from core.batches import batches
from core.db import retry_on_conflict
from core.upsert import insert, upsert
from players.errors import SessionUnknownError
from progress import scheduler
from progress.models import ReviewCard, ReviewWatermark
from progress.services import ledger, review_queries
from progress.services.events import ReviewEvent
from progress.services.review_items import OpenItems
from progress.services.review_queries import Place, Watermark
from publishing.api import LessonEntry


def follow_in_transaction(player_id: int, items: OpenItems) -> None:
    """Do as `follow`, in the caller's transaction, which holds the player's `lock`.

    One query if nothing has changed since the last call.
    """
    mark = review_queries.watermark(player_id)
    if not mark.is_at(items.version):
        _follow_from(player_id, items, mark)


def follow(player_id: int, items: OpenItems, mark: Watermark | None) -> bool:
    """Create, move, and switch on and off the player's cards as they should be now.

    If only the ledger has grown, and without items to meet, two queries and no lock: the
    watermark moves unless somebody else has moved it meanwhile.

    Args:
        mark: how far the cards follow, as the caller has read it; None: they never have.

    Returns:
        Whether cards may have changed since ``mark`` was read.

    Raises:
        SessionUnknownError: the player has been deleted.
        OperationalError: the database does not answer.
    """
    return retry_on_conflict(partial(_follow, player_id, items, mark))


def lock(player_id: int) -> None:
    """Let no other request change the player's cards until the transaction ends.

    See `ledger.lock`.

    Raises:
        SessionUnknownError: the player has been deleted.
    """
    if not ledger.lock([player_id]):
        raise SessionUnknownError(_("This session is not known. Please sign in again."))


def answered(
    player_id: int, events: Sequence[tuple[ReviewEvent, bool]]
) -> list[ReviewCard | None]:
    """Return the card of each answered item; None: it was not met. At most two queries.

    An item that has moved to another lesson is also found by the lesson that it was met
    in: the app may have an older release.

    Args:
        events: each with whether its lesson can have been completed before it.
    """
    cards_of: dict[str, dict[str, ReviewCard]] = defaultdict(dict)
    rows = ReviewCard.objects.filter(
        player_id=player_id, item_id__in={event.item_id for event, _may in events}
    )
    for row in rows:
        cards_of[row.item_id][row.lesson_id] = row
    elsewhere = {
        event.lesson_id
        for event, _may in events
        if event.lesson_id not in cards_of[event.item_id]
        and len(cards_of[event.item_id]) == 1
    }
    completed = ledger.completed_of(player_id, elsewhere) if elsewhere else set()
    found: list[ReviewCard | None] = []
    for event, may_be_met in events:
        card = cards_of[event.item_id].get(event.lesson_id)
        if card is None and event.lesson_id in completed:
            card = next(iter(cards_of[event.item_id].values()), None)
        found.append(card if may_be_met else None)
    return found


def _follow(player_id: int, items: OpenItems, before: Watermark | None) -> bool:
    completed = None
    if before is not None and before.is_behind(items.version):
        completed = _completed_after(player_id, before, items)
        if not completed and review_queries.move_watermark(player_id, before):
            return False
    with transaction.atomic():
        lock(player_id)
        mark = review_queries.watermark(player_id)
        if mark.is_at(items.version):
            return True  # somebody else has followed
        known = completed if mark == before else None
        return _follow_from(player_id, items, mark, known)


def _follow_from(
    player_id: int,
    items: OpenItems,
    mark: Watermark,
    completed: Mapping[str, datetime] | None = None,
) -> bool:
    """Follow from the watermark, which the caller has read under the lock.

    Args:
        completed: what `_completed_after` returns for it; None: it is read here.

    Returns:
        Whether cards may have changed.
    """
    if completed is None:
        completed = _completed_after(player_id, mark, items)
    if mark.items_version == items.version:
        lessons = items.published.lessons
        coming = {item for lesson in completed for item in lessons[lesson].review_items}
        cards = review_queries.places(player_id, coming)
    else:
        cards = review_queries.places(player_id, None)
    _create_and_move(player_id, completed, cards, items)
    upsert(
        ReviewWatermark,
        ("player_id", "ledger_position", "items_version"),
        [(player_id, mark.last_position or 0, items.version)],
        key=("player_id",),
    )
    return bool(completed or cards)


def _completed_after(
    player_id: int, mark: Watermark, items: OpenItems
) -> dict[str, datetime]:
    """Return the lessons with items that were completed for the first time, and when.

    Those after the watermark, up to the last position that was read with it; all of them
    if the items have changed.
    """
    after = mark.ledger_position if mark.is_behind(items.version) else 0
    found = ledger.first_completions(
        player_id, after=after, last=mark.last_position or 0
    )
    return {
        lesson_id: at
        for lesson_id, at in found.items()
        if lesson_id in items.published.lessons
    }


def _create_and_move(
    player_id: int,
    completed: Mapping[str, datetime],
    cards: list[Place],
    items: OpenItems,
) -> None:
    published = items.published
    place_of = {(card.item_id, card.lesson_id): card for card in cards}
    gone: dict[str, Place] = {
        card.item_id: card
        for card in reversed(cards)
        if not published.is_published(card.lesson_id, card.item_id)
    }
    new: list[list[Any]] = []
    moved: dict[int, Place] = {}
    for lesson_id, at in completed.items():
        lesson = published.lessons[lesson_id]
        unmet = []
        for item_id in lesson.review_items:
            if (item_id, lesson_id) in place_of:
                continue
            is_here = published.is_only_published_at(lesson_id, item_id)
            card = gone.pop(item_id, None) if is_here else None
            if card is None:
                unmet.append(item_id)
            else:
                moved[card.pk] = card._replace(lesson_id=lesson_id)
        if unmet:
            new += _new_cards(player_id, lesson, unmet, at, items)
    insert(ReviewCard, _NEW, new)
    _write_places(
        {card.pk: card for card in cards},
        {card.pk: _as_published(moved.get(card.pk, card), items) for card in cards},
    )


def _as_published(card: Place, items: OpenItems) -> Place:
    is_active = items.is_active(card.lesson_id, card.item_id)
    lesson = items.published.lessons.get(card.lesson_id)
    return card._replace(
        is_active=is_active,
        subject_id=card.subject_id if lesson is None else lesson.subject_id,
    )


def _write_places(before: Mapping[int, Place], after: Mapping[int, Place]) -> None:
    alike: dict[tuple[str, str | None, bool], list[int]] = defaultdict(list)
    for pk, place in after.items():
        if place == before[pk]:
            continue
        is_moved = place.lesson_id != before[pk].lesson_id
        lesson_id = place.lesson_id if is_moved else None
        alike[place.subject_id, lesson_id, place.is_active].append(pk)
    for (subject_id, lesson_id, is_active), pks in alike.items():
        values: dict[str, Any] = {"subject_id": subject_id, "is_active": is_active}
        if lesson_id is not None:
            values["lesson_id"] = lesson_id
        for batch in batches(pks):
            ReviewCard.objects.filter(pk__in=batch).update(**values)


_NEW = (
    *("player_id", "item_id", "lesson_id", "subject_id", "is_active"),
    *("met_at", "state", "due_at", "failures"),
)


def _new_cards(
    player_id: int,
    lesson: LessonEntry,
    item_ids: Iterable[str],
    met_at: datetime,
    items: OpenItems,
) -> list[list[Any]]:
    """Return the rows of cards of a lesson's items, which have been met at one time."""
    memory = scheduler.met(met_at)
    state = orjson.dumps(memory.state).decode()
    met, due = map(connection.ops.adapt_datetimefield_value, (met_at, memory.due_at))
    return [
        [
            *(player_id, item_id, lesson.id, lesson.subject_id),
            *(items.is_active(lesson.id, item_id), met, state, due, 0),
        ]
        for item_id in item_ids
    ]
