"""``manage.py import_curriculum FILE [--dry-run] [--accept-losses]``"""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from content.curriculum import Counts, ImportReport, import_curriculum
from content.curriculum_format import MAX_BYTES
from core.errors import CurriculumError, MemoraError


class Command(BaseCommand):
    help = (
        "Import a curriculum file (memora-curriculum/1), or a ZIP of one with its "
        "pictures, recordings and videos: one subject, in one transaction."
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

    def handle(self, *_args: Any, **options: Any) -> None:
        name = options["file"]
        try:
            with _opened(name) as file:
                report = import_curriculum(
                    file,
                    dry_run=options["dry_run"],
                    accept_losses=options["accept_losses"],
                )
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
        if report.losses:
            self.stdout.write(_losses_heading(report))
        for stage in report.losses:
            self.stdout.write(f"{stage.place} “{stage.title}”: {stage.summary}")


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
