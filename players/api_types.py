"""Bodies and answers of the API for accounts, content and wallets (`core.api_types`)."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from django.conf import settings
from django.utils.translation import gettext, gettext_lazy as _

from core.api_operations import Parameter
from core.api_types import NO_NUL, NOT_BLANK, UUID4, Field
from core.folding import visible_text
from core.parsing import MAX_KEY, is_time_zone
from players.credentials import PASSWORD_MAX_LENGTH

DEVICE_HEADER = "X-Device-ID"
_DEVICE_ID = "7d0b3c1e-5a4f-4c1b-9e0d-2f6a8b1c3d5e"

# --- Parameters -------------------------------------------------------------

DEVICE_ID = Parameter(
    DEVICE_HEADER,
    "header",
    str,
    Field(
        _(
            "The id of this installation of the app: a UUID version 4, generated once "
            "and sent with every request."
        ),
        example=_DEVICE_ID,
        # Without the format: generated clients then send an object of their own.
        pattern=UUID4,
    ),
    is_required=True,
)
VERSION_HEADER = "X-App-Version"
APP_VERSION = Parameter(
    VERSION_HEADER,
    "header",
    str,
    Field(
        _(
            "The version of the app (Semantic Versioning), best with its platform. "
            "Without this header every app is accepted."
        ),
        example="android/2.4.0",
        format="app-version",
    ),
)
LESSON_ID = Parameter(
    "lesson_id",
    "path",
    str,
    Field(_("The lesson's id in the published files."), example="LES-7K3M9QX2VB"),
    is_required=True,
)
DEVICE_KEY = Parameter(
    "id",
    "path",
    int,
    Field(
        _("The number of the device's row, as the list of devices returns it."),
        example=12,
        minimum=1,
        maximum=MAX_KEY,
    ),
    is_required=True,
)
PLAYER_KEY = Parameter(
    "id",
    "path",
    int,
    Field(_("The student's number."), example=42, minimum=1, maximum=MAX_KEY),
    is_required=True,
)

PlayerKey = Annotated[
    int, Field(_("The student's number."), example=42, minimum=1, maximum=MAX_KEY)
]
DeviceName = Annotated[
    str,
    Field(
        _("A name by which people recognise the device; empty if it is missing."),
        example="Lina's phone",
        max_length=100,
        pattern=NO_NUL,
    ),
]
DeviceId = Annotated[
    UUID, Field(_("The device's id, a UUID version 4."), example=_DEVICE_ID)
]

Email = Annotated[
    str,
    Field(
        _("The e-mail address of the account."),
        example="lina@school.example",
        min_length=1,
        max_length=254,
        pattern=NO_NUL,
    ),
]
Password = Annotated[
    str,
    Field(
        _("The password, as the student typed it."),
        example="learn-every-day",
        min_length=1,
        max_length=PASSWORD_MAX_LENGTH,
        pattern=NO_NUL,
    ),
]

NewPassword = Annotated[
    str,
    Field(
        _("The new password. Weak ones are refused with the reasons."),
        example="and-every-evening",
        min_length=1,
        max_length=PASSWORD_MAX_LENGTH,
        pattern=NO_NUL,
    ),
]

# --- Bodies and queries -----------------------------------------------------


@dataclass(frozen=True, slots=True)
class SignInBody:
    """The length of a password is limited, because hashing a long text is expensive."""

    email: Email
    password: Password
    device_name: DeviceName = ""
    replace_device: Annotated[
        int | None,
        Field(
            _(
                "The slot of a device to replace by this one, from the details of "
                "DEVICE_NOT_AUTHORIZED. It has no effect if this device is authorised."
            ),
            example=1,
            minimum=1,
            maximum=2,
            not_null=True,
        ),
    ] = None


def _fault_of_name(name: str) -> str | None:
    if visible_text(name):
        return None
    return gettext("Enter at least one visible character.")


def _fault_of_zone(name: str) -> str | None:
    if not name or is_time_zone(name):
        return None
    return gettext("Use a name of the IANA database, such as Asia/Riyadh.")


@dataclass(frozen=True, slots=True)
class ProfileBody:
    name: Annotated[
        str | None,
        Field(
            _("The full name, with a visible character. Missing: unchanged."),
            example="Lina",
            min_length=1,
            max_length=150,
            pattern=NOT_BLANK,
            format="visible-text",
            check=_fault_of_name,
            not_null=True,
        ),
    ] = None
    locale: Annotated[
        str | None,
        Field(
            _(
                "The language in which Memora writes to the student; empty: that of the "
                "installation. Missing: unchanged."
            ),
            example="ar",
            max_length=10,
            choices=("", *(code for code, _name in settings.LANGUAGES)),
            not_null=True,
        ),
    ] = None
    time_zone: Annotated[
        str | None,
        Field(
            _(
                "A name of the IANA database; empty: the zone of the installation. Missing: "
                "unchanged."
            ),
            example="Asia/Riyadh",
            max_length=64,
            format="iana-time-zone",
            check=_fault_of_zone,
            not_null=True,
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class PasswordBody:
    current_password: Password
    new_password: NewPassword


@dataclass(frozen=True, slots=True)
class DeviceNameBody:
    name: Annotated[
        str,
        Field(
            _("The new name, with a visible character."),
            example="The tablet at home",
            min_length=1,
            max_length=100,
            pattern=NOT_BLANK,
            format="visible-text",
            check=_fault_of_name,
        ),
    ]


@dataclass(frozen=True, slots=True)
class ResetLinkBody:
    email: Email


@dataclass(frozen=True, slots=True)
class ResetCodeBody:
    email: Email
    code: Annotated[
        str,
        Field(
            _(
                "The eight digits that the school told the student, in any script; spaces "
                "are ignored."
            ),
            example="4071 8823",
            min_length=1,
            max_length=50,
            pattern=NO_NUL,
        ),
    ]
    new_password: NewPassword


@dataclass(frozen=True, slots=True)
class NewDeviceBody:
    player_id: PlayerKey
    device_id: DeviceId
    device_name: DeviceName = ""


@dataclass(frozen=True, slots=True)
class CorrectionBody:
    xp: Annotated[
        int,
        Field(
            _("The XP to give, 1 to 1000 in one correction."),
            example=50,
            minimum=1,
            maximum=1000,
        ),
    ]
    reason: Annotated[
        str,
        Field(
            _("Why the XP is given; it is shown in the audit trail."),
            example="Olympiad",
            min_length=1,
            max_length=200,
            pattern=NOT_BLANK,
        ),
    ]


@dataclass(frozen=True, slots=True)
class SyncBody:
    force: Annotated[
        bool,
        Field(
            _(
                "Whether to write every wallet, also those that have not changed since "
                "the last run. Missing: false."
            ),
            example=False,
        ),
    ] = False


@dataclass(frozen=True, slots=True)
class DevicesQuery:
    player_id: PlayerKey


# --- Answers ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Plan:
    id: Annotated[str, Field(_("The plan's id in the published files."), "PLAN-5")]
    title: Annotated[str, Field(_("The plan's title."), "Grade 5")]


@dataclass(frozen=True, slots=True)
class Account:
    id: Annotated[
        int,
        Field(
            _(
                "The student's number. Progress that was not sent yet belongs to this "
                "student."
            ),
            42,
        ),
    ]
    name: Annotated[str, Field(_("The student's full name; may be empty."), "Lina")]
    email: Annotated[
        str, Field(_("The account's e-mail address."), "lina@school.example")
    ]


ActivePlan = Annotated[
    Plan | None, Field(_("The plan that the app shows; null: none is active."))
]


@dataclass(frozen=True, slots=True)
class SignedIn:
    token: Annotated[
        str,
        Field(
            _(
                "The secret of the session. It is returned only here: store it in the "
                "system's secret storage and send it as “Authorization: Bearer …”."
            ),
            "42.Zm9yIGV4YW1wbGUgb25seSwgbm90IGEgcmVhbCB0b2tlbg",
        ),
    ]
    player: Annotated[Account, Field(_("The student who is signed in."))]
    is_first_device: Annotated[
        bool, Field(_("Whether this sign-in authorised the device."), True)
    ]
    devices_authorized: Annotated[
        int, Field(_("How many of the student's two device slots are used."), 1)
    ]
    plan: ActivePlan


@dataclass(frozen=True, slots=True)
class SignedOut:
    message: Annotated[str, Field(_("A text for the student."), "You are signed out.")]


@dataclass(frozen=True, slots=True)
class ResetRequested:
    message: Annotated[
        str,
        Field(
            _("A text for the student, the same for every address."),
            "If there is a student's account with this address, we have sent it a link "
            "to set a new password.",
        ),
    ]


@dataclass(frozen=True, slots=True)
class SessionState:
    valid: Annotated[
        bool, Field(_("Always true: a session that has ended is answered 401."), True)
    ]
    player_id: Annotated[int, Field(_("The student's number."), 42)]
    device_id: DeviceId


@dataclass(frozen=True, slots=True)
class DeviceState:
    authorized: Annotated[
        bool, Field(_("Always true: another device is refused with 401 or 403."), True)
    ]
    device_count: Annotated[
        int, Field(_("How many of the student's two device slots are used."), 1)
    ]


@dataclass(frozen=True, slots=True)
class Profile(Account):
    grade: Annotated[
        str | None, Field(_("The title of the student's grade."), "Grade 5")
    ]
    stream: Annotated[str | None, Field(_("The title of the student's stream."), None)]
    season: Annotated[
        str | None, Field(_("The title of the student's season."), "2026/2027")
    ]
    photo_url: Annotated[
        str | None,
        Field(
            _("The student's photo; the URL is valid for some minutes."),
            "https://memora.example/files/photos/3f9c.webp?expires=1&signature=…",
        ),
    ]
    locale: Annotated[
        str,
        Field(
            _(
                "The language in which Memora writes to the student; empty: that of the "
                "installation."
            ),
            "ar",
        ),
    ]
    time_zone: Annotated[
        str,
        Field(
            _("A name of the IANA database; empty: the zone of the installation."),
            "Asia/Riyadh",
        ),
    ]
    plan: ActivePlan


@dataclass(frozen=True, slots=True)
class Wallet:
    total_xp: Annotated[int, Field(_("All XP that the student has."), 1250)]
    current_streak: Annotated[
        int,
        Field(
            _(
                "The number of days in a row with a completed lesson; 0 once a whole "
                "day was missed for which there was no freeze."
            ),
            4,
        ),
    ]
    streak_ends_at: Annotated[
        datetime | None,
        Field(
            _(
                "The streak becomes 0 at this time unless a lesson is completed "
                "before, with all freezes spent; null: there is no streak."
            ),
            "2026-11-30T21:00:00Z",
        ),
    ]
    streak_time_zone: Annotated[
        str,
        Field(
            _("The student's time zone, whose midnight ends a streak day."),
            "Asia/Amman",
        ),
    ]
    freezes: Annotated[
        int,
        Field(
            _(
                "The streak freezes that the student has: each covers one missed day. "
                "Without those that the days missed until now need."
            ),
            1,
        ),
    ]
    frozen_days: Annotated[
        list[date],
        Field(
            _("The missed days of the last weeks that a freeze covers."),
            ["2026-11-27"],
        ),
    ]
    last_success_date: Annotated[
        date | None,
        Field(_("The last day with a completed lesson, in that zone."), "2026-11-29"),
    ]
    last_played_at: Annotated[
        datetime | None,
        Field(
            _("When the student last finished a lesson, passed or failed."),
            "2026-11-29T17:03:05Z",
        ),
    ]


@dataclass(frozen=True, slots=True)
class PlanContent:
    plan_id: Annotated[str, Field(_("The plan's id in the published files."), "PLAN-5")]
    title: Annotated[str, Field(_("The plan's title."), "Grade 5")]
    manifest_url: Annotated[
        str,
        Field(
            _("The absolute URL of the plan's manifest."),
            "https://cdn.memora.example/plans/PLAN-5/manifest.json",
        ),
    ]
    manifest_path: Annotated[
        str,
        Field(_("The manifest's path below a base URL."), "plans/PLAN-5/manifest.json"),
    ]
    manifest_hash: Annotated[
        str,
        Field(
            _(
                "The SHA-256 of the manifest's bytes on this server. A copy with this "
                "hash is current."
            ),
            "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        ),
    ]
    base_url: Annotated[
        str,
        Field(
            _("Where paths in published files begin: the CDN once it has the plan."),
            "https://cdn.memora.example/",
        ),
    ]
    local_base_url: Annotated[
        str,
        Field(
            _("The same on this server, for when the CDN does not answer."),
            "https://memora.example/files/memora_content/",
        ),
    ]


@dataclass(frozen=True, slots=True)
class VideoLink:
    signed_url: Annotated[
        str,
        Field(
            _("The URL that plays the video."),
            "https://memora.example/files/videos/v1.mp4?expires=1&signature=…",
        ),
    ]
    expires_at: Annotated[
        datetime, Field(_("Until when the URL is valid."), "2026-11-29T21:03:05Z")
    ]


@dataclass(frozen=True, slots=True)
class LessonLink:
    lesson_id: Annotated[str, Field(_("The lesson's id."), "LES-7K3M9QX2VB")]
    url: Annotated[
        str,
        Field(
            _("The URL of the lesson's file."),
            "https://memora.example/files/memora_content/lessons/LES-7K3M9QX2VB.json",
        ),
    ]
    version: Annotated[
        int | None,
        Field(
            _(
                "The version of the lesson's file on this server, the one in the file; "
                "null: it has no file. A copy with this version is current."
            ),
            1796000000,
        ),
    ]
    expires_at: Annotated[
        datetime | None,
        Field(
            _("Until when the URL is valid; null: without end."),
            "2026-11-29T17:18:05Z",
        ),
    ]
    videos: Annotated[
        dict[str, VideoLink],
        Field(_("Newly signed URLs of the lesson's videos, by stage id.")),
    ]


@dataclass(frozen=True, slots=True)
class Device:
    id: Annotated[int, Field(_("The number of the device's row."), 12)]
    player_id: Annotated[int, Field(_("The student's number."), 42)]
    slot: Annotated[int, Field(_("The device slot, 1 or 2."), 1)]
    device_id: DeviceId
    name: Annotated[str, Field(_("The device's name; may be empty."), "Lina's phone")]
    added_at: Annotated[
        datetime, Field(_("When the device was authorised."), "2026-09-01T07:12:44Z")
    ]


@dataclass(frozen=True, slots=True)
class Devices:
    devices: Annotated[list[Device], Field(_("The student's devices, at most two."))]


@dataclass(frozen=True, slots=True)
class OwnDevice:
    id: Annotated[int, Field(_("The number of the device's row."), 12)]
    slot: Annotated[int, Field(_("The device slot, 1 or 2."), 1)]
    name: Annotated[str, Field(_("The device's name; may be empty."), "Lina's phone")]
    added_at: Annotated[
        datetime, Field(_("When the device was authorised."), "2026-09-01T07:12:44Z")
    ]
    is_current: Annotated[
        bool, Field(_("Whether the request comes from this device."), True)
    ]
    last_used_at: Annotated[
        datetime | None,
        Field(
            _(
                "When the device's session was last used, accurate to an hour; null: it "
                "has no session."
            ),
            "2026-11-29T17:03:05Z",
        ),
    ]


@dataclass(frozen=True, slots=True)
class OwnDevices:
    devices: Annotated[list[OwnDevice], Field(_("The student's devices, at most two."))]


@dataclass(frozen=True, slots=True)
class Correction:
    xp_awarded: Annotated[int, Field(_("The XP that was given."), 50)]
    new_total_xp: Annotated[int, Field(_("The student's XP afterwards."), 1300)]


@dataclass(frozen=True, slots=True)
class WalletSync:
    synced: Annotated[int, Field(_("How many wallets were written."), 812)]
    errors: Annotated[int, Field(_("How many could not be written."), 0)]
    duration: Annotated[float, Field(_("How long it took, in seconds."), 1.7)]
