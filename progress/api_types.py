"""Bodies and answers of the progress API (`core.api_types`)."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Self
from uuid import UUID

import orjson
from django.utils.translation import gettext_lazy

from content.kinds import ID_PATTERN, Kind
from core.api_operations import Parameter
from core.api_types import Faulty, Field
from progress.scheduler import RATINGS
from progress.streak import Action
from progress.unlock import LockedReason, Status
from progress.xp import MAX_HEARTS

MAX_REVIEWS = 100
MAX_EVENTS = 200
MAX_DUE = 100
_DEFAULT_DUE = 20

# --- Parameters -------------------------------------------------------------

SUBJECT_ID = Parameter(
    "subject_id",
    "path",
    str,
    Field(
        gettext_lazy("The subject's id in the published files."),
        example="SUBJ-7K3M9QX2VB",
    ),
    is_required=True,
)
IF_NONE_MATCH = Parameter(
    "If-None-Match",
    "header",
    str,
    Field(
        gettext_lazy(
            "The ETag of the copy that the app has. If it is current, the answer is 304 "
            "without a body."
        ),
        example='"6f5e4d3c2b1a"',
    ),
)

_ItemId = Annotated[
    str,
    Field(
        gettext_lazy("The item's id in the lesson's file."),
        "Q-7K3M9QX2VB",
        max_length=64,
        pattern=ID_PATTERN,
    ),
]
_LessonId = Annotated[
    str,
    Field(
        gettext_lazy("The lesson's id in the published files."),
        "LES-7K3M9QX2VB",
        max_length=64,
        pattern=ID_PATTERN,
    ),
]
_SubjectId = Annotated[
    str,
    Field(gettext_lazy("The subject's id in the published files."), "SUBJ-7K3M9QX2VB"),
]
_DueAt = Annotated[
    str,
    Field(
        gettext_lazy("When the item is to be reviewed."),
        "2026-12-01T08:00:00Z",
        format="date-time",
    ),
]

# --- Bodies and queries -----------------------------------------------------


@dataclass(frozen=True, slots=True)
class CompletionBody:
    hearts: Annotated[
        int,
        Field(
            gettext_lazy(
                "How well the lesson was done, 0 to 5. 0 is a failure, which is "
                "recorded and answered NO_HEARTS."
            ),
            example=5,
            minimum=0,
            maximum=MAX_HEARTS,
        ),
    ]


@dataclass(frozen=True, slots=True)
class Rating:
    """One answer; ``reviewed_at`` None is now."""

    item_id: _ItemId
    lesson_id: _LessonId
    rating: Annotated[
        int,
        Field(
            gettext_lazy(
                "How well the student knew the item: 1 again, 2 hard, 3 good, 4 easy."
            ),
            example=3,
            minimum=RATINGS.start,
            maximum=RATINGS.stop - 1,
        ),
    ]
    reviewed_at: Annotated[
        datetime | None,
        Field(
            gettext_lazy(
                "When the student answered, with its offset; null or missing: now. A "
                "time in the future counts as now."
            ),
            example="2026-11-29T17:03:05Z",
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class RatingsBody:
    reviews: Annotated[
        list[Rating],
        Field(
            gettext_lazy("1 to 100 answers; all of them are recorded or none."),
            min_length=1,
            max_length=MAX_REVIEWS,
        ),
    ]


@dataclass(frozen=True, slots=True)
class Item:
    item_id: _ItemId
    lesson_id: _LessonId


class EventKind(StrEnum):
    """What a queued event is about."""

    LESSON_COMPLETED = "lesson_completed"
    LESSON_FAILED = "lesson_failed"
    REVIEW = "review"
    BURY = "bury"

    @property
    def is_about_item(self) -> bool:
        return self in (EventKind.REVIEW, EventKind.BURY)


_OccurredAt = Annotated[
    datetime,
    Field(
        gettext_lazy("When it happened, by the device's clock, with its offset."),
        "2026-11-29T17:03:05Z",
    ),
]


@dataclass(frozen=True, slots=True)
class SyncEvent:
    """A queued event; `progress.services.sync_events` checks what each kind needs."""

    id: Annotated[
        UUID,
        Field(
            gettext_lazy(
                "The app's id of the event, a UUID version 4; never used for another one."
            ),
            "0b0a4f6e-7f0e-4d55-9c9d-3f0a5e1b7c11",
        ),
    ]
    seq: Annotated[
        int,
        Field(
            gettext_lazy("The event's number on this device: 1, 2, 3 … without gaps."),
            1,
            minimum=1,
        ),
    ]
    kind: Annotated[
        str,
        Field(
            gettext_lazy(
                "lesson_completed (with hearts from 1), lesson_failed, review (with "
                "item_id and rating), or bury (with item_id)."
            ),
            "lesson_completed",
            choices=tuple(EventKind),
        ),
    ]
    lesson_id: _LessonId
    occurred_at: _OccurredAt
    hearts: Annotated[
        int | None,
        Field(
            gettext_lazy("Of a completed lesson, 1 to 5; else null, 0 or missing."),
            5,
            minimum=0,
            maximum=MAX_HEARTS,
        ),
    ] = None
    item_id: Annotated[
        str | None,
        Field(
            gettext_lazy(
                "Of a review or a burial: the item's id in the lesson's file."
            ),
            max_length=64,
            pattern=ID_PATTERN,
        ),
    ] = None
    rating: Annotated[
        int | None,
        Field(
            gettext_lazy("Of a review: 1 again, 2 hard, 3 good, 4 easy."),
            minimum=RATINGS.start,
            maximum=RATINGS.stop - 1,
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class SyncEventsBody:
    device_time: Annotated[
        datetime,
        Field(
            gettext_lazy(
                "The device's clock at the time of sending, with its offset. The server "
                "corrects the events' times by the difference from its own clock."
            ),
            "2026-11-29T17:05:00Z",
        ),
    ]
    events: Annotated[
        list[SyncEvent | Faulty],
        Field(
            gettext_lazy(
                "At most 200 events. An event that is not valid is rejected for itself; "
                "it does not refuse the others."
            ),
            max_length=MAX_EVENTS,
        ),
    ]


@dataclass(frozen=True, slots=True)
class DueQuery:
    subject: Annotated[
        str | None,
        Field(
            gettext_lazy("Only items of this subject: its id. Missing: of all."),
            example="SUBJ-7K3M9QX2VB",
        ),
    ] = None
    limit: Annotated[
        int,
        Field(
            gettext_lazy("How many items to return at most, 1 to 100."),
            example=_DEFAULT_DUE,
            minimum=1,
            maximum=MAX_DUE,
        ),
    ] = _DEFAULT_DUE


# --- Answers ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StreakChange:
    """The effect of a completion on the streak."""

    old: Annotated[int, Field(gettext_lazy("The streak before, in days."), 3)]
    new: Annotated[int, Field(gettext_lazy("The streak now, in days."), 4)]
    action: Annotated[
        Action,
        Field(
            gettext_lazy(
                "What happened: it started, was extended by this day, had counted this "
                "day already (unchanged), or begins again (reset)."
            ),
            "extended",
        ),
    ]
    last_success_date: Annotated[
        str,
        Field(
            gettext_lazy("The day that counts, in the zone of the streak."),
            "2026-11-29",
            format="date",
        ),
    ]
    freezes: Annotated[
        int, Field(gettext_lazy("The streak freezes that the student has now."), 1)
    ]
    frozen_days: Annotated[
        list[str],
        Field(
            gettext_lazy(
                "The missed days that a freeze was spent on now, so that the streak "
                "goes on."
            ),
            ["2026-11-28"],
        ),
    ]


@dataclass(frozen=True, slots=True)
class CompletionResult:
    """The answer to a completion; the ledger stores it for repeated requests."""

    success: Annotated[
        bool,
        Field(gettext_lazy("Always true: a refusal has another status."), True),
    ]
    xp_earned: Annotated[
        int, Field(gettext_lazy("The XP that this completion earned."), 35)
    ]
    new_total_xp: Annotated[
        int, Field(gettext_lazy("All XP that the student has now."), 1250)
    ]
    is_first_completion: Annotated[
        bool,
        Field(gettext_lazy("Whether the lesson was not passed before."), True),
    ]
    is_new_record: Annotated[
        bool,
        Field(
            gettext_lazy("Whether the student had more hearts than ever before here."),
            True,
        ),
    ]
    streak: Annotated[
        StreakChange, Field(gettext_lazy("The effect on the streak of days."))
    ]
    unlocked: Annotated[
        list[str],
        Field(
            gettext_lazy(
                "The ids of the lessons and containers that this unlocked, in tree "
                "order."
            ),
            ["LES-4T8WBN2PQR"],
        ),
    ]
    next_lesson_id: Annotated[
        str | None,
        Field(
            gettext_lazy("The lesson to suggest next; null: none is left."),
            "LES-4T8WBN2PQR",
        ),
    ]

    def as_answer(self) -> dict[str, Any]:
        """Return the body of the response; its order of keys is fixed."""
        answer: dict[str, Any] = orjson.loads(orjson.dumps(self))
        return answer

    @classmethod
    def from_answer(cls, answer: dict[str, Any]) -> Self:
        """Return the result that `as_answer` was made of."""
        # Rows from before there were freezes have none.
        streak = {"freezes": 0, "frozen_days": [], **answer["streak"]}
        streak["action"] = Action(streak["action"])
        return cls(**{**answer, "streak": StreakChange(**streak)})


class EventStatus(StrEnum):
    """What the server did with a queued event."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    HELD = "held"
    CONFLICT = "conflict"
    REJECTED = "rejected"


