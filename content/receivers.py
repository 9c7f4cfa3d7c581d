"""Signal receivers that record creations and deletions as edits of the subject.

Deletions are recorded before the rows are deleted; see
`content.models.TrackedQuerySet`.
"""

from contextlib import suppress
from typing import Any

from django.apps import apps as installed
from django.db.models.signals import post_migrate, post_save, pre_delete
from django.dispatch import receiver

from content import kinds
from content.models import LessonStage, Node, SubjectState, TrackedQuerySet, TreeLock


def _node_saved(instance: Node, created: bool, raw: bool, **_kwargs: Any) -> None:
    if not created:
        return  # `Node.save` has recorded it
    if instance.kind == kinds.Kind.SUBJECT:
        SubjectState.objects.get_or_create(subject_id=instance.pk)
    if not raw:
        SubjectState.mark_changed({instance.subject_pk})


def _node_deleted(instance: Node, origin: Any = None, **_kwargs: Any) -> None:
    if not _is_part_of_a_deletion(instance, origin):
        SubjectState.mark_changed({instance.subject_pk}, urgent=True)


def _is_part_of_a_deletion(instance: Node | LessonStage, origin: Any) -> bool:
    """Return whether ``instance`` is deleted as part of a node or of a queryset.

    That node or queryset records one edit for everything, even for a subject with
    thousands of lessons.
    """
    if isinstance(origin, Node):
        return origin is not instance
    return isinstance(origin, TrackedQuerySet)


for _model in (Node, *Node.__subclasses__()):
    post_save.connect(_node_saved, sender=_model, dispatch_uid=f"saved{_model}")
    pre_delete.connect(_node_deleted, sender=_model, dispatch_uid=f"deleted{_model}")


@receiver(pre_delete, sender=LessonStage)
def _stage_deleted(instance: LessonStage, origin: Any = None, **_kwargs: Any) -> None:
    if not _is_part_of_a_deletion(instance, origin):
        LessonStage.mark_changed([instance.lesson_id])


@receiver(post_migrate)
def _make_roots_lock(
    sender: Any, using: str, apps: Any = installed, **_kwargs: Any
) -> None:
    """Create the row that `content.locks.lock_roots` locks.

    ``flush`` sends no ``apps``; then the current models are used.
    """
    if sender.name != "content":
        return
    with suppress(LookupError):  # the app was migrated to zero
        lock = apps.get_model("content", "TreeLock")
        lock.objects.using(using).get_or_create(pk=TreeLock.ROOTS)
