"""Make a plan's JSON documents from its trees. Plain rules: no Django here.

See docs/content-format.md. Documents are made leaves first, because a document holds
the hashes of the documents that it links to: lessons, topics and bitmap, hierarchy,
search, manifest. `publishing.format.incremental` calls in that order. Each document is
finalized as it is made.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from content import config_texts, stage_configs
from content.tree import ContentNode, Stage
from core import folding
from plans.access import OPEN_LEVELS, Access, Level, PlanNode, lessons
from publishing.format import encoding, keywords, locations
from publishing.format.versioning import BuiltDocument, DocumentVersioner


class Links(Protocol):
    """Makes the URLs in documents; see `publishing.building.releases.SettingsLinks`."""

    def content(self, path: str) -> str:
        """Return the absolute URL of a content path."""

    def upload(self, url: str) -> str:
        """Return the absolute URL of a path on this site; absolute URLs stay as is."""

    def gated_lesson(self, lesson_id: str) -> str:
        """Return the API's URL of a lesson that needs an entitlement check."""


class Signer(Protocol):
    """Signs the video sources of a lesson."""

    @property
    def lifetime(self) -> int:
        """Lifetime of a signature, in seconds."""

    def sign(self, source: str, expires: int) -> str:
        """Return a URL that plays ``source`` until Unix time ``expires``."""


@dataclass(frozen=True, slots=True)
class PlanFields:
    """The plan's own fields; empty ones are omitted from the manifest."""

    id: str
    title: str
    season: str = ""
    grade: str = ""
    stream: str = ""


FORMAT_VERSION = 3  # `keywords` in the search index
"""Increase it when the same content gives different documents: all plans are then built
again, once."""

_LESSON_FORMAT_VERSION = 4  # search words recorded
"""Increase it when the same content gives different lesson files or records: all of them
are then made again."""


