"""Answers of the API, made of what the services return."""

from datetime import UTC, datetime

from rest_framework.request import Request

from players import access_api_types, api_types
from players.services.content import PlanContent
from players.services.enrolled_plans import EnrolledPlan
from players.services.entitlements import OwnedProduct
from players.services.profile import Profile
from players.services.wallet import CurrentWallet
from publishing.api import LessonLink


def profile(own: Profile, request: Request) -> api_types.Profile:
    uri = own.photo_uri
    return api_types.Profile(
        id=own.id,
        name=own.name,
        email=own.email,
        grade=own.grade,
        stream=own.stream,
        season=own.season,
        photo_url=request.build_absolute_uri(uri) if uri else None,
        locale=own.locale,
        time_zone=own.time_zone,
        plan=None if own.plan is None else api_types.Plan(*own.plan),
    )


def wallet(held: CurrentWallet) -> api_types.Wallet:
    return api_types.Wallet(
        total_xp=held.total_xp,
        current_streak=held.current_streak,
        streak_ends_at=held.streak_ends_at,
        streak_time_zone=held.time_zone,
        freezes=held.freezes,
        frozen_days=list(held.frozen_days),
        last_success_date=held.last_success_date,
        last_played_at=held.last_played_at,
    )


def plan_content(plan: PlanContent) -> api_types.PlanContent:
    return api_types.PlanContent(
        plan_id=plan.plan_id,
        title=plan.title,
        manifest_url=plan.manifest_url,
        manifest_path=plan.manifest_path,
        manifest_hash=plan.manifest_hash,
        base_url=plan.base_url,
        local_base_url=plan.local_base_url,
    )


def enrolled_plan(plan: EnrolledPlan) -> access_api_types.EnrolledPlan:
    return access_api_types.EnrolledPlan(
        plan.id, plan.title, plan.is_active, plan.is_published
    )


def entitlement(product: OwnedProduct) -> access_api_types.Entitlement:
    return access_api_types.Entitlement(
        code=product.code,
        valid_until=product.valid_until,
        is_valid=product.is_valid,
        opens=[
            access_api_types.OpenedNode(node.id, node.kind, node.title)
            for node in product.opens
        ],
    )


def lesson_link(link: LessonLink) -> api_types.LessonLink:
    return api_types.LessonLink(
        lesson_id=link.lesson_id,
        url=link.url,
        version=link.version,
        expires_at=_moment(link.expires_at) if link.expires_at else None,
        videos={
            stage_id: api_types.VideoLink(url, _moment(link.videos_expire_at))
            for stage_id, url in link.video_urls.items()
        },
    )


def _moment(unix_time: int) -> datetime:
    return datetime.fromtimestamp(unix_time, UTC)
