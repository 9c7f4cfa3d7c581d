"""A whole release out of what is new and what the last one has already.

Plain rules: no Django here.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Protocol

from content.kinds import Kind
from content.tree import ContentNode
from plans.access import PlanNode, lessons
from publishing.format import locations, search
from publishing.format.documents import DocumentMaker, is_open
from publishing.format.versioning import BuiltDocument


@dataclass(frozen=True, slots=True)
class EditedLesson:
    """A lesson whose stages changed since the release, and the topic it lies in."""

    lesson: ContentNode
    topic_id: str


@dataclass(frozen=True, slots=True)
class ChangedSubject:
    """A subject to make anew, and the revision its tree was read at.

    ``standing`` are the ids of lessons whose files are what they would be made again;
    their stages were not read.
    """

    root: PlanNode
    revision: int
    standing: Set[str] = frozenset()


@dataclass(frozen=True, slots=True)
class UnchangedSubject:
    """A subject the release has already, apart from these lessons' stages."""

    pk: int
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


@dataclass(frozen=True, slots=True)
class Assembly:
    """One build of one plan's release upon ``old``."""

    maker: DocumentMaker
    old: OldRelease
    shard_threshold: int

    def build(
        self, subjects: Sequence[ChangedSubject | UnchangedSubject], *, same_trees: bool
    ) -> dict[str, bool]:
        """Seal every document that may differ from the release readers have.

        A fresh subject is made whole but for its standing lessons. Of a kept one only
        the lessons with edited stages are made, and what names them. ``old`` is read
        only where something is kept. ``same_trees`` says that nothing but stages has
        changed since ``old``.

        Returns:
            The lessons of the fresh subjects: id to "offered openly".

        Raises:
            UnreadableReleaseError: what is to be kept is not there.
        """
        offers: dict[str, bool] = {}
        entries = []
        for subject in subjects:
            if isinstance(subject, ChangedSubject):
                for lesson in lessons(subject.root):
                    offers[lesson.id] = is_open(lesson)
                    if lesson.id not in subject.standing:
                        self.maker.lesson(
                            lesson.source,
                            subject_pk=subject.root.source.pk,
                            revision=subject.revision,
                        )
                entries.append(self.maker.subject(subject.root))
            elif (entry := self._kept_entry(subject)) is not None:
                entries.append(entry)
        self.maker.manifest(entries, self._search_link(subjects, same_trees=same_trees))
        return offers

    def _kept_entry(self, subject: UnchangedSubject) -> dict[str, Any] | None:
        """The manifest's entry of a kept subject; None where the plan hides it."""
        manifest = self.old.read(locations.manifest(self.maker.plan.id))
        entry: dict[str, Any] | None = next(
            (entry for entry in manifest["subjects"] if entry["id"] == subject.id), None
        )
        if entry is None or not subject.edited:
            return entry
        hierarchy = self._patched_hierarchy(subject)
        return (
            entry
            if hierarchy is None
            else entry | self.maker.link("hierarchy", hierarchy)
        )

    def _patched_hierarchy(self, subject: UnchangedSubject) -> BuiltDocument | None:
        """The subject's hierarchy with its edited topics; None if none is visible."""
        path = locations.hierarchy(self.maker.plan.id, subject.id)
        body = self.old.read(path)
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
            document = self._patched_topic(topic_id, of_topic, subject)
            if document is not None:
                topics[topic_id] |= self.maker.link("topic", document)
                patched = True
        return self.maker.sealer.seal(path, "hierarchy", body) if patched else None

    def _patched_topic(
        self,
        topic_id: str,
        edited: Mapping[str, ContentNode],
        subject: UnchangedSubject,
    ) -> BuiltDocument | None:
        """The topic with its edited lessons; None if the plan hides them all."""
        path = locations.topic(self.maker.plan.id, topic_id)
        body = self.old.read(path)
        entries = [entry for entry in body["lessons"] if entry["id"] in edited]
        for entry in entries:
            lesson = edited[entry["id"]]
            document = self.maker.lesson(
                lesson, subject_pk=subject.pk, revision=subject.revision
            )
            entry["lesson_version"] = document.record.version
            entry["stage_count"] = lesson.stage_count
        return self.maker.sealer.seal(path, "topic", body) if entries else None

    def _search_link(
        self,
        subjects: Sequence[ChangedSubject | UnchangedSubject],
        *,
        same_trees: bool,
    ) -> dict[str, str]:
        """The manifest's link to the search index, made anew if a tree changed."""
        if not same_trees:
            return self.maker.link("search_index", self._search(subjects))
        manifest = self.old.read(locations.manifest(self.maker.plan.id))
        return {
            name: manifest[name]
            for name in ("search_index_url", "search_index_path", "search_index_hash")
        }

    def _search(
        self, subjects: Sequence[ChangedSubject | UnchangedSubject]
    ) -> BuiltDocument:
        found = {}
        for subject in subjects:
            if isinstance(subject, ChangedSubject):
                found[subject.root.id] = search.items(subject.root)
            elif items := self._kept_items(subject.id):
                found[subject.id] = items
        total_lessons = sum(
            item["kind"] == Kind.LESSON.value
            for items in found.values()
            for item in items
        )
        sharded = total_lessons > self.shard_threshold
        return self.maker.search_index(found, sharded=sharded)

    def _kept_items(self, subject_id: str) -> list[dict[str, Any]]:
        """The search items of a kept subject; none where the plan hides it."""
        index = self.old.read(locations.search_index(self.maker.plan.id))
        if index["is_sharded"]:
            if all(shard["subject_id"] != subject_id for shard in index["shards"]):
                return []
            path = locations.search_shard(self.maker.plan.id, subject_id)
            shard_items: list[dict[str, Any]] = self.old.read(path)["items"]
            return shard_items
        of_subject, inside = [], False
        for item in index["items"]:
            if item["kind"] == Kind.SUBJECT.value:
                inside = item["id"] == subject_id
            if inside:
                of_subject.append(item)
        return of_subject
