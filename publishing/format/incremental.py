"""Assemble a release from new documents and from those of the current release.

Plain rules: no Django here.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
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
    """A lesson whose stages changed since the release, and its topic's id."""

    lesson: ContentNode
    topic_id: str


@dataclass(frozen=True, slots=True)
class ChangedSubject:
    """A subject to make again, and the revision at which its tree was read.

    ``reusable`` are the ids of lessons whose published files are still valid; their
    stages were not read.
    """

    root: PlanNode
    revision: int
    reusable: Set[str] = frozenset()


@dataclass(frozen=True, slots=True)
class UnchangedSubject:
    """A subject whose released documents stay, except for these lessons' stages."""

    pk: int
    id: str
    revision: int
    edited: tuple[EditedLesson, ...] = ()

    @property
    def edited_ids(self) -> Set[str]:
        """The ids of the edited lessons, also of those that the plan hides."""
        return {edited.lesson.id for edited in self.edited}


class OldRelease(Protocol):
    """Reads documents of the current release, without version and time."""

    def read(self, path: str) -> dict[str, Any]:
        """Return a document's content.

        Raises:
            UnreadableReleaseError: the file is not the one published under that path.
        """

    def bitmap_entries(
        self, path: str, lesson_ids: Sequence[str]
    ) -> dict[str, dict[str, Any]]:
        """Return the entries of these lessons in a bitmap, those that it has.

        For a few lessons it costs less than reading the document.

        Raises:
            UnreadableReleaseError: the file is missing or not a bitmap.
        """


class UnreadableReleaseError(Exception):
    """The current release cannot be reused; a full build does not need it."""


