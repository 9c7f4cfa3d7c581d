"""The documents a publish would make now, for people who look before they publish.

Nothing is written. The published ones are read as the app reads them.
"""

import json
from collections.abc import Iterable
from typing import Any, Protocol
from urllib.parse import urljoin

import orjson
from django.utils import timezone

from content import stage_configs
from content.fields import CanonicalJSONEncoder
from content.kinds import Kind
from content.models import LessonStage, Node
from content.queries import image_url
from content.stage_types import SCHEMAS
from content.tree import ContentNode, Stage
from plans.models import AcademicPlan
from publishing import builds, locations, signing, snapshot, staging
from publishing.content_urls import content_base_url, gated_lesson_url, local_base_url
from publishing.documents import DocumentMaker, PlanFacts
from publishing.models import PublishingSettings
from publishing.release import Release
from publishing.sealing import Sealer

Document = dict[str, Any]


class Documents(Protocol):
    """Where a preview's documents come from."""

    def read(self, path: str) -> Document | None:
        """The document of a content path; None where there is none."""


class PublishedDocuments:
    """What students read now."""

    def read(self, path: str) -> Document | None:
        data = staging.read(path)
        return None if data is None else _safe(orjson.loads(data))


class DraftDocuments:
    """What a publish of ``plan`` would make now.

    Args:
        subject_pk: make this subject alone; the others are missing then.
    """

    def __init__(self, plan: AcademicPlan, *, subject_pk: int | None = None) -> None:
        self._plan = plan
        self._only = None if subject_pk is None else {subject_pk}
        self._made: Release | None = None

    def read(self, path: str) -> Document | None:
        """As `Documents.read`.

        Raises:
            InvalidDocumentError: the plan cannot be built as it is.
        """
        if self._made is None:
            taken = snapshot.take(self._plan.pk, full=True, only=self._only)
            self._made = builds.make_release(taken, now=timezone.now())
        sealed = self._made.documents.get(path)
        return None if sealed is None else orjson.loads(sealed.data)


def lesson_document(lesson: ContentNode) -> Document:
    """The lesson's file as a publish would make it, its videos signed."""
    current = PublishingSettings.get_solo()
    sealer = Sealer(previous={}, now=int(timezone.now().timestamp()))
    maker = DocumentMaker(
        plan=PlanFacts(id="", title=""),
        links=_Links(current),
        sealer=sealer,
        # Where files hold no signature the app asks for one when it plays.
        signer=signing.video_signer(current),
        config_of=_sanitised,
        is_gated=lambda _lesson_id: True,
    )
    made: Document = orjson.loads(maker.lesson(lesson, revision=0).data)
    return made


def lesson_node(lesson: Node, stages: Iterable[Stage]) -> ContentNode:
    """A lesson as documents are made of it, with these stages."""
    return ContentNode(
        pk=lesson.pk or 0,
        id=lesson.public_id,
        kind=Kind.LESSON,
        title=lesson.title,
        description=lesson.description,
        image=image_url(lesson.image.name or ""),
        color_code=lesson.color_code,
        is_published=lesson.is_published,
        is_trashed=lesson.trashed_at is not None,
        is_linear=lesson.is_linear,
        is_public=lesson.is_public,
        is_free_preview=lesson.is_free_preview,
        required_item=lesson.required_item,
        base_xp=lesson.base_xp,
        bit_index=lesson.bit_index,
        stages=tuple(stages),
    )


def stored_stages(lesson: Node) -> list[Stage]:
    """The lesson's stages as saved, in order. One query."""
    return [
        Stage(
            id=stage.public_id,
            type=stage.type,
            title=stage.title,
            config=json.dumps(stage.config, cls=CanonicalJSONEncoder),
            weight=stage.weight,
            target_time=stage.target_time,
            is_skippable=stage.is_skippable,
        )
        for stage in LessonStage.objects.filter(lesson=lesson)
    ]


def published_lesson(lesson_id: str) -> Document | None:
    """The lesson's published file, its videos signed anew; None if there is none."""
    document = PublishedDocuments().read(locations.lesson(lesson_id))
    if document is None:
        return None
    signer = signing.video_signer(PublishingSettings.get_solo())
    expires = int(timezone.now().timestamp()) + signer.lifetime
    for stage in document["stages"]:
        source = stage["config"].get("source", "") if stage["type"] == "Video" else ""
        if source and not source.startswith(("https://", "http://")):
            stage["config"]["signed_url"] = signer.sign(source, expires)
    return document


def _sanitised(stage: Stage) -> str:
    config = orjson.loads(stage.config)
    if stage.type in SCHEMAS:
        config = stage_configs.sanitise(stage.type, config)
    return json.dumps(config, cls=CanonicalJSONEncoder)


def _safe(document: Document) -> Document:
    """A published document with its HTML sanitised by today's rules."""
    for stage in document.get("stages", ()):
        if stage["type"] in SCHEMAS:
            stage["config"] = stage_configs.sanitise(stage["type"], stage["config"])
    return document


class _Links:
    """Where the preview's links lead; as a build's, which keeps its own to itself."""

    def __init__(self, current: PublishingSettings) -> None:
        self._current = current

    def content(self, path: str) -> str:
        return content_base_url(self._current) + path

    def upload(self, url: str) -> str:
        return urljoin(local_base_url(self._current), url)

    def gated_lesson(self, lesson_id: str) -> str:
        return gated_lesson_url(lesson_id, self._current)
