from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class PlansConfig(AppConfig):
    """Plans: which subjects a group of students gets, and how they differ."""

    name = "plans"
    verbose_name = _("Plans")

    def ready(self) -> None:
        from content import tree_annotations
        from plans import deletion_warnings, receivers  # noqa: F401
        from plans.tree_annotations import PlanAnnotator

        tree_annotations.register(PlanAnnotator())
