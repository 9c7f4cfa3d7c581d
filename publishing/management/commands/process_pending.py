"""``manage.py process_pending [--json]``"""

from typing import Any

from django.utils.translation import ngettext

from core.reporting_command import ReportingCommand
from publishing.building import sweep
from publishing.monitoring import status


class Command(ReportingCommand):
    help = (
        "Build every pending plan that can be tried now, and withdraw plans that are "
        "no longer published. Exit code 1 if one fails."
    )

    def handle(self, *_args: Any, **_options: Any) -> None:
        results = []
        for run in sweep.publish_pending(trigger="command", progress=self.progress):
            ok = run.entry is not None and status.is_out(run.entry)
            results.append({"plan": run.plan_id, "ok": ok, "error": run.error})
            if not ok:
                self.step(f"{run.plan_id}: {run.error}")
        failed = sum(not result["ok"] for result in results)
        self.answer({"ok": not failed, "plans": results})
        built = len(results) - failed
        message = ngettext(
            "%(count)d plan published.", "%(count)d plans published.", built
        )
        self.say(message % {"count": built})
        if failed:
            message = ngettext(
                "%(count)d plan failed.", "%(count)d plans failed.", failed
            )
            self.fail(message % {"count": failed})
