"""``manage.py export_player PLAYER [--output FILE] [--json]``"""

import os
from typing import Any

from django.core.management.base import CommandParser
from django.db import DatabaseError
from django.utils import timezone
from django.utils.translation import gettext as _

from core.errors import MemoraError
from core.reporting_command import ReportingCommand
from players.services import erasure, export


class Command(ReportingCommand):
    help = (
        "Print all data of a student as JSON, or write it to a new file that only its "
        "owner can read. Exit code 1 if the file cannot be written, 2 if there is no "
        "such player."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "player", metavar="PLAYER", help=_("the player's number or e-mail address")
        )
        parser.add_argument("--output", metavar="FILE", help=_("the output file"))

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            player_id = erasure.find_player(options["player"])
            document = export.export_player(player_id=player_id, now=timezone.now())
        except MemoraError as error:
            self.answer({"ok": False, "error": error.message})
            self.misused(error.message)
        except (OSError, DatabaseError) as error:
            self.answer({"ok": False, "error": str(error)})
            self.fail(str(error))
        text = export.as_json(document)
        if options["output"] is None:
            self.stdout.write(text)
            return
        try:
            _write(options["output"], text)
        except OSError as error:
            self.answer({"ok": False, "player": player_id, "error": str(error)})
            self.fail(
                _("%(file)s cannot be written: %(reason)s")
                % {"file": options["output"], "reason": error.strerror}
            )
        self.answer({"ok": True, "player": player_id, "file": options["output"]})
        self.say(
            _("Player %(id)d is exported to %(file)s.")
            % {"id": player_id, "file": options["output"]}
        )


def _write(name: str, text: str) -> None:
    """Create the file for its owner only.

    Raises:
        FileExistsError: it exists; it is not overwritten.
        OSError: it cannot be written.
    """
    handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
