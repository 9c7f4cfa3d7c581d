"""``manage.py open_season SEASON (--dry-run | --yes) [--json]``"""

from typing import Any

from django.core.management.base import CommandParser
from django.db import DatabaseError
from django.utils.translation import gettext as _, ngettext

from core.reporting_command import ReportingCommand
from progress.services import season_opening, seasons


class Command(ReportingCommand):
    help = (
        "Open a season: students keep what MEMORA_SEASON_CARRIES names of their "
        "progress, streak and XP; the rest begins at zero. It cannot be undone. Run it "
        "again after an interruption. Exit code 1 if the database does not answer, 2 if "
        "there is no such season."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "season", metavar="SEASON", help=_("the season's title or number")
        )
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help=_("only count who would lose something"),
        )
        parser.add_argument("--yes", action="store_true", help=_("open the season"))

    def handle(self, *_args: Any, **options: Any) -> None:
        is_dry_run = options["dry_run"]
        try:
            if options["yes"] == is_dry_run:
                raise seasons.SeasonError(
                    _("Count with --dry-run, then open the season with --yes.")
                )
            carries, added = season_opening.open_season(
                seasons.find(options["season"]),
                is_dry_run=is_dry_run,
                progress=self.progress,
            )
        except seasons.SeasonError as error:
            self.answer({"ok": False, "error": str(error)})
            self.misused(str(error))
        except DatabaseError as error:
            self.answer({"ok": False, "error": str(error)})
            said = _(
                "The database does not answer: %(why)s Run the command again: it "
                "continues."
            )
            self.fail(said % {"why": error})
        self.answer(
            {
                "ok": True,
                "dry_run": is_dry_run,
                "carries": carries,
                "players": added.players,
                "ledger_rows": added.rows,
            }
        )
        if is_dry_run:
            self.say(_("Dry run: nothing was written."))
        said = ngettext(
            "%(count)d player begins the season with: %(kept)s.",
            "%(count)d players begin the season with: %(kept)s.",
            added.players,
        )
        kept = ", ".join(carries) or _("nothing")
        self.say(said % {"count": added.players, "kept": kept})
