"""The answer to an app's start (`core.api_types`)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from django.utils.translation import gettext_lazy as _

from core.api_types import Field
from players.access_api_types import EnrolledPlan, Entitlement
from players.api_types import PlanContent, Profile, Wallet


@dataclass(frozen=True, slots=True)
class Limits:
    requests: Annotated[
        int,
        Field(_("The number of requests to one endpoint that a window allows."), 100),
    ]
    window_seconds: Annotated[int, Field(_("The length of a window in seconds."), 60)]
    ratings: Annotated[
        int, Field(_("The most answers to review items in one request."), 100)
    ]
    due_items: Annotated[
        int, Field(_("The most items to review that one request returns."), 100)
    ]
    lesson_links: Annotated[
        int, Field(_("The most lessons in one answer with links."), 200)
    ]
    photo_bytes: Annotated[
        int, Field(_("The largest accepted photo in bytes."), 10_485_760)
    ]


@dataclass(frozen=True, slots=True)
class PlayerSettings:
    locale: Annotated[
        str,
        Field(_("The student's language, or else that of the installation."), "ar"),
    ]
    time_zone: Annotated[
        str,
        Field(
            _("The student's time zone, or else that of the installation."),
            "Asia/Riyadh",
        ),
    ]


@dataclass(frozen=True, slots=True)
class Start:
    server_time: Annotated[
        datetime,
        Field(
            _(
                "The time of this answer. It is not part of the ETag: of a 304 the "
                "header Date has it."
            ),
            "2026-11-29T17:03:05Z",
        ),
    ]
    time_zone: Annotated[
        str,
        Field(
            _("The student's time zone, whose midnight ends a streak day."),
            "Asia/Amman",
        ),
    ]
    limits: Annotated[Limits, Field(_("The limits of requests."))]
    min_app_version: Annotated[
        str | None,
        Field(_("Older versions of the app are refused; null: none is."), "2.4.0"),
    ]
    app_store_url: Annotated[
        str | None,
        Field(
            _("Where to get the app, for the platform in X-App-Version."),
            "https://memora.example/app",
        ),
    ]
    me: Annotated[
        Profile,
        Field(
            _(
                "The student's profile. The URL of the photo is not part of the ETag, "
                "except for the file that it names."
            )
        ),
    ]
    settings: Annotated[
        PlayerSettings, Field(_("The settings that apply to the student."))
    ]
    plan: Annotated[
        PlanContent | None,
        Field(
            _(
                "Where to read the active plan; null: it is not published, or there is none."
            )
        ),
    ]
    plans: Annotated[list[EnrolledPlan], Field(_("All plans of the student."))]
    wallet: Annotated[Wallet, Field(_("The student's XP and streak."))]
    entitlements: Annotated[
        list[Entitlement], Field(_("The products that the student has or had."))
    ]
    due_reviews: Annotated[
        int, Field(_("The number of items to review now in the active plan."), 12)
    ]
