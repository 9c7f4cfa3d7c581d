"""Bodies and answers of the staff API for students (`core.api_types`)."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from core.api_types import NO_NUL, Field, FieldFaults
from core.parsing import MAX_KEY
from players.api_types import PlayerKey

_MOST_TEXT = 254
"""Longer than what is accepted: a value that is too long refuses only its element."""
_MOST_LISTED = 20

PlanName = Annotated[
    str,
    Field(_("A plan's id."), "PLAN-5", min_length=1, max_length=100, pattern=NO_NUL),
]
ProductCode = Annotated[
    str,
    Field(
        _("A product's code."), "MATHS-5", min_length=1, max_length=100, pattern=NO_NUL
    ),
]
GroupName = Annotated[
    str,
    Field(
        _("A group's name."), "5 A", min_length=1, max_length=_MOST_TEXT, pattern=NO_NUL
    ),
]
SchoolNumber = Annotated[
    str,
    Field(
        _("The number by which the school knows the student, in any digits."),
        "S-1042",
        max_length=_MOST_TEXT,
        pattern=NO_NUL,
    ),
]
StudentEmail = Annotated[
    str,
    Field(
        _("The e-mail address with which the student signs in."),
        "lina@school.example",
        max_length=_MOST_TEXT,
        pattern=NO_NUL,
    ),
]
Until = Annotated[
    datetime | None,
    Field(_("When the product ends; null or missing: never."), "2027-06-30T21:00:00Z"),
]
DryRun = Annotated[
    bool,
    Field(
        _("Whether to answer only what the request would do. Missing: false."), False
    ),
]
GeneratePasswords = Annotated[
    bool,
    Field(
        _(
            "Whether each student that is created gets a generated password, which this "
            "answer tells once. Missing: false; such a student signs in after support "
            "has printed a sign-in slip or issued a code."
        ),
        True,
    ),
]

# --- Bodies -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class GrantBody:
    code: ProductCode
    valid_until: Until = None


@dataclass(frozen=True, slots=True)
class PlayerBody:
    """Empty texts and lists change nothing."""

    school_number: SchoolNumber = ""
    email: StudentEmail = ""
    name: Annotated[
        str, Field(_("The full name."), "Lina", max_length=_MOST_TEXT, pattern=NO_NUL)
    ] = ""
    phone: Annotated[
        str,
        Field(
            _("The phone number, with the country's code."),
            "+964 770 123 4567",
            max_length=_MOST_TEXT,
            pattern=NO_NUL,
        ),
    ] = ""
    grade: Annotated[
        str,
        Field(
            _("The title of the grade, which must exist."),
            "Grade 5",
            max_length=_MOST_TEXT,
            pattern=NO_NUL,
        ),
    ] = ""
    groups: Annotated[
        list[GroupName] | None,
        Field(
            _("Groups that the student joins; those that do not exist are created."),
            max_length=_MOST_LISTED,
            not_null=True,
        ),
    ] = None
    plans: Annotated[
        list[PlanName] | None,
        Field(
            _("Plans in which the student is enrolled."),
            max_length=_MOST_LISTED,
            not_null=True,
        ),
    ] = None
    products: Annotated[
        list[GrantBody] | None,
        Field(
            _("Products that the student gets. One held for longer is not shortened."),
            max_length=_MOST_LISTED,
            not_null=True,
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class NewPlayerBody:
    player: Annotated[PlayerBody, Field(_("The new student; the e-mail is needed."))]
    generate_password: Annotated[
        bool,
        Field(
            _(
                "Whether the student gets a generated password, which this answer tells "
                "once. Missing: false."
            ),
            True,
        ),
    ] = False


@dataclass(frozen=True, slots=True)
class PlayersBody:
    players: Annotated[
        list[PlayerBody],
        Field(
            _(
                "The students. Each is about the student with its school number, else "
                "about the one with its e-mail; if there is none, it is created."
            ),
            min_length=1,
            max_length=settings.STAFF_BULK_LIMIT,
        ),
    ]
    dry_run: DryRun = False
    generate_passwords: GeneratePasswords = False


@dataclass(frozen=True, slots=True)
class AccessBody:
    """What changes for one student."""

    enroll: Annotated[
        list[PlanName] | None,
        Field(
            _("Plans in which the student is enrolled."),
            ["PLAN-5"],
            max_length=_MOST_LISTED,
            not_null=True,
        ),
    ] = None
    unenroll: Annotated[
        list[PlanName] | None,
        Field(
            _(
                "Plans that the student leaves. If the active one is among them, the "
                "newest other plan becomes active."
            ),
            ["PLAN-4"],
            max_length=_MOST_LISTED,
            not_null=True,
        ),
    ] = None
    grant: Annotated[
        list[GrantBody] | None,
        Field(
            _("Products that the student gets. One held for longer is not shortened."),
            max_length=_MOST_LISTED,
            not_null=True,
        ),
    ] = None
    revoke: Annotated[
        list[ProductCode] | None,
        Field(
            _("Products that are taken from the student."),
            ["ART"],
            max_length=_MOST_LISTED,
            not_null=True,
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class PlayerName:
    """One of the three; the first that is given counts."""

    player_id: Annotated[
        int | None,
        Field(
            _("The student's number in Memora."),
            42,
            minimum=1,
            maximum=MAX_KEY,
            not_null=True,
        ),
    ] = None
    school_number: SchoolNumber = ""
    email: StudentEmail = ""


@dataclass(frozen=True, slots=True)
class AccessChangeBody:
    player: Annotated[PlayerName, Field(_("Which student: one of the three."))]
    change: Annotated[AccessBody, Field(_("What changes for this student."))]


@dataclass(frozen=True, slots=True)
class AccessChangesBody:
    changes: Annotated[
        list[AccessChangeBody],
        Field(
            _("What changes, one element for each student."),
            min_length=1,
            max_length=settings.STAFF_BULK_LIMIT,
        ),
    ]
    dry_run: DryRun = False


# --- Answers ----------------------------------------------------------------


class Result(StrEnum):
    """What a request did for a student."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    REJECTED = "rejected"


