"""The progress API: views parse the request, call one service and render its result."""

from django.http import HttpResponse, HttpResponseNotModified
from django.utils import timezone
from django.utils.translation import gettext_lazy
from rest_framework.decorators import action
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from core import idempotency
from core.api_operations import Operation, describe
from core.api_response import ApiResponse
from core.api_types import InvalidBodyError, parse, parse_query
from core.api_views import ApiViewSet
from players.api_types import LESSON_ID
from players.authentication import player_of
from players.records import Wanted
from progress import api_types, summary_api_types
from progress.services import completion, progress, reviews, summary
from publishing import api


class LessonViewSet(ApiViewSet):
    """A player's lessons."""

    queued_actions = ("complete",)
    """Apps keep these requests while they are offline (`players.app_versions`)."""

    refusal: Exception | None = None
    """Why the body was refused, before the session was checked."""

    def wanted(self, request: Request) -> Wanted:
        """Begin the completion with the session check if the body is valid."""
        try:
            self.body = parse(api_types.CompletionBody, request.data)
            self.idempotency_key = idempotency.key_of(request.META)
        except (InvalidBodyError, APIException) as error:
            self.refusal = error
            return Wanted()
        subject_id = api.subject_of_lesson(self.kwargs["lesson_id"])
        if subject_id is None:
            return Wanted(access=True)
        return Wanted(access=True, wallet=True, subject_ids=(subject_id,), begin=True)

    lookup_url_kwarg = "lesson_id"
    lookup_value_regex = "[^/]+"

    @describe(
        Operation(
            id="complete_lesson",
            tag="progress",
            summary=gettext_lazy("Complete a lesson"),
            description=gettext_lazy(
                "Record that the student finished a lesson. It earns XP, extends the "
                "streak and unlocks what comes next. Send an Idempotency-Key, so that "
                "the request can be repeated when its answer was lost."
            ),
            parameters=(LESSON_ID, idempotency.IDEMPOTENCY_KEY),
            body=api_types.CompletionBody,
            answer=api_types.CompletionResult,
            errors=(
                *("NO_HEARTS", "NOT_ENROLLED", "NOT_ENTITLED", "NOT_UNLOCKED"),
                *("NOT_PUBLISHED_YET", "INVALID_LESSON", "IDEMPOTENCY_CONFLICT"),
            ),
        )
    )
    @action(detail=True, methods=["post"])
    def complete(self, request: Request, lesson_id: str) -> ApiResponse:
        if self.refusal is not None:
            raise self.refusal
        player = player_of(request)
        result = completion.complete(
            player_id=player.id,
            lesson_id=lesson_id,
            hearts=self.body.hearts,
            idempotency_key=self.idempotency_key,
            now=timezone.now(),
            found=player.found,
        )
        return ApiResponse(result)


class ProgressViewSet(ApiViewSet):
    """A player's progress in all subjects, and in one."""

    lookup_url_kwarg = "subject_id"
    lookup_value_regex = "[^/]+"

    def wanted(self, request: Request) -> Wanted:
        if (subject_id := self.kwargs.get("subject_id")) is not None:
            subject_ids: tuple[str, ...] = (subject_id,)
        else:
            etag = request.META.get("HTTP_IF_NONE_MATCH")
            subject_ids = summary.likely_subjects(etag)
        return Wanted(access=True, wallet=True, subject_ids=subject_ids)

    @describe(
        Operation(
            id="get_progress_summary",
            tag="progress",
            summary=gettext_lazy("Progress in all subjects"),
            description=gettext_lazy(
                "Return for each subject of the plan how much is passed, in all and by "
                "unit, and the last and the next lesson. The subject of the last lesson "
                "comes first: continue there. The answer changes with purchases and "
                "with each release."
            ),
            parameters=(api_types.IF_NONE_MATCH,),
            answer=summary_api_types.Summary,
            has_etag=True,
            errors=("NOT_ENROLLED", "NOT_PUBLISHED_YET"),
        )
    )
    def list(self, request: Request) -> HttpResponse:
        player = player_of(request)
        answer = summary.of_player(
            player_id=player.id,
            now=timezone.now(),
            if_none_match=request.META.get("HTTP_IF_NONE_MATCH"),
            found=player.found,
        )
        headers = {"ETag": answer.etag, "Cache-Control": "private, no-cache"}
        if answer.summary is None:
            return HttpResponseNotModified(headers=headers)
        return ApiResponse(answer.summary, headers=headers)

    @describe(
        Operation(
            id="get_progress",
            tag="progress",
            summary=gettext_lazy("Progress in a subject"),
            description=gettext_lazy(
                "Return the subject's tree with the status of each node, and totals. "
                "The answer changes with purchases and with each release: compute no "
                "status in the app."
            ),
            parameters=(api_types.SUBJECT_ID, api_types.IF_NONE_MATCH),
            answer=api_types.SubjectTree,
            has_etag=True,
            errors=("NOT_ENROLLED", "NOT_PUBLISHED_YET", "INVALID_SUBJECT"),
        )
    )
    def retrieve(self, request: Request, subject_id: str) -> HttpResponse:
        player = player_of(request)
        answer = progress.of_subject(
            player_id=player.id,
            subject_id=subject_id,
            now=timezone.now().timestamp(),
            # META, not `headers`, which Django makes of all headers.
            if_none_match=request.META.get("HTTP_IF_NONE_MATCH"),
            found=player.found,
        )
        headers = {"ETag": answer.etag, "Cache-Control": "private, no-cache"}
        if answer.body is None:
            return HttpResponseNotModified(headers=headers)
        return HttpResponse(
            answer.body, content_type="application/json", headers=headers
        )


