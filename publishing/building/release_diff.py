"""What the next publish of a plan will change, file by file, for people to read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from django.utils.translation import gettext_lazy

from content.json_diff import Difference, differences
from content.models import Node
from plans.models import AcademicPlan
from publishing.building import dry_run
from publishing.building.dry_run import DryRun
from publishing.format import locations
from publishing.format.versioning import BuiltDocument
from publishing.models import Publication, PublishedDocument
from publishing.storage import file_store
from publishing.storage.activation import Release

MOST_DIFFS = 40
"""Changed files whose differences are worked out."""
MOST_NAMED = 200
"""Files of one sort that are named."""
MOST_DIFFERENCES = 100
"""Differences of one file that are shown."""

_IGNORED_FIELDS = frozenset(
    {"version", "generated_at", "lesson_version", "signed_url", "expires_at"}
)
_KINDS = {
    "lesson": gettext_lazy("Lesson"),
    "topic": gettext_lazy("Topic"),
    "hierarchy": gettext_lazy("Structure"),
    "manifest": gettext_lazy("Manifest"),
    "bitmap": gettext_lazy("Progress map"),
    "search_index": gettext_lazy("Search index"),
    "search_shard": gettext_lazy("Search index"),
}
_ORDER = list(_KINDS)


@dataclass(frozen=True, slots=True)
class File:
    """A published file in words; ``size`` in bytes, None for one that goes."""

    path: str
    kind: str
    title: str
    size: int | None = None
    found: tuple[Difference, ...] = ()
    more: int = 0
    """Differences beyond those found."""
    is_told: bool = True
    """Whether its differences were worked out."""


@dataclass(frozen=True, slots=True)
class ReleaseDiff:
    """Everything one publish does; each list in an order people read."""

    preview: DryRun
    added: list[File] = field(default_factory=list)
    changed: list[File] = field(default_factory=list)
    rewritten: list[File] = field(default_factory=list)
    removed: list[File] = field(default_factory=list)

    @property
    def links_only(self) -> list[File]:
        """Changed files that say the same; what their links lead to has changed."""
        return [file for file in self.changed if file.is_told and not file.found]

    @property
    def content(self) -> list[File]:
        """Changed files that say something else."""
        return [file for file in self.changed if not file.is_told or file.found]


def of_plan(plan: AcademicPlan) -> ReleaseDiff:
    """What publishing the plan now would do; nothing is written.

    A plan that is a draft loses what it has published.

    Raises:
        InvalidDocumentError: the publish would fail for this.
        StructureError: it would fail because a subject has lost its state.
    """
    if not plan.is_published:
        return _withdrawal(plan)
    found, made = dry_run.run(plan.pk)
    titles = _Titles(made)
    changed = _in_order(made, found.changed)
    return ReleaseDiff(
        preview=found,
        added=[titles.file(made, path) for path in _in_order(made, found.added)][
            :MOST_NAMED
        ],
        changed=[
            titles.file(made, path, tell=number < MOST_DIFFS)
            for number, path in enumerate(changed[:MOST_NAMED])
        ],
        rewritten=[
            titles.file(made, path) for path in _in_order(made, found.rewritten)
        ][:MOST_NAMED],
        removed=[_removed(path) for path in found.removed[:MOST_NAMED]],
    )


def _withdrawal(plan: AcademicPlan) -> ReleaseDiff:
    publication = Publication.objects.filter(plan=plan).first()
    paths: list[str] = []
    if publication is not None:
        files = PublishedDocument.objects.filter(publication=publication)
        paths = sorted(files.values_list("path", flat=True))
    found = DryRun(added=[], changed=[], rewritten=[], removed=paths, size=0)
    return ReleaseDiff(found, removed=[_removed(path) for path in paths[:MOST_NAMED]])


def _in_order(made: Release, paths: Sequence[str]) -> list[str]:
    """Lessons first: what people wrote, before what follows from it."""
    return sorted(
        paths, key=lambda path: (_ORDER.index(made.to_write[path].schema), path)
    )


class _Titles:
    """What the documents of a release are about."""

    def __init__(self, made: Release) -> None:
        ids = [
            _subject_of(path)
            for path, document in made.to_write.items()
            if document.schema in ("bitmap", "search_shard")
        ]
        rows = Node.objects.filter(public_id__in=ids)
        self._subjects = dict(rows.values_list("public_id", "title"))

    def file(self, made: Release, path: str, *, tell: bool | None = None) -> File:
        """The file in words; with ``tell``, with its differences."""
        document = made.to_write[path]
        content = orjson.loads(document.data)
        title = content.get("title") or self._subjects.get(_subject_of(path), "")
        found: list[Difference] = []
        if tell:
            found = list(_differences(document, content))
        return File(
            path=path,
            kind=str(_KINDS[document.schema]),
            title=title,
            size=len(document.data),
            found=tuple(found[:MOST_DIFFERENCES]),
            more=max(len(found) - MOST_DIFFERENCES, 0),
            is_told=tell is not False,
        )


def _subject_of(path: str) -> str:
    """The subject's id in the name of a bitmap or a shard."""
    name = path.rpartition("/")[2].removesuffix(".json")
    return name.removesuffix("_b")


def _differences(document: BuiltDocument, content: Any) -> Iterator[Difference]:
    """What the file will say otherwise than the published one."""
    data = file_store.read(document.path)
    if data is None:
        return
    try:
        before = orjson.loads(data)
    except orjson.JSONDecodeError:
        before = {}  # broken on the disk: all of it is new
    yield from differences(before, content, ignored=_is_ignored)


def _is_ignored(key: str) -> bool:
    """What every change of a file changes, and what says nothing to people."""
    return key in _IGNORED_FIELDS or key.endswith("_hash")


def _removed(path: str) -> File:
    """A published file that goes, as far as it can be read."""
    title = ""
    data = file_store.read(path)
    if data is not None:
        try:
            content = orjson.loads(data)
        except orjson.JSONDecodeError:
            content = {}
        title = content.get("title", "") if isinstance(content, dict) else ""
    if locations.lesson_id_of(path):
        kind = "lesson"
    elif path.endswith("_h.json"):
        kind = "hierarchy"
    elif path.endswith("_b.json"):
        kind = "bitmap"
    elif path.endswith("/manifest.json"):
        kind = "manifest"
    elif "/search" in path:
        kind = "search_index"
    else:
        kind = "topic"
    return File(path, str(_KINDS[kind]), title)
