"""Ordinary saves and deletes of plans and their parts count as edits."""

from typing import Any

from django.db.models.signals import post_delete, post_save, pre_save
from django.dispatch import receiver

from plans.models import (
    AcademicPlan,
    Grade,
    PlanOverride,
    PlanSubject,
    Season,
    Stream,
)


@receiver(post_save, sender=AcademicPlan)
@receiver(post_delete, sender=AcademicPlan)
def _plan_changed(instance: AcademicPlan, **_kwargs: Any) -> None:
    AcademicPlan.touch([instance.pk])


@receiver(pre_save, sender=PlanSubject)
@receiver(pre_save, sender=PlanOverride)
def _part_moves(sender: type[Any], instance: Any, **_kwargs: Any) -> None:
    """A part taken to another plan changes the plan it left, too."""
    if instance.pk is not None:
        stored = sender.objects.filter(pk=instance.pk).exclude(plan=instance.plan_id)
        AcademicPlan.touch(stored.values_list("plan_id", flat=True))


@receiver([post_save, post_delete], sender=PlanSubject)
@receiver([post_save, post_delete], sender=PlanOverride)
def _part_changed(instance: PlanSubject | PlanOverride, **_kwargs: Any) -> None:
    AcademicPlan.touch([instance.plan_id])


@receiver(post_save, sender=Season)
@receiver(post_save, sender=Grade)
@receiver(post_save, sender=Stream)
def _label_renamed(sender: type[Any], instance: Any, **_kwargs: Any) -> None:
    """A manifest names the plan's season, grade and stream."""
    AcademicPlan.touch(
        AcademicPlan.objects.filter(**{sender._meta.model_name: instance}).values_list(
            "pk", flat=True
        )
    )
