"""The content tree.

Only ``content.services`` writes structure (parents, order and intervals). It holds a
lock, because concurrent writers corrupt a django-mptt tree.
"""

from collections.abc import Iterable
from typing import Any, Self

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models, transaction
from django.db.models import Q
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_lazy as _
from mptt.managers import TreeManager
from mptt.models import MPTTModel, TreeForeignKey
from mptt.querysets import TreeQuerySet

from content import kinds
from content.field_lists import NodeFields
from content.fields import (
    InlineTitleField,
    PublicIdField,
    validate_color_code,
    validate_item_code,
)
from content.history import recording
from content.models.subject_state import SubjectState
from content.models.tracking import TrackedQuerySet
from core.fields import FoldedField, FoldingModel, PictureField


class NodeKind(models.TextChoices):
    """`content.kinds.Kind` with labels."""

    SUBJECT = kinds.Kind.SUBJECT.value, _("subject")
    TRACK = kinds.Kind.TRACK.value, _("track")
    UNIT = kinds.Kind.UNIT.value, _("unit")
    TOPIC = kinds.Kind.TOPIC.value, _("topic")
    LESSON = kinds.Kind.LESSON.value, _("lesson")


_MOVED = frozenset({"parent", "parent_id", *NodeFields.INTERVAL})
"""The columns that a move within a subject writes."""


class NodeQuerySet(TrackedQuerySet, TreeQuerySet):
    """A queryset of nodes with common filters."""

    is_part_of_a_branch = False
    """Whether these rows are deleted as part of a branch.

    The deletion of the branch is already recorded as one edit.
    """

    def _affected_pks(self) -> set[int]:
        own = self.order_by().annotate(own_subject=Coalesce("subject_id", "pk"))
        return set(own.values_list("own_subject", flat=True).distinct())

    def _mark_changed(self, changed: Iterable[int], *, urgent: bool = False) -> None:
        SubjectState.mark_changed(changed, urgent=urgent)

    def update(self, **kwargs: Any) -> int:
        if kwargs.keys() <= _MOVED:
            # These fields are the bookkeeping of a move. `content.services` records the
            # move as an edit. A changed parent is still copied to the history.
            primary_keys = (
                list(self.values_list("pk", flat=True))
                if {"parent", "parent_id"} & kwargs.keys()
                else []
            )
            with transaction.atomic(using=self.db):
                count = models.QuerySet.update(self, **kwargs)
                recording.record(self.model, primary_keys, recording.CHANGED)
            return count
        return super().update(**kwargs)

    def bulk_create(self, objs: Iterable[Any], *args: Any, **kwargs: Any) -> list[Any]:
        with transaction.atomic(using=self.db):
            created = super().bulk_create(objs, *args, **kwargs)
            for node in created:
                if node.kind == NodeKind.SUBJECT:
                    SubjectState.objects.get_or_create(subject_id=node.pk)
        return created

    def delete(self) -> tuple[int, dict[str, int]]:
        if self.is_part_of_a_branch:
            return models.QuerySet.delete(self)
        return super().delete()

    delete.alters_data = True  # type: ignore[attr-defined]
    delete.queryset_only = True  # type: ignore[attr-defined]

    def subjects(self) -> Self:
        return self.filter(kind=NodeKind.SUBJECT)

    def untrashed(self) -> Self:
        """Nodes not in the trash themselves (an ancestor may be)."""
        return self.filter(trashed_at__isnull=True)


class NodeManager(TreeManager.from_queryset(NodeQuerySet)):  # type: ignore[misc]
    """Nodes in tree order."""


