"""The tables of content: the tree, its subjects' state, stages, media and products."""

from content.models.drafts import FormDraft, UnfinishedLesson
from content.models.media import MediaFile, MediaKind
from content.models.nodes import (
    Lesson,
    Node,
    NodeKind,
    Subject,
    Topic,
    Track,
    Unit,
)
from content.models.products import Product
from content.models.stages import (
    LessonStage,
    StageQuerySet,
    new_stage_id,
    stage_type_choices,
)
from content.models.subject_state import SubjectState, TreeLock
from content.models.tracking import TrackedQuerySet

__all__ = [
    "FormDraft",
    "Lesson",
    "LessonStage",
    "MediaFile",
    "MediaKind",
    "Node",
    "NodeKind",
    "Product",
    "StageQuerySet",
    "Subject",
    "SubjectState",
    "Topic",
    "Track",
    "TrackedQuerySet",
    "TreeLock",
    "UnfinishedLesson",
    "Unit",
    "new_stage_id",
    "stage_type_choices",
]
