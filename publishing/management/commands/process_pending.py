"""``manage.py process_pending [--json]``"""

from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _, ngettext

from core.reporting_command import ReportingCommand
from plans.models import AcademicPlan
from publishing import staleness
from publishing.building import builds, sweep
from publishing.cdn import sync
from publishing.models import Publication
from publishing.monitoring import status


class Command(ReportingCommand):
    help = (
        "Build every plan that waits and may be tried now, and withdraw those no longer "
        "published. Exit code 1 when one fails."
    )

    def handle(self, *_args: Any, **_options: Any) -> None:
        sweep.process_pending(limit=0)  # only the withdrawals
        ready = status.ready(timezone.now())
        names = dict(
            AcademicPlan.objects.filter(pk__in=ready).values_list("pk", "public_id")
        )
        stuck = Publication.objects.filter(pk__in=staleness.to_withdraw())
        results = [self._not_withdrawn(publication) for publication in stuck]
        for done, plan_pk in enumerate(ready):
            self.progress(done, len(ready))
            try:
                entry = builds.publish_plan(
                    plan_pk, trigger="command", wait_seconds=builds.LOCK_WAIT_SECONDS
                )
            except builds.BuildInProgressError as error:
                results.append(
                    {"plan": names[plan_pk], "ok": False, "error": str(error)}
                )
                self.step(f"{names[plan_pk]}: {error}")
                continue
            if entry is None:
                continue  # another builder has built it since
            ok = status.is_out(entry)
            results.append({"plan": names[plan_pk], "ok": ok, "error": entry.error})
            if not ok:
                self.step(f"{names[plan_pk]}: {entry.error}")
        self.progress(len(ready), len(ready))
        sync.distribute()  # delete withdrawn files from the CDN
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

    def _not_withdrawn(self, publication: Publication) -> dict[str, Any]:
        plan_id = publication.plan_public_id
        why = _("it could not be withdrawn; see the log")
        self.step(f"{plan_id}: {why}")
        return {"plan": plan_id, "ok": False, "error": why}
