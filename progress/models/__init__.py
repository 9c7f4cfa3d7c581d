"""The tables of progress: the ledger, snapshots, reviews, devices' events, statistics,
seasons."""

from progress.models.devices import DeviceSequence, HeldEvent
from progress.models.ledger import (
    PROGRESS_TYPES,
    Interaction,
    InteractionLog,
    InteractionType,
)
from progress.models.reviews import ReviewCard, ReviewRating, ReviewWatermark
from progress.models.seasons import (
    ArchivedInteraction,
    ArchivedRating,
    Baseline,
    BaselineSubject,
    ClosedSeason,
    OpenedSeason,
)
from progress.models.snapshots import StructureProgress
from progress.models.statistics import (
    LessonStatistics,
    PlayerLesson,
    PlayerQuestion,
    QuestionStatistics,
    StatisticsWatermark,
)

__all__ = [
    "PROGRESS_TYPES",
    "ArchivedInteraction",
    "ArchivedRating",
    "Baseline",
    "BaselineSubject",
    "ClosedSeason",
    "DeviceSequence",
    "HeldEvent",
    "Interaction",
    "InteractionLog",
    "InteractionType",
    "LessonStatistics",
    "OpenedSeason",
    "PlayerLesson",
    "PlayerQuestion",
    "QuestionStatistics",
    "ReviewCard",
    "ReviewRating",
    "ReviewWatermark",
    "StatisticsWatermark",
    "StructureProgress",
]
