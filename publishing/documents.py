"""From a plan's trees to its JSON documents (DESIGN 4). Plain rules: no Django here.

Documents are made leaves first, because a document names its targets' hashes: lessons,
topics and bitmap, hierarchy, search, manifest. Each is *sealed*: its content is compared
with what was published under that path before, and keeps its version, time and so its
bytes when nothing changed.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from content.kinds import Kind
from content.tree import ContentNode, Stage
from plans.access import OPEN_LEVELS, Access, Level, PlanNode, lessons
from publishing import encoding, locations, search


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a document as published."""

    fingerprint: str
    version: int
    sha256: str
    size: int
    signed_until: int | None = None
    source_revision: int = 0


@dataclass(frozen=True, slots=True)
class Sealed:
    """A document ready to be written.

    ``changed`` says that its bytes differ from the published ones; ``data`` is the
    whole file. ``signed_until`` is the Unix time its first signature expires.
    """

    path: str
    schema: str
    data: bytes
    record: Record
    changed: bool


class Links(Protocol):
    """How documents name other files; made by ``publishing.builds``."""

    def content(self, path: str) -> str:
        """The absolute URL of a content path."""

    def gated_lesson(self, lesson_id: str) -> str:
        """The API's address of a lesson that needs an entitlement check."""


class Signer(Protocol):
    """Signs the video sources of a lesson."""

    lifetime: int
    """Seconds a signature lasts."""

    def sign(self, source: str, expires: int) -> str:
        """A URL that plays ``source`` until Unix time ``expires``."""


@dataclass(frozen=True, slots=True)
class PlanFacts:
    """The plan's own fields; empty ones are left out of the manifest."""

    id: str
    title: str
    season: str = ""
    grade: str = ""
    stream: str = ""


@dataclass(slots=True)
class Sealer:
    """Gives documents their version, and remembers them."""

    previous: Mapping[str, Record]
    now: int
    sealed: dict[str, Sealed] = field(default_factory=dict)

    def seal(
        self,
        path: str,
        schema: str,
        body: Mapping[str, Any],
        *,
        signed: Callable[[int], Mapping[str, Any]] | None = None,
        signature_life: int = 0,
        source_revision: int = 0,
    ) -> Sealed:
        """``body`` as a finished document under ``path``.

        A version is the time its content last changed, and only grows. With
        ``signed``, the file holds ``signed(expires)`` in place of ``body``: a
        signature is no content and moves no version, and one with more than half
        its ``signature_life`` (seconds) left is kept.
        """
        content = encoding.canonical(body)
        fingerprint = encoding.sha256(content)
        before = self.previous.get(path)
        same = before is not None and before.fingerprint == fingerprint
        if before is None:
            version = self.now
        else:
            version = before.version if same else max(self.now, before.version + 1)
        signed_until = None
        if signed is not None:
            signed_until = self._expiry(before if same else None, signature_life)
            content = encoding.canonical(signed(signed_until))
        data = encoding.stamped(content, version)
        unchanged = same and before is not None and before.signed_until == signed_until
        digest = before.sha256 if unchanged and before else encoding.sha256(data)
        document = Sealed(
            path=path,
            schema=schema,
            data=data,
            record=Record(
                fingerprint, version, digest, len(data), signed_until, source_revision
            ),
            changed=not unchanged,
        )
        self.sealed[path] = document
        return document

    def _expiry(self, before: Record | None, life: int) -> int:
        kept = before.signed_until if before else None
        return kept if kept and kept - self.now > life // 2 else self.now + life


def _present(**fields: Any) -> dict[str, Any]:
    """The fields that say something: no "" and no None."""
    return {name: value for name, value in fields.items() if value not in ("", None)}


def _access(access: Access) -> dict[str, Any]:
    return {
        "is_published": True,
        "access_level": access.level.value,
        **_present(required_item=access.item if access.level is Level.PAID else ""),
    }


def _link(name: str, target: Sealed, links: Links) -> dict[str, str]:
    return {
        f"{name}_url": links.content(target.path),
        f"{name}_path": target.path,
        f"{name}_hash": target.record.sha256,
    }


def is_open(lesson: PlanNode) -> bool:
    """Whether this plan lets anyone read the lesson."""
    return lesson.access.level in OPEN_LEVELS


@dataclass(frozen=True, slots=True)
class EditedLesson:
    """A lesson whose stages changed since the release, and the topic it lies in."""

    lesson: ContentNode
    topic_id: str


@dataclass(frozen=True, slots=True)
class Fresh:
    """A subject to make anew, and the revision its tree was read at."""

    root: PlanNode
    revision: int


@dataclass(frozen=True, slots=True)
class Kept:
    """A subject the release has already, apart from these lessons' stages."""

    id: str
    revision: int
    edited: tuple[EditedLesson, ...] = ()


