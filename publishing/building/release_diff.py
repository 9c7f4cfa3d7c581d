"""Describe what the next publish of a plan will change, file by file, for editors."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from django.utils.translation import gettext_lazy

from content import field_labels
from content.json_diff import Difference, differences, name_of
from content.models import Node
from plans.models import AcademicPlan
from publishing.building import dry_run
from publishing.building.dry_run import DryRun
from publishing.format import locations
from publishing.format.versioning import BuiltDocument
from publishing.models import Publication, PublishedDocument
from publishing.storage import file_store
from publishing.storage.activation import Release

MAX_COMPARED = 40
"""Maximum number of changed files that are compared."""
MAX_LISTED = 200
"""Maximum number of files listed in each group."""
MAX_DIFFERENCES = 100
"""Maximum number of differences shown for one file."""

# Search keywords repeat the words of the lessons, whose changes are listed.
_IGNORED_FIELDS = frozenset(
    {
        *("version", "generated_at", "lesson_version", "signed_url", "expires_at"),
        "keywords",
    }
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
    """Describes a published file; ``size`` in bytes, None for a removed file."""

    path: str
    kind: str
    title: str
    size: int | None = None
    found: tuple[Difference, ...] = ()
    more: int = 0
    """Number of differences beyond those in ``found``."""
    is_compared: bool = True
    """Whether the file was compared."""


@dataclass(frozen=True, slots=True)
class ReleaseDiff:
    """Everything one publish does; each list is in reading order."""

    preview: DryRun
    added: list[File] = field(default_factory=list)
    changed: list[File] = field(default_factory=list)
    rewritten: list[File] = field(default_factory=list)
    removed: list[File] = field(default_factory=list)
    is_withdrawal: bool = False

    @property
    def links_only(self) -> list[File]:
        """Changed files with equal content; only the hashes of linked files differ."""
        return [file for file in self.changed if file.is_compared and not file.found]

    @property
    def content(self) -> list[File]:
        """Changed files whose content differs, or that were not compared."""
        return [file for file in self.changed if not file.is_compared or file.found]


def of_plan(plan: AcademicPlan) -> ReleaseDiff:
    """Return what publishing the plan now would do; nothing is written.

    A draft plan with a release is withdrawn: all its published files are removed. For
    one without a release, the result is what publishing it would add.

    Raises:
        InvalidDocumentError: the publish would fail, a document being invalid.
        StructureError: the publish would fail, a subject having lost its state.
    """
    publication = Publication.objects.filter(plan=plan).first()
    is_out = publication is not None and publication.generation is not None
    if publication is not None and is_out and not plan.is_published:
        return _withdrawal(publication)
    found, made = dry_run.run(plan.pk)
    titles = _Titles(made)
    changed = _in_order(made, found.changed)
    return ReleaseDiff(
        preview=found,
        added=[titles.file(made, path) for path in _in_order(made, found.added)][
            :MAX_LISTED
        ],
        changed=[
            titles.file(made, path, compare=number < MAX_COMPARED)
            for number, path in enumerate(changed[:MAX_LISTED])
        ],
        rewritten=[
            titles.file(made, path) for path in _in_order(made, found.rewritten)
        ][:MAX_LISTED],
        removed=[_removed(path) for path in found.removed[:MAX_LISTED]],
    )


def _withdrawal(publication: Publication) -> ReleaseDiff:
    files = PublishedDocument.objects.filter(publication=publication)
    paths = sorted(files.values_list("path", flat=True))
    found = DryRun(added=[], changed=[], rewritten=[], removed=paths, size=0)
    return ReleaseDiff(
        found,
        removed=[_removed(path) for path in paths[:MAX_LISTED]],
        is_withdrawal=True,
    )


def _in_order(made: Release, paths: Sequence[str]) -> list[str]:
    """Sort lessons first: edited content before the files derived from it."""
    return sorted(
        paths, key=lambda path: (_ORDER.index(made.to_write[path].schema), path)
    )


class _Titles:
    """The titles of the documents of a release."""

    def __init__(self, made: Release) -> None:
        ids = [
            _subject_of(path)
            for path, document in made.to_write.items()
            if document.schema in ("bitmap", "search_shard")
        ]
        rows = Node.objects.filter(public_id__in=ids)
        self._subjects = dict(rows.values_list("public_id", "title"))

    def file(self, made: Release, path: str, *, compare: bool | None = None) -> File:
        """Describe the file; with ``compare``, include its differences."""
        document = made.to_write[path]
        content = orjson.loads(document.data)
        title = content.get("title") or self._subjects.get(_subject_of(path), "")
        found: list[Difference] = []
        if compare:
            found = list(_differences(document, content))
        return File(
            path=path,
            kind=str(_KINDS[document.schema]),
            title=title,
            size=len(document.data),
            found=tuple(found[:MAX_DIFFERENCES]),
            more=max(len(found) - MAX_DIFFERENCES, 0),
            is_compared=compare is not False,
        )


def _subject_of(path: str) -> str:
    """Return the subject's id from the name of a bitmap or a shard."""
    name = path.rpartition("/")[2].removesuffix(".json")
    return name.removesuffix("_b")


def _differences(document: BuiltDocument, content: Any) -> Iterator[Difference]:
    """Yield the differences between the new file and the published one."""
    data = file_store.read(document.path)
    if data is None:
        return
    try:
        before = orjson.loads(data)
    except orjson.JSONDecodeError:
        before = {}  # damaged on disk: all of the content counts as new
    types = {
        name_of(stage, stage["id"]): stage["type"]
        for stage in content.get("stages", ())
    }
    for found in differences(before, content, ignored=_is_ignored):
        above, inside = found.path[:3], found.path[3:]
        if inside and above[0] == "stages" and above[2] == "config":
            type_name = types.get(str(above[1]), "")
            [found] = field_labels.labelled(type_name, [replace(found, path=inside)])
            found = replace(found, path=(*above, *found.path))
        yield found


def _is_ignored(key: str) -> bool:
    """Return whether a key changes with every build or has no meaning for editors."""
    return key in _IGNORED_FIELDS or key.endswith("_hash")


def _removed(path: str) -> File:
    """Describe a published file that will be removed, as far as it can be read."""
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
