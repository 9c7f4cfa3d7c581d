"""``manage.py rebuild_device_cache [--json]``"""

from typing import Any

from django.utils.translation import gettext as _, ngettext

from core.reporting_command import ReportingCommand
from players import bulk_records
from players.records import StoreUnavailableError


class Command(ReportingCommand):
    help = (
        "Delete Redis's copies of all players' sessions, devices, plans and products. "
        "Each player's next request reads the database and stores them again; nobody "
        "is signed out. Exit code 1 if Redis does not answer."
    )

    def handle(self, *_args: Any, **_options: Any) -> None:
        try:
            dropped = bulk_records.drop_copies()
        except StoreUnavailableError:
            said = _(
                "Redis does not answer, so some copies may remain. Nothing is lost: run "
                "the command again once Redis answers."
            )
            self.answer({"ok": False, "error": said})
            self.fail(said)
        self.answer({"ok": True, "deleted": dropped})
        self.say(
            ngettext(
                "%(count)d key deleted. The next requests store the copies again.",
                "%(count)d keys deleted. The next requests store the copies again.",
                dropped,
            )
            % {"count": dropped}
        )
