from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class PublishingConfig(AppConfig):
    """Publishing: from content and plans to files students read."""

    name = "publishing"
    verbose_name = _("Publishing")

    def ready(self) -> None:
        from content import lesson_notes
        from publishing import checks, consequences, receivers  # noqa: F401
        from publishing.pages import lesson_note

        lesson_notes.register(lesson_note.in_plans)
