"""``manage.py publish``: bring plans up to date now."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _, ngettext

from plans.models import AcademicPlan
from publishing import builds
from publishing.models import SyncLog, SyncStatus


class Command(BaseCommand):
    help = "Publish plans that differ from their release, now."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("plans", nargs="*", metavar="PLAN", help="ids of plans")
        parser.add_argument("--all", action="store_true", help="every published plan")

    def handle(self, *args: Any, **options: Any) -> None:
        failed = 0
        for plan in self._plans(options["plans"], everything=options["all"]):
            entry = builds.publish_plan(plan.pk, trigger="command")
            failed += self._report(plan, entry)
        if failed:
            raise CommandError(
                ngettext(
                    "%(count)d plan was not published.",
                    "%(count)d plans were not published.",
                    failed,
                )
                % {"count": failed}
            )

    def _plans(self, ids: list[str], *, everything: bool) -> list[AcademicPlan]:
        if bool(ids) == everything:
            raise CommandError(_("Name plans by their ids, or say --all."))
        published = AcademicPlan.objects.filter(is_published=True)
        if everything:
            return list(published)
        plans = list(published.filter(public_id__in=ids))
        missing = sorted(set(ids) - {plan.public_id for plan in plans})
        if missing:
            raise CommandError(
                _("There is no published plan %(ids)s.") % {"ids": ", ".join(missing)}
            )
        return plans

    def _report(self, plan: AcademicPlan, entry: SyncLog | None) -> int:
        """Say what happened to ``plan``; 1 when it failed."""
        if entry is None:
            line = _("%(plan)s: nothing to do") % {"plan": plan.public_id}
        elif entry.status in (SyncStatus.LOCAL_ONLY, SyncStatus.SUCCESS):
            line = _(
                "%(plan)s: generation %(generation)s, %(written)d files written, "
                "%(unchanged)d unchanged, %(removed)d removed"
            ) % {
                "plan": plan.public_id,
                "generation": entry.generation,
                "written": entry.files_written,
                "unchanged": entry.files_unchanged,
                "removed": entry.files_removed,
            }
        else:
            self.stderr.write(f"{plan.public_id}: {entry.error}")
            return 1
        self.stdout.write(line)
        return 0
