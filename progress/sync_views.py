"""The sync API: views parse the request, call one service and render its result."""

from typing import cast

from django.utils import timezone
from django.utils.translation import gettext_lazy
from rest_framework.decorators import action
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from core.api_operations import Operation, describe
from core.api_types import Faulty, InvalidBodyError, parse
from players.authentication import Player
from players.records import Wanted
from progress import api_types
from progress.api_types import EventKind
from progress.services import sync_events
from publishing import api


class SyncViewSet(ViewSet):
    """What an app sends and reads after it was offline."""

    queued_actions = ("events",)
    """Apps keep these requests while they are offline (`players.app_versions`)."""

    refusal: Exception | None = None
    """Why the body was refused, before the session was checked."""

    def wanted(self, request: Request) -> Wanted:
        """Begin the write with the session check if the body is valid."""
        try:
            self.body = parse(api_types.SyncEventsBody, request.data)
        except (InvalidBodyError, APIException) as error:
            self.refusal = error
            return Wanted()
        subjects = {
            api.subject_of_lesson(event.lesson_id): None
            for event in self.body.events
            if not isinstance(event, Faulty) and event.kind != EventKind.REVIEW
        }
        known = tuple(subject_id for subject_id in subjects if subject_id is not None)
        begins = bool(known)
        return Wanted(access=True, wallet=begins, subject_ids=known, begin=begins)

    @describe(
        Operation(
            id="submit_events",
            tag="sync",
            summary=gettext_lazy("Send queued work"),
            description=gettext_lazy(
                "Record what the student did while the app was offline: completed and "
                "failed lessons, and reviews. Each device numbers its events 1, 2, 3 …; "
                "they are decided in this order, each for itself, and each once, "
                "however often it is sent. Events are also accepted while the student "
                "is online."
            ),
            body=api_types.SyncEventsBody,
            answer=api_types.SyncResult,
            errors=("NOT_ENROLLED", "NOT_PUBLISHED"),
        )
    )
    @action(detail=False, methods=["post"])
    def events(self, request: Request) -> Response:
        if self.refusal is not None:
            raise self.refusal
        player = cast("Player", request.user)
        return Response(
            sync_events.submit(
                player_id=player.id,
                device_id=player.device_id,
                body=self.body,
                now=timezone.now(),
                found=player.found,
            )
        )
