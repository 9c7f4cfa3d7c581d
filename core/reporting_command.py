"""The base of management commands: ``--json``, progress and exit codes.

0: done, and nothing wrong. 1: something failed or needs somebody; the output says what.
2: the command line itself is not right.
"""

import json
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder
from django.utils.translation import gettext as _

FAILED, MISUSED = 1, 2
_CLEAR_LINE = "\r\033[K"


class ReportingCommand(BaseCommand):
    """A command that answers people in lines, and programs with one JSON object."""

    as_json = False
    _shows_progress = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--json",
            action="store_true",
            help=_("print one JSON object; how far it is, only a terminal is told"),
        )

    def execute(self, *args: Any, **options: Any) -> str | None:
        self.as_json = options["json"]
        return super().execute(*args, **options)

    def say(self, line: str) -> None:
        """A line for people; nothing where a program reads."""
        if not self.as_json:
            self._clear_progress()
            self.stdout.write(line)

    def answer(self, value: dict[str, Any]) -> None:
        """The object for programs; nothing where people read."""
        if self.as_json:
            text = json.dumps(value, cls=DjangoJSONEncoder, ensure_ascii=False)
            self.stdout.write(text)

    def progress(self, done: int, of: int) -> None:
        """How far long work is: on a terminal, in one line that is written over.

        The line is gone when the work is done, and before anything else is said.
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
        """What is begun now; on standard error, so that it mixes into no answer."""
        self._clear_progress()
        self.stderr.write(line)

    def fail(self, message: str) -> NoReturn:
        """End with exit code 1; with ``--json`` the object has said it already."""
        self._clear_progress()
        raise CommandError(message, returncode=FAILED)

    def misused(self, message: str) -> NoReturn:
        raise CommandError(message, returncode=MISUSED)
