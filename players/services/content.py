"""Where a player's content lies: their plan's manifest, and a lesson's file."""

from dataclasses import dataclass

from plans.models import AcademicPlan
from players.services import access
from publishing import api
from publishing.api import LessonLink

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


def plan_of(player_id: int) -> PlanContent:
    """The player's plan. Three queries at most beside their access.

    Raises:
        NotEnrolledError: they have none.
        NotPublishedError: it has no release.
    """
    plan_id = access.require_enrolled(access.of_player(player_id))
    links = api.plan_links(plan_id)
    title = AcademicPlan.objects.values_list("title", flat=True).get(public_id=plan_id)
    return PlanContent(
        plan_id=plan_id,
        title=title,
        manifest_url=links.manifest_url,
        manifest_path=links.manifest_path,
        base_url=links.base_url,
        local_base_url=links.local_base_url,
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
    return api.lesson_link(
        lesson.id, player_id=player_id, now=int(now), seconds=LESSON_URL_SECONDS
    )
