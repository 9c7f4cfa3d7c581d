"""What is published already: as the tables say, and as the disk has it."""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any

import orjson

from publishing.building.snapshot import Snapshot
from publishing.format import encoding, locations
from publishing.format.incremental import UnreadableReleaseError
from publishing.format.versioning import Record
from publishing.models import LessonOffer
from publishing.storage import file_store

_LISTED_FROM = 100
"""Lessons to look for from which listing their whole folder is cheaper."""


def verified_records(snapshot: Snapshot) -> Mapping[str, Record]:
    """What is published, corrected by the disk where a build may have died switching.

    A file that is not what its record says counts as changed, and its version as used;
    so does one that cannot be read.
    """
    if not snapshot.torn:
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
        # Of what cannot be read, no version is known: it may have had the newest.
        unread = record.version if record else snapshot.newest_version
        try:
            data = file_store.read(path)
            is_packed_rightly = data is None or file_store.is_packed_rightly(path, data)
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
    """The release readers have, read from disk and checked against the tables."""

    def __init__(self, records: Mapping[str, Record]) -> None:
        self._records = records

    def read(self, path: str) -> dict[str, Any]:
        """A document's content, without version and time; the caller's own copy.

        Raises:
            UnreadableReleaseError: the file is not what was published.
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
    """The content paths of the files in the release readers have of a plan."""
    folder = f"{locations.plan_folder(plan_id)}/"
    current = file_store.current_generation(plan_id)
    return {folder + name for name in file_store.files_of(plan_id, current)}


def missing(documents: Set[str], plan_files: Set[str]) -> set[str]:
    """Documents, by path, whose file is not where it should be."""
    lessons = {path for path in documents if locations.lesson_id_of(path) is not None}
    if len(lessons) > _LISTED_FROM:
        lost = lessons - file_store.lesson_files()
    else:
        lost = {path for path in lessons if not file_store.exists(path)}
    return lost | ((documents - lessons) - plan_files)


@dataclass(frozen=True, slots=True)
class Replaced:
    """What the release has of the subjects that are made anew."""

    paths: frozenset[str]
    lessons: frozenset[str]


def replaced(snapshot: Snapshot, old: ReleaseReader) -> Replaced:
    """The files and lessons, as released, of the subjects read whole.

    Raises:
        UnreadableReleaseError: the release is not what was published.
    """
    plan_id = snapshot.plan.id
    manifest = old.read(locations.manifest(plan_id))
    paths, lessons = set(), set()
    for entry in manifest["subjects"]:
        # The search is made anew for all: split by subject, or no longer.
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


def offers_with(
    fresh: Mapping[str, bool], *, plan_id: str, replaced: Replaced
) -> dict[str, bool]:
    """The plan's offers when those of the replaced subjects become ``fresh``."""
    rows = LessonOffer.objects.filter(publication__plan_public_id=plan_id)
    offers = dict(rows.values_list("lesson_id", "is_open"))
    return {
        **{
            key: is_open
            for key, is_open in offers.items()
            if key not in replaced.lessons
        },
        **fresh,
    }


def published_bits(path: str, old: ReleaseReader) -> dict[int, str]:
    """Which lesson each bit meant in the release readers have now.

    None where there is no such file, or not the one that was published.
    """
    try:
        mappings = old.read(path)["mappings"]
    except UnreadableReleaseError:
        return {}
    return {entry["bit_index"]: lesson_id for lesson_id, entry in mappings.items()}
