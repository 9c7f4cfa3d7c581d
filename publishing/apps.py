from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class PublishingConfig(AppConfig):
    """Publishing: from content and plans to files students read."""

    name = "publishing"
    verbose_name = _("Publishing")

    def ready(self) -> None:
        from content import lesson_notes
        from publishing import (  # noqa: F401
            checks,
            consequences,
            lesson_note,
            receivers,
        )

        lesson_notes.register(lesson_note.in_plans)
