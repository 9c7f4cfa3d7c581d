"""``manage.py publish PLAN…|--all [--full] [--release] [--dry-run] [--json]``"""

from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _, ngettext

from core.errors import StructureError
from core.reporting_command import ReportingCommand
from plans.models import AcademicPlan
from publishing.building import builds, dry_run, rollback
from publishing.format.validation import InvalidDocumentError
from publishing.management.commands._plans import published_plans
from publishing.models import SyncLog
from publishing.monitoring import status


class Command(ReportingCommand):
    help = "Publish plans that differ from their release now. Exit code 1 if one fails."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("plans", nargs="*", metavar="PLAN", help=_("ids of plans"))
        parser.add_argument(
            "--all", action="store_true", help=_("every published plan")
        )
        parser.add_argument(
            "--full",
            action="store_true",
            help=_(
                "rebuild everything and compare every file with the disk, even if "
                "nothing has changed; identical files are not rewritten"
            ),
        )
        parser.add_argument(
            "--release",
            action="store_true",
            help=_("also publish plans that are held after a rollback"),
        )
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help=_("list the files that would be written or removed, without writing"),
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        if bool(options["plans"]) == options["all"]:
            self.misused(_("Pass ids of plans, or use --all."))
        plans = published_plans(self, options["plans"])
        results = []
        for done, plan in enumerate(plans):
            self.progress(done, len(plans))
            if options["dry_run"]:
                results.append(self._preview(plan, full=options["full"]))
            else:
                results.append(self._publish(plan, options))
        self.progress(len(plans), len(plans))
        failed = sum(not result["ok"] for result in results)
        self.answer({"ok": not failed, "plans": results})
        if failed:
            self.fail(
                ngettext(
                    "%(count)d plan was not published.",
                    "%(count)d plans were not published.",
                    failed,
                )
                % {"count": failed}
            )

    def _publish(self, plan: AcademicPlan, options: dict[str, Any]) -> dict[str, Any]:
        if options["release"]:
            rollback.release(plan.pk)
        elif rollback.is_held(plan.pk):
            self.step(
                _("%(plan)s: held after a rollback; --release publishes it")
                % {"plan": plan.public_id}
            )
            # A held plan fails a command that names it, but not the one for all plans.
            return {"plan": plan.public_id, "ok": options["all"], "status": "held"}
        try:
            entry = builds.publish_now(
                plan.pk,
                trigger="command",
                full=options["full"],
                wait_seconds=builds.LOCK_WAIT_SECONDS,
            )
        except builds.BuildInProgressError as error:
            self.step(f"{plan.public_id}: {error}")
            return {
                "plan": plan.public_id,
                "ok": False,
                "status": "building_elsewhere",
                "error": str(error),
            }
        return self._report(plan, entry)

    def _report(self, plan: AcademicPlan, entry: SyncLog | None) -> dict[str, Any]:
        result: dict[str, Any] = {"plan": plan.public_id, "ok": True}
        if entry is None:
            self.say(_("%(plan)s: nothing to do") % {"plan": plan.public_id})
            return result | {"status": "nothing_to_do"}
        result |= {
            "ok": status.is_out(entry),
            "status": entry.status,
            "generation": entry.generation,
            "files_written": entry.files_written,
            "files_unchanged": entry.files_unchanged,
            "files_removed": entry.files_removed,
            "seconds": entry.duration_seconds,
            "error": entry.error,
            "document": entry.error_document,
            "json_path": entry.error_json_path,
        }
        if not result["ok"]:
            self.step(f"{plan.public_id}: {entry.error}")
            return result
        self.say(
            _(
                "%(plan)s: generation %(generation)s, %(written)d files written, "
                "%(unchanged)d unchanged, %(removed)d removed"
            )
            % {
                "plan": plan.public_id,
                "generation": entry.generation,
                "written": entry.files_written,
                "unchanged": entry.files_unchanged,
                "removed": entry.files_removed,
            }
        )
        return result

    def _preview(self, plan: AcademicPlan, *, full: bool) -> dict[str, Any]:
        try:
            found = dry_run.dry_run_of(plan.pk, full=full)
        except (InvalidDocumentError, StructureError) as error:
            self.step(f"{plan.public_id}: {error}")
            return {"plan": plan.public_id, "ok": False, "error": str(error)}
        if found.is_empty:
            self.say(_("%(plan)s: no file would change") % {"plan": plan.public_id})
        for sign, paths in (
            ("+", found.added),
            ("~", found.changed),
            ("!", found.rewritten),
            ("-", found.removed),
        ):
            for path in paths:
                self.say(f"{plan.public_id}: {sign} {path}")
        return {"plan": plan.public_id, "ok": True, **asdict(found)}
