"""``manage.py check_content [PLAN…] [--full] [--repair] [--json]``"""

from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _, ngettext

from core.reporting_command import ReportingCommand
from publishing.management.commands._plans import published_plans
from publishing.models import FaultKind, HealthReport
from publishing.monitoring import health


class Command(ReportingCommand):
    help = (
        "Compare the files on the disk with what was published, and store a report. "
        "Exit code 1 if faults remain."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "plans", nargs="*", metavar="PLAN", help=_("check only these plans")
        )
        parser.add_argument(
            "--full",
            action="store_true",
            help=_("check every file instead of a sample"),
        )
        parser.add_argument(
            "--repair",
            action="store_true",
            help=_("rebuild faulty files and delete unused files"),
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        plans = [plan.public_id for plan in published_plans(self, options["plans"])]
        report = health.check(
            full=options["full"],
            plans=plans if options["plans"] else None,
            repair=options["repair"],
            progress=self.progress,
        )
        self.answer(_as_dict(report))
        self._print_report(report)
        if not report.is_sound:
            message = ngettext(
                "%(count)d fault remains.", "%(count)d faults remain.", report.faults
            )
            self.fail(message % {"count": report.faults})

    def _print_report(self, report: HealthReport) -> None:
        self.say(
            ngettext(
                "%(count)d file checked.",
                "%(count)d files checked.",
                report.files_checked,
            )
            % {"count": report.files_checked}
        )
        for kind, found in report.findings.items():
            self.say(f"{FaultKind(kind).label}: {report.counts[kind]}")
            for fault in found:
                mended = _("repaired: ") if fault["repaired"] else ""
                self.say(f"  {mended}{fault['what']} {fault['why']}")
        if not report.counts:
            self.say(_("Everything matches what was published."))


def _as_dict(report: HealthReport) -> dict[str, Any]:
    return {
        "ok": report.is_sound,
        "report": report.pk,
        "is_full": report.is_full,
        "plans": report.plans,
        "started_at": report.started_at,
        "finished_at": report.finished_at,
        "files_checked": report.files_checked,
        "faults": report.faults,
        "repaired": report.repaired,
        "counts": report.counts,
        "findings": report.findings,
        "facts": report.facts,
    }
