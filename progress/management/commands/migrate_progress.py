"""``manage.py migrate_progress FILE (--dry-run | --yes) [--no-xp] [--report FILE]``"""

import csv
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.db import DatabaseError
from django.utils import timezone
from django.utils.translation import gettext as _, gettext_lazy, ngettext

from core.reporting_command import ReportingCommand
from progress.services import legacy_progress
from progress.services.legacy_progress import Fault, Imported, Line

_REASONS = {
    Fault.UNKNOWN_PLAYER: gettext_lazy(
        "there is no player with this e-mail address or school number"
    ),
    Fault.UNKNOWN_LESSON: gettext_lazy("there is no lesson with this id"),
    Fault.NOT_IN_PLAN: gettext_lazy(
        "the lesson is not published in a plan that the player is enrolled in"
    ),
    Fault.INVALID_TIME: gettext_lazy("the time is not in the form 2026-03-02T12:30:00"),
    Fault.FUTURE_TIME: gettext_lazy("the time is in the future"),
    Fault.INVALID_HEARTS: gettext_lazy("hearts are a whole number from 1 to 5"),
    Fault.DUPLICATE: gettext_lazy("an earlier line says the same"),
}


class Command(ReportingCommand):
    help = (
        "Add completions of an earlier system to the ledger, from a CSV file with the "
        "columns player, lesson, completed_at and hearts. Run it again after an "
        "interruption: what is recorded is not added twice. Exit code 1 if lines could "
        "not be imported, 2 if the file or the command line is not valid."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("file", metavar="FILE", help=_("the CSV file, in UTF-8"))
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help=_("check the file and write the report only"),
        )
        parser.add_argument(
            "--yes",
            action="store_true",
            help=_("add the rows; the ledger's rows cannot be deleted"),
        )
        parser.add_argument(
            "--no-xp", action="store_true", help=_("give no XP for first completions")
        )
        parser.add_argument(
            "--report",
            metavar="FILE",
            help=_("where to list the lines that were not imported; FILE.report.csv"),
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        if options["yes"] == options["dry_run"]:
            self._misused(
                _("Check the file with --dry-run, then import it with --yes.")
            )
        source = Path(options["file"])
        report = Path(options["report"] or f"{source}.report.csv")
        try:
            done = self._import(source, report, options)
        except OSError as error:
            said = _("%(file)s cannot be read: %(reason)s")
            self._misused(
                said
                % {"file": error.filename or source, "reason": error.strerror or error}
            )
        except (UnicodeDecodeError, csv.Error) as error:
            said = _("%(file)s cannot be read: %(reason)s")
            self._misused(said % {"file": source, "reason": error})
        except legacy_progress.MissingColumnsError:
            said = _("The first line must name the columns %(names)s.")
            self._misused(said % {"names": ", ".join(legacy_progress.COLUMNS)})
        except DatabaseError as error:
            self.answer({"ok": False, "error": str(error)})
            said = _(
                "The database does not answer: %(why)s Run the command again: what is "
                "recorded is not added twice."
            )
            self.fail(said % {"why": error})
        self._say(done, report, is_dry_run=options["dry_run"])

    def _misused(self, said: str) -> None:
        self.answer({"ok": False, "error": said})
        self.misused(said)

    def _import(self, source: Path, report: Path, options: dict[str, Any]) -> Imported:
        with source.open("rb") as counted:
            total = sum(block.count(b"\n") for block in iter(_blocks(counted), b""))
        with (
            source.open(encoding="utf-8-sig", newline="") as lines,
            report.open("w", encoding="utf-8", newline="") as faults,
        ):
            rows = csv.writer(faults)
            rows.writerow(["line", *legacy_progress.COLUMNS, "code", "reason"])

            def write(line: Line, fault: Fault) -> None:
                rows.writerow([*line, fault, _REASONS[fault]])

            return legacy_progress.import_lines(
                legacy_progress.read_lines(lines),
                is_dry_run=options["dry_run"],
                with_xp=not options["no_xp"],
                now=timezone.now(),
                report=write,
                progress=lambda done: self.progress(done, total),
            )

    def _say(self, done: Imported, report: Path, *, is_dry_run: bool) -> None:
        refused = done.faults.total()
        self.answer(
            {
                "ok": not refused,
                "dry_run": is_dry_run,
                "lines": done.lines,
                "added": done.added,
                "recorded_before": done.recorded,
                "xp": done.xp,
                "not_imported": refused,
                "reasons": {fault: done.faults[fault] for fault in sorted(done.faults)},
                "redis_is_away": done.redis_is_away,
                "report": str(report),
            }
        )
        if is_dry_run:
            self.say(_("Dry run: nothing was written."))
        said = ngettext(
            "%(count)d completion added, with %(xp)d XP.",
            "%(count)d completions added, with %(xp)d XP.",
            done.added,
        )
        self.say(said % {"count": done.added, "xp": done.xp})
        said = ngettext(
            "%(count)d line was recorded before.",
            "%(count)d lines were recorded before.",
            done.recorded,
        )
        self.say(said % {"count": done.recorded})
        for fault in sorted(done.faults):
            self.say(f"{done.faults[fault]}: {_REASONS[fault]}")
        if done.redis_is_away:
            self.step(
                _(
                    "Redis does not answer: the students' figures are complete after "
                    "the next reconciliation."
                )
            )
        if refused:
            said = ngettext(
                "%(count)d line was not imported; %(file)s names it.",
                "%(count)d lines were not imported; %(file)s names them.",
                refused,
            )
            self.fail(said % {"count": refused, "file": report})


def _blocks(file: Any) -> Any:
    return lambda: file.read(1 << 20)
