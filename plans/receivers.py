"""Record ordinary saves and deletions of plans and their parts as edits."""

from typing import Any

from django.db.models import Q
from django.db.models.signals import post_delete, post_save, pre_save
from django.dispatch import receiver

from plans.models import (
    AcademicPlan,
    Grade,
    PlanOverride,
    PlanSubject,
    Season,
    Stream,
    aspect_of,
    is_about_access,
)


@receiver(post_save, sender=AcademicPlan)
def _plan_saved(instance: AcademicPlan, **_kwargs: Any) -> None:
    AcademicPlan.mark_changed([instance.pk], urgent=not instance.is_published)


@receiver(post_delete, sender=AcademicPlan)
def _plan_deleted(instance: AcademicPlan, **_kwargs: Any) -> None:
    AcademicPlan.mark_changed([instance.pk], urgent=True)


@receiver(pre_save, sender=PlanSubject)
@receiver(pre_save, sender=PlanOverride)
def _part_moves(sender: type[Any], instance: Any, **_kwargs: Any) -> None:
    """Record an edit of the old plan when a part moves to another plan.

    Also when the part's subject or aspect changes: the old value may have affected
    access, so ``urgent`` is set.
    """
    if instance.pk is None:
        return
    same = Q(plan=instance.plan_id)
    if sender is PlanOverride:
        same &= Q(aspect=aspect_of(instance.action))
    else:
        same &= Q(subject=instance.subject_id)
    left = sender.objects.filter(pk=instance.pk).exclude(same)
    AcademicPlan.mark_changed(left.values_list("plan_id", flat=True), urgent=True)


@receiver(post_save, sender=PlanSubject)
@receiver(post_save, sender=PlanOverride)
def _part_saved(instance: PlanSubject | PlanOverride, **_kwargs: Any) -> None:
    AcademicPlan.mark_changed([instance.plan_id], urgent=is_about_access(instance))


@receiver(post_delete, sender=PlanSubject)
@receiver(post_delete, sender=PlanOverride)
def _part_deleted(instance: PlanSubject | PlanOverride, **_kwargs: Any) -> None:
    """Removing a subject always affects access; removing an override may."""
    gone = isinstance(instance, PlanSubject)
    AcademicPlan.mark_changed(
        [instance.plan_id], urgent=gone or is_about_access(instance)
    )


@receiver(post_save, sender=Season)
@receiver(post_save, sender=Grade)
@receiver(post_save, sender=Stream)
def _label_renamed(sender: type[Any], instance: Any, **_kwargs: Any) -> None:
    """A plan's manifest contains the titles of its season, grade and stream."""
    AcademicPlan.mark_changed(
        AcademicPlan.objects.filter(**{sender._meta.model_name: instance}).values_list(
            "pk", flat=True
        )
    )
