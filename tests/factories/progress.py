"""Rows of progress, as services write them."""

from datetime import UTC, datetime
from typing import Any

from players.models import PlayerProfile
from progress import scheduler
from progress.models import InteractionLog, ReviewCard, ReviewRating

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def make_interaction(
    player: PlayerProfile, *, seq: int = 1, **fields: Any
) -> InteractionLog:
    """Create a row of the ledger: the completion of LES-1 at noon."""
    values = {
        "event_id": f"event-{seq}",
        "type": "lesson_completed",
        "reference_id": "LES-1",
        "occurred_at": NOON,
        "received_at": NOON,
    }
    return InteractionLog.objects.create(player=player, seq=seq, **values | fields)


def make_card(
    player: PlayerProfile, item_id: str = "ITEM-1", **fields: Any
) -> ReviewCard:
    """Create the card of an item that was met at ``met_at`` (noon) and not answered."""
    memory = scheduler.met(fields.get("met_at", NOON))
    values = {
        "lesson_id": "LES-1",
        "subject_id": "SUBJ-1",
        "met_at": memory.due_at,
        "state": memory.state,
        "due_at": memory.due_at,
    }
    return ReviewCard.objects.create(player=player, item_id=item_id, **values | fields)


def make_rating(card: ReviewCard, position: int = 1, **fields: Any) -> ReviewRating:
    """Create a row of the log of ratings: “good”, at noon."""
    values = {"rating": 3, "reviewed_at": NOON, "received_at": NOON}
    return ReviewRating.objects.create(
        player_id=card.player_id,
        position=position,
        card=card,
        item_id=card.item_id,
        lesson_id=card.lesson_id,
        subject_id=card.subject_id,
        **values | fields,
    )
