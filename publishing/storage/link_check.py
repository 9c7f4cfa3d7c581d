"""Follow the links of a release on disk: check that it is complete, list its lessons.

Starts at a generation's manifest and reads only files that a link reaches, as a
student's app does. Files that no link reaches are ignored.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from django.utils.translation import gettext as _

from plans.access import OPEN_LEVELS
from publishing.format import encoding, locations
from publishing.storage import file_store

Fault = tuple[str, str]
"""A content path and a description of its fault."""

_OPEN = {level.value for level in OPEN_LEVELS}


@dataclass(frozen=True, slots=True)
class ReleaseFile:
    """A plan's file on disk; ``fingerprint`` as in `PublishedDocument`."""

    version: int
    sha256: str
    size: int
    fingerprint: str


@dataclass(frozen=True, slots=True)
class LessonLink:
    """A topic's entry of a lesson."""

    id: str
    path: str
    version: int
    is_open: bool
    gated: bool


@dataclass(slots=True)
class ReleaseContents:
    """Everything that a release's manifest links to, directly or not."""

    plan_id: str
    number: int
    files: dict[str, ReleaseFile] = field(default_factory=dict)
    lessons: dict[str, LessonLink] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def lesson_faults(self, versions: Mapping[str, int]) -> Iterator[Fault]:
        """Yield lessons that are missing or older than the version in their topic.

        ``versions`` are the versions of the existing lesson files, by path.
        """
        for lesson in self.lessons.values():
            version = versions.get(lesson.path)
            if version is None:
                yield lesson.path, _("the lesson's file is missing")
            elif version < lesson.version:
                yield (
                    lesson.path,
                    _("version %(there)d is older than version %(named)d in its topic")
                    % {"there": version, "named": lesson.version},
                )


def read_release(plan_id: str, number: int) -> ReleaseContents:
    """Read a generation from its manifest; all faults are in ``faults``."""
    closure = ReleaseContents(plan_id, number)
    reader = _Reader(closure)
    try:
        _read_release(reader, closure)
    except (KeyError, TypeError, AttributeError):
        reader.fault(reader.last, _("the file is not the expected document"))
    return closure


def _read_release(reader: "_Reader", closure: ReleaseContents) -> None:
    manifest = reader.read(locations.manifest(closure.plan_id), None)
    index = reader.linked(manifest, "search_index")
    for shard in index.get("shards", []):
        reader.linked(shard, "shard")
    for subject in manifest.get("subjects", []):
        reader.linked(subject, "bitmap")
        hierarchy = reader.linked(subject, "hierarchy")
        for track in hierarchy.get("tracks", []):
            for unit in track["units"]:
                for entry in unit["topics"]:
                    topic = reader.linked(entry, "topic")
                    for lesson in topic.get("lessons", []):
                        closure.lessons[lesson["id"]] = _lesson_link(lesson)


def _lesson_link(entry: Mapping[str, Any]) -> LessonLink:
    return LessonLink(
        id=entry["id"],
        path=entry["lesson_path"],
        version=entry["lesson_version"],
        is_open=entry["access"]["access_level"] in _OPEN,
        gated=bool(entry.get("gated")),
    )


class _Reader:
    """Reads one generation's files by content path and records their faults."""

    def __init__(self, closure: ReleaseContents) -> None:
        self._closure = closure
        self._folder = file_store.generation_folder(closure.plan_id, closure.number)
        self._prefix = f"{locations.plan_folder(closure.plan_id)}/"
        self.last = ""
        """The last path read."""

    def linked(self, holder: Mapping[str, Any], name: str) -> dict[str, Any]:
        """Return the document that ``holder`` links to; {} when it cannot be read."""
        if f"{name}_path" not in holder:
            return {}  # the holder could not be read and is a fault already
        return self.read(holder[f"{name}_path"], holder[f"{name}_hash"])

    def read(self, path: str, expected: str | None) -> dict[str, Any]:
        """Read a document whose bytes should have the hash ``expected``."""
        self.last = path
        try:
            data = (self._folder / path.removeprefix(self._prefix)).read_bytes()
            document = orjson.loads(data)
        except FileNotFoundError:
            return self.fault(path, _("the file is missing"))
        except OSError as error:
            reason = _("the file cannot be read: %(why)s") % {"why": error.strerror}
            return self.fault(path, reason)
        except orjson.JSONDecodeError:
            return self.fault(path, _("the file is not JSON"))
        if not isinstance(document, dict):
            return self.fault(path, _("the file is not a JSON object"))
        digest = encoding.sha256(data)
        if expected is not None and digest != expected:
            return self.fault(path, _("its content does not match the link to it"))
        self._closure.files[path] = ReleaseFile(
            version=encoding.version_of(data),
            sha256=digest,
            size=len(data),
            fingerprint=encoding.sha256(_remove_version(data, document)),
        )
        return document

    def fault(self, path: str, reason: str) -> dict[str, Any]:
        """Record a fault of ``path``; return {} in place of the document."""
        self._closure.faults.append((path, reason))
        return {}


def fingerprint_of(data: bytes) -> str:
    """Return a published file's fingerprint without signatures; "" if not JSON."""
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError:
        return ""
    if not isinstance(document, dict):
        return ""
    return encoding.sha256(_remove_version(data, document))


def _remove_version(data: bytes, document: Mapping[str, Any]) -> bytes:
    """Return the bytes from which `encoding.add_version` made ``data``."""
    version = document.get("version")
    if not isinstance(version, int):
        return data
    head = encoding.add_version(b"{", version)
    return b"{" + data[len(head) :] if data.startswith(head) else data
