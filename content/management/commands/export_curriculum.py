"""``manage.py export_curriculum SUBJECT_ID [--output FILE] [--zip]``"""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from content.curriculum import (
    SubjectNotFoundError,
    export_archive,
    export_curriculum,
)


class Command(BaseCommand):
    help = (
        "Export a subject as a curriculum file (memora-curriculum/1), or as a ZIP with "
        "its media."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("subject_id", metavar="SUBJECT_ID")
        parser.add_argument(
            "--output",
            metavar="FILE",
            help=_("the output file; default: standard output"),
        )
        parser.add_argument(
            "--zip",
            action="store_true",
            help=_("write a ZIP with the media on this server; needs --output"),
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        subject_id, output = options["subject_id"], options["output"]
        if options["zip"] and not output:
            raise CommandError(_("Name the ZIP with --output."))
        try:
            if options["zip"]:
                with Path(output).open("wb") as file:
                    export_archive(subject_id, file)
                return
            data = export_curriculum(subject_id)
            if output:
                Path(output).write_bytes(data)
            else:
                self.stdout.write(data.decode(), ending="")
        except SubjectNotFoundError as error:
            raise CommandError(error.message) from error
        except OSError as error:
            raise CommandError(
                _("%(file)s cannot be written: %(reason)s")
                % {"file": output, "reason": error.strerror}
            ) from error
