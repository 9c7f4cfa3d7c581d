"""``manage.py reconcile_registrar``: compare the mirror with Zoho, and repair it."""

from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _

from core.reporting_command import ReportingCommand
from registrar import drift, reconciling, sources
from registrar.effects import handlers
from registrar.mapping.modules import MAPPINGS
from registrar.peers.errors import PeerError
from registrar.reconciling import ModuleReport


class Command(ReportingCommand):
    help = _(
        "Compare the copies of Zoho's records with Zoho. Without --apply nothing is "
        "written."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--module",
            choices=list(MAPPINGS),
            action="append",
            help=_("only this module; may be repeated"),
        )
        parser.add_argument(
            "--moodle",
            action="store_true",
            help=_("compare Moodle with the copies instead"),
        )
        what = parser.add_mutually_exclusive_group()
        what.add_argument(
            "--dry-run", action="store_true", help=_("write nothing (the default)")
        )
        what.add_argument("--apply", action="store_true", help=_("repair the copies"))
        parser.add_argument(
            "--permit-many",
            action="store_true",
            help=_("apply even if more than a tenth of the rows would change"),
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        if options["moodle"]:
            self._compare_moodle(apply=options["apply"])
            return
        source = sources.current()
        if source is None:
            self.fail(_("Zoho CRM is not configured."))
        reports: list[ModuleReport] = []
        errors: dict[str, str] = {}
        for module in options["module"] or MAPPINGS:
            self.step(_("Reading %(module)s …") % {"module": module})
            try:
                report = reconciling.reconcile_module(
                    source=source,
                    module=module,
                    apply=options["apply"],
                    permit_many=options["permit_many"],
                )
            except PeerError as error:
                errors[module] = error.message
                continue
            reports.append(report)
            self._show(report)
        self.answer({"modules": [asdict(one) for one in reports], "errors": errors})
        for module, message in errors.items():
            self.say(f"{module}: {message}")
        if errors or any(one.stopped for one in reports):
            self.fail(_("Not everything could be compared or repaired."))

    def _compare_moodle(self, *, apply: bool) -> None:
        site = handlers.site()
        if site is None:
            self.fail(_("Moodle is not configured."))
        try:
            found = drift.find(site)
        except PeerError as error:
            self.fail(error.message)
        repaired = drift.repair(found) if apply else []
        for one in found:
            self.say(f"{one.module} {one.record_id}: {one.problem.label}")
        self.say(
            _("%(count)d differences, %(repaired)d will be repaired.")
            % {"count": len(found), "repaired": len(repaired)}
        )
        self.answer(
            {"drift": [asdict(one) for one in found], "repaired": len(repaired)}
        )

    def _show(self, report: ModuleReport) -> None:
        self.say(
            _(
                "%(module)s: %(read)d read, %(new)d new, %(changed)d changed, "
                "%(gone)d deleted, %(applied)d repaired."
            )
            % {
                "module": report.module,
                "read": report.read,
                "new": len(report.new),
                "changed": report.changed_rows,
                "gone": len(report.gone),
                "applied": len(report.applied),
            }
        )
        for one in report.changed:
            self.say(f"  {one.record_id} {one.column}: {one.here!r} → {one.in_zoho!r}")
        for record_id in report.gone:
            self.say("  " + _("%(id)s is no longer in Zoho.") % {"id": record_id})
        if report.stopped:
            self.say(
                "  "
                + _(
                    "More than a tenth of the rows would change or be deleted: nothing "
                    "was written. If that is right, use --permit-many."
                )
            )
