"""``manage.py tidy_photos [--json]``"""

from dataclasses import asdict
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from core.reporting_command import ReportingCommand
from players.services import photos


class Command(ReportingCommand):
    help = (
        "Give photos of earlier versions a random name, and delete files that no "
        "player uses. Beat does the same every hour. Exit code 1 if a file cannot be "
        "changed."
    )

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            result = photos.tidy(now=timezone.now())
        except OSError as error:
            self.answer({"ok": False, "error": str(error)})
            self.fail(str(error))
        self.answer({"ok": True, **asdict(result)})
        self.say(
            _("Photos: %(renamed)d renamed, %(deleted)d files deleted.")
            % {"renamed": result.renamed, "deleted": result.deleted}
        )
        if result.damaged:
            self.say(
                _("%(count)d of the renamed files are not pictures; they were kept.")
                % {"count": result.damaged}
            )
