"""``manage.py close_season SEASON [--until TIME] (--dry-run | --yes) [--json]``"""

from datetime import datetime
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone
from django.utils.translation import gettext as _, ngettext

from progress.management.season_command import SeasonCommand
from progress.services import seasons


class Command(SeasonCommand):
    help = (
        "Close a season: move the students' lessons and reviews that were received "
        "before its end to the archive. Nothing changes for students. Run it again "
        "after an interruption. read_season reads the archive, or moves it back. Exit "
        "code 1 if the database does not answer, 2 if the season or the time is not "
        "possible."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--until",
            metavar="TIME",
            help=_("the end of the season: 2026-08-31, or with a time; 14 days ago"),
        )
        parser.add_argument(
            "--dry-run", action="store_true", help=_("only count what would move")
        )
        parser.add_argument("--yes", action="store_true", help=_("close the season"))

    def run(self, options: dict[str, Any]) -> None:
        is_dry_run = options["dry_run"]
        if options["yes"] == is_dry_run:
            raise seasons.SeasonError(
                _("Count with --dry-run, then close the season with --yes.")
            )
        until, moved = seasons.close(
            seasons.find(options["season"]),
            until=_time(options["until"]),
            is_dry_run=is_dry_run,
            now=timezone.now(),
            progress=self.progress,
        )
        self.answer(
            {
                "ok": True,
                "dry_run": is_dry_run,
                "until": until,
                "players": moved.players,
                "ledger_rows": moved.ledger,
                "ratings": moved.ratings,
            }
        )
        if is_dry_run:
            self.say(_("Dry run: nothing was written."))
        said = ngettext(
            "%(count)d player, until %(until)s: %(rows)d rows of the ledger and "
            "%(ratings)d ratings are archived.",
            "%(count)d players, until %(until)s: %(rows)d rows of the ledger and "
            "%(ratings)d ratings are archived.",
            moved.players,
        )
        self.say(
            said
            % {
                "count": moved.players,
                "until": until.isoformat(timespec="minutes"),
                "rows": moved.ledger,
                "ratings": moved.ratings,
            }
        )


def _time(text: str | None) -> datetime | None:
    """Return the time; a date alone is its start, in the site's time zone.

    Raises:
        SeasonError: it is not one.
    """
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise seasons.SeasonError(
            _("Write the time as 2026-08-31 or 2026-08-31T18:00.")
        ) from None
    return at if at.tzinfo else timezone.make_aware(at)
