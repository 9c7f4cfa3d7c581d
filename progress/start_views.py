"""The API of an app's start: everything that it needs first, in one request."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import cast

import orjson
from django.conf import settings
from django.http import HttpResponse, HttpResponseNotModified
from django.utils import timezone
from django.utils.translation import gettext_lazy
from rest_framework.request import Request

from core.api_operations import Operation, describe
from core.api_response import ApiResponse
from core.api_views import ApiViewSet
from players import answers, app_versions
from players.authentication import Player
from players.records import Wanted
from players.services.content import MAX_LINKS
from progress import api_types, start_api_types
from progress.services import etags, start

_NO_TIME = datetime.fromtimestamp(0, UTC)


class StartViewSet(ApiViewSet):
    """What an app needs when it starts."""

    def wanted(self, _request: Request) -> Wanted:
        return Wanted(access=True, wallet=True)

    @describe(
        Operation(
            id="start",
            tag="me",
            summary=gettext_lazy("What the app needs at its start"),
            description=gettext_lazy(
                "Return the profile, the plans, the products, the wallet, the number of "
                "due reviews and the limits of the API. Each part is the answer of its "
                "own operation."
            ),
            parameters=(api_types.IF_NONE_MATCH,),
            answer=start_api_types.Start,
            has_etag=True,
        )
    )
    def list(self, request: Request) -> HttpResponse:
        player = cast("Player", request.user)
        now = timezone.now()
        answer = _answer(
            start.of_player(player.id, now=now, found=player.found), request, now
        )
        etag = _etag(answer)
        headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
        # META, not `headers`, which Django makes of all headers.
        if etags.is_current(etag, request.META.get("HTTP_IF_NONE_MATCH")):
            return HttpResponseNotModified(headers=headers)
        return ApiResponse(answer, headers=headers)


def _answer(
    found: start.Start, request: Request, now: datetime
) -> start_api_types.Start:
    own = found.profile
    return start_api_types.Start(
        server_time=now,
        time_zone=found.wallet.time_zone,
        limits=_limits(),
        min_app_version=settings.MIN_APP_VERSION or None,
        app_store_url=app_versions.store_url(request),
        me=answers.profile(own, request),
        settings=start_api_types.PlayerSettings(
            locale=own.locale or settings.LANGUAGE_CODE,
            time_zone=own.time_zone or settings.STREAK_TIME_ZONE,
        ),
        plan=None if found.plan is None else answers.plan_content(found.plan),
        plans=[answers.enrolled_plan(plan) for plan in found.plans],
        wallet=answers.wallet(found.wallet),
        entitlements=[answers.entitlement(product) for product in found.products],
        due_reviews=found.due_reviews,
    )


def _limits() -> start_api_types.Limits:
    requests, seconds = settings.RATE_LIMITS["default"]
    return start_api_types.Limits(
        requests=requests,
        window_seconds=seconds,
        ratings=api_types.MAX_REVIEWS,
        due_items=api_types.MAX_DUE,
        lesson_links=MAX_LINKS,
        photo_bytes=settings.PICTURE_MAX_BYTES,
    )


def _etag(answer: start_api_types.Start) -> str:
    """Return a weak ETag of all that does not change from request to request.

    That is everything but the time, and the signature in the photo's URL.
    """
    photo = answer.me.photo_url
    stable = replace(
        answer,
        server_time=_NO_TIME,
        me=replace(answer.me, photo_url=photo and photo.partition("?")[0]),
    )
    digest = hashlib.blake2b(orjson.dumps(stable), digest_size=16)
    return f'W/"{digest.hexdigest()}"'
