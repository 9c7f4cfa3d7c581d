"""The bases of the commands that write snapshots: ``sync_…`` and ``rebuild_…``."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from django.core.management.base import CommandParser
from django.db import DatabaseError
from django.utils.translation import gettext as _, ngettext

from core.batches import batches
from core.reporting_command import ReportingCommand
from players.errors import PlayerNotFoundError
from players.services import selection
from players.write_back import RebuildResult, SyncResult

_BATCH = 200
"""How many players are rebuilt in one transaction."""


class SnapshotCommand(ReportingCommand, ABC):
    """What both kinds of command do when the database does not answer."""

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            self.work(**options)
        except DatabaseError as error:
            self.answer({"ok": False, "error": str(error)})
            self.fail(
                _("The database does not answer: %(why)s Nothing is lost.")
                % {"why": error}
            )

    @abstractmethod
    def work(self, **options: Any) -> None:
        """Do the command's work with the parsed arguments, and answer."""


class SyncCommand(SnapshotCommand):
    """``[--force]``: run a write-back now."""

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--force",
            action="store_true",
            help=_("write every snapshot, also those that are up to date"),
        )

    @abstractmethod
    def sync(self, *, force: bool, progress: Callable[[int, int], None]) -> SyncResult:
        """Write the snapshots that are behind, or all of them with ``force``.

        Args:
            progress: called with the number of written snapshots and their total.
        """

    def work(self, **options: Any) -> None:
        result = self.sync(force=options["force"], progress=self.progress)
        self.answer(
            {
                "ok": not result.errors,
                "written": result.synced,
                "errors": result.errors,
                "seconds": result.duration,
            }
        )
        self.say(_written(result.synced, result.duration))
        if result.errors:
            self.fail(
                ngettext(
                    "%(count)d snapshot could not be written; the log has the error. "
                    "The next run writes it.",
                    "%(count)d snapshots could not be written; the log has the "
                    "errors. The next run writes them.",
                    result.errors,
                )
                % {"count": result.errors}
            )


class Rebuild(Protocol):
    """A function that rebuilds the snapshots of one kind (`write_back.rebuild`)."""

    def __call__(
        self,
        player_ids: Iterable[Sequence[int]],
        *,
        total: int,
        progress: Callable[[int, int], None],
    ) -> RebuildResult: ...


class RebuildCommand(SnapshotCommand):
    """``[PLAYER …]``: make snapshots again from the ledger."""

    rebuild: Rebuild

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        add_players(parser)

    def work(self, **options: Any) -> None:
        named = find_players(self, options["players"])
        result = self.rebuild(
            batches(named, _BATCH) if named else selection.everyone(_BATCH),
            total=len(named) or selection.count_everyone(),
            progress=self.progress,
        )
        self.answer(
            {
                "ok": not result.remaining,
                "written": result.written,
                "remaining": result.remaining,
                "redis_is_away": result.redis_is_away,
                "seconds": result.duration,
            }
        )
        self.say(_written(result.written, result.duration))
        if result.redis_is_away:
            self.fail(
                ngettext(
                    "Redis does not answer. %(count)d player remains. Nothing is lost: "
                    "run the command again once Redis answers.",
                    "Redis does not answer. %(count)d players remain. Nothing is lost: "
                    "run the command again once Redis answers.",
                    result.remaining,
                )
                % {"count": result.remaining}
            )
        if result.remaining:
            self.fail(
                ngettext(
                    "The database refused the snapshots of %(count)d player; the log "
                    "has the error. Run the command again.",
                    "The database refused the snapshots of %(count)d players; the log "
                    "has the errors. Run the command again.",
                    result.remaining,
                )
                % {"count": result.remaining}
            )


def add_players(parser: CommandParser) -> None:
    """Add the argument that `find_players` reads."""
    parser.add_argument(
        "players",
        nargs="*",
        metavar="PLAYER",
        help=_("only these players: numbers or e-mail addresses"),
    )


def find_players(command: ReportingCommand, named: Sequence[str]) -> list[int]:
    """Return the numbers of the players named on the command line, in order.

    Raises:
        CommandError: one of them does not exist; exit code 2.
    """
    try:
        return sorted({selection.find(text) for text in named})
    except PlayerNotFoundError as error:
        command.answer({"ok": False, "error": error.message})
        command.misused(error.message)


def _written(count: int, seconds: float) -> str:
    said = ngettext(
        "%(count)d snapshot written in %(seconds).1f seconds.",
        "%(count)d snapshots written in %(seconds).1f seconds.",
        count,
    )
    return said % {"count": count, "seconds": seconds}
