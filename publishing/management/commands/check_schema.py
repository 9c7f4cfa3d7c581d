"""``manage.py check_schema [--rows] [--json]``"""

from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _, ngettext

from core.reporting_command import ReportingCommand
from publishing.monitoring import schema_check


class Command(ReportingCommand):
    help = (
        "Compare the database's tables, columns, foreign keys and indexes with the "
        "models, without changes. Exit code 1 if they differ."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--rows",
            action="store_true",
            help=_("also find rows whose foreign key has no target (slow)"),
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        faults = schema_check.find_faults(rows=options["rows"], progress=self.progress)
        self.answer({"ok": not faults, "faults": [asdict(fault) for fault in faults]})
        for fault in faults:
            place = ".".join(filter(None, [fault.table, fault.what]))
            self.say(f"{place}: {fault.why} [{fault.code}]")
        if faults:
            message = ngettext(
                "%(count)d difference.", "%(count)d differences.", len(faults)
            )
            self.fail(message % {"count": len(faults)})
        self.say(_("The database matches the models."))
