"""What the commands about seasons share: the season's argument, and their errors."""

from abc import ABC, abstractmethod
from typing import Any

from django.core.management.base import CommandParser
from django.db import DatabaseError
from django.utils.translation import gettext as _

from core.reporting_command import ReportingCommand
from progress.services.seasons import SeasonError


class SeasonCommand(ReportingCommand, ABC):
    """A command about one season. Exit code 2 for its misuse, 1 without the database."""

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "season", metavar="SEASON", help=_("the season's title or number")
        )

    @abstractmethod
    def run(self, options: dict[str, Any]) -> None:
        """Do what the options say, and report it.

        Raises:
            SeasonError, OSError: the options, the season or a file do not allow it.
            DatabaseError: the database does not answer.
        """

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            self.run(options)
        except (SeasonError, OSError) as error:
            self.answer({"ok": False, "error": str(error)})
            self.misused(str(error))
        except DatabaseError as error:
            self.answer({"ok": False, "error": str(error)})
            said = _(
                "The database does not answer: %(why)s Run the command again: it "
                "continues."
            )
            self.fail(said % {"why": error})
