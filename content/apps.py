from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ContentConfig(AppConfig):
    """Content: what editors write: the tree of subjects and its lessons."""

    name = "content"
    verbose_name = _("Content")

    def ready(self) -> None:
        from content import receivers  # noqa: F401
