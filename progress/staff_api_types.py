"""Bodies and answers of the staff API for progress (`core.api_types`)."""

from dataclasses import dataclass
from typing import Annotated

from django.utils.translation import gettext_lazy as _

from core.api_types import NO_NUL, NOT_BLANK, Field
from progress.xp import MAX_HEARTS

NodeId = Annotated[
    str,
    Field(
        _("The id of a lesson, or of a node with lessons, in the student's plan."),
        "UNIT-7K3M9QX2VB",
        min_length=1,
        max_length=100,
        pattern=NO_NUL,
    ),
]
Reason = Annotated[
    str,
    Field(
        _("Why the progress is changed; it is shown in the audit trail."),
        "From another school",
        min_length=1,
        max_length=200,
        pattern=NOT_BLANK,
    ),
]


@dataclass(frozen=True, slots=True)
class ProgressGrantBody:
    node_id: NodeId
    reason: Reason
    hearts: Annotated[
        int,
        Field(
            _("The hearts of each lesson, 1 to 5. Missing: 5."),
            3,
            minimum=1,
            maximum=MAX_HEARTS,
        ),
    ] = MAX_HEARTS


@dataclass(frozen=True, slots=True)
class ProgressResetBody:
    node_id: NodeId
    reason: Reason


@dataclass(frozen=True, slots=True)
class CorrectedLessons:
    lessons: Annotated[
        int, Field(_("How many lessons were granted or reset."), example=12)
    ]
