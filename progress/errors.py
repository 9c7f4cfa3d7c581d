"""Progress's domain errors; `memora_site.api_errors` maps each to an HTTP status."""

from dataclasses import dataclass
from typing import Annotated

from django.utils.translation import gettext_lazy as _

from core.api_types import Field
from core.errors import MemoraError

# --- Details ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NextLesson:
    """The details of `NotUnlockedError`."""

    next_lesson_id: Annotated[
        str | None,
        Field(
            _("The lesson to complete first; null: none is left."),
            example="LES-7K3M9QX2VB",
        ),
    ]


@dataclass(frozen=True, slots=True)
class UnmetItem:
    """The details of `ItemNotMetError`."""

    index: Annotated[
        int, Field(_("The position in “reviews” of the refused answer."), example=0)
    ]
    item_id: Annotated[str, Field(_("Its item."), example="Q-7K3M9QX2VB")]
    lesson_id: Annotated[str, Field(_("Its lesson."), example="LES-7K3M9QX2VB")]


# --- Errors -----------------------------------------------------------------


class InvalidSubjectError(MemoraError):
    """The subject is not in the player's plan."""

    code = "INVALID_SUBJECT"


class NotUnlockedError(MemoraError):
    """The lesson is still locked; ``details`` names the lesson to complete next."""

    code = "NOT_UNLOCKED"
    details_type = NextLesson


class NoHeartsError(MemoraError):
    """The attempt ended without hearts, so the lesson is not completed."""

    code = "NO_HEARTS"


class ItemNotMetError(MemoraError):
    """The player has not completed a lesson with this item; ``details`` names it."""

    code = "ITEM_NOT_MET"
    details_type = UnmetItem


class InvalidCorrectionError(MemoraError):
    """An invalid correction of XP or progress."""

    code = "INVALID_BODY"
