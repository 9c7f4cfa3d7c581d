"""``manage.py queue_status [--json]``"""

from datetime import datetime
from typing import Any

from django.utils.formats import localize
from django.utils.timesince import timesince
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from publishing import status
from publishing.management.commands._reporting import ReportingCommand
from publishing.status import QueueStatus, Run


class Command(ReportingCommand):
    help = (
        "Say what waits to be published, what runs, what failed. Exit code 1 when a "
        "dead letter waits for somebody."
    )

    def handle(self, *_args: Any, **_options: Any) -> None:
        found = status.queue_status()
        self.answer(found.as_dict())
        self._say_all(found)
        if found.needs_somebody:
            self.fail(_("Dead letters wait for somebody."))

    def _say_all(self, found: QueueStatus) -> None:
        self.say(_("Waiting: %(count)d") % {"count": len(found.pending)})
        for plan in found.pending:
            age = timesince(plan.since, found.now) if plan.since else _("just now")
            self.say(f"  {plan.plan}  {age}  {plan.title}")
        self._say_runs(_("Building"), found.building)
        self._say_runs(_("Tried again"), found.retries)
        self._say_runs(_("Dead letters"), found.dead_letters)
        self.say(_("Last success:"))
        for state in found.plans:
            generation = _("generation %(number)s") % {"number": state.generation}
            rolled = _("rolled back") if state.rolled_back_at else ""
            line = (
                f"  {state.plan}  {_moment(state.last_success)}  {generation}  {rolled}"
            )
            self.say(line.rstrip())
        self.say(_("Last run: %(when)s") % {"when": _moment(found.last_processed)})
        self.say(_("Worker's heartbeat: %(when)s") % {"when": _moment(found.heartbeat)})

    def _say_runs(self, title: str, runs: list[Run]) -> None:
        self.say(f"{title}: {len(runs)}")
        for run in runs:
            lost = _("its builder is gone") if run.is_alive is False else ""
            attempt = _("attempt %(number)d") % {"number": run.attempts}
            where = " ".join(filter(None, [run.document, run.json_path]))
            words = [run.plan, attempt, _moment(run.at), lost, where, run.error]
            self.say("  " + "  ".join(filter(None, words)))


def _moment(when: datetime | None) -> str:
    return str(localize(localtime(when))) if when else "—"
