"""The stages of lessons."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Self

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator
from django.db import models, transaction
from django.utils.translation import get_language, gettext_lazy as _

from content import field_labels, kinds, signals
from content.field_lists import StageFields
from content.fields import InlineTitleField, PublicIdField, StageTextField
from content.history import recording
from content.losses import TextLosses
from content.models.nodes import Node, NodeKind
from content.models.subject_state import SubjectState
from content.models.tracking import TrackedQuerySet
from content.stage_configs import (
    TYPES_WITH_ITEMS,
    ConfigError,
    clean,
    repeated_item_fault,
    repeated_items,
)
from content.stage_types import SCHEMAS, translated_texts
from core.fields import CanonicalJSONEncoder, FoldingModel


def stage_type_choices() -> list[tuple[str, str]]:
    """Return the stage types and their labels.

    A callable, so that a new type needs no migration.
    """
    language = get_language() or "en"
    return [
        (name, translated_texts(schema, language)["title"])
        for name, schema in SCHEMAS.items()
    ]


def new_stage_id() -> str:
    """Return a new stage id, such as ``STG-7K3M9QX2VB``."""
    return kinds.new_id(kinds.STAGE_PREFIX)


class StageQuerySet(TrackedQuerySet):
    def _affected_pks(self) -> set[int]:
        return set(self.order_by().values_list("lesson_id", flat=True).distinct())

    def _mark_changed(self, changed: Iterable[int], *, urgent: bool = False) -> None:
        # Stages do not change access, so ``urgent`` is not passed on.
        LessonStage.mark_changed(changed)


class LessonStage(FoldingModel, models.Model):
    """One step of a lesson. `content.stage_configs` validates it on every save."""

    public_id = PublicIdField(default=new_stage_id)
    lesson = models.ForeignKey(
        Node,
        on_delete=models.CASCADE,
        related_name="stages",
        limit_choices_to={"kind": kinds.Kind.LESSON.value},
        verbose_name=_("lesson"),
    )
    position = models.PositiveIntegerField(_("order"), default=0)
    type = models.CharField(_("type"), max_length=20, choices=stage_type_choices)
    title = InlineTitleField(_("title"), max_length=255)
    config = models.JSONField(_("content"), default=dict, encoder=CanonicalJSONEncoder)
    weight = models.PositiveSmallIntegerField(
        _("weight"), default=1, validators=[MaxValueValidator(100)]
    )
    target_time = models.PositiveIntegerField(
        _("seconds"), default=60, validators=[MaxValueValidator(86_400)]
    )
    is_skippable = models.BooleanField(_("may be skipped"), default=False)
    text_folded = StageTextField()
    """The words that searches compare with (`content.stage_texts`)."""

    objects = StageQuerySet.as_manager()
    history = recording.Records(excluded_fields=[*StageFields.COMPUTED])

    _stored_config: dict[str, Any] | None = None
    is_compared_with_others = False
    """Whether the caller has compared the items of all stages of the lesson.

    Else `save` compares this stage's with those of the stored stages.
    """
    losses: tuple[TextLosses, ...] = ()
    """The parts of the given config that were dropped.

    Filled by `full_clean` and `save`.
    """

    class Meta:
        verbose_name = _("stage")
        verbose_name_plural = _("stages")
        ordering = ["position", "pk"]
        # ``lesson.stages.add()`` updates through the base manager; it also counts as an
        # edit.
        base_manager_name = "objects"
        indexes = [
            models.Index(fields=["lesson", "position"], name="content_stage_order")
        ]

    def __str__(self) -> str:
        return self.title

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Store the stage.

        Raises:
            ValidationError: the config is not valid for the type, or another stage of
                the lesson has one of its items.
        """
        written = kwargs.get("update_fields")
        if written is None or {"config", "type"} & set(written):
            self._clean_config()
        lessons = {self.lesson_id}
        with transaction.atomic(using=kwargs.get("using")):
            if written is None or {"config", "type", "lesson"} & set(written):
                self._refuse_repeated_items()
            if not self._state.adding:  # its lesson may be changed
                lessons |= LessonStage.objects.filter(pk=self.pk)._affected_pks()
            LessonStage.mark_changed(lessons)  # before the row, see `TrackedQuerySet`
            super().save(*args, **kwargs)
        self._stored_config = self.config

    @classmethod
    def mark_changed(cls, lesson_ids: Iterable[int]) -> None:
        """Record that only the stages of these lessons changed.

        Like `SubjectState.mark_changed`, but the tree's revision stays.
        """
        lessons = Node.objects.filter(pk__in=set(lesson_ids), subject__isnull=False)
        subjects = lessons.order_by().values_list("subject_id", flat=True)
        changed: set[int] = set()
        # A lesson may be moved to another subject while this waits for the lock.
        while found := set(subjects.all()) - changed:
            rows = SubjectState.objects.filter(pk__in=found)
            rows.update(revision=models.F("revision") + 1)
            changed |= found
        if not changed:
            return
        newest = SubjectState.objects.filter(pk=models.OuterRef("subject_id"))
        # `NodeQuerySet.update` would record an edit of the tree.
        models.QuerySet.update(
            lessons, stages_revision=models.Subquery(newest.values("revision"))
        )
        signals.subjects_changed.send(
            sender=SubjectState, subject_ids=sorted(changed), urgent=False
        )

    @classmethod
    def from_db(cls, *args: Any, **kwargs: Any) -> Self:
        stage = super().from_db(*args, **kwargs)
        stage._stored_config = stage.__dict__.get("config")
        return stage

    def clean(self) -> None:
        """Complete and sanitise the config.

        Raises:
            ValidationError: on ``config`` when it is not valid, on ``lesson`` when the
                node is not a lesson.
        """
        with suppress(Node.DoesNotExist):  # a new lesson's stage has no lesson yet
            self._clean_lesson(self.lesson)
        self._clean_config()

    @staticmethod
    def _clean_lesson(lesson: Node) -> None:
        if lesson.kind != NodeKind.LESSON:
            raise ValidationError(
                {
                    "lesson": ValidationError(
                        _("“%(title)s” is a %(kind)s. Only lessons have stages."),
                        params={
                            "title": lesson.title,
                            "kind": lesson.get_kind_display(),
                        },
                    )
                }
            )

    def _clean_config(self) -> None:
        try:
            cleaned = clean(self.type, self.config, previous=self._stored_config)
        except ConfigError as error:
            raise ValidationError(
                {"config": field_labels.sentences(self.type, error.faults)}
            ) from error
        self.config = cleaned.config
        self.losses = cleaned.losses or self.losses  # empty if it was clean

    def _refuse_repeated_items(self) -> None:
        """Compare the items with those of the stored stages of the lesson. One query.

        Raises:
            ValidationError: on ``config``; names the item, the lesson and both stages.
        """
        if self.is_compared_with_others or self.type not in TYPES_WITH_ITEMS:
            return
        others = LessonStage.objects.filter(lesson=self.lesson_id).exclude(pk=self.pk)
        rows = list(
            others.filter(type__in=TYPES_WITH_ITEMS)
            .order_by("position", "pk")
            .values_list("title", "type", "config")
        )
        rows.append((self.title, self.type, self.config))
        last = len(rows) - 1
        for repeated in repeated_items((kind, config) for _title, kind, config in rows):
            if repeated.second == last:
                reason = repeated_item_fault(
                    repeated,
                    lesson=self.lesson.title,
                    stages=[title for title, _kind, _config in rows],
                )
                raise ValidationError({"config": reason})

    @property
    def stored_config(self) -> dict[str, Any] | None:
        """The config as it was read from the database; None for a new stage."""
        return self._stored_config

    @property
    def affected_pk(self) -> int:
        """The key that saving this row changes: its lesson (see `StageQuerySet`)."""
        return self.lesson_id
