"""``manage.py check_cdn [--json]``"""

from dataclasses import asdict
from typing import Any

from django.utils.translation import gettext as _

from core.reporting_command import ReportingCommand
from publishing.cdn import connection


class Command(ReportingCommand):
    help = (
        "Write, read, compare and delete a probe on the CDN of the publishing "
        "settings. Exit code 1 if a step fails."
    )

    def handle(self, *_args: Any, **_options: Any) -> None:
        result = connection.check()
        self.answer(asdict(result.report()))
        for step in result.steps:
            self.say(f"{'✓' if step.ok else '✗'} {step.name}: {step.message}")
        if not result.ok:
            self.fail(_("The CDN test failed."))
