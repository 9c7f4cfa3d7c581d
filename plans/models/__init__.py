"""The tables of plans."""

from plans.models.plans import (
    LINEAR_VALUES,
    PLAN_PREFIX,
    AcademicPlan,
    Grade,
    OverrideAction,
    OverrideAspect,
    PlanOverride,
    PlanSubject,
    Season,
    Stream,
    aspect_of,
    is_about_access,
    new_plan_id,
)
from plans.models.schedule import (
    ScheduledAction,
    ScheduledChange,
    ScheduleReason,
    ScheduleState,
)

__all__ = [
    "LINEAR_VALUES",
    "PLAN_PREFIX",
    "AcademicPlan",
    "Grade",
    "OverrideAction",
    "OverrideAspect",
    "PlanOverride",
    "PlanSubject",
    "ScheduleReason",
    "ScheduleState",
    "ScheduledAction",
    "ScheduledChange",
    "Season",
    "Stream",
    "aspect_of",
    "is_about_access",
    "new_plan_id",
]
