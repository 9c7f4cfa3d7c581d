"""``manage.py follow_registrations``: give players what their registrations give."""

import csv
import os
from pathlib import Path
from typing import IO, Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _

from core.reporting_command import ReportingCommand
from players.errors import StoreAwayError
from registrar.player_access import applying, differences
from registrar.player_access.applying import Report
from registrar.player_access.differences import Action, Change, Unit


class Command(ReportingCommand):
    help = _(
        "List what players would get or lose by their registrations in Zoho, also by "
        "rules that are off. With --apply the rules that are enabled are carried out."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        what = parser.add_mutually_exclusive_group()
        what.add_argument(
            "--dry-run", action="store_true", help=_("write nothing (the default)")
        )
        what.add_argument("--apply", action="store_true", help=_("make the changes"))
        parser.add_argument(
            "--permit-many",
            action="store_true",
            help=_(
                "apply even if more than a tenth of the players would lose something"
            ),
        )
        parser.add_argument(
            "--passwords",
            type=Path,
            metavar="FILE",
            help=_(
                "generate passwords for new accounts and write them to this new file "
                "(CSV); they are stored nowhere else"
            ),
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        if options["passwords"] and not options["apply"]:
            self.misused(_("--passwords needs --apply."))
        units = differences.find(with_disabled=not options["apply"])
        if not options["apply"]:
            self._show(units)
            return
        if options["passwords"] is None:
            self._apply(units, None, permit_many=options["permit_many"])
            return
        try:
            file = os.open(
                options["passwords"], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600
            )
        except OSError as error:
            self.fail(f"{options['passwords']}: {error.strerror}")
        with os.fdopen(file, "w", encoding="utf-8", newline="") as passwords:
            self._apply(units, passwords, permit_many=options["permit_many"])

    def _show(self, units: list[Unit]) -> None:
        for unit in units:
            for change in unit.changes:
                self.say(_line(unit, change))
        due = sum(unit.is_due for unit in units)
        self.say(
            _("%(due)d students or players would change; nothing was written.")
            % {"due": due}
        )
        if applying.is_too_much(units):
            self.say(_too_many())
        self.answer({"units": [_document(unit) for unit in units], "due": due})

    def _apply(
        self, units: list[Unit], passwords: IO[str] | None, *, permit_many: bool
    ) -> None:
        writer = csv.writer(passwords) if passwords else None
        total, written = sum(unit.is_due for unit in units), 0
        if writer:
            writer.writerow(["name", "email", "password"])
        count = 0

        def done(report: Report) -> None:
            nonlocal count, written
            count += 1
            self.progress(count, total)
            if writer and passwords:
                new = report.created[written:]
                writer.writerows([one.name, one.email, one.password] for one in new)
                # A killed run has lost the password of one account at most.
                passwords.flush()
                written = len(report.created)

        try:
            report = applying.apply(
                units, permit_many=permit_many, with_passwords=bool(writer), done=done
            )
        except StoreAwayError as error:
            self.fail(error.message)
        for zoho_id, reason in report.refused:
            self.say(f"{zoho_id}: {reason}")
        self.say(
            _("%(created)d accounts created, %(given)d given, %(ended)d taken away.")
            % {
                "created": len(report.created),
                "given": report.given,
                "ended": report.ended,
            }
        )
        self.answer(
            {
                "created": [one.player_id for one in report.created],
                "given": report.given,
                "ended": report.ended,
                "refused": dict(report.refused),
                "stopped": report.stopped,
            }
        )
        if report.stopped:
            self.fail(_too_many())


def _too_many() -> str:
    return _(
        "More than a tenth of the players would lose something: --apply writes nothing. "
        "If that is right, use --permit-many."
    )


def _line(unit: Unit, change: Change) -> str:
    who = f"{unit.student.zoho_id} {unit.student}" if unit.student else "-"
    player = f"#{unit.player_id}" if unit.player_id else "-"
    state = "" if change.rule.is_enabled else _(" [rule is off]")
    what = f"{change.action.label}: {change.shown_thing}"
    if change.action == Action.CREATE:
        what = str(change.action.label)
    return f"{who}  {player}  {what}  ({change.reason.label}){state}"


def _document(unit: Unit) -> dict[str, Any]:
    return {
        "student": unit.student.zoho_id if unit.student else None,
        "player": unit.player_id,
        "changes": [
            {
                "action": change.action,
                "type": change.thing[0],
                "thing": change.shown_thing,
                "reason": change.reason,
                "rule": change.rule.pk,
                "enabled": change.rule.is_enabled,
            }
            for change in unit.changes
        ],
    }
