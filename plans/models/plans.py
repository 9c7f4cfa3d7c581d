"""Academic plans: the subjects and overrides of each group of students."""

from collections.abc import Iterable
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import Case, F, Q, Value, When
from django.utils.translation import gettext_lazy as _

from content import formula_faults, formulas
from content.fields import PublicIdField, validate_item_code
from content.history import recording
from content.kinds import Kind, new_id
from content.models import Node
from core.fields import (
    FoldedField,
    FoldedKeyField,
    FoldingModel,
    FoldingQuerySet,
    TitleField,
)
from core.folding import visible_text
from plans import signals
from plans.access import Level

PLAN_PREFIX = "PLAN"


def new_plan_id() -> str:
    """Return a new random plan id, such as ``PLAN-7K3M9QX2VB``."""
    return new_id(PLAN_PREFIX)


class LabelQuerySet(FoldingQuerySet):
    """Records a bulk rename as an edit of the plans that show the label."""

    def _shown_by(self) -> list[int]:
        column = self.model._meta.model_name
        plans = AcademicPlan.objects.filter(**{f"{column}__in": self.all()})
        return list(plans.order_by().values_list("pk", flat=True))

    def update(self, **kwargs: Any) -> int:
        with transaction.atomic(using=self.db):
            plan_ids = self._shown_by()
            count = super().update(**kwargs)
            AcademicPlan.mark_changed(plan_ids)
        return count

    update.alters_data = True  # type: ignore[attr-defined]

    def bulk_create(self, objs: Iterable[Any], *args: Any, **kwargs: Any) -> list[Any]:
        """Create labels; an upsert that renames existing ones counts as an edit."""
        with transaction.atomic(using=self.db):
            created = super().bulk_create(objs, *args, **kwargs)
            written = self.filter(pk__in=[row.pk for row in created])
            AcademicPlan.mark_changed(written._shown_by())
        return created


class Label(FoldingModel, models.Model):
    """A named choice that plans and players share."""

    title = TitleField(_("title"), max_length=100)
    # Two spellings of one grade («الصف ١», «الصف 1») would split its students.
    title_folded = FoldedKeyField("title")
    position = models.PositiveIntegerField(_("order"), default=0)

    objects = LabelQuerySet.as_manager()

    class Meta:
        abstract = True
        ordering = ["position", "title"]

    def __str__(self) -> str:
        return self.title

    def clean(self) -> None:
        """Refuse a title that another label has, also in another spelling."""
        field: Any = self._meta.get_field("title_folded")
        self.title_folded = field.folded(self.title)
        others = type(self)._default_manager.exclude(pk=self.pk)
        same = others.filter(title_folded=self.title_folded).first()
        if same is not None:
            message = _("“%(title)s” already exists and looks the same.")
            raise ValidationError({"title": message % {"title": same.title}})


class Season(Label):
    class Meta(Label.Meta):
        verbose_name = _("season")
        verbose_name_plural = _("seasons")


class Grade(Label):
    class Meta(Label.Meta):
        verbose_name = _("grade")
        verbose_name_plural = _("grades")


class Stream(Label):
    class Meta(Label.Meta):
        verbose_name = _("stream")
        verbose_name_plural = _("streams")


class PlanPartQuerySet(FoldingQuerySet):
    """Records bulk writes of plans and their parts as edits.

    See docs/architecture.md, "Edits".
    """

    plan_path = "plan_id"

    def _plan_ids(self) -> set[int]:
        return set(self.order_by().values_list(self.plan_path, flat=True).distinct())

    def _changes_access(self, changes: dict[str, Any]) -> bool:
        """Whether ``changes`` to these rows change who may read something."""
        return bool({"plan", "plan_id", "subject", "subject_id"} & changes.keys())

    def update(self, **kwargs: Any) -> int:
        with transaction.atomic(using=self.db):
            before = self._plan_ids()
            rows = list(self.values_list("pk", flat=True))
            moved = rows if {"plan", "plan_id"} & kwargs.keys() else []
            urgent = self._changes_access(kwargs)
            count = super().update(**kwargs)
            moved_rows = type(self)(self.model, using=self.db).filter(pk__in=moved)
            after = moved_rows._plan_ids() if moved else set()
            AcademicPlan.mark_changed(before | after, urgent=urgent)
            recording.record(self.model, rows, recording.CHANGED)
        return count

    update.alters_data = True  # type: ignore[attr-defined]

    def bulk_create(self, objs: Iterable[Any], *args: Any, **kwargs: Any) -> list[Any]:
        with transaction.atomic(using=self.db):
            created = super().bulk_create(objs, *args, **kwargs)
            plan_ids = {getattr(row, self.plan_path) for row in created}
            AcademicPlan.mark_changed(
                plan_ids, urgent=any(map(is_about_access, created))
            )
            recording.record_created(created)
        return created