class Node(FoldingModel, MPTTModel):
    """One node of the content tree: a subject, track, unit, topic or lesson."""

    public_id = PublicIdField()
    kind = models.CharField(_("kind"), max_length=8, choices=NodeKind.choices)
    parent = TreeForeignKey(
        "self",
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="children",
        verbose_name=_("parent"),
    )
    subject = models.ForeignKey(
        "self",
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
        verbose_name=_("subject"),
        help_text=_("The subject that contains this node; empty for a subject."),
    )
    title = InlineTitleField(_("title"), max_length=255)
    title_folded = FoldedField("title")
    """The text that searches compare with (`core.folding`)."""
    description = models.TextField(_("description"), blank=True)
    image = PictureField(_("image"), upload_to="images/", max_length=255, blank=True)
    color_code = models.CharField(
        _("colour"), max_length=7, blank=True, validators=[validate_color_code]
    )
    is_published = models.BooleanField(
        _("published"),
        default=False,
        help_text=_(
            "Students see it after the next publish. A draft hides everything inside "
            "it."
        ),
    )
    is_linear = models.BooleanField(
        _("in order"),
        default=False,
        help_text=_("The entries inside open one after another."),
    )
    is_public = models.BooleanField(
        _("public"), default=False, help_text=_("Can be read without signing in.")
    )
    is_free_preview = models.BooleanField(
        _("free preview"),
        default=False,
        help_text=_("Free to view, even inside paid content."),
    )
    required_item = models.CharField(
        _("product code"),
        max_length=64,
        blank=True,
        validators=[validate_item_code],
        help_text=_("Students need this product to open it and everything inside it."),
    )
    base_xp = models.PositiveSmallIntegerField(
        _("XP"),
        default=10,
        validators=[MinValueValidator(0), MaxValueValidator(1000)],
        help_text=_("XP for completing the lesson, before hearts and bonuses."),
    )
    bit_index = models.PositiveIntegerField(
        _("progress bit"),
        null=True,
        blank=True,
        editable=False,
        help_text=_(
            "The lesson's permanent position in its subject's progress bitmap."
        ),
    )
    stages_revision = models.PositiveBigIntegerField(default=0, editable=False)
    """The subject's revision at the last change of this lesson's stages.

    When a lesson moves, the revision of its new subject is first raised to that of the
    old one, so the two stay comparable.
    """
    trashed_at = models.DateTimeField(
        _("in the trash since"), null=True, blank=True, editable=False
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    updated_at = models.DateTimeField(_("changed"), auto_now=True)

    objects = NodeManager()
    history = recording.Records(
        excluded_fields=[*NodeFields.UNRECORDED],
        no_db_index=["parent", "subject"],
    )

    class Meta:
        verbose_name = _("content")
        verbose_name_plural = _("content tree")
        constraints = [
            # Two lessons with the same bit would share their progress. The predecessor
            # of this system had bit 0 for every lesson.
            models.UniqueConstraint(
                fields=["subject", "bit_index"], name="content_bit_once_per_subject"
            ),
            # Only lessons have a bit, and every lesson has one.
            models.CheckConstraint(
                condition=Q(kind="lesson", bit_index__isnull=False)
                | (~Q(kind="lesson") & Q(bit_index__isnull=True)),
                name="content_bit_iff_lesson",
            ),
            # Exactly the subjects are roots.
            models.CheckConstraint(
                condition=Q(kind="subject", parent__isnull=True, subject__isnull=True)
                | (~Q(kind="subject") & Q(parent__isnull=False, subject__isnull=False)),
                name="content_subject_iff_root",
            ),
            models.CheckConstraint(
                condition=Q(kind__in=[kind.value for kind in kinds.Kind]),
                name="content_known_kind",
            ),
        ]
        indexes = [
            # A subject's tree in order, independent of mptt's ``tree_id``.
            models.Index(fields=["subject", "lft"], name="content_subject_order"),
            models.Index(fields=["tree_id", "lft"], name="content_tree_order"),
            # Finds lessons whose stages changed after a release.
            models.Index(
                fields=["subject", "stages_revision"], name="content_edited_stages"
            ),
        ]

    def __str__(self) -> str:
        return self.title

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Store the node's own fields.

        Unless ``update_fields`` names them, the parent, bit, id and trash state of an
        existing node are not written: another request may have moved or trashed the
        node since this instance was read.

        Raises:
            ValueError: ``parent`` was changed; `content.services.move_nodes` moves
                nodes.
        """
        if self._state.adding:
            with transaction.atomic(using=kwargs.get("using")):
                super().save(*args, **kwargs)
            return
        if self.parent_id != self._mptt_cached_fields["parent"]:
            raise ValueError("content.services.move_nodes moves nodes, not save()")
        if kwargs.get("update_fields") is None:
            kwargs["update_fields"] = NodeFields.SAVED
        with transaction.atomic(using=kwargs.get("using")):
            stored = Node.objects.filter(pk=self.pk)
            written = [f for f in NodeFields.ACCESS if f in kwargs["update_fields"]]
            # Read the node's current subject: this instance may be out of date. Locking
            # a different subject first, and the right one after the row, could
            # deadlock. The state is updated before the row (see `TrackedQuerySet`).
            found = list(stored.values_list(Coalesce("subject_id", "pk"), *written))
            changed = {subject_pk for subject_pk, *_access in found}
            access = [getattr(self, name) for name in written]
            urgent = any(access != then for _subject_pk, *then in found)
            SubjectState.mark_changed(changed, urgent=urgent)
            super().save(*args, **kwargs)
            # The node may have been moved while this transaction waited for the lock.
            SubjectState.mark_changed(stored.all()._affected_pks() - changed)

    @property
    def subject_pk(self) -> int:
        """The primary key of this node's subject; its own for a subject."""
        own: int = self.pk if self.subject_id is None else self.subject_id
        return own

    affected_pk = subject_pk
    """The key that saving this row changes: its subject (see `NodeQuerySet`)."""


class _KindManager(NodeManager):
    def __init__(self, kind: kinds.Kind) -> None:
        super().__init__()
        self.kind = kind

    def get_queryset(self) -> NodeQuerySet:
        queryset: NodeQuerySet = super().get_queryset()
        return queryset.filter(kind=self.kind.value)


class Subject(Node):
    objects = _KindManager(kinds.Kind.SUBJECT)

    class Meta:
        proxy = True
        verbose_name = _("subject")
        verbose_name_plural = _("subjects")


class Track(Node):
    objects = _KindManager(kinds.Kind.TRACK)

    class Meta:
        proxy = True
        verbose_name = _("track")
        verbose_name_plural = _("tracks")


class Unit(Node):
    objects = _KindManager(kinds.Kind.UNIT)

    class Meta:
        proxy = True
        verbose_name = _("unit")
        verbose_name_plural = _("units")


class Topic(Node):
    objects = _KindManager(kinds.Kind.TOPIC)

    class Meta:
        proxy = True
        verbose_name = _("topic")
        verbose_name_plural = _("topics")


class Lesson(Node):
    objects = _KindManager(kinds.Kind.LESSON)

    class Meta:
        proxy = True
        verbose_name = _("lesson")
        verbose_name_plural = _("lessons")
