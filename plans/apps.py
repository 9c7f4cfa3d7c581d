from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class PlansConfig(AppConfig):
    """Plans: the subjects and overrides of each group of students."""

    name = "plans"
    verbose_name = _("Plans")

    def ready(self) -> None:
        from content import tree_annotations
        from plans import deletion_warnings, history, receivers, scheduling  # noqa: F401
        from plans.tree_annotations import PlanAnnotator

        tree_annotations.annotators.add(PlanAnnotator())
        tree_annotations.row_badges.add(scheduling.row_badges)
