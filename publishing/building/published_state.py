"""Read what is published: from the tables and from the disk."""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any

import orjson

from publishing.building.snapshot import Snapshot
from publishing.format import encoding, locations
from publishing.format.incremental import UnreadableReleaseError
from publishing.format.versioning import Record
from publishing.models import PlanLesson
from publishing.storage import file_store

_LISTED_FROM = 100
"""Number of lessons above which one folder listing is cheaper than single checks."""


def verified_records(snapshot: Snapshot) -> Mapping[str, Record]:
    """Return the published records, corrected from disk after an incomplete switch.

    A file that differs from its record, or cannot be read, counts as changed, and its
    version counts as used.
    """
    if not snapshot.is_incomplete:
        return snapshot.previous
    plan_id = snapshot.plan.id
    paths = set(snapshot.previous)
    paths |= {
        f"{locations.plan_folder(plan_id)}/{name}"
        for name in file_store.files_of(plan_id, file_store.current_generation(plan_id))
    }
    paths |= file_store.lesson_files()
    believed: dict[str, Record] = {}
    for path in paths:
        record = snapshot.previous.get(path)
        # The version of an unreadable file is unknown: assume the newest one.
        unread = record.version if record else snapshot.newest_version
        try:
            data = file_store.read(path)
            is_packed_rightly = data is None or file_store.has_valid_compressed_copy(
                path, data
            )
        except OSError:
            believed[path] = Record("", unread, "", 0)
            continue
        if data is None:
            if record is not None:
                believed[path] = record
        elif (
            record is not None
            and record.sha256 == encoding.sha256(data)
            and is_packed_rightly
        ):
            believed[path] = record
        else:
            version = max(encoding.version_of(data), record.version if record else 0)
            believed[path] = Record("", version, "", 0)
    return believed


class ReleaseReader:
    """Reads the current release from disk and checks it against the tables."""

    def __init__(self, records: Mapping[str, Record]) -> None:
        self._records = records

    def read(self, path: str) -> dict[str, Any]:
        """Return a document's content without version and time, as a new dict.

        Raises:
            UnreadableReleaseError: the file is not the one that was published.
        """
        record = self._records.get(path)
        try:
            data = file_store.read(path)
        except OSError as error:
            raise UnreadableReleaseError(path) from error
        if data is None or record is None or record.sha256 != encoding.sha256(data):
            raise UnreadableReleaseError(path)
        content: dict[str, Any] = orjson.loads(data)
        del content["version"], content["generated_at"]
        return content


def plan_files(plan_id: str) -> set[str]:
    """Return the content paths of the files in a plan's current release."""
    folder = f"{locations.plan_folder(plan_id)}/"
    current = file_store.current_generation(plan_id)
    return {folder + name for name in file_store.files_of(plan_id, current)}


def missing(documents: Set[str], plan_files: Set[str]) -> set[str]:
    """Return those of ``documents`` (paths) whose file is missing on disk."""
    lessons = {path for path in documents if locations.lesson_id_of(path) is not None}
    if len(lessons) > _LISTED_FROM:
        lost = lessons - file_store.lesson_files()
    else:
        lost = {path for path in lessons if not file_store.exists(path)}
    return lost | ((documents - lessons) - plan_files)


@dataclass(frozen=True, slots=True)
class Replaced:
    """The released files and lessons of the subjects that are made again."""

    paths: frozenset[str]
    lessons: frozenset[str]


def replaced(snapshot: Snapshot, old: ReleaseReader) -> Replaced:
    """Return the released files and lessons of the subjects that were read whole.

    Raises:
        UnreadableReleaseError: a file of the release is not the one published.
    """
    plan_id = snapshot.plan.id
    manifest = old.read(locations.manifest(plan_id))
    paths, lessons = set(), set()
    for entry in manifest["subjects"]:
        # The search index is made again for all subjects, with or without shards.
        paths.add(locations.search_shard(plan_id, entry["id"]))
        if entry["id"] not in snapshot.whole:
            continue
        hierarchy = old.read(entry["hierarchy_path"])
        paths |= {entry["hierarchy_path"], entry["bitmap_path"]}
        paths |= {
            topic["topic_path"]
            for track in hierarchy["tracks"]
            for unit in track["units"]
            for topic in unit["topics"]
        }
        lessons |= old.read(entry["bitmap_path"])["mappings"].keys()
    return Replaced(frozenset(paths), frozenset(lessons))


def plan_lessons_with(
    fresh: Mapping[str, bool], *, plan_id: str, replaced: Replaced
) -> dict[str, bool]:
    """Return the plan's lessons with those of the replaced subjects set to ``fresh``."""
    rows = PlanLesson.objects.filter(publication__plan_public_id=plan_id)
    plan_lessons = dict(rows.values_list("lesson_id", "is_open"))
    return {
        **{
            key: is_open
            for key, is_open in plan_lessons.items()
            if key not in replaced.lessons
        },
        **fresh,
    }


def published_bits(path: str, old: ReleaseReader) -> dict[int, str]:
    """Return the lesson of each bit in the current release.

    Empty when the file is missing or is not the one that was published.
    """
    try:
        mappings = old.read(path)["mappings"]
    except UnreadableReleaseError:
        return {}
    return {entry["bit_index"]: lesson_id for lesson_id, entry in mappings.items()}