class PlanQuerySet(PlanPartQuerySet):
    plan_path = "pk"

    def _changes_access(self, changes: dict[str, Any]) -> bool:
        return "is_published" in changes


class OverrideQuerySet(PlanPartQuerySet):
    def _changes_access(self, changes: dict[str, Any]) -> bool:
        about_access = self.filter(aspect=OverrideAspect.ACCESS)
        return "action" in changes or about_access.exists()


class AcademicPlan(FoldingModel, models.Model):
    """A plan: an ordered list of subjects, with its own overrides."""

    public_id = PublicIdField(default=new_plan_id)
    title = TitleField(_("title"), max_length=255)
    title_folded = FoldedField("title")
    """The form that searches compare with (`core.folding`)."""
    season = models.ForeignKey(
        Season, models.PROTECT, null=True, blank=True, verbose_name=_("season")
    )
    grade = models.ForeignKey(
        Grade, models.PROTECT, null=True, blank=True, verbose_name=_("grade")
    )
    stream = models.ForeignKey(
        Stream, models.PROTECT, null=True, blank=True, verbose_name=_("stream")
    )
    is_published = models.BooleanField(
        _("published"),
        default=False,
        help_text=_("The files of an unpublished plan are withdrawn."),
    )
    subjects = models.ManyToManyField(
        Node, through="PlanSubject", related_name="plans", verbose_name=_("subjects")
    )
    revision = models.PositiveBigIntegerField(default=1, editable=False)
    """Grows in the transaction of every edit (docs/architecture.md, "Edits")."""
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    updated_at = models.DateTimeField(_("changed"), auto_now=True)

    objects = PlanQuerySet.as_manager()
    history = recording.Records(
        excluded_fields=["revision", "title_folded"],
        no_db_index=["season", "grade", "stream"],
    )

    class Meta:
        verbose_name = _("plan")
        verbose_name_plural = _("plans")
        ordering = ["title"]
        # `season.academicplan_set.add()` updates through this manager, so that it
        # counts as an edit.
        base_manager_name = "objects"

    def __str__(self) -> str:
        return self.title

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save all fields but ``revision``: this instance may hold an older value."""
        if not self._state.adding and kwargs.get("update_fields") is None:
            kwargs["update_fields"] = [
                field.name
                for field in self._meta.concrete_fields
                if not field.primary_key and field.name != "revision"
            ]
        super().save(*args, **kwargs)

    @classmethod
    def mark_changed(cls, plan_ids: Iterable[int], *, urgent: bool = False) -> None:
        """Raise the revision of these plans and send ``plans_changed``.

        ``urgent`` as in `content.signals`. Runs in the caller's transaction: an edit
        that is rolled back changes no revision.
        """
        changed = sorted(set(plan_ids))
        if not changed:
            return
        models.QuerySet(cls).filter(pk__in=changed).update(revision=F("revision") + 1)
        signals.plans_changed.send(sender=cls, plan_ids=changed, urgent=urgent)


class PlanPart(models.Model):
    """Base class of the rows that belong to a plan."""

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save in one transaction with the revision of the plan it leaves, if any."""
        with transaction.atomic(using=kwargs.get("using")):
            super().save(*args, **kwargs)


class PlanSubject(PlanPart):
    """A subject in a plan, with its position."""

    plan = models.ForeignKey(AcademicPlan, models.CASCADE, related_name="plan_subjects")
    subject = models.ForeignKey(
        Node,
        models.CASCADE,
        related_name="plan_subjects",
        limit_choices_to={"kind": Kind.SUBJECT.value},
        verbose_name=_("subject"),
    )
    position = models.PositiveIntegerField(_("order"), default=0)

    objects = PlanPartQuerySet.as_manager()
    history = recording.Records(no_db_index=["subject"])

    class Meta:
        verbose_name = _("plan subject")
        verbose_name_plural = _("plan subjects")
        ordering = ["position", "pk"]
        base_manager_name = "objects"
        constraints = [
            # The same subject twice in a plan would write its files twice.
            models.UniqueConstraint(
                fields=["plan", "subject"],
                name="plans_subject_once_per_plan",
                violation_error_message=_("This subject is already in the plan."),
            )
        ]

    def __str__(self) -> str:
        return str(self.subject)

    def clean(self) -> None:
        if self.subject_id and self.subject.kind != Kind.SUBJECT.value:
            message = _("“%(title)s” is a %(kind)s. A plan can contain only subjects.")
            kind = self.subject.get_kind_display()
            raise ValidationError(
                {"subject": message % {"title": self.subject.title, "kind": kind}}
            )


class OverrideAction(models.TextChoices):
    """What an override changes."""

    HIDE = "hide", _("hide")
    SET_FREE = "set_free", _("set free")
    SET_SOLD_SEPARATELY = "set_sold_separately", _("sell separately")
    SET_ACCESS_LEVEL = "set_access_level", _("set access level")
    SET_LINEAR = "set_linear", _("set order")
    RENAME = "rename", _("rename")


