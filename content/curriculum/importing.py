"""Import a curriculum file: from its bytes to the report."""

import io
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from typing import IO, Any

import structlog
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _, ngettext

from content import curriculum_format, locks, services
from content.curriculum import archive, media_files, merging, validation
from content.curriculum.archive import Archive
from content.curriculum.loading import StoredSubject, load
from content.curriculum.planning import plan
from content.curriculum.remarks import find_remarks
from content.curriculum.report import ImportReport, report_of, with_unused
from content.curriculum.writing import write
from content.curriculum_format import MAX_COUNTED, NodeSpec, curriculum_error
from content.field_lists import SubjectStateFields
from content.history import recording
from content.json_errors import Fault
from content.kinds import Kind
from content.media import files
from content.models import Node, NodeKind, SubjectState
from core.errors import CurriculumError

log = structlog.get_logger(__name__)


Check = Callable[[ImportReport], None]
"""Called with the report inside the transaction; raising rolls the import back."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a file is imported.

    With ``is_merged`` it is a part of the subject: existing content keeps what the file
    does not set, and its order. With ``as_draft`` new content is unpublished.
    """

    is_merged: bool = False
    as_draft: bool = False


_WHOLE = Options()


def import_curriculum(
    data: bytes | IO[bytes],
    *,
    dry_run: bool = False,
    accept_losses: bool = False,
    check: Check | None = None,
    options: Options = _WHOLE,
) -> ImportReport:
    """Change a subject to match the file; all or nothing, files included.

    Args:
        data: a curriculum file, or a ZIP of one with its media.
        dry_run: do everything, return the report, and roll back; no file is stored.
        accept_losses: import a file with texts that cannot be kept completely. A dry
            run reports them in any case.
        options: whether the file is the whole subject, and new content a draft.

    Raises:
        CurriculumError: with the first 50 faults of the file and their JSON paths; or
            with its losses, if they are not accepted.
        MemoraError, OSError: a media file could not be stored; nothing was imported.
    """
    with _opened(data) as (document_data, archived):
        document = curriculum_format.parse(document_data)
        faults = curriculum_format.file_faults(document)
        root = curriculum_format.read(document)
        if root is None:
            raise curriculum_error(faults, document)
        specs = list(curriculum_format.walk(root))
        try:
            with files.removed_on_error() as new:
                if archived:  # before the subject is locked: it may take minutes
                    is_trial = dry_run or bool(faults)
                    media = media_files.ArchivedMedia(archived, new, dry_run=is_trial)
                    faults += media.store(specs)
                with (
                    transaction.atomic(),
                    recording.group_changes(recording.IMPORTED),
                ):
                    report = _imported(
                        document,
                        specs,
                        faults,
                        options,
                        expected={row.path for row in new.rows},
                        dry_run=dry_run,
                    )
                    if archived:
                        report = with_unused(report, archived.unused)
                    if report.losses and not (dry_run or accept_losses):
                        raise _losses_error(report)
                    if check:
                        check(report)
                    if dry_run:
                        transaction.set_rollback(True)
                    else:
                        new.save()
        except IntegrityError as error:
            raise curriculum_error(
                [
                    (
                        (),
                        _(
                            "Another user has just used one of the ids of this file. "
                            "Import it again."
                        ),
                    )
                ]
            ) from error
    log.info(
        "curriculum_imported",
        subject_id=report.subject_id,
        nodes_created=report.nodes.created,
        nodes_updated=report.nodes.updated,
        stages_created=report.stages.created,
        stages_updated=report.stages.updated,
        files_stored=len(new.stored),
        dry_run=dry_run,
    )
    return report


def _losses_error(report: ImportReport) -> CurriculumError:
    message = ngettext(
        "%(count)d stage has parts that cannot be kept. Nothing was imported, because "
        "you have not accepted the loss.",
        "%(count)d stages have parts that cannot be kept. Nothing was imported, because "
        "you have not accepted the loss.",
        len(report.losses),
    ) % {"count": len(report.losses)}
    faults = [(stage.place, stage.summary) for stage in report.losses]
    return CurriculumError(message, faults[: curriculum_format.MAX_FAULTS])


@contextmanager
def _opened(data: bytes | IO[bytes]) -> Iterator[tuple[bytes, Archive | None]]:
    """Yield the curriculum file, and the ZIP that it came in, if it did."""
    file = io.BytesIO(data) if isinstance(data, bytes) else data
    if not archive.is_archive(file):
        yield file.read(curriculum_format.MAX_BYTES + 1), None
        return
    with archive.opened(file) as archived:
        yield archived.document, archived


def _imported(
    document: Any,
    specs: list[NodeSpec],
    faults: list[Fault],
    options: Options,
    *,
    expected: Collection[str],
    dry_run: bool,
) -> ImportReport:
    """Lock, validate, compare and write; call it inside a transaction."""
    root = specs[0]
    state, stored = _lock_and_load(document, root)
    if options.is_merged:
        merging.keep_stored_fields(specs, stored)
    if options.as_draft:
        merging.make_drafts(root, stored)
    places = {path for path, _reason in faults}
    all_faults = chain(
        faults,
        curriculum_format.title_faults(root),
        curriculum_format.id_faults(root),
        validation.id_faults(specs, stored),
        (f for f in validation.clean_configs(specs, stored) if f[0] not in places),
    )
    found_faults = list(islice(all_faults, MAX_COUNTED))
    places |= {path for path, _reason in found_faults}
    missing = media_files.missing(specs, stored, known=places, expected=expected)
    found_faults += islice(missing, MAX_COUNTED - len(found_faults))
    if found_faults:
        raise curriculum_error(found_faults, document)
    remarks = find_remarks(specs, stored, is_merged=options.is_merged)
    revision = state.revision if state else 0
    is_new = state is None
    if state is None:
        state, stored = _created(document, root)
    head = {name: getattr(state, name) for name in SubjectStateFields.HEADER}
    found = plan(
        specs, stored, document=document, head=head, is_merged=options.is_merged
    )
    write(found, stored, state)
    return report_of(
        found, specs, remarks, is_new=is_new, revision=revision, dry_run=dry_run
    )


def _lock_and_load(
    document: Any, root: NodeSpec
) -> tuple[SubjectState | None, StoredSubject]:
    """Lock and load the subject; lock the list of subjects if it does not exist."""
    found = Node.objects.filter(public_id=root.id).first() if root.id else None
    if found is None:
        locks.lock_roots()
        return None, StoredSubject()
    if found.kind != NodeKind.SUBJECT:
        return None, StoredSubject()  # `validation.id_faults` reports it
    state = locks.lock_subjects([found.pk]).get(found.pk)
    if state is None:
        raise curriculum_error([(("subject", "id"), _no_state(found))], document)
    return state, load(found.pk)


def _no_state(subject: Node) -> str:
    return _(
        "“%(title)s” was deleted, or its state row is missing (manage.py check_tree "
        "--repair)"
    ) % {"title": subject.title}


def _created(document: Any, root: NodeSpec) -> tuple[SubjectState, StoredSubject]:
    """Create the subject; its contents are written like those of any other subject."""
    try:
        subject = services.create_node(
            kind=Kind.SUBJECT, public_id=root.id, **root.fields
        )
    except ValidationError as error:
        reasons = " ".join(error.messages)
        raise curriculum_error([(("subject",), reasons)], document) from error
    root.id = subject.public_id
    return locks.lock_subjects([subject.pk])[subject.pk], load(subject.pk)
