"""Read a release as a student's app does, while builders are killed.

Plain files only: no database, no Django models. A walk resolves a plan's release once
and must then find all of its files, complete and consistent.
"""

import gzip
import json
import os
import zlib
from dataclasses import dataclass, field
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import jsonschema_rs

import publishing
from publishing.format import encoding

_SCHEMAS = Path(publishing.__file__).parent / "schemas"
_MOVING = {"version", "generated_at", "lesson_version", "signed_url", "expires_at"}


@cache
def _validator(schema: str) -> jsonschema_rs.Draft202012Validator:
    text = (_SCHEMAS / f"{schema}.schema.json").read_text()
    return jsonschema_rs.Draft202012Validator(json.loads(text))


@dataclass(slots=True)
class Walk:
    """The results of one walk; ``files`` by content path, ``problems`` in words.

    ``generation`` is None when the plan has no release.
    """

    plan_id: str
    generation: str | None = None
    files: dict[str, bytes] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


class _MissingError(Exception):
    pass


class _Walker:
    """One walk through one release."""

    def __init__(self, root: Path, plan_id: str, folder: Path) -> None:
        self.root = root
        self.folder = folder
        self.prefix = f"plans/{plan_id}/"
        self.files: dict[str, bytes] = {}
        self.problems: list[str] = []

    def read(self, path: str, schema: str) -> dict[str, Any]:
        """Return a document, parsed and validated.

        Raises:
            _MissingError: the file does not exist.
        """
        if path.startswith(self.prefix):
            place = self.folder / path.removeprefix(self.prefix)
        else:
            place = self.root / path
        if any(part.startswith(".") for part in Path(path).parts):
            self.problems.append(f"a link leads to unfinished work: {path}")
        try:
            data = place.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            raise _MissingError(path) from None
        self.files[path] = data
        try:
            document = json.loads(data)
        except ValueError:
            self.problems.append(f"cut off or mixed: {path}")
            raise _MissingError(path) from None
        for error in _validator(schema).iter_errors(document):
            self.problems.append(f"not valid: {path}: {error.message[:200]}")
        if encoding.iso_instant(document["version"]) != document["generated_at"]:
            self.problems.append(f"version and generated_at differ: {path}")
        return document

    def follow(self, holder: dict[str, Any], name: str, schema: str) -> dict[str, Any]:
        """Return the linked document, whose bytes must match the hash in the link."""
        path = holder[f"{name}_path"]
        document = self.read(path, schema)
        if encoding.sha256(self.files[path]) != holder[f"{name}_hash"]:
            self.problems.append(f"mixed release: the hash of {path} is another")
        return document

    def walk(self) -> None:
        manifest = self.read(f"{self.prefix}manifest.json", "manifest")
        index = self.follow(manifest, "search_index", "search_index")
        for shard in index.get("shards", []):
            self.follow(shard, "shard", "search_shard")
        for subject in manifest["subjects"]:
            self.subject(subject)
        for path in self.there() - self.files.keys():
            self.problems.append(f"no link leads to {path}")
        for path, data in self.files.items():
            if path.startswith(self.prefix) and not self.is_packed_rightly(path, data):
                self.problems.append(f"the compressed copy of {path} is another")

    def is_packed_rightly(self, path: str, data: bytes) -> bool:
        """Whether the compressed copy, if there is one, has the same content."""
        try:
            packed = (self.folder / f"{path.removeprefix(self.prefix)}.gz").read_bytes()
        except FileNotFoundError:
            return True
        try:
            return gzip.decompress(packed) == data
        except (gzip.BadGzipFile, EOFError, zlib.error):
            return False

    def there(self) -> set[str]:
        """The release's files; the empty set while the release is being deleted."""
        try:
            return {
                self.prefix + str(path.relative_to(self.folder))
                for path in self.folder.rglob("*")
                if path.is_file() and path.suffix not in (".prev", ".gz")
            }
        except FileNotFoundError:
            return set()

    def subject(self, entry: dict[str, Any]) -> None:
        hierarchy = self.follow(entry, "hierarchy", "hierarchy")
        bitmap = self.follow(entry, "bitmap", "bitmap")
        seen = [
            lesson["id"]
            for track in hierarchy["tracks"]
            for unit in track["units"]
            for topic in unit["topics"]
            for lesson in self.follow(topic, "topic", "topic")["lessons"]
            if self.lesson(lesson)
        ]
        if seen != list(bitmap["mappings"]):
            self.problems.append(f"bitmap and topics of {entry['id']} differ")
        bits = [mapping["bit_index"] for mapping in bitmap["mappings"].values()]
        if len(bits) != len(set(bits)):
            self.problems.append(f"two lessons of {entry['id']} share a bit")

    def lesson(self, entry: dict[str, Any]) -> bool:
        path = entry["lesson_path"]
        file = self.read(path, "lesson")
        if file["id"] != entry["id"]:
            self.problems.append(f"another lesson lies at {path}")
        if file["version"] < entry["lesson_version"]:
            self.problems.append(
                f"{path} is older ({file['version']}) than its topic says "
                f"({entry['lesson_version']})"
            )
        return True