_Result = Annotated[
    Result,
    Field(_("What was done for this student; with dry_run, what would be."), "created"),
]
_Index = Annotated[int, Field(_("The place of the element in the request, from 0."), 0)]
_PlayerId = Annotated[
    int | None,
    Field(_("The student's number; null if there is no such student."), 42),
]
_Password = Annotated[
    str | None,
    Field(
        _(
            "The generated password. It is told once: a repeat with the same "
            "Idempotency-Key has null here, and so have students that existed."
        ),
        "k7mpq-3xhw9",
    ),
]


@dataclass(frozen=True, slots=True)
class ElementError:
    error_code: Annotated[
        str, Field(_("INVALID_BODY or NOT_FOUND; see the error codes."), "INVALID_BODY")
    ]
    message: Annotated[
        str, Field(_("The reason, in the language of the answer."), "A reason.")
    ]
    details: Annotated[
        FieldFaults | None, Field(_("The fields with faults, for INVALID_BODY."))
    ]


_Error = Annotated[
    ElementError | None, Field(_("Why the element is rejected; else null."))
]


@dataclass(frozen=True, slots=True)
class PlayerResult:
    index: _Index
    result: _Result
    player_id: _PlayerId
    password: _Password
    error: _Error


@dataclass(frozen=True, slots=True)
class PlayerResults:
    results: Annotated[
        list[PlayerResult], Field(_("One for each student, in the same order."))
    ]

    def without_secrets(self) -> Self:
        """Return the answer that a repeat gets."""
        hidden = [replace(one, password=None) for one in self.results]
        return replace(self, results=hidden)


@dataclass(frozen=True, slots=True)
class NewPlayer:
    player_id: PlayerKey
    password: _Password

    def without_secrets(self) -> Self:
        """Return the answer that a repeat gets."""
        return replace(self, password=None)


@dataclass(frozen=True, slots=True)
class AccessResult:
    index: _Index
    result: _Result
    player_id: _PlayerId
    error: _Error


@dataclass(frozen=True, slots=True)
class AccessResults:
    results: Annotated[
        list[AccessResult], Field(_("One for each change, in the same order."))
    ]


@dataclass(frozen=True, slots=True)
class AccessChanged:
    result: _Result
