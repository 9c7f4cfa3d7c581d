"""The report of an import."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from django.utils.translation import gettext as _, ngettext

from content.curriculum.planning import Plan
from content.curriculum_format import NodeSpec
from content.json_errors import Fault, path_text
from content.kinds import Kind
from content.losses import StageLosses


@dataclass(frozen=True, slots=True)
class Counts:
    """How many nodes or stages were created, updated or already equal."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did, or with ``dry_run`` would do.

    ``revision`` is the subject's revision before the import, 0 for a new subject. While
    it stays the same, importing the file has the same result. ``notes`` are
    ``(json_path, remark)`` pairs for the editor; ``losses`` are the parts of texts that
    cannot be kept. ``left_out`` are ``(place, reason)`` pairs of a file that was
    converted: what of it is no content here. ``kinds`` divides ``nodes`` by `Kind`, in the order of the tree; kinds without
    nodes are left out.
    """

    subject_id: str
    title: str
    nodes: Counts
    stages: Counts
    revision: int
    notes: tuple[tuple[str, str], ...] = ()
    losses: tuple[StageLosses, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    dry_run: bool = False
    kinds: tuple[tuple[Kind, Counts], ...] = ()


def report_of(
    plan: Plan,
    specs: Sequence[NodeSpec],
    remarks: Sequence[Fault],
    *,
    is_new: bool,
    revision: int,
    dry_run: bool,
) -> ImportReport:
    """Return the report of a plan that was written.

    Args:
        remarks: what else an editor should know, by path.
        is_new: the subject itself was created; the plan contains it as stored.
    """
    new = {*plan.new_nodes, *(specs[:1] if is_new else ())}
    changed = {
        spec
        for spec, key in plan.key_of.items()
        if spec not in new and key in plan.changed_nodes
    }
    stages = sum(len(spec.stages) for spec in specs)
    new_stages, changed_stages = len(plan.new_stages), len(plan.changed_stages)
    root = specs[0]
    return ImportReport(
        subject_id=root.id,
        title=root.fields["title"],
        nodes=_counted(specs, new, changed),
        stages=Counts(new_stages, changed_stages, stages - new_stages - changed_stages),
        revision=revision,
        notes=(
            *((path_text(path), remark) for path, remark in remarks),
            *_notes(specs),
        ),
        losses=losses_of(specs),
        dry_run=dry_run,
        kinds=tuple(
            (kind, _counted(found, new, changed))
            for kind in Kind
            if (found := [spec for spec in specs if spec.kind is kind])
        ),
    )


_MAX_NAMES = 10


def with_unused(report: ImportReport, names: Sequence[str]) -> ImportReport:
    """Return the report with a note about the files of the ZIP that nothing uses."""
    if not names:
        return report
    shown = ", ".join(
        [*names[:_MAX_NAMES], *(["…"] if len(names) > _MAX_NAMES else [])]
    )
    remark = ngettext(
        "%(count)d file of the ZIP is not used: %(names)s",
        "%(count)d files of the ZIP are not used: %(names)s",
        len(names),
    ) % {"count": len(names), "names": shown}
    return replace(report, notes=(*report.notes, ("ZIP", remark)))


def _counted(
    specs: Sequence[NodeSpec], new: set[NodeSpec], changed: set[NodeSpec]
) -> Counts:
    created = sum(spec in new for spec in specs)
    updated = sum(spec in changed for spec in specs)
    return Counts(created, updated, len(specs) - created - updated)


def _notes(specs: Sequence[NodeSpec]) -> Iterator[tuple[str, str]]:
    for spec in specs:
        if spec.is_named_after_topic:
            remark = _(
                "is empty; the lesson gets the title of its topic, “%(title)s”"
            ) % {"title": spec.fields["title"]}
            yield path_text((*spec.path, "title")), remark


def losses_of(specs: Iterable[NodeSpec]) -> tuple[StageLosses, ...]:
    """Return what the stages of a file cannot keep, in file order."""
    return tuple(
        StageLosses(path_text(stage.path), str(stage.fields["title"]), stage.losses)
        for spec in specs
        for stage in spec.stages
        if stage.losses
    )
