"""Bodies and answers of the API for plans, products and links (`core.api_types`)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from django.utils.translation import gettext_lazy as _

from content.kinds import ID_MAX_LENGTH, ID_PATTERN
from core.api_operations import Parameter
from core.api_types import Field
from core.parsing import MAX_KEY
from players.api_types import LessonLink

NODE_ID = Parameter(
    "node_id",
    "path",
    str,
    Field(
        _("The id of a subject, track, unit or topic in the published files."),
        example="TOP-7K3M9QX2VB",
    ),
    is_required=True,
)

PlanId = Annotated[str, Field(_("The plan's id in the published files."), "PLAN-5")]

# --- Bodies and queries -----------------------------------------------------


@dataclass(frozen=True, slots=True)
class ActivePlanBody:
    plan_id: Annotated[
        str,
        Field(
            _("The id of a plan that the student is enrolled in."),
            "PLAN-5",
            max_length=ID_MAX_LENGTH,
            pattern=ID_PATTERN,
        ),
    ]


@dataclass(frozen=True, slots=True)
class LessonsQuery:
    after: Annotated[
        int | None,
        Field(
            _("The next of the answer before; without it, the first page."),
            199,
            maximum=MAX_KEY,
        ),
    ] = None


# --- Answers ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EnrolledPlan:
    id: PlanId
    title: Annotated[str, Field(_("The plan's title."), "Grade 5")]
    is_active: Annotated[
        bool, Field(_("Whether it is the plan that the app shows."), True)
    ]
    is_published: Annotated[
        bool, Field(_("Whether the plan has files that the app can read."), True)
    ]


@dataclass(frozen=True, slots=True)
class EnrolledPlans:
    plans: Annotated[
        list[EnrolledPlan],
        Field(_("The plans of the student, in the order of their enrolments.")),
    ]


@dataclass(frozen=True, slots=True)
class OpenedNode:
    id: Annotated[
        str, Field(_("The node's id in the published files."), "UNIT-7K3M9QX2VB")
    ]
    type: Annotated[str, Field(_("subject, track, unit, topic or lesson."), "unit")]
    title: Annotated[str, Field(_("The node's title in the plan."), "Fractions")]


@dataclass(frozen=True, slots=True)
class Entitlement:
    code: Annotated[
        str,
        Field(
            _("The product's code: the required_item of lessons and errors."),
            "MATHS-5",
        ),
    ]
    valid_until: Annotated[
        datetime | None,
        Field(
            _("When the product ends or ended; null: it has no end."),
            "2027-06-30T21:00:00Z",
        ),
    ]
    is_valid: Annotated[
        bool, Field(_("Whether the student can use the product now."), True)
    ]
    opens: Annotated[
        list[OpenedNode],
        Field(
            _(
                "The topmost nodes of the active plan that need the product. Lessons "
                "below them that are free need none. Empty: nothing in this plan."
            )
        ),
    ]


@dataclass(frozen=True, slots=True)
class Entitlements:
    entitlements: Annotated[
        list[Entitlement],
        Field(_("The products that the student has or had, in the order of codes.")),
    ]


@dataclass(frozen=True, slots=True)
class RefusedLesson:
    lesson_id: Annotated[str, Field(_("The lesson's id."), "LES-4N8P2RT6WC")]
    error_code: Annotated[
        str,
        Field(
            _("The error code that the link of this lesson alone is refused with."),
            "NOT_ENTITLED",
        ),
    ]
    required_item: Annotated[
        str,
        Field(
            _(
                "The code of the product that opens the lesson. Empty: nothing opens "
                "it at the moment."
            ),
            "MATHS-5",
        ),
    ]


@dataclass(frozen=True, slots=True)
class LessonLinks:
    lessons: Annotated[
        list[LessonLink],
        Field(_("The links of the lessons that the student may open.")),
    ]
    refused: Annotated[
        list[RefusedLesson],
        Field(_("The lessons that the student may not open, with the reason.")),
    ]
    next: Annotated[
        int | None,
        Field(
            _("Send it as “after” to get the next lessons; null: these are the last."),
            199,
        ),
    ]
    total: Annotated[int, Field(_("The number of all lessons below the node."), 1000)]