@dataclass(frozen=True, slots=True)
class ReleaseAssembler:
    """One build of one plan's release that reuses ``old``."""

    maker: DocumentMaker
    old: OldRelease
    shard_threshold: int

    def build(
        self, subjects: Sequence[ChangedSubject | UnchangedSubject], *, same_trees: bool
    ) -> dict[str, bool]:
        """Finalize every document that may differ from the current release.

        A changed subject is made whole, except its reusable lessons. Of an unchanged
        subject only the lessons with edited stages are made, and the documents that
        name them. ``old`` is read only where something is kept. ``same_trees``: nothing
        but stages has changed since ``old``.

        Returns:
            The lessons of the changed subjects: id to "offered openly".

        Raises:
            UnreadableReleaseError: a document to keep is missing or damaged.
        """
        plan_lessons: dict[str, bool] = {}
        entries = []
        for subject in subjects:
            if isinstance(subject, ChangedSubject):
                for lesson in lessons(subject.root):
                    plan_lessons[lesson.id] = is_open(lesson)
                    if lesson.id not in subject.reusable:
                        self.maker.lesson(
                            lesson.source,
                            subject_pk=subject.root.source.pk,
                            revision=subject.revision,
                        )
                entries.append(self.maker.subject(subject.root))
            elif (entry := self._kept_entry(subject)) is not None:
                entries.append(entry)
        self.maker.manifest(entries, self._search_link(subjects, same_trees=same_trees))
        return plan_lessons

    def _kept_entry(self, subject: UnchangedSubject) -> dict[str, Any] | None:
        """Return a kept subject's manifest entry; None where the plan hides it."""
        manifest = self.old.read(locations.manifest(self.maker.plan.id))
        entry: dict[str, Any] | None = next(
            (entry for entry in manifest["subjects"] if entry["id"] == subject.id), None
        )
        if entry is None or not subject.edited:
            return entry
        hierarchy = self._patched_hierarchy(subject)
        if hierarchy is None:
            return entry
        entry |= self.maker.link("hierarchy", hierarchy)
        bitmap = self._patched_bitmap(subject)
        return entry if bitmap is None else entry | self.maker.link("bitmap", bitmap)

    def _patched_hierarchy(self, subject: UnchangedSubject) -> BuiltDocument | None:
        """Patch the subject's hierarchy; None if no edited topic is visible."""
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
        return (
            self.maker.versioner.finalize(path, "hierarchy", body) if patched else None
        )

    def _patched_topic(
        self,
        topic_id: str,
        edited: Mapping[str, ContentNode],
        subject: UnchangedSubject,
    ) -> BuiltDocument | None:
        """Patch the topic's edited lessons; None if the plan hides them all."""
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
        return self.maker.versioner.finalize(path, "topic", body) if entries else None

    def _patched_bitmap(self, subject: UnchangedSubject) -> BuiltDocument | None:
        """Patch the review items of edited lessons; None if they are the same."""
        path = locations.bitmap(self.maker.plan.id, subject.id)
        ids = [edited.lesson.id for edited in subject.edited]
        # Without those that the plan hides: they have no entry.
        before = self.old.bitmap_entries(path, ids)
        after = {
            lesson_id: _without_items(entry) | self.maker.review_items(lesson_id)
            for lesson_id, entry in before.items()
        }
        if after == before:
            return None
        body = self.old.read(path)
        body["mappings"] |= after
        return self.maker.versioner.finalize(path, "bitmap", body)

    def _search_link(
        self,
        subjects: Sequence[ChangedSubject | UnchangedSubject],
        *,
        same_trees: bool,
    ) -> dict[str, str]:
        """Return the link to the search index; remake it if a tree changed."""
        if not same_trees:
            return self.maker.link("search_index", self._search(subjects))
        if (patched := self._patched_index(subjects)) is not None:
            return self.maker.link("search_index", patched)
        manifest = self.old.read(locations.manifest(self.maker.plan.id))
        return {
            name: manifest[name]
            for name in ("search_index_url", "search_index_path", "search_index_hash")
        }

    def _patched_index(
        self, subjects: Sequence[ChangedSubject | UnchangedSubject]
    ) -> BuiltDocument | None:
        """Patch the keywords of edited lessons; None if they are the same."""
        edited = {
            subject.id: subject.edited_ids
            for subject in subjects
            if isinstance(subject, UnchangedSubject) and subject.edited
        }
        path = locations.search_index(self.maker.plan.id)
        index = self.old.read(path)
        patch = self._patch_shards if index["is_sharded"] else self._patch_items
        changed = patch(index, edited)
        if not changed:
            return None
        return self.maker.versioner.finalize(path, "search_index", index | changed)

    def _patch_items(
        self, index: Mapping[str, Any], edited: Mapping[str, Set[str]]
    ) -> dict[str, Any]:
        """Return the changed part of an index with items; {} if nothing changes."""
        items = [
            item
            for of_subject in _by_subject(index["items"])
            for item in self._patched_items(
                of_subject, edited.get(of_subject[0]["id"], frozenset())
            )
        ]
        return {"items": items} if items != index["items"] else {}

    def _patch_shards(
        self, index: Mapping[str, Any], edited: Mapping[str, Set[str]]
    ) -> dict[str, Any]:
        """Patch the shards of these subjects; return the changed part of the index."""
        shards = []
        for shard in index["shards"]:
            subject_id = shard["subject_id"]
            if subject_id in edited:
                path = locations.search_shard(self.maker.plan.id, subject_id)
                body = self.old.read(path)
                items = self._patched_items(body["items"], edited[subject_id])
                if items != body["items"]:
                    body = {**body, "items": items}
                    made = self.maker.versioner.finalize(path, "search_shard", body)
                    shard = shard | self.maker.link("shard", made)
            shards.append(shard)
        return {"shards": shards} if shards != index["shards"] else {}

    def _patched_items(
        self, items: Sequence[dict[str, Any]], edited: Set[str]
    ) -> list[dict[str, Any]]:
        if not edited:
            return list(items)
        return search.with_keywords(items, self.maker.search_words, edited)

    def _search(
        self, subjects: Sequence[ChangedSubject | UnchangedSubject]
    ) -> BuiltDocument:
        found = {}
        for subject in subjects:
            if isinstance(subject, ChangedSubject):
                found[subject.root.id] = search.items(
                    subject.root, self.maker.search_words
                )
            elif items := self._kept_items(subject.id):
                found[subject.id] = self._patched_items(items, subject.edited_ids)
        total_lessons = sum(
            item["kind"] == Kind.LESSON.value
            for items in found.values()
            for item in items
        )
        sharded = total_lessons > self.shard_threshold
        return self.maker.search_index(found, sharded=sharded)

    def _kept_items(self, subject_id: str) -> list[dict[str, Any]]:
        """Return a kept subject's search items; none where the plan hides it."""
        index = self.old.read(locations.search_index(self.maker.plan.id))
        if index["is_sharded"]:
            if all(shard["subject_id"] != subject_id for shard in index["shards"]):
                return []
            path = locations.search_shard(self.maker.plan.id, subject_id)
            shard_items: list[dict[str, Any]] = self.old.read(path)["items"]
            return shard_items
        for items in _by_subject(index["items"]):
            if items[0]["id"] == subject_id:
                return items
        return []


def _by_subject(items: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Yield the items of each subject; its own item is the first of them."""
    found: list[dict[str, Any]] = []
    for item in items:
        if item["kind"] == Kind.SUBJECT.value and found:
            yield found
            found = []
        found.append(item)
    if found:
        yield found


def _without_items(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name != "review_items"}
