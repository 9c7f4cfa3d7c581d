from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class PlansConfig(AppConfig):
    """Plans: which subjects a group of students gets, and how they differ."""

    name = "plans"
    verbose_name = _("Plans")

    def ready(self) -> None:
        from plans import receivers  # noqa: F401
