"""The three modes of a build: how much of the current release it reuses.

A mode decides which subjects are read whole, which of the plan's files are kept and
which are removed. `choose` takes the last of these that is possible:

- `FullBuild`: the plan changed, or its release cannot be reused. Every document of the
  plan is made; only lessons are reused.
- `PartialBuild`: the trees of some subjects changed. Their documents are made again;
  all other subjects keep theirs.
- `PatchBuild`: only stages changed. The edited lessons are made and patched into the
  documents that link to them.

docs/adr/0006-build-upon-the-release.md has the cost of each.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import ClassVar

from publishing.building.current_release import CurrentRelease
from publishing.format import locations
from publishing.models import PlanLesson, Publication
from publishing.staleness import Sources, SubjectRevisions
from publishing.storage import file_store


@dataclass(frozen=True, slots=True)
class PlanFiles:
    """What becomes of a plan's own files (content paths) and of its lessons.

    ``kept`` includes the files that were made. ``plan_lessons`` are the lessons that the
    plan offers, id to "offered openly"; None: unchanged.
    """

    kept: Set[str]
    gone: Set[str]
    plan_lessons: Mapping[str, bool] | None


@dataclass(frozen=True)
class BuildMode(ABC):
    """Decides which documents are made, kept and removed."""

    whole: Mapping[int, str] = field(default_factory=dict)
    """The subjects to read whole: primary key to public id."""
    since: Mapping[int, int] = field(default_factory=dict)
    """All other subjects: primary key to the revision that the release contains."""
    compares_with_disk: bool = False
    """Whether to read every published file, instead of trusting the tables."""
    changes_trees: ClassVar[bool] = True
    """Whether more than stages changed: the search index is then made again."""

    @abstractmethod
    def plan_files(
        self, old: CurrentRelease, *, made: Set[str], plan_lessons: Mapping[str, bool]
    ) -> PlanFiles:
        """Return what becomes of the plan's files once the documents are made.

        Args:
            made: the paths of the plan's documents that were made.
            plan_lessons: the lessons of the subjects read whole, id to "offered openly".

        Raises:
            UnreadableReleaseError: a file of the release is not the one published.
        """


class FullBuild(BuildMode):
    """Nothing of the plan itself is reused: what was not made is removed."""

    def plan_files(
        self, old: CurrentRelease, *, made: Set[str], plan_lessons: Mapping[str, bool]
    ) -> PlanFiles:
        published = {p for p in old.records if locations.lesson_id_of(p) is None}
        return PlanFiles(kept=made, gone=published - made, plan_lessons=plan_lessons)


class PartialBuild(BuildMode):
    """What the subjects read whole had before, and have no longer, is removed."""

    def plan_files(
        self, old: CurrentRelease, *, made: Set[str], plan_lessons: Mapping[str, bool]
    ) -> PlanFiles:
        replaced, lessons = self._replaced(old)
        gone = (replaced & old.files) - made
        rows = PlanLesson.objects.filter(publication__plan_public_id=old.plan_id)
        unchanged = {
            lesson_id: is_open
            for lesson_id, is_open in rows.values_list("lesson_id", "is_open")
            if lesson_id not in lessons
        }
        return PlanFiles(
            kept=(old.files | made) - gone,
            gone=gone,
            plan_lessons={**unchanged, **plan_lessons},
        )

    def _replaced(self, old: CurrentRelease) -> tuple[set[str], set[str]]:
        """Return the released files and lessons of the subjects read whole."""
        paths: set[str] = set()
        lessons: set[str] = set()
        whole = set(self.whole.values())
        for entry in old.read(locations.manifest(old.plan_id))["subjects"]:
            # The search index is made again for all subjects, with or without shards.
            paths.add(locations.search_shard(old.plan_id, entry["id"]))
            if entry["id"] not in whole:
                continue
            paths |= {entry["hierarchy_path"], entry["bitmap_path"]}
            paths |= {
                topic["topic_path"]
                for track in old.read(entry["hierarchy_path"])["tracks"]
                for unit in track["units"]
                for topic in unit["topics"]
            }
            lessons |= old.read(entry["bitmap_path"])["mappings"].keys()
        return paths, lessons


class PatchBuild(BuildMode):
    """Every file stays, and so do the lessons that the plan offers."""

    changes_trees = False

    def plan_files(
        self, old: CurrentRelease, *, made: Set[str], plan_lessons: Mapping[str, bool]
    ) -> PlanFiles:
        return PlanFiles(kept=old.files | made, gone=set(), plan_lessons=None)


def choose(
    publication: Publication | None,
    sources: Sources,
    subjects: Mapping[int, SubjectRevisions],
    *,
    full: bool,
) -> BuildMode:
    """Return the mode that reuses most of the current release.

    Args:
        publication: the plan's; None before its first build.
        sources: what the build is made of.
        subjects: the plan's subjects by primary key.
        full: reuse nothing and compare every file with the disk, as when the plan's
            files are not trusted (`Publication.needs_full_build_since`).
    """
    everything = {pk: subject.public_id for pk, subject in subjects.items()}
    if full or (
        publication is not None and publication.needs_full_build_since is not None
    ):
        return FullBuild(everything, compares_with_disk=True)
    built = _reusable_revisions(publication, sources)
    if built is None:
        return FullBuild(everything)
    whole = {
        pk: subject.public_id
        for pk, subject in subjects.items()
        if subject.tree_revision > built[pk]
    }
    since = {pk: revision for pk, revision in built.items() if pk not in whole}
    return PartialBuild(whole, since) if whole else PatchBuild(whole, since)


def _reusable_revisions(
    publication: Publication | None, now: Sources
) -> dict[int, int] | None:
    """Return each subject's revision in a reusable release; None if not reusable.

    A release is reusable when only subjects' revisions differ from it, and readers see
    the generation that the tables record.
    """
    if publication is None or publication.rolled_back_at is not None:
        return None
    then = publication.built_from
    if not then or {**then, "subjects": None} != {**now, "subjects": None}:
        return None
    built = dict(then["subjects"])
    if list(built) != [pk for pk, _revision in now["subjects"]]:
        return None
    current = file_store.current_generation(publication.plan_public_id)
    return built if current == publication.generation else None
