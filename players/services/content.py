"""Where a player's content lies: their plan's manifest, and a lesson's file."""

from collections.abc import Mapping
from dataclasses import dataclass

from plans.models import AcademicPlan
from players.services import access
from publishing import content_urls, published_content
from publishing.format import locations
from publishing.models import PublishingSettings
from publishing.signing import links, videos
from publishing.storage import open_lessons

LESSON_URL_SECONDS = 15 * 60
"""How long the URL of a lesson that is not open to all stays good."""


@dataclass(frozen=True, slots=True)
class PlanContent:
    """A plan's release, for the app to read.

    ``base_url`` is what paths are appended to now, the CDN's once it has the plan;
    ``local_base_url`` is where this server itself has them, should that fail.
    """

    plan_id: str
    title: str
    manifest_url: str
    manifest_path: str
    base_url: str
    local_base_url: str


@dataclass(frozen=True, slots=True)
class LessonLink:
    """Where to read a lesson; until when (Unix time), None for good.

    ``video_urls`` play its videos, by stage id, until ``videos_expire_at``.
    """

    lesson_id: str
    url: str
    expires_at: int | None
    video_urls: Mapping[str, str]
    videos_expire_at: int


def plan_of(player_id: int) -> PlanContent:
    """The player's plan. Three queries at most beside their access.

    Raises:
        NotEnrolledError: they have none.
        NotPublishedError: it has no release.
    """
    plan_id = access.require_enrolled(access.of_player(player_id))
    published_content.load_plan(plan_id)
    current = PublishingSettings.get_solo()
    path = locations.manifest(plan_id)
    base_url = content_urls.plan_base_url(plan_id, current)
    title = AcademicPlan.objects.values_list("title", flat=True).get(public_id=plan_id)
    return PlanContent(
        plan_id=plan_id,
        title=title,
        manifest_url=base_url + path,
        manifest_path=path,
        base_url=base_url,
        local_base_url=content_urls.local_base_url(current),
    )


def lesson_of(player_id: int, lesson_id: str, now: float) -> LessonLink:
    """Fresh URLs of the lesson's file and videos for a player who may open it.

    Two queries at most, beside the player's access: the settings, and whether the CDN
    has the file. ``now`` is Unix time.

    Raises:
        NotEnrolledError, NotPublishedError, InvalidLessonError, NotEntitledError: as
            `access.require_lesson` says.
    """
    lesson = access.require_lesson(player_id, lesson_id, now)
    current = PublishingSettings.get_solo()
    path, expires = locations.lesson(lesson.id), None
    if not open_lessons.is_gated(lesson.id):
        url = content_urls.base_url_of(path, current) + path
    else:
        expires = int(now) + LESSON_URL_SECONDS
        url = links.private_lesson_url(
            lesson.id,
            expires=expires,
            now=int(now),
            player_id=player_id,
            current=current,
        )
    signer = links.video_signer(current)
    videos_expire = int(now) + signer.lifetime
    return LessonLink(
        lesson_id=lesson.id,
        url=url,
        expires_at=expires,
        video_urls=videos.signed_urls(lesson.id, expires=videos_expire, signer=signer),
        videos_expire_at=videos_expire,
    )
