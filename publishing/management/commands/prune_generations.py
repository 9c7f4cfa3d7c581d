"""``manage.py prune_generations [--json]``"""

from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _, ngettext

from core.reporting_command import ReportingCommand
from publishing.building import sweep


class Command(ReportingCommand):
    help = (
        "Delete old generations, leftovers of stopped builds, unused lesson files, "
        "and entries of the sync log that ended more than 90 days ago. Exit code 1 if "
        "a file cannot be deleted."
    )

    def handle(self, *_args: Any, **_options: Any) -> None:
        found, runs = sweep.prune(timezone.now(), progress=self.progress)
        collected = found.generations
        self.answer(
            {
                "ok": not found.left,
                "collected": collected,
                "lessons": found.lessons,
                "left": found.left,
                "log_entries": runs,
            }
        )
        for plan_id, numbers in collected.items():
            line = _("%(plan)s: generations %(numbers)s deleted")
            listed = ", ".join(str(number) for number in numbers)
            self.say(line % {"plan": plan_id, "numbers": listed})
        count = sum(len(numbers) for numbers in collected.values())
        message = ngettext(
            "%(count)d generation deleted.", "%(count)d generations deleted.", count
        )
        self.say(message % {"count": count})
        message = ngettext(
            "%(count)d lesson deleted.", "%(count)d lessons deleted.", found.lessons
        )
        self.say(message % {"count": found.lessons})
        message = ngettext(
            "%(count)d entry of the sync log deleted.",
            "%(count)d entries of the sync log deleted.",
            runs,
        )
        self.say(message % {"count": runs})
        if found.left:
            self.fail(_("Not everything could be deleted; see the log."))
