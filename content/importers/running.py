"""Import a converted file: the report names places by titles, and the losses."""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from django.utils.translation import gettext as _, ngettext

from content.curriculum import Check, ImportReport, Options, import_curriculum
from content.curriculum_format import MAX_FAULTS
from content.importers.converting import convert
from content.importers.outlines import ImporterError
from content.kinds import Kind
from content.models import Node
from core.errors import CurriculumError

_STEP = re.compile(r"(?<![a-z_])([a-z_]++)\[([0-9]++)\]")


def import_file(
    data: bytes,
    name: str,
    *,
    into: str = "",
    title: str = "",
    as_draft: bool = False,
    dry_run: bool = False,
    accept_losses: bool = False,
    check: Check | None = None,
) -> ImportReport:
    """Convert a file and import it, in one transaction; all or nothing.

    Args:
        name: the file's name; its suffix determines the format.
        into: the id of the node that gets the content; "" for a new subject.
        title: of the new subject or of the new node in ``into``; else the file's own.
        as_draft: new content is unpublished.
        dry_run: return the report without importing anything.
        accept_losses: import a file that cannot be kept completely.
        check: called with the report before it is too late; raising rolls back.

    Raises:
        ImporterError: the file cannot be read, or there is no such node.
        CurriculumError: the content is not valid, or its losses are not accepted.
    """
    conversion = convert(data, name, into=_node(into) if into else None, title=title)
    left_out = tuple((loss.place, loss.reason) for loss in conversion.losses)
    if left_out and not (dry_run or accept_losses):
        raise _losses_error(left_out)
    options = Options(is_merged=bool(into), as_draft=as_draft)
    at = partial(titles_at, conversion.document)

    def completed(report: ImportReport) -> ImportReport:
        losses = (stage._replace(place=at(stage.place)) for stage in report.losses)
        return replace(
            report,
            left_out=left_out,
            notes=tuple((at(place), remark) for place, remark in report.notes),
            losses=tuple(losses),
        )

    try:
        report = import_curriculum(
            conversion.data,
            dry_run=dry_run,
            accept_losses=accept_losses,
            check=(lambda report: check(completed(report))) if check else None,
            options=options,
        )
    except CurriculumError as error:
        faults = [(at(place), reason) for place, reason in error.faults]
        raise CurriculumError(error.message, faults) from error
    return completed(report)


def _losses_error(left_out: Sequence[tuple[str, str]]) -> CurriculumError:
    message = ngettext(
        "%(count)d part of the file cannot be kept. Nothing was imported, because you "
        "have not accepted the loss.",
        "%(count)d parts of the file cannot be kept. Nothing was imported, because you "
        "have not accepted the loss.",
        len(left_out),
    ) % {"count": len(left_out)}
    return CurriculumError(message, list(left_out[:MAX_FAULTS]))


def _node(public_id: str) -> Node:
    """Return the node that gets the content.

    Raises:
        ImporterError: there is none, it is in the trash, or it is a lesson.
    """
    node: Node | None = Node.objects.untrashed().filter(public_id=public_id).first()
    if node is None or node.kind == Kind.LESSON:
        raise ImporterError(
            _(
                "There is no subject, track, unit or topic “%(id)s”, or it is in the "
                "trash."
            )
            % {"id": public_id}
        )
    return node


def titles_at(document: dict[str, Any], place: str) -> str:
    """Return a JSON path as titles: ``Unit › Topic › Lesson › stage``."""
    node = document["subject"]
    titles = [str(node["title"])]
    for key, index in _STEP.findall(place):
        children = node.get(key)
        if not isinstance(children, list) or int(index) >= len(children):
            break
        node = children[int(index)]
        titles.append(str(node["title"]))
        if key == "stages":
            break
    # A node that was made for the file's text has the title of the one above it.
    return " › ".join(dict.fromkeys(titles))
