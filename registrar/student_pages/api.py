"""The API of the app for the students' pages."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, ClassVar

from django.utils import timezone
from django.utils.translation import gettext as _, gettext_lazy
from rest_framework import status
from rest_framework.request import Request

from core.api_operations import Operation, describe
from core.api_response import ApiResponse
from core.api_types import Field
from core.api_views import ApiViewSet
from core.errors import MemoraError
from players.authentication import player_of
from registrar.student_pages import access, linking
from registrar.student_pages.link_views import address_of


class NotLinkedError(MemoraError):
    """The player is not linked with a student of the school's records."""

    code: ClassVar[str] = "NO_SCHOOL_RECORD"


@dataclass(frozen=True, slots=True)
class StudentLink:
    """A one-time link to the students' pages."""

    url: Annotated[
        str,
        Field(
            gettext_lazy(
                "Open it in a browser. It is used up by the button on its page."
            ),
            example="https://memora.example/student/link/?token=8Zr3vB",
        ),
    ]
    expires_at: Annotated[
        datetime,
        Field(
            gettext_lazy("When the link expires, five minutes from now."),
            example="2026-11-29T17:08:05Z",
        ),
    ]


class StudentLinkViewSet(ApiViewSet):
    """Links to the student's own pages."""

    @describe(
        Operation(
            id="create_student_link",
            tag="me",
            summary=gettext_lazy("A link to the school's records"),
            description=gettext_lazy(
                "Return a one-time link to the pages with the school's records of the "
                "student: programs, payments, classes, grades, requests, card."
            ),
            answer=StudentLink,
            status=status.HTTP_201_CREATED,
            errors=("NO_SCHOOL_RECORD",),
        )
    )
    def create(self, request: Request) -> ApiResponse:
        student = linking.student_of(player_of(request).id)
        if student is None:
            raise NotLinkedError(
                _(
                    "Your account is not connected with the school's records. Ask the "
                    "registrar's office to connect it."
                )
            )
        token, expires_at = access.create_link(student, now=timezone.now())
        return ApiResponse(
            StudentLink(url=address_of(token), expires_at=expires_at),
            status.HTTP_201_CREATED,
            headers={"Cache-Control": "no-store"},
        )
