"""``manage.py open_season SEASON (--dry-run | --yes) [--json]``"""

from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _, ngettext

from progress.management.season_command import SeasonCommand
from progress.services import season_opening, seasons


class Command(SeasonCommand):
    help = (
        "Open a season: students keep what MEMORA_SEASON_CARRIES names of their "
        "progress, streak and XP; the rest begins at zero. It cannot be undone. Run it "
        "again after an interruption. Exit code 1 if the database does not answer, 2 if "
        "there is no such season."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help=_("only count who would lose something"),
        )
        parser.add_argument("--yes", action="store_true", help=_("open the season"))

    def run(self, options: dict[str, Any]) -> None:
        is_dry_run = options["dry_run"]
        if options["yes"] == is_dry_run:
            raise seasons.SeasonError(
                _("Count with --dry-run, then open the season with --yes.")
            )
        carries, added = season_opening.open_season(
            seasons.find(options["season"]),
            is_dry_run=is_dry_run,
            progress=self.progress,
        )
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