class ReviewViewSet(ApiViewSet):
    """A player's items to review."""

    queued_actions = ("create",)

    def wanted(self, _request: Request) -> Wanted:
        return Wanted(access=True)

    @describe(
        Operation(
            id="get_reviews",
            tag="reviews",
            summary=gettext_lazy("How many items are due"),
            description=gettext_lazy(
                "Return how many items the student has met and how many of them are "
                "due, in all and by subject."
            ),
            answer=api_types.Reviews,
            errors=("NOT_ENROLLED", "NOT_PUBLISHED_YET"),
        )
    )
    def list(self, request: Request) -> ApiResponse:
        player = player_of(request)
        return ApiResponse(
            reviews.overview(
                player_id=player.id, now=timezone.now(), found=player.found
            )
        )

    @describe(
        Operation(
            id="get_due_reviews",
            tag="reviews",
            summary=gettext_lazy("The items to review now"),
            description=gettext_lazy(
                "Return the items that are due, the longest due first. Their texts are "
                "in the files of their lessons."
            ),
            query=api_types.DueQuery,
            answer=api_types.DueItems,
            errors=("NOT_ENROLLED", "NOT_PUBLISHED_YET", "INVALID_SUBJECT"),
        )
    )
    @action(detail=False, methods=["get"])
    def due(self, request: Request) -> ApiResponse:
        player = player_of(request)
        query = parse_query(api_types.DueQuery, request.query_params)
        return ApiResponse(
            reviews.due(
                player_id=player.id,
                subject_id=query.subject,
                limit=query.limit,
                now=timezone.now(),
                found=player.found,
            )
        )

    @describe(
        Operation(
            id="submit_reviews",
            tag="reviews",
            summary=gettext_lazy("Answer items"),
            description=gettext_lazy(
                "Record a batch of answers: all of them or none. Batches may be sent "
                "late and in any order: items are scheduled as if all answers had come "
                "in the order of their times."
            ),
            parameters=(idempotency.IDEMPOTENCY_KEY,),
            body=api_types.RatingsBody,
            answer=api_types.AcceptedRatings,
            errors=(
                *("NOT_ENROLLED", "NOT_PUBLISHED_YET"),
                *("ITEM_NOT_MET", "IDEMPOTENCY_CONFLICT"),
            ),
        )
    )
    def create(self, request: Request) -> ApiResponse:
        player = player_of(request)
        return ApiResponse(
            reviews.submit(
                player_id=player.id,
                ratings=parse(api_types.RatingsBody, request.data).reviews,
                idempotency_key=idempotency.key_of(request.META),
                now=timezone.now(),
                found=player.found,
            )
        )

    @describe(
        Operation(
            id="bury_review",
            tag="reviews",
            summary=gettext_lazy("Hide an item until tomorrow"),
            description=gettext_lazy(
                "Hide an item until the start of the student's next day. What the "
                "student knows of it does not change."
            ),
            body=api_types.Item,
            answer=api_types.ReviewedItem,
            errors=("NOT_ENROLLED", "NOT_PUBLISHED_YET", "ITEM_NOT_MET"),
        )
    )
    @action(detail=False, methods=["post"])
    def bury(self, request: Request) -> ApiResponse:
        player = player_of(request)
        return ApiResponse(
            reviews.bury(
                player_id=player.id,
                item=parse(api_types.Item, request.data),
                now=timezone.now(),
                found=player.found,
            )
        )
