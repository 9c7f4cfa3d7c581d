"""``manage.py export_curriculum SUBJECT_ID [--output FILE]``"""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from content.curriculum import SubjectNotFoundError, export_curriculum


class Command(BaseCommand):
    help = "Export a subject as a curriculum file (memora-curriculum/1)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("subject_id", metavar="SUBJECT_ID")
        parser.add_argument(
            "--output",
            metavar="FILE",
            help=_("the output file; default: standard output"),
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            data = export_curriculum(options["subject_id"])
        except SubjectNotFoundError as error:
            raise CommandError(error.message) from error
        if not options["output"]:
            self.stdout.write(data.decode(), ending="")
            return
        try:
            Path(options["output"]).write_bytes(data)
        except OSError as error:
            raise CommandError(
                _("%(file)s cannot be written: %(reason)s")
                % {"file": options["output"], "reason": error.strerror}
            ) from error
