"""Import a curriculum file: from its bytes to the report."""

from itertools import chain, islice
from typing import Any

import structlog
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _, ngettext

from content import curriculum_format, locks, services
from content.curriculum import validation
from content.curriculum.loading import StoredSubject, load
from content.curriculum.planning import plan
from content.curriculum.report import ImportReport, report_of
from content.curriculum.writing import write
from content.curriculum_format import MAX_COUNTED, NodeSpec, curriculum_error
from content.field_lists import SubjectStateFields
from content.history import recording
from content.json_errors import Fault
from content.kinds import Kind
from content.models import Node, NodeKind, SubjectState
from core.errors import CurriculumError

log = structlog.get_logger(__name__)


def import_curriculum(
    data: bytes, *, dry_run: bool = False, accept_losses: bool = False
) -> ImportReport:
    """Change a subject to match the file; all or nothing.

    Args:
        data: the file.
        dry_run: do everything, return the report, and roll back.
        accept_losses: import a file with texts that cannot be kept completely. A dry
            run reports them in any case.

    Raises:
        CurriculumError: with the first 50 faults of the file and their JSON paths; or
            with its losses, if they are not accepted.
    """
    document = curriculum_format.parse(data)
    faults = curriculum_format.file_faults(document)
    root = curriculum_format.read(document)
    if root is None:
        raise curriculum_error(faults, document)
    try:
        with transaction.atomic(), recording.group_changes(recording.IMPORTED):
            report = _imported(document, root, faults, dry_run=dry_run)
            if report.losses and not (dry_run or accept_losses):
                raise _losses_error(report)
            if dry_run:
                transaction.set_rollback(True)
    except IntegrityError as error:
        raise curriculum_error(
            [
                (
                    (),
                    _(
                        "Another user has just used one of the ids of this file. Import it "
                        "again."
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


def _imported(
    document: Any, root: NodeSpec, faults: list[Fault], *, dry_run: bool
) -> ImportReport:
    """Lock, validate, compare and write; call it inside a transaction."""
    specs = list(curriculum_format.walk(root))
    state, stored = _lock_and_load(document, root)
    all_faults = chain(
        faults,
        curriculum_format.title_faults(root),
        curriculum_format.id_faults(root),
        validation.id_faults(specs, stored),
        validation.clean_configs(specs, stored),
    )
    if faults := list(islice(all_faults, MAX_COUNTED)):
        raise curriculum_error(faults, document)
    revision = state.revision if state else 0
    is_new = state is None
    if state is None:
        state, stored = _created(document, root)
    head = {name: getattr(state, name) for name in SubjectStateFields.HEADER}
    found = plan(specs, stored, document=document, head=head)
    write(found, stored, state)
    return report_of(found, specs, is_new=is_new, revision=revision, dry_run=dry_run)


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
