"""``manage.py import_curriculum FILE [--dry-run] [--accept-losses] [--as-draft]``

Files of other programs too: ``[--into ID] [--title TITLE]`` say where they go.
"""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import IO, Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from content.curriculum import Counts, ImportReport, Options, import_curriculum
from content.curriculum_format import MAX_BYTES
from content.importers import SUFFIXES, import_file
from core.errors import CurriculumError, MemoraError


class Command(BaseCommand):
    help = (
        "Import a curriculum file (memora-curriculum/1), or a ZIP of one with its "
        "pictures, recordings and videos: one subject, in one transaction. Also "
        "documents (DOCX, HTML) and questions (GIFT, Moodle XML, CSV, XLSX), by the "
        "suffix of the file."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "file", metavar="FILE", help=_("the file, or - for standard input")
        )
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help=_("check the file and list the changes without making them"),
        )
        parser.add_argument(
            "--accept-losses",
            action="store_true",
            help=_("import the file without the parts that cannot be kept"),
        )
        parser.add_argument(
            "--as-draft", action="store_true", help=_("make new content a draft")
        )
        parser.add_argument(
            "--into",
            metavar="ID",
            default="",
            help=_(
                "the subject, track, unit or topic that gets a document or questions; "
                "default: a new subject"
            ),
        )
        parser.add_argument(
            "--title",
            default="",
            help=_("the title of a document or of questions; default: the file's"),
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        name = options["file"]
        try:
            with _opened(name) as file:
                report = _imported(file, name, options)
        except OSError as error:
            raise CommandError(
                _("%(file)s cannot be read: %(reason)s")
                % {"file": name, "reason": error.strerror}
            ) from error
        except CurriculumError as error:
            raise CommandError("\n".join([error.message, *_lines(error)])) from error
        except MemoraError as error:
            raise CommandError(error.message) from error
        self._print(report)

    def _print(self, report: ImportReport) -> None:
        if report.dry_run:
            self.stdout.write(_("Dry run: nothing was written."))
        self.stdout.write(
            _("Subject “%(title)s” (%(id)s)")
            % {"title": report.title, "id": report.subject_id}
        )
        self.stdout.write(_("Content: %s") % _counted(report.nodes))
        self.stdout.write(_("Stages: %s") % _counted(report.stages))
        for path, remark in report.notes:
            self.stdout.write(f"{path}: {remark}")
        if report.losses or report.left_out:
            self.stdout.write(_losses_heading(report))
        for place, reason in report.left_out:
            self.stdout.write(f"{place}: {reason}")
        for stage in report.losses:
            self.stdout.write(f"{stage.place} “{stage.title}”: {stage.summary}")


def _imported(file: IO[bytes], name: str, options: dict[str, Any]) -> ImportReport:
    how = {key: options[key] for key in ("dry_run", "accept_losses")}
    as_draft = options["as_draft"]
    if PurePath(name).suffix.lower().lstrip(".") in SUFFIXES:
        place = {"into": options["into"], "title": options["title"]}
        data = file.read(MAX_BYTES + 1)
        return import_file(data, name, as_draft=as_draft, **place, **how)
    return import_curriculum(file, options=Options(as_draft=as_draft), **how)


def _losses_heading(report: ImportReport) -> str:
    if report.dry_run:
        return _("These parts cannot be kept (--accept-losses imports the rest):")
    return _("These parts were not kept:")


@contextmanager
def _opened(name: str) -> Iterator[IO[bytes]]:
    """Yield the file; standard input up to one byte more than the limit."""
    if name == "-":
        yield io.BytesIO(sys.stdin.buffer.read(MAX_BYTES + 1))
    else:
        with Path(name).open("rb") as file:
            yield file


def _lines(error: CurriculumError) -> list[str]:
    return [f"{path}: {reason}" if path else reason for path, reason in error.faults]


def _counted(counts: Counts) -> str:
    return _("%(created)d created, %(updated)d updated, %(unchanged)d unchanged") % {
        "created": counts.created,
        "updated": counts.updated,
        "unchanged": counts.unchanged,
    }
