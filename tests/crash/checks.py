"""The state required after the next builds: as if no fault had occurred."""

import json
import os
from pathlib import Path
from typing import Any

from publishing import staleness, sync_log
from publishing.format import encoding
from publishing.models import (
    PlanLesson,
    Publication,
    PublishedDocument,
    SyncLog,
    SyncStatus,
)
from publishing.storage import cleanup, file_store
from tests.crash import reader
from tests.crash.scenarios import A, B, build_all, collect, rest_between_attempts

PLANS = (A, B)
_ENDED = {SyncStatus.SUCCESS, SyncStatus.LOCAL_ONLY, SyncStatus.SUPERSEDED}


def releases(root: Path) -> dict[str, reader.Walk]:
    return {plan_id: reader.walk(root, plan_id) for plan_id in PLANS}


def log_entries() -> list[tuple[str, str, str]]:
    """The sync log: plan, status and error."""
    return list(
        SyncLog.objects.order_by("pk").values_list("plan_public_id", "status", "error")
    )


def from_nothing() -> dict[str, Any]:
    """In a child with an empty content root: return the results of full builds."""
    SyncLog.objects.all().delete()
    PublishedDocument.objects.all().delete()
    Publication.objects.all().delete()
    build_all()
    return {
        plan_id: reader.essence(found)
        for plan_id, found in releases(file_store.root()).items()
    }


def converge() -> list[str]:
    """In a child: build until nothing is pending, clean up, and return the problems."""
    rest_between_attempts()
    build_all()
    sync_log.close_stale()  # beat does this every 30 s
    collect()
    problems = []
    if left := staleness.pending():
        problems.append(f"still pending: {sorted(left)}")
    if staleness.to_withdraw():
        problems.append("a plan is still to be withdrawn")
    problems += [
        f"the sync log says {status} of {plan_id}: {error[:200]}"
        for plan_id, status, error in log_entries()
        if status not in _ENDED
    ]
    problems += _tables()
    before = _inodes(file_store.root())
    for publication in Publication.objects.all():
        publication.built_from = {}
        publication.save(update_fields=["built_from"])
    build_all()
    if _inodes(file_store.root()) != before:
        changed = sorted(set(_inodes(file_store.root()).items()) ^ set(before.items()))
        problems.append(f"a build with no change wrote {changed[:5]}")
    return problems


def _tables() -> list[str]:
    """Return where the tables differ from the disk."""
    root, problems = file_store.root(), []
    recorded = dict(PublishedDocument.objects.values_list("path", "sha256"))
    on_disk: dict[str, str] = {}
    # No walk reaches lessons that no release offers; their files wait for a rollback.
    waiting = cleanup.unoffered_lessons().values_list("path", flat=True)
    on_disk |= {path: encoding.sha256((root / path).read_bytes()) for path in waiting}
    for found in releases(root).values():
        on_disk |= {path: encoding.sha256(data) for path, data in found.files.items()}
        lessons = {Path(p).stem for p in found.files if p.startswith("lessons/")}
        offered = PlanLesson.objects.filter(publication__plan_public_id=found.plan_id)
        if lessons != set(offered.values_list("lesson_id", flat=True)):
            problems.append(
                f"the recorded lessons of {found.plan_id} are not its lessons"
            )
    problems += [
        f"the tables and the disk differ: {path}"
        for path in sorted(recorded.keys() | on_disk.keys())
        if recorded.get(path) != on_disk.get(path)
    ]
    for publication in Publication.objects.all():
        current = file_store.current_generation(publication.plan_public_id)
        if publication.generation != current:
            problems.append(f"{publication} is not the generation on disk: {current}")
    return problems


def _inodes(root: Path) -> dict[str, int]:
    return {
        str(path.relative_to(root)): path.lstat().st_ino
        for path in root.rglob("*")
        if path.is_file()
    }


def leftovers(root: Path, found: dict[str, reader.Walk], *, keep: int = 3) -> list[str]:
    """Return files that nothing uses and nothing would ever remove."""
    problems = []
    live = {plan_id: walk for plan_id, walk in found.items() if walk.generation}
    lessons = {
        path for walk in live.values() for path in walk.files if path.startswith("les")
    }
    for bitmap in (root / ".generations").glob("*/*/*_b.json"):
        mappings = json.loads(bitmap.read_bytes())["mappings"]
        lessons |= {f"lessons/{lesson_id}.json" for lesson_id in mappings}
    allowed = lessons | {f"{path}.prev" for path in lessons}
    on_disk = {f"lessons/{name}" for name in _names(root / "lessons")}
    problems += [f"left over: {path}" for path in sorted(on_disk - allowed)]
    for folder, expected in (
        ("plans", live),
        (".generations", live),
        (".discarded", ()),
    ):
        extra = set(_names(root / folder)).difference(expected)
        problems += [f"left over: {folder}/{name}" for name in sorted(extra)]
    for plan_id, walk in live.items():
        numbers = _names(root / ".generations" / plan_id)
        current = os.path.basename(walk.generation or "")
        if len(numbers) > keep + 1 or current not in numbers:
            problems.append(f"generations of {plan_id}: {numbers}")
        problems += [
            f"left over: .generations/{plan_id}/{name}"
            for name in numbers
            if not name.isdigit()
        ]
        for path in (root / "plans" / plan_id).resolve().rglob("*.prev"):
            json.loads(path.read_bytes())
    return problems


def _names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder)) if folder.is_dir() else []
