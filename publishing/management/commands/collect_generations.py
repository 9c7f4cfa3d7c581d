"""``manage.py collect_generations [--json]``"""

from typing import Any

from django.utils.translation import gettext as _, ngettext

from publishing import release
from publishing.management.commands._reporting import ReportingCommand


class Command(ReportingCommand):
    help = (
        "Delete generations beyond those kept, leftovers of dead builds, and lessons no "
        "release offers."
    )

    def handle(self, *_args: Any, **_options: Any) -> None:
        collected = release.collect()
        self.answer({"ok": True, "collected": collected})
        for plan_id, numbers in collected.items():
            line = _("%(plan)s: generations %(numbers)s deleted")
            listed = ", ".join(str(number) for number in numbers)
            self.say(line % {"plan": plan_id, "numbers": listed})
        count = sum(len(numbers) for numbers in collected.values())
        said = ngettext(
            "%(count)d generation deleted.", "%(count)d generations deleted.", count
        )
        self.say(said % {"count": count})
