"""``manage.py verify_cdn [--repair] [--json]``"""

from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _, ngettext

from core.errors import MemoraError
from core.reporting_command import ReportingCommand
from publishing.cdn import verification
from publishing.models import PublishingSettings


class Command(ReportingCommand):
    help = (
        "Compare every file on the CDN with the published files by hash, and list "
        "missing, different, unknown and exposed files. Exit code 1 if differences "
        "remain."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--repair",
            action="store_true",
            help=_("upload missing and different files, delete unknown files"),
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        if not PublishingSettings.get_solo().cdn_enabled:
            self.misused(_("The CDN is off (publishing settings, “use the CDN”)."))
        try:
            report = verification.verify(
                repair=options["repair"], progress=self.progress
            )
        except MemoraError as error:
            self.answer({"ok": False, "error": error.message})
            self.fail(error.message)
        self.answer(
            {
                "ok": report.ok,
                "checked": report.checked,
                "repaired": report.repaired,
                "under_way": report.under_way,
                "findings": [finding.as_dict() for finding in report.findings],
            }
        )
        self._print_report(report)
        if not report.ok:
            remaining = len(report.findings)
            message = ngettext(
                "%(count)d difference remains.",
                "%(count)d differences remain.",
                remaining,
            )
            self.fail(message % {"count": remaining})

    def _print_report(self, report: verification.Report) -> None:
        message = ngettext(
            "%(count)d file compared.", "%(count)d files compared.", report.checked
        )
        self.say(message % {"count": report.checked})
        for found in report.findings:
            self.say(f"{found.kind} ({found.place}): {found.path}: {found.why}")
        if report.repaired:
            message = ngettext(
                "%(count)d difference repaired.",
                "%(count)d differences repaired.",
                report.repaired,
            )
            self.say(message % {"count": report.repaired})
        if report.under_way:
            message = ngettext(
                "%(count)d file is still waiting to be uploaded or deleted.",
                "%(count)d files are still waiting to be uploaded or deleted.",
                report.under_way,
            )
            self.say(message % {"count": report.under_way})
        elif report.ok:
            self.say(_("The files on the CDN match the published files."))
