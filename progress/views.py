"""The progress API: views parse the request, call one service and render its result."""

from typing import cast

from django.http import HttpResponse, HttpResponseNotModified
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from players.authentication import Player
from players.records import Wanted
from progress import api_schema, request_parsing
from progress.errors import InvalidBodyError
from progress.services import completion, progress, reviews
from publishing import api


def _player(request: Request) -> Player:
    return cast("Player", request.user)


class LessonViewSet(ViewSet):
    """A player's lessons."""

    refusal: Exception | None = None
    """Why the body was refused, before the session was checked."""

    def wanted(self, request: Request) -> Wanted:
        """Begin the completion with the session check if the body is valid."""
        try:
            self.hearts = request_parsing.hearts(request.data)
            self.idempotency_key = request_parsing.idempotency_key(request.headers)
        except (InvalidBodyError, APIException) as error:
            self.refusal = error
            return Wanted()
        subject_id = api.subject_of_lesson(self.kwargs["lesson_id"])
        if subject_id is None:
            return Wanted(access=True)
        return Wanted(access=True, wallet=True, subject_id=subject_id, begin=True)

    lookup_url_kwarg = "lesson_id"
    lookup_value_regex = "[^/]+"

    @extend_schema(
        summary="Complete a lesson",
        parameters=[api_schema.LESSON_ID, api_schema.IDEMPOTENCY_KEY],
        request=api_schema.COMPLETE_REQUEST,
        responses={
            200: api_schema.COMPLETE_RESPONSE,
            400: api_schema.ERROR,
            403: api_schema.ERROR,
            404: api_schema.ERROR,
            409: api_schema.ERROR,
            503: api_schema.ERROR,
        },
    )
    @action(detail=True, methods=["post"])
    def complete(self, request: Request, lesson_id: str) -> Response:
        if self.refusal is not None:
            raise self.refusal
        player = _player(request)
        result = completion.complete(
            player_id=player.id,
            lesson_id=lesson_id,
            hearts=self.hearts,
            idempotency_key=self.idempotency_key,
            now=timezone.now(),
            found=player.found,
        )
        return Response(result.as_answer())


class ProgressViewSet(ViewSet):
    """A player's progress in a subject."""

    lookup_url_kwarg = "subject_id"
    lookup_value_regex = "[^/]+"

    def wanted(self, _request: Request) -> Wanted:
        return Wanted(access=True, wallet=True, subject_id=self.kwargs["subject_id"])

    @extend_schema(
        summary="Progress in a subject",
        parameters=[
            api_schema.SUBJECT_ID,
            api_schema.IF_NONE_MATCH,
            api_schema.ETAG,
        ],
        responses={
            200: api_schema.PROGRESS_RESPONSE,
            304: api_schema.NOT_MODIFIED,
            403: api_schema.ERROR,
            404: api_schema.ERROR,
            503: api_schema.ERROR,
        },
    )
    def retrieve(self, request: Request, subject_id: str) -> HttpResponse:
        player = _player(request)
        answer = progress.of_subject(
            player_id=player.id,
            subject_id=subject_id,
            now=timezone.now().timestamp(),
            if_none_match=request.headers.get("If-None-Match"),
            found=player.found,
        )
        headers = {"ETag": answer.etag, "Cache-Control": "private, no-cache"}
        if answer.body is None:
            return HttpResponseNotModified(headers=headers)
        return HttpResponse(
            answer.body, content_type="application/json", headers=headers
        )


class ReviewViewSet(ViewSet):
    """A player's items to review."""

    def wanted(self, _request: Request) -> Wanted:
        return Wanted(access=True)

    @extend_schema(
        summary="How many items are due",
        responses={200: api_schema.REVIEWS_RESPONSE, 403: api_schema.ERROR},
    )
    def list(self, request: Request) -> Response:
        player = _player(request)
        return Response(
            reviews.overview(
                player_id=player.id, now=timezone.now(), found=player.found
            )
        )

    @extend_schema(
        summary="The items to review now",
        parameters=[api_schema.DUE_SUBJECT, api_schema.DUE_LIMIT],
        responses={
            200: api_schema.DUE_RESPONSE,
            400: api_schema.ERROR,
            403: api_schema.ERROR,
            404: api_schema.ERROR,
        },
    )
    @action(detail=False, methods=["get"])
    def due(self, request: Request) -> Response:
        player = _player(request)
        return Response(
            reviews.due(
                player_id=player.id,
                subject_id=request.query_params.get("subject"),
                limit=request_parsing.due_limit(request.query_params),
                now=timezone.now(),
                found=player.found,
            )
        )

    @extend_schema(
        summary="Answer a batch of items",
        parameters=[api_schema.IDEMPOTENCY_KEY],
        request=api_schema.REVIEW_REQUEST,
        responses={
            200: api_schema.REVIEW_RESPONSE,
            400: api_schema.ERROR,
            403: api_schema.ERROR,
            409: api_schema.ERROR,
        },
    )
    def create(self, request: Request) -> Response:
        player = _player(request)
        return Response(
            reviews.submit(
                player_id=player.id,
                ratings=request_parsing.ratings(request.data),
                idempotency_key=request_parsing.idempotency_key(request.headers),
                now=timezone.now(),
                found=player.found,
            )
        )
