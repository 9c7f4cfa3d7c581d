"""What players may use: enrolments in plans, entitlements, and groups."""

from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

from content.fields import validate_item_code
from core.fields import (
    ExactCharField,
    FoldedKeyField,
    FoldingModel,
    FoldingQuerySet,
    TitleField,
)
from plans.models import AcademicPlan
from players.models.accounts import PlayerProfile, User
from players.models.cached_rows import AccessQuerySet


class Enrollment(models.Model):
    """A player's membership in a plan."""

    player = models.ForeignKey(
        PlayerProfile, models.CASCADE, related_name="enrollments"
    )
    plan = models.ForeignKey(
        AcademicPlan,
        models.CASCADE,
        related_name="enrollments",
        verbose_name=_("plan"),
    )
    created_at = models.DateTimeField(_("since"), auto_now_add=True)

    objects = AccessQuerySet.as_manager()

    class Meta:
        verbose_name = _("enrolment")
        verbose_name_plural = _("enrolments")
        constraints = [
            models.UniqueConstraint(
                fields=["player", "plan"],
                name="players_enrolled_once_per_plan",
                violation_error_message=_("The player is enrolled in this plan."),
            )
        ]

    def __str__(self) -> str:
        return str(self.plan)


class Entitlement(models.Model):
    """A player's right to a product, by its code."""

    player = models.ForeignKey(
        PlayerProfile, models.CASCADE, related_name="entitlements"
    )
    item = ExactCharField(
        _("product code"), max_length=64, validators=[validate_item_code]
    )
    valid_until = models.DateTimeField(
        _("until"), null=True, blank=True, help_text=_("Empty: no end date.")
    )
    created_at = models.DateTimeField(_("since"), auto_now_add=True)

    objects = AccessQuerySet.as_manager()

    class Meta:
        verbose_name = _("entitlement")
        verbose_name_plural = _("entitlements")
        constraints = [
            models.UniqueConstraint(
                fields=["player", "item"],
                name="players_entitled_once_per_item",
                violation_error_message=_("The player has this product already."),
            )
        ]

    def __str__(self) -> str:
        return str(self.item)


class StudyGroup(FoldingModel, models.Model):
    """A group of students, such as a class, whose access staff change together.

    A group gives its members nothing by itself: `players.services.groups` enrols them.
    """

    name = TitleField(_("name"), max_length=100)
    # Two spellings of one name («٥ أ», «5 أ») would split its students.
    name_folded = FoldedKeyField("name")
    plan = models.ForeignKey(
        AcademicPlan,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("plan"),
        help_text=_("The plan that the actions on the group offer first."),
    )
    teachers = models.ManyToManyField(
        User,
        blank=True,
        related_name="taught_groups",
        verbose_name=_("teachers"),
        limit_choices_to={"is_staff": True},
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    objects = FoldingQuerySet.as_manager()

    class Meta:
        verbose_name = _("group")
        verbose_name_plural = _("groups")
        ordering = ["name"]
        permissions = [("teach_studygroup", _("Can see the classes that they teach"))]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Refuse a name that another group has, also in another spelling."""
        field: Any = self._meta.get_field("name_folded")
        others = StudyGroup.objects.exclude(pk=self.pk)
        same = others.filter(name_folded=field.folded(self.name)).first()
        if same is not None:
            message = _("“%(title)s” already exists and looks the same.")
            raise ValidationError({"name": message % {"title": same.name}})


class GroupMember(models.Model):
    """A player's membership in a group."""

    group = models.ForeignKey(
        StudyGroup,
        models.CASCADE,
        related_name="memberships",
        verbose_name=_("group"),
    )
    player = models.ForeignKey(
        PlayerProfile, models.CASCADE, related_name="memberships"
    )
    created_at = models.DateTimeField(_("since"), auto_now_add=True)

    class Meta:
        verbose_name = _("member of a group")
        verbose_name_plural = _("members of groups")
        constraints = [
            # Adding a player again is no second membership.
            models.UniqueConstraint(
                fields=["group", "player"], name="players_member_once_per_group"
            )
        ]

    def __str__(self) -> str:
        return f"#{self.player_id}"
