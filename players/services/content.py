"""URLs of a player's content: their plan's manifest, and the files of lessons."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from players.errors import InvalidNodeError
from players.records import Found
from players.services import access
from players.services.access import PlayerAccess
from publishing import api
from publishing.api import LessonEntry, LessonLink

LESSON_URL_SECONDS = 15 * 60
"""How long the URL of a gated lesson is valid."""
MAX_LINKS = 200
"""How many lessons `lessons_below` returns at once."""


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
    manifest_hash: str
    base_url: str
    local_base_url: str


def plan_of(player_id: int, found: Found | None = None) -> PlanContent:
    """Return the player's plan; see `api.plan_links`.

    Raises:
        NotEnrolledError: the player has no plan.
        NotPublishedError: the plan has no release.
    """
    return plan_of_access(access.of_player(player_id, found))


def plan_of_access(player_access: PlayerAccess) -> PlanContent:
    """Return the active plan; see `plan_of`. Queries: see `api.plan_links`."""
    plan_id = access.require_enrolled(player_access)
    links = api.plan_links(plan_id)
    return PlanContent(
        plan_id=plan_id,
        title=links.title,
        manifest_url=links.manifest_url,
        manifest_path=links.manifest_path,
        manifest_hash=links.manifest_hash,
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
    [link] = _links(player_id, [lesson], now)
    return link


@dataclass(frozen=True, slots=True)
class LessonPage:
    """Some of the lessons below a node, with the links of those that may be opened.

    ``not_entitled`` has the others: paid lessons whose product the player does not
    have. ``next`` is the ``after`` of the next page, None after the last one.
    ``total`` counts the lessons of all pages.
    """

    links: Sequence[LessonLink]
    not_entitled: Sequence[LessonEntry]
    next: int | None
    total: int


def lessons_below(
    player_id: int,
    node_id: str,
    *,
    after: int | None = None,
    now: float,
    found: Found | None = None,
) -> LessonPage:
    """Return a page of up to `MAX_LINKS` lessons below a node of the player's plan.

    Pages are in the order of the progress bits, which stays the same: a lesson that is
    below the node the whole time is on exactly one page, also if a release is switched
    in between. Queries: see `api.lesson_links`.

    Args:
        node_id: a subject, track, unit or topic.
        after: the ``next`` of the page before; None: the first page.
        now: Unix time.
        found: what the request's session check read; None: ask Redis now.

    Raises:
        NotEnrolledError, NotPublishedError: the player has no plan to read.
        InvalidNodeError: the plan's release has no such node.
    """
    player_access = access.of_player(player_id, found)
    plan = api.load_plan(access.require_enrolled(player_access))
    lessons = plan.lessons_below(node_id)
    if lessons is None:
        raise InvalidNodeError(_("This is not in your plan."))
    rest = lessons
    if after is not None:
        rest = [lesson for lesson in lessons if lesson.bit_index > after]
    page = rest[:MAX_LINKS]
    opened = [lesson for lesson in page if player_access.may_open(lesson, now)]
    refused = [lesson for lesson in page if not player_access.may_open(lesson, now)]
    return LessonPage(
        links=_links(player_id, opened, now),
        not_entitled=refused,
        next=page[-1].bit_index if len(rest) > MAX_LINKS else None,
        total=len(lessons),
    )


def _links(
    player_id: int, lessons: Sequence[LessonEntry], now: float
) -> list[LessonLink]:
    return api.lesson_links(
        [lesson.id for lesson in lessons],
        player_id=player_id,
        now=int(now),
        seconds=LESSON_URL_SECONDS,
    )
