"""What is created and deleted counts as an edit of its subject.

Before the rows go, as `content.models.TrackedQuerySet` says why.
"""

from contextlib import suppress
from typing import Any

from django.apps import apps as installed
from django.db.models.signals import post_migrate, post_save, pre_delete
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
    TreeLock,
    Unit,
)

_NODE_MODELS = (Node, Subject, Track, Unit, Topic, Lesson)


def _node_saved(instance: Node, created: bool, raw: bool, **_kwargs: Any) -> None:
    if not created:
        return  # `Node.save` has said it
    if instance.kind == kinds.Kind.SUBJECT:
        SubjectState.objects.get_or_create(subject_id=instance.pk)
    if not raw:
        SubjectState.touch({instance.subject_pk})


def _node_deleted(instance: Node, origin: Any = None, **_kwargs: Any) -> None:
    if not _goes_with_others(instance, origin):
        SubjectState.touch({instance.subject_pk}, at_once=True)


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
    pre_delete.connect(_node_deleted, sender=_model, dispatch_uid=f"deleted{_model}")


@receiver(pre_delete, sender=LessonStage)
def _stage_deleted(instance: LessonStage, origin: Any = None, **_kwargs: Any) -> None:
    if not _goes_with_others(instance, origin):
        SubjectState.touch_stages([instance.lesson_id])


@receiver(post_migrate)
def _make_roots_lock(
    sender: Any, using: str, apps: Any = installed, **_kwargs: Any
) -> None:
    """The row that `content.locks.lock_roots` waits for.

    ``flush`` sends no ``apps``: then it is the code of now.
    """
    if sender.name != "content":
        return
    with suppress(LookupError):  # migrated back to nothing
        lock = apps.get_model("content", "TreeLock")
        lock.objects.using(using).get_or_create(pk=TreeLock.ROOTS)
