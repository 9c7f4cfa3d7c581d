"""URLs of a player's content: their plan's manifest, and a lesson's file."""

from dataclasses import dataclass

from players.records import Found
from players.services import access
from publishing import api
from publishing.api import LessonLink

LESSON_URL_SECONDS = 15 * 60
"""How long the URL of a gated lesson is valid."""


@dataclass(frozen=True, slots=True)
class PlanContent:
    """A plan's release, for the app to read.

    Paths are appended to ``base_url``: the CDN's once it has the plan.
    ``local_base_url`` is this server's, for when the CDN fails.
    """

    plan_id: str
    title: str
    manifest_url: str
    manifest_path: str
    base_url: str
    local_base_url: str


def plan_of(player_id: int, found: Found | None = None) -> PlanContent:
    """Return the player's plan; see `api.plan_links`.

    Raises:
        NotEnrolledError: the player has no plan.
        NotPublishedError: the plan has no release.
    """
    plan_id = access.require_enrolled(access.of_player(player_id, found))
    links = api.plan_links(plan_id)
    return PlanContent(
        plan_id=plan_id,
        title=links.title,
        manifest_url=links.manifest_url,
        manifest_path=links.manifest_path,
        base_url=links.base_url,
        local_base_url=links.local_base_url,
    )


def lesson_of(
    player_id: int, lesson_id: str, now: float, found: Found | None = None
) -> LessonLink:
    """Return new URLs of the lesson's file and videos if the player may open it.

    See `api.lesson_links`. ``now`` is Unix time.

    Raises:
        NotEnrolledError, NotPublishedError, InvalidLessonError, NotEntitledError: see
            `access.require_lesson`.
    """
    lesson = access.require_lesson(player_id, lesson_id, now, found)
    [link] = api.lesson_links(
        [lesson.id], player_id=player_id, now=int(now), seconds=LESSON_URL_SECONDS
    )
    return link
