"""Ordinary saves and deletes of content count as edits of their subject."""

from typing import Any

from django.db.models.signals import post_delete, post_save, pre_save
from django.dispatch import receiver

from content import kinds
from content.models import (
    Lesson,
    LessonStage,
    Node,
    Subject,
    SubjectState,
    Topic,
    Track,
    TrackedQuerySet,
    Unit,
)

_NODE_MODELS = (Node, Subject, Track, Unit, Topic, Lesson)


def _node_saved(instance: Node, created: bool, raw: bool, **_kwargs: Any) -> None:
    if created and instance.kind == kinds.Kind.SUBJECT:
        SubjectState.objects.get_or_create(subject_id=instance.pk)
    if not raw:
        SubjectState.touch({instance.subject_pk})


def _node_deleted(instance: Node, origin: Any = None, **_kwargs: Any) -> None:
    if not _goes_with_others(instance, origin):
        SubjectState.touch({instance.subject_pk})


def _goes_with_others(instance: Node | LessonStage, origin: Any) -> bool:
    """Whether ``instance`` is deleted with the node it lies in, or with a whole query.

    That node is in the same subject and counts for all, and so does the query; a
    subject with thousands of lessons is one edit.
    """
    if isinstance(origin, Node):
        return origin is not instance
    return isinstance(origin, TrackedQuerySet)


for _model in _NODE_MODELS:
    post_save.connect(_node_saved, sender=_model, dispatch_uid=f"saved{_model}")
    post_delete.connect(_node_deleted, sender=_model, dispatch_uid=f"deleted{_model}")


@receiver(pre_save, sender=LessonStage)
def _stage_moves(instance: LessonStage, **_kwargs: Any) -> None:
    """A stage taken to another lesson changes the subject it left, too."""
    if instance.pk is not None:
        SubjectState.touch_stages(LessonStage.objects.filter(pk=instance.pk)._changed())


@receiver([post_save, post_delete], sender=LessonStage)
def _stage_changed(instance: LessonStage, origin: Any = None, **_kwargs: Any) -> None:
    if not _goes_with_others(instance, origin):
        SubjectState.touch_stages([instance.lesson_id])