@dataclass(frozen=True, slots=True)
class LessonSources:
    """A short digest of what a lesson's file is made of, besides its stages.

    A published lesson with unchanged stages and digest is not made again, and its
    stages are not read. ``settings`` is what else all lesson files depend on.
    """

    settings: str = ""

    def of(
        self, *, pk: int, subject_pk: int, title: str, description: str, image: str
    ) -> str:
        # Keys are included: revisions are per subject, and a public id can be reused.
        parts = (
            _LESSON_FORMAT_VERSION,
            folding.VERSION,
            self.settings,
            subject_pk,
            pk,
            title,
            description,
            image,
        )
        return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class DocumentMaker:
    """Makes and finalizes the documents of one plan.

    ``is_gated(lesson_id)``: whether no *other* plan offers the lesson openly.
    """

    plan: PlanFields
    links: Links
    versioner: DocumentVersioner
    signer: Signer | None
    is_gated: Callable[[str], bool]
    lesson_sources: LessonSources = LessonSources()

    def _image(self, node: ContentNode) -> str:
        """Return the node's image as an absolute URL, or ""."""
        return self.links.upload(node.image) if node.image else ""

    def link(self, name: str, target: BuiltDocument) -> dict[str, str]:
        """Return the three fields that link to a document: URL, path and hash."""
        return _link(name, target, self.links)

    def lesson(
        self, lesson: ContentNode, *, subject_pk: int = 0, revision: int = 0
    ) -> BuiltDocument:
        """Make a lesson's file; ``revision`` is its subject's when it was read."""
        signer = self.signer
        sources = video_sources(lesson.stages) if signer is not None else {}

        def body(signatures: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
            return {
                "id": lesson.id,
                "title": lesson.title,
                **_present(description=lesson.description, image=self._image(lesson)),
                "stages": [
                    self._stage(number, stage, signatures.get(stage.id))
                    for number, stage in enumerate(lesson.stages, start=1)
                ],
                "navigation": {"is_standalone": True},
            }

        def signed(expires: int) -> dict[str, Any]:
            assert signer is not None
            return body(
                {
                    stage_id: {
                        "signed_url": signer.sign(source, expires),
                        "expires_at": encoding.iso_instant(expires),
                    }
                    for stage_id, source in sources.items()
                }
            )

        return self.versioner.finalize(
            locations.lesson(lesson.id),
            "lesson",
            body({}),
            signed=signed if sources else None,
            signature_life=signer.lifetime if signer else 0,
            source_revision=revision,
            source=self.lesson_sources.of(
                pk=lesson.pk,
                subject_pk=subject_pk,
                title=lesson.title,
                description=lesson.description,
                image=lesson.image,
            ),
            review_items=" ".join(items_of(lesson)),
            search_words=keywords.of_stages(lesson.stages),
        )

    def _stage(
        self, number: int, stage: Stage, signature: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        text = config_texts.for_readers(stage.type, stage.config, self.links.upload)
        config: Any = encoding.raw_json(text)
        if signature is not None:
            config = {**orjson.loads(text), **signature}
        return {
            "idx": number,
            "id": stage.id,
            "title": stage.title,
            "type": stage.type,
            "weight": stage.weight,
            "target_time": stage.target_time,
            "is_skippable": stage.is_skippable,
            "config": config,
        }

    def subject(self, root: PlanNode) -> dict[str, Any]:
        """Make the subject's files and return its entry in the manifest."""
        hierarchy = self._hierarchy(root)
        bitmap = self._bitmap(root)
        return {
            "id": root.id,
            "title": root.title,
            **self._appearance(root),
            "is_linear": root.is_linear,
            **self.link("hierarchy", hierarchy),
            **self.link("bitmap", bitmap),
            "access": _access(root.access),
        }

    def _appearance(self, root: PlanNode) -> dict[str, Any]:
        source = root.source
        return _present(
            description=source.description,
            image=self._image(source),
            color_code=source.color_code,
        )

    def _hierarchy(self, root: PlanNode) -> BuiltDocument:
        tracks = [
            self._container(
                track,
                units=[
                    self._container(
                        unit,
                        topics=[
                            self._topic_entry(root, track, unit, topic)
                            for topic in unit.children
                        ],
                    )
                    for unit in track.children
                ],
            )
            for track in root.children
        ]
        units = [unit for track in root.children for unit in track.children]
        return self.versioner.finalize(
            locations.hierarchy(self.plan.id, root.id),
            "hierarchy",
            {
                "id": root.id,
                "title": root.title,
                **self._appearance(root),
                "is_linear": root.is_linear,
                "access": _access(root.access),
                "tracks": tracks,
                "stats": {
                    "total_tracks": len(root.children),
                    "total_units": len(units),
                    "total_topics": sum(len(unit.children) for unit in units),
                    "total_lessons": sum(1 for _lesson in lessons(root)),
                },
            },
        )

    @staticmethod
    def _container(node: PlanNode, **children: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": node.id,
            "title": node.title,
            **_present(description=node.source.description),
            "is_linear": node.is_linear,
            "access": _access(node.access),
            **children,
        }

    def _topic_entry(
        self, subject: PlanNode, track: PlanNode, unit: PlanNode, topic: PlanNode
    ) -> dict[str, Any]:
        document = self.versioner.finalize(
            locations.topic(self.plan.id, topic.id),
            "topic",
            {
                "id": topic.id,
                "title": topic.title,
                **_present(description=topic.source.description),
                "is_linear": topic.is_linear,
                "parent": {
                    "unit_id": unit.id,
                    "unit_title": unit.title,
                    "track_id": track.id,
                    "track_title": track.title,
                    "subject_id": subject.id,
                    "subject_title": subject.title,
                },
                "access": _access(topic.access),
                "lessons": [self._lesson_entry(lesson) for lesson in topic.children],
            },
        )
        return {
            "id": topic.id,
            "title": topic.title,
            **_present(description=topic.source.description),
            "is_linear": topic.is_linear,
            **self.link("topic", document),
            "access": _access(topic.access),
            "lesson_count": len(topic.children),
        }

    def _lesson_entry(self, lesson: PlanNode) -> dict[str, Any]:
        path = locations.lesson(lesson.id)
        gated = not is_open(lesson) and self.is_gated(lesson.id)
        return {
            "id": lesson.id,
            "title": lesson.title,
            **_present(description=lesson.source.description),
            "bit_index": lesson.source.bit_index,
            "lesson_url": (
                self.links.gated_lesson(lesson.id)
                if gated
                else self.links.content(path)
            ),
            "lesson_path": path,
            "lesson_version": self.versioner.record_at(path).version,
            **({"gated": True} if gated else {}),
            "access": _access(lesson.access),
            "stage_count": lesson.source.stage_count,
        }

    def _bitmap(self, root: PlanNode) -> BuiltDocument:
        mappings = {
            lesson.id: {
                "bit_index": lesson.source.bit_index,
                "topic_id": topic.id,
                "access_level": lesson.access.level.value,
                **_present(
                    required_item=(
                        lesson.access.item if lesson.access.level is Level.PAID else ""
                    )
                ),
                "base_xp": lesson.source.base_xp,
                **self.review_items(lesson.id),
            }
            for track in root.children
            for unit in track.children
            for topic in unit.children
            for lesson in topic.children
        }
        return self.versioner.finalize(
            locations.bitmap(self.plan.id, root.id),
            "bitmap",
            {
                "subject_id": root.id,
                "total_lessons": len(mappings),
                "mappings": mappings,
            },
        )

    def review_items(self, lesson_id: str) -> dict[str, list[str]]:
        """Return the field of a lesson's reviewable items; {} without items.

        The lesson has been made, or the published one is reused.
        """
        record = self.versioner.record_at(locations.lesson(lesson_id))
        items = record.review_items.split()
        return {"review_items": items} if items else {}

    def search_words(self, lesson_id: str) -> str:
        """Return a lesson's words (`keywords.of_stages`).

        The lesson has been made, or the published one is reused.
        """
        return self.versioner.record_at(locations.lesson(lesson_id)).search_words

    def manifest(
        self, subjects: Sequence[Mapping[str, Any]], search_link: Mapping[str, str]
    ) -> BuiltDocument:
        """Make the manifest from the subjects' entries and the link to the search."""
        return self.versioner.finalize(
            locations.manifest(self.plan.id),
            "manifest",
            {
                "plan_id": self.plan.id,
                "title": self.plan.title,
                **_present(
                    season=self.plan.season,
                    grade=self.plan.grade,
                    stream=self.plan.stream,
                ),
                "subjects": subjects,
                **search_link,
            },
        )

    def search_index(
        self, found: Mapping[str, list[dict[str, Any]]], *, sharded: bool
    ) -> BuiltDocument:
        """Make the index of each subject's items (by id), whole or in shards."""
        body: dict[str, Any] = {
            "plan_id": self.plan.id,
            "total_items": sum(len(items) for items in found.values()),
            "is_sharded": sharded,
        }
        if sharded:
            body["shards"] = [
                {
                    "subject_id": subject_id,
                    **self.link("shard", self._shard(subject_id, items)),
                }
                for subject_id, items in found.items()
            ]
        else:
            body["items"] = [item for items in found.values() for item in items]
        return self.versioner.finalize(
            locations.search_index(self.plan.id), "search_index", body
        )

    def _shard(self, subject_id: str, items: list[dict[str, Any]]) -> BuiltDocument:
        return self.versioner.finalize(
            locations.search_shard(self.plan.id, subject_id),
            "search_shard",
            {
                "plan_id": self.plan.id,
                "subject_id": subject_id,
                "total_items": len(items),
                "items": items,
            },
        )


def _present(**fields: Any) -> dict[str, Any]:
    """Return the fields that have a value: neither "" nor None."""
    return {name: value for name, value in fields.items() if value not in ("", None)}


def _access(access: Access) -> dict[str, Any]:
    return {
        "is_published": True,
        "access_level": access.level.value,
        **_present(required_item=access.item if access.level is Level.PAID else ""),
    }


def _link(name: str, target: BuiltDocument, links: Links) -> dict[str, str]:
    return {
        f"{name}_url": links.content(target.path),
        f"{name}_path": target.path,
        f"{name}_hash": target.record.sha256,
    }


def is_open(lesson: PlanNode) -> bool:
    """Return whether this plan lets anyone read the lesson."""
    return lesson.access.level in OPEN_LEVELS


def items_of(lesson: ContentNode) -> tuple[str, ...]:
    """Return the ids of the lesson's reviewable items, in order, each once."""
    return stage_configs.items_of_lesson(
        (stage.type, stage.config) for stage in lesson.stages
    )


def video_sources(stages: Iterable[Stage]) -> dict[str, str]:
    """Return the videos in our storage by stage id, without those of other hosts."""
    found = {}
    for stage in stages:
        if stage.type == "Video":
            source = orjson.loads(stage.config).get("source", "")
            if source and not source.startswith(("https://", "http://")):
                found[stage.id] = source
    return found