class OldRelease(Protocol):
    """The release readers have, for what of it stays; without version and time."""

    def read(self, path: str) -> dict[str, Any]:
        """A document's content.

        Raises:
            UnreadableReleaseError: it is not what was published under that path.
        """


class UnreadableReleaseError(Exception):
    """What readers have cannot be built upon; a full build does not need it."""


@dataclass(slots=True)
class ReleaseBuilder:
    """One build of one plan's documents.

    ``is_gated(lesson_id)`` says whether no *other* plan offers the lesson openly;
    ``config_of(stage)`` is a stage's config as it may be shown, canonical JSON text.
    """

    plan: PlanFacts
    links: Links
    sealer: Sealer
    signer: Signer | None
    is_gated: Callable[[str], bool]
    config_of: Callable[[Stage], str]
    shard_threshold: int

    def build(
        self, subjects: Sequence[Fresh | Kept], old: OldRelease, *, same_trees: bool
    ) -> dict[str, bool]:
        """Seal every document that may differ from the release readers have.

        A fresh subject is made whole. Of a kept one only the lessons with edited stages
        are made, and what names them. ``old`` is read only where something is kept.
        ``same_trees`` says that nothing but stages has changed since ``old``.

        Returns:
            The lessons of the fresh subjects: id to "offered openly".

        Raises:
            UnreadableReleaseError: what is to be kept is not there.
        """
        offers: dict[str, bool] = {}
        entries = []
        for subject in subjects:
            if isinstance(subject, Fresh):
                for lesson in lessons(subject.root):
                    offers[lesson.id] = is_open(lesson)
                    self._lesson(lesson.source, subject.revision)
                entries.append(self._subject(subject.root))
            elif (entry := self._kept_entry(subject, old)) is not None:
                entries.append(entry)
        self.sealer.seal(
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
                "subjects": entries,
                **self._search_link(subjects, old, same_trees=same_trees),
            },
        )
        return offers

    def _kept_entry(self, subject: Kept, old: OldRelease) -> dict[str, Any] | None:
        """The manifest's entry of a kept subject; None where the plan hides it."""
        manifest = old.read(locations.manifest(self.plan.id))
        entry: dict[str, Any] | None = next(
            (entry for entry in manifest["subjects"] if entry["id"] == subject.id), None
        )
        if entry is None or not subject.edited:
            return entry
        hierarchy = self._patched_hierarchy(subject, old)
        return (
            entry
            if hierarchy is None
            else entry | _link("hierarchy", hierarchy, self.links)
        )

    def _patched_hierarchy(self, subject: Kept, old: OldRelease) -> Sealed | None:
        """The subject's hierarchy with its edited topics; None if none is visible."""
        path = locations.hierarchy(self.plan.id, subject.id)
        body = old.read(path)
        topics = {
            topic["id"]: topic
            for track in body["tracks"]
            for unit in track["units"]
            for topic in unit["topics"]
        }
        edited: dict[str, dict[str, ContentNode]] = {}
        for found in subject.edited:
            if found.topic_id in topics:
                edited.setdefault(found.topic_id, {})[found.lesson.id] = found.lesson
        patched = False
        for topic_id, of_topic in edited.items():
            document = self._patched_topic(topic_id, of_topic, subject.revision, old)
            if document is not None:
                topics[topic_id] |= _link("topic", document, self.links)
                patched = True
        return self.sealer.seal(path, "hierarchy", body) if patched else None

    def _patched_topic(
        self,
        topic_id: str,
        edited: Mapping[str, ContentNode],
        revision: int,
        old: OldRelease,
    ) -> Sealed | None:
        """The topic with its edited lessons; None if the plan hides them all."""
        path = locations.topic(self.plan.id, topic_id)
        body = old.read(path)
        entries = [entry for entry in body["lessons"] if entry["id"] in edited]
        for entry in entries:
            lesson = edited[entry["id"]]
            entry["lesson_version"] = self._lesson(lesson, revision).record.version
            entry["stage_count"] = len(lesson.stages)
        return self.sealer.seal(path, "topic", body) if entries else None

    def _lesson(self, lesson: ContentNode, revision: int) -> Sealed:
        signer = self.signer
        sources = video_sources(lesson.stages) if signer is not None else {}

        def body(signatures: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
            return {
                "id": lesson.id,
                "title": lesson.title,
                **_present(description=lesson.description, image=lesson.image),
                "stages": [
                    _stage(
                        number, stage, self.config_of(stage), signatures.get(stage.id)
                    )
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

        return self.sealer.seal(
            locations.lesson(lesson.id),
            "lesson",
            body({}),
            signed=signed if sources else None,
            signature_life=signer.lifetime if signer else 0,
            source_revision=revision,
        )

    def _subject(self, root: PlanNode) -> dict[str, Any]:
        """The subject's files, and its entry in the manifest."""
        hierarchy = self._hierarchy(root)
        bitmap = self._bitmap(root)
        source = root.source
        return {
            "id": root.id,
            "title": root.title,
            **_present(
                description=source.description,
                image=source.image,
                color_code=source.color_code,
            ),
            "is_linear": root.is_linear,
            **_link("hierarchy", hierarchy, self.links),
            **_link("bitmap", bitmap, self.links),
            "access": _access(root.access),
        }

    def _hierarchy(self, root: PlanNode) -> Sealed:
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
        source = root.source
        return self.sealer.seal(
            locations.hierarchy(self.plan.id, root.id),
            "hierarchy",
            {
                "id": root.id,
                "title": root.title,
                **_present(
                    description=source.description,
                    image=source.image,
                    color_code=source.color_code,
                ),
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
        document = self.sealer.seal(
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
            **_link("topic", document, self.links),
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
            "lesson_version": self.sealer.sealed[path].record.version,
            **({"gated": True} if gated else {}),
            "access": _access(lesson.access),
            "stage_count": len(lesson.source.stages),
        }

    def _bitmap(self, root: PlanNode) -> Sealed:
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
            }
            for track in root.children
            for unit in track.children
            for topic in unit.children
            for lesson in topic.children
        }
        return self.sealer.seal(
            locations.bitmap(self.plan.id, root.id),
            "bitmap",
            {
                "subject_id": root.id,
                "total_lessons": len(mappings),
                "mappings": mappings,
            },
        )

    def _search_link(
        self,
        subjects: Sequence[Fresh | Kept],
        old: OldRelease,
        *,
        same_trees: bool,
    ) -> dict[str, str]:
        """The manifest's link to the search index, made anew if a tree changed."""
        if not same_trees:
            return _link("search_index", self._search(subjects, old), self.links)
        manifest = old.read(locations.manifest(self.plan.id))
        return {
            name: manifest[name]
            for name in ("search_index_url", "search_index_path", "search_index_hash")
        }

    def _search(self, subjects: Sequence[Fresh | Kept], old: OldRelease) -> Sealed:
        found = {}
        for subject in subjects:
            if isinstance(subject, Fresh):
                found[subject.root.id] = list(search.items(subject.root))
            elif items := self._kept_items(subject.id, old):
                found[subject.id] = items
        total_lessons = sum(
            item["kind"] == Kind.LESSON.value
            for items in found.values()
            for item in items
        )
        sharded = total_lessons > self.shard_threshold
        body: dict[str, Any] = {
            "plan_id": self.plan.id,
            "total_items": sum(len(items) for items in found.values()),
            "is_sharded": sharded,
        }
        if sharded:
            body["shards"] = [
                {
                    "subject_id": subject_id,
                    **_link("shard", self._shard(subject_id, items), self.links),
                }
                for subject_id, items in found.items()
            ]
        else:
            body["items"] = [item for items in found.values() for item in items]
        return self.sealer.seal(
            locations.search_index(self.plan.id), "search_index", body
        )

    def _kept_items(self, subject_id: str, old: OldRelease) -> list[dict[str, Any]]:
        """The search items of a kept subject; none where the plan hides it."""
        index = old.read(locations.search_index(self.plan.id))
        if index["is_sharded"]:
            if all(shard["subject_id"] != subject_id for shard in index["shards"]):
                return []
            path = locations.search_shard(self.plan.id, subject_id)
            shard_items: list[dict[str, Any]] = old.read(path)["items"]
            return shard_items
        of_subject, inside = [], False
        for item in index["items"]:
            if item["kind"] == Kind.SUBJECT.value:
                inside = item["id"] == subject_id
            if inside:
                of_subject.append(item)
        return of_subject

    def _shard(self, subject_id: str, items: list[dict[str, Any]]) -> Sealed:
        return self.sealer.seal(
            locations.search_shard(self.plan.id, subject_id),
            "search_shard",
            {
                "plan_id": self.plan.id,
                "subject_id": subject_id,
                "total_items": len(items),
                "items": items,
            },
        )


def _stage(
    number: int, stage: Stage, text: str, signature: Mapping[str, Any] | None
) -> dict[str, Any]:
    config: Any = encoding.spliced(text)
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


def video_sources(stages: Iterable[Stage]) -> dict[str, str]:
    """The videos kept by us, by stage id; another host's URL is its own to protect."""
    found = {}
    for stage in stages:
        if stage.type == "Video":
            source = orjson.loads(stage.config).get("source", "")
            if source and not source.startswith(("https://", "http://")):
                found[stage.id] = source
    return found