def _current(root: Path, plan_id: str) -> str | None:
    try:
        return os.readlink(root / "plans" / plan_id)
    except FileNotFoundError:
        return None


def walk(root: Path, plan_id: str) -> Walk:
    """Read the whole release of a plan that is current when the walk begins.

    A missing file is no problem when the release was replaced meanwhile: an app that
    holds an old manifest starts again.
    """
    generation = _current(root, plan_id)
    if generation is None:
        return Walk(plan_id)
    folder = (root / "plans" / generation).resolve()
    walker = _Walker(root, plan_id, folder)
    try:
        walker.walk()
    except _MissingError as error:
        if _current(root, plan_id) == generation:
            walker.problems.append(f"missing: {error}")
    return Walk(plan_id, generation, walker.files, walker.problems)


def essence(found: Walk) -> dict[str, Any]:
    """The content of a release, without versions, times, hashes and signatures."""
    return {path: _still(json.loads(data)) for path, data in found.files.items()}


def plan_essence(found: Walk) -> dict[str, Any]:
    """`essence` of the plan's own files: lessons are replaced before their topics."""
    result = essence(found)
    return {path: result[path] for path in result if path.startswith("plans/")}


def _still(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _still(item)
            for key, item in value.items()
            if key not in _MOVING and not key.endswith("_hash")
        }
    if isinstance(value, list):
        return [_still(item) for item in value]
    return value


class History:
    """Every version of every file that a walk has seen; versions only grow.

    With ``goes_back``, an earlier version may return after a rollback; versions
    written after that still exceed all seen before.
    """

    def __init__(self, *, goes_back: bool = False) -> None:
        self._goes_back = goes_back
        self._seen: dict[str, tuple[int, bytes, Any]] = {}

    def add(self, found: Walk) -> list[str]:
        """Add a walk; return versions that decreased or that stand for two contents."""
        problems = []
        for path, data in found.files.items():
            before = self._seen.get(path)
            if before is not None and before[1] == data:
                continue
            try:
                document = json.loads(data)
            except ValueError:
                continue
            version, content = document["version"], _unsigned(document)
            if before is not None:
                if version < before[0] and self._goes_back:
                    continue
                if version < before[0]:
                    problems.append(f"version of {path}: {before[0]}, then {version}")
                if version == before[0] and content != before[2]:
                    problems.append(f"two contents of {path} with version {version}")
            self._seen[path] = (version, data, content)
        return problems


def _unsigned(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _unsigned(item)
            for key, item in value.items()
            if key not in ("signed_url", "expires_at")
        }
    if isinstance(value, list):
        return [_unsigned(item) for item in value]
    return value


@dataclass(frozen=True, slots=True)
class Watch:
    """The plans of one content root that a reader is to read.

    ``lasting`` are the plans that are published throughout; ``goes_back`` as in
    `History`.
    """

    root: Path
    plan_ids: tuple[str, ...]
    lasting: frozenset[str]
    goes_back: bool = False


def keep_reading(pipe: Connection) -> None:
    """The reader process: walk the plans that ``pipe`` names until it is told to stop.

    Receives a `Watch`, then None to stop; answers (number of walks, problems).
    Ends when the pipe is closed.
    """
    while True:
        try:
            watch: Watch = pipe.recv()
        except EOFError:
            return
        walks, problems = 0, []
        history = History(goes_back=watch.goes_back)
        while True:
            for plan_id in watch.plan_ids:
                found = walk(watch.root, plan_id)
                problems += found.problems
                problems += history.add(found)
                if found.generation is None and plan_id in watch.lasting:
                    problems.append(f"no release of {plan_id}")
                walks += 1
            if pipe.poll(0.003):
                pipe.recv()
                break
        pipe.send((walks, sorted(set(problems))))