class OverrideAspect(models.TextChoices):
    """What an override is about; a plan has at most one per node and aspect."""

    ACCESS = "access", _("access")
    LINEAR = "linear", _("order")
    TITLE = "title", _("title")


def aspect_of(action: str) -> str:
    """Return the `OverrideAspect` of an action, as ``PlanOverride.aspect`` in SQL."""
    match action:
        case OverrideAction.SET_LINEAR:
            return OverrideAspect.LINEAR.value
        case OverrideAction.RENAME:
            return OverrideAspect.TITLE.value
    return OverrideAspect.ACCESS.value


LINEAR_VALUES = {"true": True, "false": False}


class PlanOverride(PlanPart):
    """One override of a plan on a node."""

    plan = models.ForeignKey(AcademicPlan, models.CASCADE, related_name="overrides")
    target = models.ForeignKey(
        Node, models.CASCADE, related_name="overrides", verbose_name=_("content")
    )
    action = models.CharField(
        _("action"), max_length=20, choices=OverrideAction.choices
    )
    value = models.CharField(
        _("value"),
        max_length=255,
        blank=True,
        help_text=_(
            "A product code (sell separately), a level (set access level: public, "
            "authenticated, free_preview or paid), true or false (set order), or a "
            "title (rename). Hide and set free have no value."
        ),
    )
    aspect = models.GeneratedField(
        expression=Case(
            When(Q(action="set_linear"), then=Value("linear")),
            When(Q(action="rename"), then=Value("title")),
            default=Value("access"),
        ),
        output_field=models.CharField(max_length=10, choices=OverrideAspect.choices),
        db_persist=True,
        verbose_name=_("about"),
    )

    objects = OverrideQuerySet.as_manager()
    history = recording.Records(excluded_fields=["aspect"], no_db_index=["target"])

    class Meta:
        verbose_name = _("override")
        verbose_name_plural = _("overrides")
        ordering = ["pk"]
        base_manager_name = "objects"
        constraints = [
            # With two access actions on one node, its level would be undefined.
            models.UniqueConstraint(
                fields=["plan", "target", "aspect"],
                name="plans_one_override_per_aspect",
                violation_error_message=_(
                    "This plan already has an override of this kind for this content."
                ),
            ),
            models.CheckConstraint(
                condition=Q(action__in=OverrideAction.values),
                name="plans_known_override_action",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_action_display()}: {self.target}"

    def clean(self) -> None:
        """Refuse a value that does not fit the action.

        `plans.services` checks that the target is inside one of the plan's subjects.
        """
        problem = override_value_problem(
            action=self.action,
            value=self.value,
            node_item=self.target.required_item if self.target_id else "",
        )
        if problem:
            raise ValidationError({"value": problem})
        if self._is_paid_without_product():
            raise ValidationError(
                {
                    "value": _(
                        "No product is known for “paid”, so no student could open it. "
                        "Choose “sell separately” with a product code, or enter the "
                        "product code of this content first."
                    )
                }
            )

    def _is_paid_without_product(self) -> bool:
        """Whether this makes content paid, but neither it nor what contains it is sold.

        Two queries, only for the level “paid”.
        """
        is_paid = self.value == Level.PAID.value
        if self.action != OverrideAction.SET_ACCESS_LEVEL or not is_paid:
            return False
        trail = self.target.get_ancestors(include_self=True).order_by()
        sold = PlanOverride.objects.filter(
            plan=self.plan_id,
            target__in=trail.exclude(pk=self.target_id).values("pk"),
            action=OverrideAction.SET_SOLD_SEPARATELY,
        )
        return not trail.exclude(required_item="").exists() and not sold.exists()


def is_about_access(row: Any) -> bool:
    """Whether ``row`` is an override that decides who may read something."""
    return (
        isinstance(row, PlanOverride)
        and aspect_of(row.action) == OverrideAspect.ACCESS.value
    )


def override_value_problem(*, action: str, value: str, node_item: str) -> Any:
    """Return why ``value`` does not fit ``action``, translated, or None."""
    match action:
        case OverrideAction.HIDE | OverrideAction.SET_FREE if value:
            return _("This action has no value.")
        case OverrideAction.SET_ACCESS_LEVEL if value not in list(Level):
            return _("Enter public, authenticated, free_preview or paid.")
        case OverrideAction.SET_LINEAR if value not in LINEAR_VALUES:
            return _("Enter true or false.")
        case OverrideAction.RENAME if not visible_text(value):
            return _("Enter the title that this plan's students see.")
        case OverrideAction.RENAME:
            return next(formula_faults.reasons(formulas.in_text(value)), None)
        case OverrideAction.SET_SOLD_SEPARATELY:
            if not value and not node_item:
                return _("Enter a product code: this content does not have its own.")
            if value:
                try:
                    validate_item_code(value)
                except ValidationError as error:
                    return error.messages[0]
    return None
