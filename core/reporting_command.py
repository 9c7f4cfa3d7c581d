"""The base class of management commands: ``--json``, progress and exit codes.

Exit code 0: success. 1: something failed or needs an administrator; the output states
what. 2: the command line is not valid.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder
from django.utils.translation import gettext as _

FAILED, USAGE_ERROR = 1, 2
_CLEAR_LINE = "\r\033[K"


class ReportingCommand(BaseCommand):
    """A command that prints lines for people, or one JSON object for programs."""

    as_json = False
    _shows_progress = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--json",
            action="store_true",
            help=_("print one JSON object; progress is shown only on a terminal"),
        )

    def execute(self, *args: Any, **options: Any) -> str | None:
        self.as_json = options["json"]
        return super().execute(*args, **options)

    def say(self, line: str) -> None:
        """Print a line for people; nothing with ``--json``."""
        if not self.as_json:
            self._clear_progress()
            self.stdout.write(line)

    def answer(self, value: dict[str, Any]) -> None:
        """Print the JSON object; nothing without ``--json``."""
        if self.as_json:
            self.stdout.write(_as_json(value))

    def answer_list(
        self,
        name: str,
        items: Iterable[dict[str, Any]],
        rest: Callable[[], dict[str, Any]],
    ) -> None:
        """Go through ``items``; with ``--json``, print each as it comes.

        The JSON object has the list first, then the values of ``rest``, which is called
        at the end. So no list of all items is needed. An exception of ``items`` would
        leave an incomplete object: report errors in ``rest``.
        """
        separator = f"{{{json.dumps(name)}: ["
        for item in items:
            if self.as_json:
                self.stdout.write(separator + _as_json(item), ending="\n")
                separator = ", "
        if self.as_json:
            start = "" if separator == ", " else separator
            self.stdout.write(start + "], " + _as_json(rest())[1:])

    def progress(self, done: int, of: int) -> None:
        """Show the progress of long work on one overwritten line of a terminal.

        The line is cleared when the work is done and before other output.
        """
        if not self.stderr.isatty():
            return
        self._clear_progress()
        if done < of:
            self.stderr.write(f"{done:,} / {of:,}", style_func=str, ending="")
            self.stderr.flush()
            self._shows_progress = True

    def _clear_progress(self) -> None:
        if self._shows_progress:
            self.stderr.write(_CLEAR_LINE, style_func=str, ending="")
            self._shows_progress = False

    def step(self, line: str) -> None:
        """Announce the next step on standard error, separate from the JSON object."""
        self._clear_progress()
        self.stderr.write(line)

    def fail(self, message: str) -> NoReturn:
        """Exit with code 1; with ``--json``, print the object before."""
        self._clear_progress()
        raise CommandError(message, returncode=FAILED)

    def misused(self, message: str) -> NoReturn:
        raise CommandError(message, returncode=USAGE_ERROR)


def _as_json(value: dict[str, Any]) -> str:
    return json.dumps(value, cls=DjangoJSONEncoder, ensure_ascii=False)
