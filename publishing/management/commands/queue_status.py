"""``manage.py queue_status [--json]``"""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.utils.formats import localize
from django.utils.timesince import timesince
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from core.reporting_command import ReportingCommand
from publishing.monitoring import status
from publishing.monitoring.status import PendingPlan, QueueStatus, Run


class Command(ReportingCommand):
    help = (
        "Show waiting, running and failed plans. Exit code 1 if there are dead "
        "letters or failed uploads."
    )

    def handle(self, *_args: Any, **_options: Any) -> None:
        found = status.queue_status()
        self.answer(asdict(found.report()))
        self._print_report(found)
        if found.needs_attention:
            self.fail(_("Dead letters or failed uploads need attention."))

    def _print_report(self, found: QueueStatus) -> None:
        self._print_waiting(_("Waiting"), found.pending, found.now)
        self._print_waiting(_("To be withdrawn"), found.withdrawing, found.now)
        self._print_runs(_("Building"), found.building)
        self._print_runs(_("Uploading"), found.uploading)
        self._print_runs(_("Waiting to be uploaded"), found.waiting_uploads)
        self._print_runs(_("Retrying"), found.retries)
        self._print_runs(_("Dead letters"), found.dead_letters)
        self._print_runs(_("Failed uploads"), found.failed_uploads)
        self.say(_("Last success:"))
        for state in found.plans:
            generation = _("generation %(number)s") % {"number": state.generation}
            rolled = _("rolled back") if state.rolled_back_at else ""
            line = (
                f"  {state.plan}  {_moment(state.last_success)}  {generation}  {rolled}"
            )
            self.say(line.rstrip())
        self.say(_("Last run: %(when)s") % {"when": _moment(found.last_processed)})
        self.say(_("Worker last seen: %(when)s") % {"when": _moment(found.worker_seen)})
        self.say(_("Beat last seen: %(when)s") % {"when": _moment(found.beat_seen)})

    def _print_waiting(
        self, title: str, plans: list[PendingPlan], now: datetime
    ) -> None:
        self.say(f"{title}: {len(plans)}")
        for plan in plans:
            age = timesince(plan.since, now) if plan.since else _("just now")
            self.say(f"  {plan.plan}  {age}  {plan.title}")

    def _print_runs(self, title: str, runs: list[Run]) -> None:
        self.say(f"{title}: {len(runs)}")
        for run in runs:
            note = _("the build process has stopped") if run.is_alive is False else ""
            attempt = _("attempt %(number)d") % {"number": run.attempts}
            where = " ".join(filter(None, [run.document, run.json_path]))
            words = [run.plan, attempt, _moment(run.at), note, where, run.error]
            self.say("  " + "  ".join(filter(None, words)))


def _moment(when: datetime | None) -> str:
    return str(localize(localtime(when))) if when else "—"
