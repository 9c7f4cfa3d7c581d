"""What the commands ``replay_inbox`` and ``replay_outbox`` have in common."""

from typing import Any, ClassVar

from django.core.management.base import CommandParser
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _, ngettext

from core.reporting_command import ReportingCommand
from registrar.mapping.modules import MAPPINGS
from registrar.models.work import Work, WorkState
from registrar.replaying import replay


class ReplayCommand(ReportingCommand):
    """Let rows of ``model`` be done again."""

    model: ClassVar[type[Work]]

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("ids", nargs="*", type=int, help=_("numbers of rows"))
        parser.add_argument("--module", choices=list(MAPPINGS), default="")
        parser.add_argument("--state", choices=WorkState.values, default="")
        parser.add_argument("--since", default="", help=_("time with an offset"))
        parser.add_argument("--until", default="", help=_("time with an offset"))
        parser.add_argument(
            "--all", action="store_true", help=_("needed without any condition")
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        conditions: dict[str, Any] = {
            "ids": tuple(options["ids"]),
            "module": options["module"],
            "state": options["state"],
            "since": self._time(options["since"]),
            "until": self._time(options["until"]),
        }
        if not any(conditions.values()) and not options["all"]:
            self.misused(_("Name what to replay, or use --all."))
        count = replay(self.model, **conditions)
        self.say(
            ngettext(
                "%(count)d row will be done again.",
                "%(count)d rows will be done again.",
                count,
            )
            % {"count": count}
        )
        self.answer({"replayed": count})

    def _time(self, text: str) -> Any:
        try:
            found = parse_datetime(text) if text else None
        except ValueError:
            found = None
        if text and (found is None or found.tzinfo is None):
            self.misused(_("Write a time as 2026-01-31T12:00:00+03:00."))
        return found
