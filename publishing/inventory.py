"""What is published already: as the tables say, and as the disk has it."""

from collections.abc import Mapping

import orjson

from publishing import encoding, locations, staging
from publishing.documents import Record, Sealed
from publishing.snapshot import Snapshot


def believable(snapshot: Snapshot) -> Mapping[str, Record]:
    """What is published, corrected by the disk where a build may have died switching.

    A file that is not what its record says counts as changed, and its version as used.
    """
    if not snapshot.torn:
        return snapshot.previous
    plan_id = snapshot.plan.id
    paths = set(snapshot.previous)
    paths |= {
        f"{locations.plan_folder(plan_id)}/{name}"
        for name in staging.files_of(plan_id, staging.current_generation(plan_id))
    }
    paths |= staging.lesson_files()
    believed: dict[str, Record] = {}
    for path in paths:
        record = snapshot.previous.get(path)
        data = staging.read(path)
        if data is None:
            if record is not None:
                believed[path] = record
        elif record is not None and record.sha256 == encoding.sha256(data):
            believed[path] = record
        else:
            version = max(encoding.version_of(data), record.version if record else 0)
            believed[path] = Record("", version, "", 0)
    return believed


def missing(documents: Mapping[str, Sealed], plan_id: str) -> set[str]:
    """Documents whose file is not where it should be."""
    folder = f"{locations.plan_folder(plan_id)}/"
    current = staging.current_generation(plan_id)
    there = staging.lesson_files() | {
        folder + name for name in staging.files_of(plan_id, current)
    }
    return documents.keys() - there


def published_bits(path: str) -> dict[int, str]:
    """Which lesson each bit meant in the release readers have now."""
    data = staging.read(path)
    mappings = orjson.loads(data)["mappings"] if data else {}
    return {entry["bit_index"]: lesson_id for lesson_id, entry in mappings.items()}
