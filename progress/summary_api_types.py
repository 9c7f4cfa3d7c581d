"""The answer of the summary of progress (`core.api_types`)."""

from dataclasses import dataclass
from typing import Annotated

from django.utils.translation import gettext_lazy as _

from core.api_types import Field
from progress.unlock import LockedReason, Status

_Status = Annotated[
    Status,
    Field(
        _(
            "Whether the student can open the node (unlocked), cannot (locked), or has "
            "passed all lessons in it (passed)."
        ),
        "unlocked",
    ),
]
_LockedReason = Annotated[
    LockedReason | None,
    Field(
        _(
            "Why the node is locked: earlier lessons come first (previous), or the "
            "student has none of the products of its lessons (not_entitled). Null "
            "unless it is locked."
        ),
        None,
    ),
]
_Total = Annotated[
    int, Field(_("All lessons inside, also those that are not bought."), 40)
]
_Entitled = Annotated[
    int, Field(_("The lessons inside that the student has access to."), 40)
]
_Passed = Annotated[
    int, Field(_("The lessons inside that the student has passed."), 25)
]


@dataclass(frozen=True, slots=True)
class UnitSummary:
    id: Annotated[
        str, Field(_("The unit's id in the published files."), "UNIT-3D6FGH8JKM")
    ]
    status: _Status
    locked_reason: _LockedReason
    total_lessons: _Total
    entitled_lessons: _Entitled
    passed_lessons: _Passed


@dataclass(frozen=True, slots=True)
class SubjectSummary:
    subject_id: Annotated[
        str, Field(_("The subject's id in the published files."), "SUBJ-7K3M9QX2VB")
    ]
    status: _Status
    locked_reason: _LockedReason
    completion_percentage: Annotated[
        float, Field(_("The share of all lessons that are passed, 0 to 100."), 62.5)
    ]
    total_xp_earned: Annotated[int, Field(_("The XP earned in this subject."), 840)]
    total_lessons: _Total
    entitled_lessons: _Entitled
    passed_lessons: _Passed
    last_lesson_id: Annotated[
        str | None,
        Field(
            _(
                "The lesson that the student did last, passed or failed; null: none, or "
                "it is not in the plan any more."
            ),
            "LES-7K3M9QX2VB",
        ),
    ]
    last_played_at: Annotated[
        str | None,
        Field(
            _("When the student last did a lesson of the subject; null: never."),
            "2026-11-29T17:03:05Z",
            format="date-time",
        ),
    ]
    suggested_next_lesson_id: Annotated[
        str | None,
        Field(_("The lesson to suggest next; null: none is left."), "LES-4T8WBN2PQR"),
    ]
    units: Annotated[list[UnitSummary], Field(_("The subject's units, in tree order."))]


@dataclass(frozen=True, slots=True)
class Summary:
    plan_id: Annotated[str, Field(_("The active plan."), "PLAN-5")]
    subjects: Annotated[
        list[SubjectSummary],
        Field(
            _(
                "All subjects of the plan: first those that the student did lessons of, "
                "the last one first; then the others in the order of the plan."
            )
        ),
    ]
