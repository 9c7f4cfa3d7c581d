"""``manage.py content_quality SUBJECT_ID [--json]``"""

from itertools import groupby
from operator import attrgetter
from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _, ngettext

from content.inline_text import plain
from content.json_errors import path_text
from content.models import Node
from content.quality import report
from content.quality.findings import Finding
from content.quality.report import Report
from core.reporting_command import ReportingCommand


class Command(ReportingCommand):
    help = (
        "Print the quality report of a subject: hints about empty lessons, links, "
        "alternative texts and more. Exit code 0, also with findings."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("subject_id", metavar="SUBJECT_ID")

    def handle(self, *_args: Any, **options: Any) -> None:
        subject_id = options["subject_id"]
        subjects = Node.objects.subjects().untrashed()
        subject = subjects.filter(public_id=subject_id).first()
        if subject is None:
            self.fail(_("There is no subject “%s”.") % subject_id)
        found = report.of_subject(subject.pk)
        self.answer(_as_json(subject_id, found))
        self._print(found)

    def _print(self, found: Report) -> None:
        for problem, inside in groupby(found.findings, key=attrgetter("problem")):
            self.say(f"{problem.label} ({found.counts[problem]})")
            for finding in inside:
                self.say(f"  {_line(finding)}")
        self.say(
            ngettext("%(count)d finding.", "%(count)d findings.", len(found.findings))
            % {"count": len(found.findings)}
        )


def _line(finding: Finding) -> str:
    place = [finding.node.id, plain(finding.node.title)]
    if finding.stage:
        place += ["›", finding.stage.id, plain(finding.stage.title), finding.place]
    return f"{' '.join(filter(None, place))}: {finding.detail}"


def _as_json(subject_id: str, found: Report) -> dict[str, Any]:
    """Return the JSON object; ids are public, ``path`` is a place in the config."""
    return {
        "subject": subject_id,
        "lessons": found.lessons,
        "stages": found.stages,
        "counts": {problem.value: count for problem, count in found.counts.items()},
        "findings": [
            {
                "kind": finding.problem.value,
                "node": finding.node.id,
                "stage": finding.stage.id if finding.stage else None,
                "path": path_text(finding.path),
                "detail": finding.detail,
                "same_as": finding.other.id if finding.other else None,
            }
            for finding in found.findings
        ],
    }
