"""``manage.py upload_videos``: move local videos to the CDN's private bucket."""

from typing import Any

from django.utils.translation import ngettext

from core.errors import MemoraError
from core.reporting_command import ReportingCommand
from publishing.signing import videos


class Command(ReportingCommand):
    help = (
        "Move the videos in MEMORA_VIDEO_ROOT to the CDN's private bucket and sign "
        "them there. Can be interrupted and run again. Exit code 1 if refused."
    )

    def handle(self, *_args: Any, **_options: Any) -> None:
        try:
            moved = videos.move_to_bucket(progress=self.progress)
        except MemoraError as refusal:
            self.answer({"ok": False, "error": refusal.message})
            self.fail(refusal.message)
        self.answer({"ok": True, "moved": moved})
        message = ngettext("%(count)d video moved.", "%(count)d videos moved.", moved)
        self.say(message % {"count": moved})
