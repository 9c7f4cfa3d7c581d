"""Read a plan's current release: from the tables and from the disk."""

from collections.abc import Mapping, Sequence, Set
from functools import cached_property
from typing import Any

import orjson

from publishing.format import encoding, locations
from publishing.format.incremental import UnreadableReleaseError
from publishing.format.versioning import Record
from publishing.storage import file_store

_FOUND_UP_TO = 20
"""Number of lessons up to which finding them is cheaper than parsing a bitmap."""
_LISTED_FROM = 100
"""Number of lessons above which one folder listing is cheaper than single checks."""


class CurrentRelease:
    """What readers have of a plan while the next release is made.

    Args:
        records: what the tables record, by content path.
    """

    def __init__(self, plan_id: str, records: Mapping[str, Record]) -> None:
        self.plan_id = plan_id
        self.records = records

    @cached_property
    def files(self) -> set[str]:
        """The content paths of the plan's files on disk, without lessons."""
        folder = f"{locations.plan_folder(self.plan_id)}/"
        current = file_store.current_generation(self.plan_id)
        return {folder + name for name in file_store.files_of(self.plan_id, current)}

    def read(self, path: str) -> dict[str, Any]:
        """Return a document's content without version and time, as a new dict.

        Raises:
            UnreadableReleaseError: the file is not the one that was published.
        """
        record = self.records.get(path)
        try:
            data = file_store.read(path)
        except OSError as error:
            raise UnreadableReleaseError(path) from error
        if data is None or record is None or record.sha256 != encoding.sha256(data):
            raise UnreadableReleaseError(path)
        content: dict[str, Any] = orjson.loads(data)
        del content["version"], content["generated_at"]
        return content

    def bitmap_entries(
        self, path: str, lesson_ids: Sequence[str]
    ) -> dict[str, dict[str, Any]]:
        """Return the entries of these lessons in a bitmap, those that it has.

        Only the entries are parsed, and the file's hash is not verified: most edits
        change no entry, and a bitmap is the largest file of a subject.

        Raises:
            UnreadableReleaseError: the file is missing or not a bitmap.
        """
        try:
            data = file_store.read(path)
            if data is None:
                raise UnreadableReleaseError(path)
            if len(lesson_ids) > _FOUND_UP_TO:
                mappings = orjson.loads(data)["mappings"]
                return {key: mappings[key] for key in lesson_ids if key in mappings}
            entries = {key: _bitmap_entry(data, key) for key in lesson_ids}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UnreadableReleaseError(path) from error
        return {key: entry for key, entry in entries.items() if entry is not None}

    def bits(self, bitmap_path: str) -> dict[int, str]:
        """Return the lesson of each progress bit in a bitmap.

        Empty when the file is missing or is not the one that was published.
        """
        try:
            mappings = self.read(bitmap_path)["mappings"]
        except UnreadableReleaseError:
            return {}
        return {entry["bit_index"]: lesson_id for lesson_id, entry in mappings.items()}

    def missing(self, documents: Set[str]) -> set[str]:
        """Return those of ``documents`` (paths) whose file is missing on disk."""
        lessons = {path for path in documents if _is_lesson(path)}
        if len(lessons) > _LISTED_FROM:
            lost = lessons - file_store.lesson_files()
        else:
            lost = {path for path in lessons if not file_store.exists(path)}
        return lost | ((documents - lessons) - self.files)

    def verified_records(self, *, newest_version: int) -> dict[str, Record]:
        """Return the records, corrected from every file on disk.

        A file that differs from its record, or cannot be read, counts as changed, and
        its version counts as used.

        Args:
            newest_version: assumed for an unreadable file without a record.
        """
        paths = self.records.keys() | self.files | file_store.lesson_files()
        verified = {path: self._verified(path, newest_version) for path in paths}
        return {path: record for path, record in verified.items() if record is not None}

    def _verified(self, path: str, newest_version: int) -> Record | None:
        """Return what to believe of one file; None if there is neither file nor record."""
        record = self.records.get(path)
        try:
            data = file_store.read(path)
            has_valid_copy = data is None or file_store.has_valid_compressed_copy(
                path, data
            )
        except OSError:
            return Record("", record.version if record else newest_version, "", 0)
        if data is None:
            return record
        if record and record.sha256 == encoding.sha256(data) and has_valid_copy:
            return record
        version = max(encoding.version_of(data), record.version if record else 0)
        return Record("", version, "", 0)


def _bitmap_entry(data: bytes, lesson_id: str) -> dict[str, Any] | None:
    """Find a lesson's entry in the bytes of a bitmap.

    A quotation mark within a text is escaped, so only a key looks like this one.

    Raises:
        ValueError: the bytes are not a bitmap.
    """
    key = f'"{lesson_id}":'.encode()
    place = data.find(key + b"{")
    if place < 0:
        return None
    start = place + len(key)
    end = data.index(b"}", start) + 1
    try:
        entry: dict[str, Any] = orjson.loads(data[start:end])
    except orjson.JSONDecodeError:  # a product code has a brace
        entry = orjson.loads(data)["mappings"][lesson_id]
    return entry


def _is_lesson(path: str) -> bool:
    return locations.lesson_id_of(path) is not None
