"""The query and the answer of the sync (`core.api_types`)."""

from dataclasses import dataclass
from typing import Annotated

from django.utils.translation import gettext_lazy as _

from core.api_types import Field
from players.access_api_types import Entitlement
from players.api_types import Wallet


@dataclass(frozen=True, slots=True)
class SyncQuery:
    since: Annotated[
        str | None,
        Field(
            _(
                "“since” of the last answer. Missing, or of another student: everything "
                "is returned."
            ),
            "WzEsNywxMiw0LCI5ZjIi",
            max_length=1000,
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class SubjectState:
    """A subject's progress in the bytes that Redis has, as Base64."""

    subject_id: Annotated[
        str, Field(_("The subject's id in the published files."), "SUBJ-7K3M9QX2VB")
    ]
    bitmap: Annotated[
        str,
        Field(
            _(
                "Base64: one bit for each lesson, at its bit_index, the highest bit of a "
                "byte first; set when the lesson is passed. Bits beyond the end are 0."
            ),
            "wA==",
        ),
    ]
    hearts: Annotated[
        str,
        Field(
            _("Base64: one byte for each lesson, at its bit_index: its best hearts."),
            "BQM=",
        ),
    ]
    xp: Annotated[int, Field(_("The XP earned in this subject."), 66)]


@dataclass(frozen=True, slots=True)
class SyncCard:
    """A review card."""

    item_id: Annotated[
        str, Field(_("The item's id in the lesson's file."), "Q-7K3M9QX2VB")
    ]
    lesson_id: Annotated[
        str, Field(_("The lesson's id in the published files."), "LES-7K3M9QX2VB")
    ]
    subject_id: Annotated[
        str, Field(_("The subject's id in the published files."), "SUBJ-7K3M9QX2VB")
    ]
    due_at: Annotated[
        str,
        Field(
            _("When the item is to be reviewed."),
            "2026-12-01T08:00:00Z",
            format="date-time",
        ),
    ]
    last_reviewed_at: Annotated[
        str | None,
        Field(
            _("When the student last answered it; null: never."),
            "2026-11-28T08:00:00Z",
            format="date-time",
        ),
    ]
    is_active: Annotated[
        bool,
        Field(
            _(
                "Whether the item is published and the student may open its lesson. Do "
                "not show another one."
            ),
            True,
        ),
    ]
    buried_until: Annotated[
        str | None,
        Field(
            _("Until when the student has hidden it; null: never hidden."),
            None,
            format="date-time",
        ),
    ]
    failures: Annotated[
        int, Field(_("How many of its answers were rated 1, again."), 2)
    ]
    is_leech: Annotated[
        bool,
        Field(
            _(
                "Whether it failed so often that reviews alone do not help: show its "
                "lesson again."
            ),
            False,
        ),
    ]
    stability: Annotated[
        float | None,
        Field(
            _(
                "The days after the last answer in which the probability that the "
                "student knows it falls to 90 %; null: it was never answered."
            ),
            3.2,
        ),
    ]


@dataclass(frozen=True, slots=True)
class Sync:
    since: Annotated[
        str,
        Field(
            _("Names this state: send it with the next request. It is opaque."),
            "WzEsNywxMiw0LCI5ZjIi",
        ),
    ]
    is_complete: Annotated[
        bool,
        Field(
            _(
                "Whether this is everything: the app replaces what it has. Else it "
                "replaces the subjects and cards that are named, and keeps the others."
            ),
            True,
        ),
    ]
    wallet: Annotated[Wallet, Field(_("The student's XP and streak."))]
    subjects: Annotated[
        list[SubjectState],
        Field(_("The subjects of the plan with progress; later those that changed.")),
    ]
    cards: Annotated[
        list[SyncCard],
        Field(_("The active review cards; later those that changed, active or not.")),
    ]
    entitlements: Annotated[
        list[Entitlement], Field(_("The products that the student has or had."))
    ]
    plan_id: Annotated[str, Field(_("The active plan."), "PLAN-5")]
    manifest_hash: Annotated[
        str,
        Field(
            _("The SHA-256 of the plan's manifest; another one is a new release."),
            "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        ),
    ]
    next_seq: Annotated[
        int, Field(_("The number that this device's next event must have."), 2)
    ]
