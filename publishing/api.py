"""What players and progress may use of publishing; import-linter allows nothing else.

The published structure and items come from published files, never from content tables:
from those on the disk, or on a web host without the content root from those in the
CDN's bucket (`publishing.remote_content`).
`periodic_jobs` is where they add the jobs that the site's monitoring watches.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.conf import settings

from publishing import content_urls, published_content, remote_content
from publishing.format import locations
from publishing.format.encoding import iso_instant
from publishing.models import PublishingSettings
from publishing.periodic_jobs import PeriodicJob, periodic_jobs
from publishing.published_content import (
    LessonEntry,
    NotPublishedError,
    PlanStructure,
    SoldNode,
    StructureNode,
    SubjectStructure,
    subject_of_lesson,
    subjects_of_plan,
)
from publishing.signing import lessons, links, videos
from publishing.signing.links import photo_uri
from publishing.storage import open_lessons

__all__ = [
    "LessonEntry",
    "LessonLink",
    "NotPublishedError",
    "PeriodicJob",
    "PlanLinks",
    "PlanStructure",
    "SoldNode",
    "StructureNode",
    "SubjectStructure",
    "is_published",
    "iso_instant",
    "lesson_links",
    "load_plan",
    "periodic_jobs",
    "photo_uri",
    "plan_links",
    "subject_of_lesson",
    "subjects_of_plan",
]


@dataclass(frozen=True, slots=True)
class PlanLinks:
    """Where an app reads a plan.

    ``base_url`` is what paths are appended to: the CDN's address once the CDN has the
    plan. ``local_base_url`` is this server's, for when the CDN fails.
    ``manifest_hash`` is the SHA-256 of the manifest's bytes on this server.
    """

    title: str
    manifest_url: str
    manifest_path: str
    manifest_hash: str
    base_url: str
    local_base_url: str


@dataclass(frozen=True, slots=True)
class LessonLink:
    """Where to read a lesson; ``expires_at`` is Unix time, None for an open lesson.

    ``version`` is that of the file on this server; None if it has none.
    ``video_urls`` play its videos, by stage id, until ``videos_expire_at``.
    """

    lesson_id: str
    url: str
    version: int | None
    expires_at: int | None
    video_urls: Mapping[str, str]
    videos_expire_at: int


def load_plan(plan_id: str) -> PlanStructure:
    """Return the plan's current release; no query.

    Raises:
        NotPublishedError: the plan has no release.
        ContentAwayError: only with the bucket: it does not answer, and this process has
            not read the plan before.
    """
    if settings.CONTENT_SOURCE == "bucket":
        return remote_content.load_plan(plan_id)
    return published_content.load_plan(plan_id)


def is_published(plan_id: str) -> bool:
    """Return whether the plan has a release; one query with the bucket, none else."""
    if settings.CONTENT_SOURCE == "bucket":
        return remote_content.is_published(plan_id)
    return published_content.is_published(plan_id)


def plan_links(plan_id: str) -> PlanLinks:
    """Return where to read a plan's current release.

    One query for the settings, at most once a second (`PublishingSettings.recent`);
    another one if the CDN is used.

    Raises:
        NotPublishedError: the plan has no release.
    """
    plan = load_plan(plan_id)
    current = PublishingSettings.recent()
    path = locations.manifest(plan_id)
    base_url = content_urls.plan_base_url(plan_id, current)
    return PlanLinks(
        title=plan.title,
        manifest_url=base_url + path,
        manifest_path=path,
        manifest_hash=plan.manifest_hash,
        base_url=base_url,
        local_base_url=content_urls.local_base_url(current),
    )


def lesson_links(
    lesson_ids: Sequence[str], *, player_id: int, now: int, seconds: int
) -> list[LessonLink]:
    """Return new URLs of the files and videos of lessons, in the given order.

    One query for the settings, at most once a second (`PublishingSettings.recent`);
    another one, for all lessons, if the CDN may serve one; one more on a web host
    without the content root.

    The caller has checked that the player may open the lessons.

    Args:
        now: Unix time.
        seconds: how long the URL of a gated lesson is valid.
    """
    current = PublishingSettings.recent()
    gated = open_lessons.gated_among(lesson_ids)
    files = _lesson_files(lesson_ids, gated, current)
    urls = lessons.lesson_urls(
        lesson_ids,
        gated=gated,
        expires=now + seconds,
        now=now,
        player_id=player_id,
        current=current,
    )
    signer = links.video_signer(current)
    videos_expire = now + signer.lifetime
    found = []
    for lesson_id, lesson_url in zip(lesson_ids, urls, strict=True):
        playable = videos.playable(
            files[lesson_id], expires=videos_expire, signer=signer
        )
        found.append(
            LessonLink(
                lesson_id=lesson_id,
                url=lesson_url.url,
                version=playable.version,
                expires_at=lesson_url.expires_at,
                video_urls=playable.video_urls,
                videos_expire_at=videos_expire,
            )
        )
    return found


def _lesson_files(
    lesson_ids: Sequence[str], gated: set[str], current: PublishingSettings
) -> Mapping[str, videos.LessonFile | None]:
    if settings.CONTENT_SOURCE == "bucket":
        found = remote_content.read_lessons(lesson_ids, gated=gated, current=current)
        return {
            one: None if data is None else videos.parse(data)
            for one, data in found.items()
        }
    return {one: videos.read(one) for one in lesson_ids}
