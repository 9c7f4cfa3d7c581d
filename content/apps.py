from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ContentConfig(AppConfig):
    """The content tree: subjects, their lessons and stages."""

    name = "content"
    verbose_name = _("Content")

    def ready(self) -> None:
        from content import receivers  # noqa: F401
