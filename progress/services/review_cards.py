"""Cards follow the ledger and the published items; see docs/architecture.md, "Reviews".

A player's `ReviewWatermark` says how far they have followed: the last position of the
ledger whose completions have cards, and the version of the items that ``is_active`` was
set by. While neither has moved, nothing is written.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from core.batches import BATCH_SIZE, batches
from core.db import retry_on_conflict
from players.errors import SessionUnknownError
from progress import scheduler
from progress.models import ReviewCard, ReviewWatermark
from progress.services import ledger, review_queries
from progress.services.events import ReviewEvent
from progress.services.review_items import OpenItems
from publishing.api import LessonEntry


@dataclass(frozen=True, slots=True)
class _Place:
    """What a card says about its item, without the memory."""

    pk: int
    item_id: str
    lesson_id: str
    subject_id: str
    is_active: bool


def follow_in_transaction(player_id: int, items: OpenItems) -> None:
    """Do as `follow`, in the caller's transaction, which holds the player's `lock`.

    One query if nothing has changed since the last call.
    """
    mark = review_queries.watermark(player_id)
    if mark is None or not mark.is_at(items.version):
        _follow_locked(player_id, items)


def follow(player_id: int, items: OpenItems) -> None:
    """Create, move, and switch on and off the player's cards as they should be now.

    Raises:
        SessionUnknownError: the player has been deleted.
        OperationalError: the database does not answer.
    """
    retry_on_conflict(partial(_follow, player_id, items))


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


@transaction.atomic
def _follow(player_id: int, items: OpenItems) -> None:
    lock(player_id)
    _follow_locked(player_id, items)


def _follow_locked(player_id: int, items: OpenItems) -> None:
    mark = ReviewWatermark.objects.filter(player_id=player_id).first()
    mark = mark or ReviewWatermark(player_id=player_id)
    completed, position = _completed_after(player_id, mark, items)
    if mark.items_version == items.version:
        lessons = items.published.lessons
        coming = {item for lesson in completed for item in lessons[lesson].review_items}
        cards = _places(player_id, coming)
    else:
        cards = _places(player_id, None)
    _create_and_move(player_id, completed, cards, items)
    mark.ledger_position, mark.items_version = position, items.version
    mark.save(force_insert=mark._state.adding)


def _completed_after(
    player_id: int, mark: ReviewWatermark, items: OpenItems
) -> tuple[dict[str, datetime], int]:
    """Return the lessons with items that were completed for the first time, and when.

    Those after the watermark; all of them if the items have changed. Also the last
    position of the ledger.
    """
    last = ledger.head(player_id)
    after = 0
    if mark.items_version == items.version and mark.ledger_position <= last:
        after = mark.ledger_position
    found = ledger.whole(
        lambda rows: rows.filter(
            player_id=player_id, first_of__isnull=False, seq__lte=last, seq__gt=after
        ).values_list("seq", "first_of", "occurred_at")
    )
    completed = {
        lesson_id: at
        for _seq, lesson_id, at in found.order_by("seq")
        if lesson_id in items.published.lessons
    }
    return completed, last


def _places(player_id: int, item_ids: Collection[str] | None) -> list[_Place]:
    """Return the player's cards; of these items, or all."""
    cards = ReviewCard.objects.filter(player_id=player_id).order_by("pk")
    rows = cards.values_list("pk", "item_id", "lesson_id", "subject_id", "is_active")
    if item_ids is None:
        return [_Place(*row) for row in rows]
    return [
        _Place(*row)
        for batch in batches(list(item_ids))
        for row in rows.filter(item_id__in=batch)
    ]


def _create_and_move(
    player_id: int,
    completed: Mapping[str, datetime],
    cards: list[_Place],
    items: OpenItems,
) -> None:
    published = items.published
    place_of = {(card.item_id, card.lesson_id): card for card in cards}
    gone: dict[str, _Place] = {
        card.item_id: card
        for card in reversed(cards)
        if not published.is_published(card.lesson_id, card.item_id)
    }
    new: list[ReviewCard] = []
    moved: dict[int, _Place] = {}
    for lesson_id, at in completed.items():
        lesson = published.lessons[lesson_id]
        for item_id in lesson.review_items:
            if (item_id, lesson_id) in place_of:
                continue
            is_here = published.is_only_published_at(lesson_id, item_id)
            card = gone.pop(item_id, None) if is_here else None
            if card is None:
                is_active = items.is_active(lesson_id, item_id)
                new.append(_card(player_id, item_id, lesson, at, is_active))
            else:
                moved[card.pk] = replace(card, lesson_id=lesson_id)
    ReviewCard.objects.bulk_create(new, batch_size=BATCH_SIZE)
    _write_places(
        {card.pk: card for card in cards},
        {card.pk: _as_published(moved.get(card.pk, card), items) for card in cards},
    )


def _as_published(card: _Place, items: OpenItems) -> _Place:
    is_active = items.is_active(card.lesson_id, card.item_id)
    lesson = items.published.lessons.get(card.lesson_id)
    return replace(
        card,
        is_active=is_active,
        subject_id=card.subject_id if lesson is None else lesson.subject_id,
    )


def _write_places(before: Mapping[int, _Place], after: Mapping[int, _Place]) -> None:
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


def _card(
    player_id: int,
    item_id: str,
    lesson: LessonEntry,
    met_at: datetime,
    is_active: bool,
) -> ReviewCard:
    memory = scheduler.met(met_at)
    return ReviewCard(
        player_id=player_id,
        item_id=item_id,
        lesson_id=lesson.id,
        subject_id=lesson.subject_id,
        is_active=is_active,
        met_at=met_at,
        state=memory.state,
        due_at=memory.due_at,
    )
