"""The sync API: views parse the request, call one service and render its result."""

from typing import cast

from django.http import HttpResponse, HttpResponseNotModified
from django.utils import timezone
from django.utils.translation import gettext_lazy
from rest_framework.decorators import action
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from core.api_operations import Operation, describe
from core.api_response import ApiResponse
from core.api_types import Faulty, InvalidBodyError, parse, parse_query
from core.api_views import ApiViewSet
from players import answers
from players.authentication import Player
from players.records import Wanted
from progress import api_types, bitmap, sync_api_types
from progress.api_types import EventKind
from progress.services import sync_events, sync_state
from progress.services.sync_state import SyncState
from publishing import api


class SyncViewSet(ApiViewSet):
    """What an app sends and reads after it was offline."""

    queued_actions = ("events",)
    """Apps keep these requests while they are offline (`players.app_versions`)."""

    refusal: Exception | None = None
    """Why the body was refused, before the session was checked."""

    def wanted(self, request: Request) -> Wanted:
        """Begin a write with the session check if the body is valid."""
        if request.method == "GET":
            return Wanted(access=True, wallet=True)
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
            id="get_sync",
            tag="sync",
            summary=gettext_lazy("What changed"),
            description=gettext_lazy(
                "Return what the app keeps of the student's state: wallet, progress, "
                "review cards, products and the release. With the token of the last "
                "answer only what changed since, or 304 if nothing did."
            ),
            query=sync_api_types.SyncQuery,
            answer=sync_api_types.Sync,
            has_etag=True,
            errors=("NOT_ENROLLED", "NOT_PUBLISHED_YET"),
        )
    )
    def list(self, request: Request) -> HttpResponse:
        player = cast("Player", request.user)
        query = parse_query(sync_api_types.SyncQuery, request.query_params)
        found = sync_state.of_player(
            player_id=player.id,
            device_id=player.device_id,
            since=query.since,
            now=timezone.now(),
            found=player.found,
        )
        token = query.since if found is None else found.token
        headers = {"ETag": f'"{token}"', "Cache-Control": "private, no-cache"}
        if found is None:
            return HttpResponseNotModified(headers=headers)
        return ApiResponse(_sync(found), headers=headers)

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
            errors=("NOT_ENROLLED", "NOT_PUBLISHED_YET"),
        )
    )
    @action(detail=False, methods=["post"])
    def events(self, request: Request) -> ApiResponse:
        if self.refusal is not None:
            raise self.refusal
        player = cast("Player", request.user)
        return ApiResponse(
            sync_events.submit(
                player_id=player.id,
                device_id=player.device_id,
                body=self.body,
                now=timezone.now(),
                found=player.found,
            )
        )


def _sync(found: SyncState) -> sync_api_types.Sync:
    return sync_api_types.Sync(
        since=found.token,
        is_complete=found.is_complete,
        wallet=answers.wallet(found.wallet),
        subjects=[
            sync_api_types.SubjectState(
                subject_id,
                bitmap=bitmap.encode(subject.bitmap),
                hearts=bitmap.encode(subject.hearts),
                xp=subject.xp,
            )
            for subject_id, subject in found.subjects.items()
        ],
        cards=[sync_api_types.SyncCard(*card) for card in found.cards],
        entitlements=[answers.entitlement(product) for product in found.products],
        plan_id=found.plan.plan_id,
        manifest_hash=found.plan.manifest_hash,
        next_seq=found.next_seq,
    )