class EventCode(StrEnum):
    """Why a queued event was not recorded; docs/app-guide.md, "Work done offline"."""

    OUT_OF_ORDER = "OUT_OF_ORDER"
    """An event before it is missing. Keep it; send from next_seq on."""
    TOO_MANY_HELD = "TOO_MANY_HELD"
    """It would be held, and too many events are. Keep it; send it again later."""
    SEQ_USED = "SEQ_USED"
    """Its number was decided before, and nothing was recorded. Drop it."""
    INVALID_EVENT = "INVALID_EVENT"
    """A field is wrong: an error in the app. Drop it."""
    EVENT_CONFLICT = "EVENT_CONFLICT"
    """Its id was used for another event: an error in the app. Drop it."""
    INVALID_LESSON = "INVALID_LESSON"
    """No such lesson exists. Drop it."""
    NOT_ENTITLED = "NOT_ENTITLED"
    """The student did not have the product of the lesson. Drop it."""
    NOT_UNLOCKED = "NOT_UNLOCKED"
    """An earlier lesson was to be passed first. Drop it."""
    ITEM_NOT_MET = "ITEM_NOT_MET"
    """The lesson of the reviewed item was not completed before. Drop it."""


@dataclass(frozen=True, slots=True)
class EventResult:
    """What became of one event of a batch."""

    id: Annotated[
        str | None,
        Field(
            gettext_lazy("The event's id; null if it has none that is valid."),
            "0b0a4f6e-7f0e-4d55-9c9d-3f0a5e1b7c11",
        ),
    ]
    seq: Annotated[
        int | None,
        Field(
            gettext_lazy("The event's number; null if it has none that is valid."), 1
        ),
    ]
    status: Annotated[
        EventStatus,
        Field(
            gettext_lazy(
                "applied: recorded. duplicate: recorded before, with the answer of "
                "then. held: kept by the server until the lesson is published again. "
                "conflict: its id belongs to another event. rejected: see code."
            ),
            "applied",
        ),
    ]
    code: Annotated[
        EventCode | None,
        Field(
            gettext_lazy("Why it was not recorded; null if it was or is held."), None
        ),
    ]
    message: Annotated[
        str | None,
        Field(gettext_lazy("The same as a text for the user; null without a code.")),
    ]
    keep: Annotated[
        bool,
        Field(
            gettext_lazy(
                "Whether the app keeps the event and sends it again; else it removes it "
                "from its queue."
            ),
            False,
        ),
    ]
    completion: Annotated[
        CompletionResult | None,
        Field(
            gettext_lazy(
                "For a completed lesson that was recorded: what it earned and unlocked."
            )
        ),
    ] = None
    due_at: Annotated[
        str | None,
        Field(
            gettext_lazy("For a review that was recorded: when the item is next due."),
            format="date-time",
        ),
    ] = None
    xp_earned: Annotated[
        int | None,
        Field(
            gettext_lazy(
                "For a review that was recorded: the XP of the session of reviews that "
                "it began, or 0."
            ),
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class SyncResult:
    results: Annotated[
        list[EventResult],
        Field(gettext_lazy("One result for each event, in the order of the request.")),
    ]
    next_seq: Annotated[
        int,
        Field(gettext_lazy("The number that this device's next event must have."), 2),
    ]


@dataclass(frozen=True, slots=True)
class ProgressNode:
    """A node as `progress.rendering` writes it."""

    id: Annotated[
        str, Field(gettext_lazy("The node's id in the published files."), "UNIT-2")
    ]
    type: Annotated[Kind, Field(gettext_lazy("The kind of the node."), "unit")]
    status: Annotated[
        Status,
        Field(
            gettext_lazy(
                "Whether the student can open the node (unlocked), cannot (locked), or "
                "has passed all lessons in it (passed)."
            ),
            "unlocked",
        ),
    ]
    locked_reason: Annotated[
        LockedReason | None,
        Field(
            gettext_lazy(
                "Why the node is locked: earlier lessons come first (previous), or the "
                "student has none of the products of its lessons (not_entitled). Null "
                "unless it is locked."
            ),
            None,
        ),
    ]
    bit_index: Annotated[
        int | None,
        Field(gettext_lazy("A lesson's bit in the bitmap file; else null."), None),
    ]
    best_hearts: Annotated[
        int | None,
        Field(
            gettext_lazy(
                "The most hearts of the student in this lesson; null for other nodes."
            ),
            None,
        ),
    ]
    children: Annotated[
        list["ProgressNode"],
        Field(gettext_lazy("The nodes inside, in order; empty for a lesson."), []),
    ]


@dataclass(frozen=True, slots=True)
class SubjectTree:
    """A subject as `progress.rendering` writes it."""

    subject_id: _SubjectId
    root: Annotated[
        ProgressNode, Field(gettext_lazy("The subject with all nodes inside."))
    ]
    completion_percentage: Annotated[
        float,
        Field(
            gettext_lazy("The share of all lessons that are passed, 0 to 100."), 62.5
        ),
    ]
    total_xp_earned: Annotated[
        int, Field(gettext_lazy("The XP earned in this subject."), 840)
    ]
    suggested_next_lesson_id: Annotated[
        str | None,
        Field(
            gettext_lazy("The lesson to suggest next; null: none is left."),
            "LES-4T8WBN2PQR",
        ),
    ]
    total_lessons: Annotated[
        int,
        Field(
            gettext_lazy("All lessons of the subject, also those that are not bought."),
            40,
        ),
    ]
    entitled_lessons: Annotated[
        int, Field(gettext_lazy("The lessons that the student has access to."), 40)
    ]
    passed_lessons: Annotated[
        int, Field(gettext_lazy("The lessons that the student has passed."), 25)
    ]


@dataclass(frozen=True, slots=True)
class ReviewCounts:
    total: Annotated[
        int, Field(gettext_lazy("How many items the student has met."), 120)
    ]
    due: Annotated[int, Field(gettext_lazy("How many of them are due now."), 14)]
    next_due_at: Annotated[
        str | None,
        Field(
            gettext_lazy(
                "When the first of them is or was due; null: the student has met none."
            ),
            "2026-11-29T17:03:05Z",
            format="date-time",
        ),
    ]
    due_today: Annotated[
        int,
        Field(
            gettext_lazy("How many are due before the student's day ends, or now."), 21
        ),
    ]
    new: Annotated[
        int, Field(gettext_lazy("How many the student has never answered."), 6)
    ]
    leeches: Annotated[
        int,
        Field(
            gettext_lazy(
                "How many failed so often that reviews alone do not help: show their "
                "lesson again."
            ),
            1,
        ),
    ]


@dataclass(frozen=True, slots=True)
class SubjectReviews(ReviewCounts):
    subject_id: _SubjectId


@dataclass(frozen=True, slots=True)
class Reviews(ReviewCounts):
    subjects: Annotated[
        list[SubjectReviews],
        Field(gettext_lazy("The same for each subject of the plan.")),
    ]


# A due list has up to 100 of both: frozen ones with slots take four times as long to make,
# and twice as long to render.
@dataclass
class Intervals:
    """Seconds until an item is due again, for each rating."""

    again: Annotated[
        int, Field(gettext_lazy("The seconds to the next review after a 1."), 600)
    ]
    hard: Annotated[
        int, Field(gettext_lazy("The seconds to the next review after a 2."), 86400)
    ]
    good: Annotated[
        int, Field(gettext_lazy("The seconds to the next review after a 3."), 259200)
    ]
    easy: Annotated[
        int, Field(gettext_lazy("The seconds to the next review after a 4."), 691200)
    ]


@dataclass
class DueItem:
    item_id: _ItemId
    lesson_id: _LessonId
    subject_id: _SubjectId
    due_at: _DueAt
    last_reviewed_at: Annotated[
        str | None,
        Field(
            gettext_lazy("When the student last answered it; null: never."),
            "2026-11-28T08:00:00Z",
            format="date-time",
        ),
    ]
    retrievability: Annotated[
        float | None,
        Field(
            gettext_lazy(
                "The probability that the student knows it now, 0 to 1; null: it was "
                "never answered."
            ),
            0.87,
        ),
    ]
    intervals: Annotated[
        Intervals, Field(gettext_lazy("When it would be due again, for each rating."))
    ]
    failures: Annotated[
        int, Field(gettext_lazy("How many of its answers were rated 1, again."), 2)
    ]
    is_leech: Annotated[
        bool,
        Field(
            gettext_lazy(
                "Whether it failed so often that reviews alone do not help: show its "
                "lesson again."
            ),
            False,
        ),
    ]


@dataclass(frozen=True, slots=True)
class DueItems:
    items: Annotated[
        list[DueItem],
        Field(gettext_lazy("The items to review now, the longest due first.")),
    ]


@dataclass(frozen=True, slots=True)
class ReviewedItem:
    item_id: _ItemId
    lesson_id: _LessonId
    due_at: _DueAt


@dataclass(frozen=True, slots=True)
class AcceptedRatings:
    accepted: Annotated[int, Field(gettext_lazy("How many answers were recorded."), 1)]
    reviews: Annotated[
        list[ReviewedItem],
        Field(gettext_lazy("Each answered item, with its next time.")),
    ]
    xp_earned: Annotated[
        int,
        Field(
            gettext_lazy("The XP of the session of reviews that began, or 0."),
            3,
        ),
    ]
