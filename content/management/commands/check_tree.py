"""``manage.py check_tree [--repair] [--json]``"""

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _, ngettext

from content import integrity
from content.integrity import TreeFault


class Command(BaseCommand):
    help = "Check the content trees for faults. Exit code 1 if there are any."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--repair",
            action="store_true",
            help=_(
                "repair everything that the parent links determine, with the trees "
                "locked"
            ),
        )
        parser.add_argument(
            "--json", action="store_true", help=_("print one JSON object")
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        repaired = integrity.repair() if options["repair"] else []
        faults = integrity.find_faults()
        if options["json"]:
            self.stdout.write(_as_json(faults, repaired))
        else:
            self._print(faults, repaired)
        if faults:
            raise CommandError(
                ngettext(
                    "%(count)d fault in the content trees.",
                    "%(count)d faults in the content trees.",
                    len(faults),
                )
                % {"count": len(faults)}
            )

    def _print(self, faults: list[TreeFault], repaired: list[TreeFault]) -> None:
        for fault in repaired:
            self.stdout.write(
                _("repaired: %(id)s %(what)s")
                % {"id": fault.node_id, "what": fault.message}
            )
        for fault in faults:
            self.stdout.write(f"{fault.node_id} {fault.message} [{fault.code}]")
        if not faults:
            self.stdout.write(_("The content trees have no faults."))
        elif any(fault.is_repairable for fault in faults):
            self.stdout.write(_("Run “manage.py check_tree --repair” to repair them."))


def _as_json(faults: list[TreeFault], repaired: list[TreeFault]) -> str:
    return json.dumps(
        {
            "ok": not faults,
            "faults": [asdict(fault) for fault in faults],
            "repaired": [asdict(fault) for fault in repaired],
        },
        ensure_ascii=False,
    )
