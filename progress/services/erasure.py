"""Progress's data about a student, and its erasure (`players.services.erasure`)."""

from collections.abc import Sequence
from datetime import UTC
from typing import Any

from django.db.models import CharField, QuerySet, Value
from django.db.models.functions import Cast, Concat, TruncDay

from core import statement_guard
from players import records
from players.services.erasure import Fate, Holding
from progress.models import (
    ArchivedInteraction,
    ArchivedRating,
    Baseline,
    BaselineSubject,
    DeviceSequence,
    HeldEvent,
    InteractionLog,
    ReviewCard,
    ReviewRating,
    ReviewWatermark,
    StructureProgress,
)
from progress.services import lesson_counting

HOLDINGS = (
    Holding(
        "progress.InteractionLog.player",
        Fate.LEDGER,
        "ledger",
        withheld=frozenset({"event_id"}),
    ),
    Holding("progress.StructureProgress.player", Fate.DELETED, "subject_progress"),
    Holding(
        "progress.ArchivedInteraction.player",
        Fate.LEDGER,
        "archived_ledger",
        withheld=frozenset({"event_id"}),
    ),
    Holding(
        "progress.ArchivedRating.player",
        Fate.DELETED,
        "archived_review_ratings",
        withheld=frozenset({"idempotency_key"}),
    ),
    Holding("progress.Baseline.player", Fate.DELETED, "archived_totals"),
    Holding("progress.BaselineSubject.player", Fate.DELETED, "archived_progress"),
    Holding(
        "progress.ReviewRating.player",
        Fate.DELETED,
        "review_ratings",
        withheld=frozenset({"idempotency_key"}),
    ),
    Holding("progress.ReviewCard.player", Fate.DELETED, "review_cards"),
    Holding("progress.ReviewWatermark.player", Fate.DELETED, "review_watermark"),
    Holding("progress.DeviceSequence.player", Fate.DELETED, "device_sequences"),
    Holding(
        "progress.HeldEvent.player",
        Fate.DELETED,
        "held_events",
        withheld=frozenset({"event_id", "fingerprint"}),
    ),
    Holding("progress.PlayerLesson.player", Fate.DELETED, "lessons"),
    Holding("progress.PlayerQuestion.player", Fate.DELETED, "failed_questions"),
    Holding(
        "progress.StatisticsWatermark.player", Fate.DELETED, "statistics_watermark"
    ),
)


def subject_ids(player_id: int) -> list[str]:
    """Return the subjects whose progress Redis may hold. Three queries."""
    found: set[str] = set()
    for model in (InteractionLog, StructureProgress, BaselineSubject):
        rows: QuerySet[Any] = QuerySet(model).filter(player_id=player_id).order_by()
        found.update(rows.values_list("subject_id", flat=True).distinct())
    return sorted(found - {""})


@statement_guard.rewriting()
def erase_rows(player_id: int, *, keep_ledger: bool) -> None:
    """Erase the player's rows, in the caller's transaction.

    Args:
        keep_ledger: keep the ledger's rows under the player's number, with what was
            completed, the day and the XP. Details, the time of day and the client's
            keys are removed.
    """
    lesson_counting.forget(player_id)
    # Ratings refer to their cards, so they go first.
    for model in (
        *(ReviewRating, ArchivedRating),
        *(ReviewCard, ReviewWatermark, StructureProgress, Baseline, BaselineSubject),
        *(DeviceSequence, HeldEvent),
    ):
        QuerySet(model).filter(player_id=player_id).delete()
    for log in (InteractionLog, ArchivedInteraction):
        ledger: QuerySet[Any] = QuerySet(log).filter(player_id=player_id)
        if keep_ledger:
            ledger.update(
                data={},
                event_id=Concat(Value("erased-"), Cast("pk", CharField())),
                device_id=None,
                device_seq=None,
                device_time=None,
                occurred_at=TruncDay("occurred_at", tzinfo=UTC),
                received_at=TruncDay("received_at", tzinfo=UTC),
            )
        else:
            ledger.delete()


def forget(player_id: int, subject_ids: Sequence[str]) -> None:
    """Delete the player's progress in Redis.

    Raises:
        StoreUnavailableError: Redis does not answer.
    """
    records.forget_player(player_id, subject_ids)
