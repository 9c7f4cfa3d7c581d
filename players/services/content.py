"""Where a player's content lies: their plan's manifest, and a lesson's file."""

from dataclasses import dataclass

from plans.access import OPEN_LEVELS
from plans.models import AcademicPlan
from players.services import access
from publishing import content_urls, locations, signing, structure
from publishing.models import PublishingSettings

LESSON_URL_SECONDS = 15 * 60
"""How long the URL of a lesson that is not open to all stays good."""


@dataclass(frozen=True, slots=True)
class PlanContent:
    """A plan's release, for the app to read.

    ``base_url`` is what paths are appended to now; ``local_base_url`` is where this
    server itself has them, should that fail.
    """

    plan_id: str
    title: str
    manifest_url: str
    manifest_path: str
    base_url: str
    local_base_url: str


@dataclass(frozen=True, slots=True)
class LessonLink:
    """Where to read a lesson; until when (Unix time), None for good."""

    lesson_id: str
    url: str
    expires_at: int | None


def plan_of(player_id: int) -> PlanContent:
    """The player's plan. Two queries beside their access.

    Raises:
        NotEnrolledError: they have none.
        NotPublishedError: it has no release.
    """
    plan_id = access.require_enrolled(access.of_player(player_id))
    structure.load_plan(plan_id)
    current = PublishingSettings.get_solo()
    base_url = content_urls.content_base_url(current)
    path = locations.manifest(plan_id)
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
    """A URL of the lesson's file for a player who may open it at Unix time ``now``.

    Raises:
        NotEnrolledError, NotPublishedError, InvalidLessonError, NotEntitledError: as
            `access.require_lesson` says.
    """
    lesson = access.require_lesson(player_id, lesson_id, now)
    if lesson.access_level in OPEN_LEVELS:
        url = content_urls.get_content_url(locations.lesson(lesson.id))
        return LessonLink(lesson.id, url, None)
    expires = int(now) + LESSON_URL_SECONDS
    return LessonLink(
        lesson.id, signing.lesson_url(lesson.id, expires=expires), expires
    )
