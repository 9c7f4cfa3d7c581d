"""``manage.py process_pending [--json]``"""

from typing import Any

from django.utils import timezone
from django.utils.translation import ngettext

from plans.models import AcademicPlan
from publishing import builds, status
from publishing.management.commands._reporting import ReportingCommand


class Command(ReportingCommand):
    help = (
        "Build every plan that waits and may be tried now, and withdraw those no longer "
        "published. Exit code 1 when one fails."
    )

    def handle(self, *_args: Any, **_options: Any) -> None:
        builds.process_pending(limit=0)  # withdrawals alone
        ready = status.ready(timezone.now())
        names = dict(
            AcademicPlan.objects.filter(pk__in=ready).values_list("pk", "public_id")
        )
        results = []
        for number, plan_pk in enumerate(ready, start=1):
            self.progress(number, len(ready))
            entry = builds.publish_plan(plan_pk, trigger="command")
            if entry is None:
                continue  # somebody else built it meanwhile
            ok = entry.status in status.SUCCEEDED
            results.append({"plan": names[plan_pk], "ok": ok, "error": entry.error})
            if not ok:
                self.step(f"{names[plan_pk]}: {entry.error}")
        failed = sum(not result["ok"] for result in results)
        self.answer({"ok": not failed, "plans": results})
        built = len(results) - failed
        said = ngettext(
            "%(count)d plan published.", "%(count)d plans published.", built
        )
        self.say(said % {"count": built})
        if failed:
            said = ngettext("%(count)d plan failed.", "%(count)d plans failed.", failed)
            self.fail(said % {"count": failed})
