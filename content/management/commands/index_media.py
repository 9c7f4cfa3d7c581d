"""``manage.py index_media``"""

from typing import Any

from django.core.management.base import BaseCommand
from django.utils.translation import gettext as _, ngettext

from content.media import library


class Command(BaseCommand):
    help = (
        "Add the pictures, recordings and videos that are stored or used, and not yet in "
        "the media library, to it."
    )

    def handle(self, *_args: Any, **_options: Any) -> None:
        count = 0
        for media in library.index():
            count += 1
            self.stdout.write(_("added: %(file)s") % {"file": media.path})
        message = ngettext(
            "%(count)d file was added to the media library.",
            "%(count)d files were added to the media library.",
            count,
        )
        self.stdout.write(message % {"count": count})
