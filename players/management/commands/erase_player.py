"""``manage.py erase_player PLAYER --yes [--json]``"""

from typing import Any

from django.core.management.base import CommandParser
from django.db import DatabaseError
from django.utils import timezone
from django.utils.translation import gettext as _

from core.errors import MemoraError
from core.reporting_command import ReportingCommand
from players.errors import PlayerNotFoundError, StaffAccountError
from players.models import Erasure
from players.services import erasure


class Command(ReportingCommand):
    help = (
        "Erase all data of a student permanently. If the disk or Redis does not "
        "answer, the command lists the remaining steps; run it again with the "
        "player's number, or wait for beat to retry. Exit code 1 if steps remain, 2 "
        "if there is no such player."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "player", metavar="PLAYER", help=_("the player's number or e-mail address")
        )
        parser.add_argument(
            "--yes",
            action="store_true",
            help=_("confirm the erasure; it cannot be undone"),
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            player_id = erasure.find_player(options["player"])
        except PlayerNotFoundError as error:
            self.answer({"ok": False, "error": error.message})
            self.misused(error.message)
        if not options["yes"]:
            said = _("Erasing player %(id)d cannot be undone. Add --yes to do it.")
            self.answer({"ok": False, "error": said % {"id": player_id}})
            self.misused(said % {"id": player_id})
        try:
            result = erasure.erase(player_id=player_id, now=timezone.now())
        except StaffAccountError as error:
            self.answer({"ok": False, "player": player_id, "error": error.message})
            self.misused(error.message)
        except (MemoraError, DatabaseError) as error:
            said = _("Nothing was erased: %(why)s")
            self.answer({"ok": False, "player": player_id, "error": str(error)})
            self.fail(said % {"why": error})
        self._say(result)

    def _say(self, result: Erasure) -> None:
        self.answer(
            {
                "ok": not result.remaining,
                "player": result.player_number,
                "ledger": "kept" if result.keeps_ledger else "deleted",
                "remaining": result.remaining,
                "finished_at": result.finished_at,
            }
        )
        if result.remaining:
            self.fail(
                _(
                    "Player %(id)d is erased from the database. Remaining: %(steps)s. "
                    "Run this command again with the number, or wait for beat to "
                    "retry."
                )
                % {
                    "id": result.player_number,
                    "steps": ", ".join(result.remaining),
                }
            )
        self.say(_("Player %(id)d is erased.") % {"id": result.player_number})
