"""The current release of every plan: its files, its lessons and the counters."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from content.kinds import ID_MAX_LENGTH
from core.fields import ExactCharField
from plans.models import AcademicPlan

CONTENT_PATH_LENGTH = 200


class Publication(models.Model):
    """A plan's current release, and what it was built from.

    The row is kept after its plan is deleted, until the plan's files are removed.
    """

    plan = models.OneToOneField(
        AcademicPlan,
        models.SET_NULL,
        null=True,
        related_name="publication",
        verbose_name=_("plan"),
    )
    plan_public_id = ExactCharField(_("plan id"), max_length=ID_MAX_LENGTH, unique=True)
    build_number = models.PositiveBigIntegerField(default=0, db_column="fence")
    """The number of the newest build that claimed this plan; older builds stop."""
    generation = models.PositiveBigIntegerField(_("generation"), null=True, blank=True)
    """The number of the release that students read; NULL before the first release."""
    needs_full_build_since = models.PositiveBigIntegerField(
        null=True, blank=True, db_column="switching"
    )
    """The build number since which the files are not trusted: a health check found a
    fault, or a rollback is in progress. Until it is NULL again, a build reads
    everything and compares it with the disk."""
    built_from = models.JSONField(default=dict)
    """The sources of the release: `publishing.staleness.sources`."""
    published_at = models.DateTimeField(_("published"), null=True, blank=True)
    rolled_back_at = models.DateTimeField(_("rolled back"), null=True, blank=True)
    """When an earlier generation was made current. The plan is held since then: it is
    not built until a publisher releases it, which sets this to NULL."""
    cdn_place = models.CharField(max_length=16, blank=True, default="", editable=False)
    """The public place (`publishing.destinations`) that has received a complete release
    of this plan; "" for none. Links in the plan's documents lead there. Cleared when
    the CDN is turned on or off or its place changes: an unused place is outdated."""
    withdrawal_due_since = models.DateTimeField(
        null=True, editable=False, db_column="leaving_since"
    )
    """The time since which its files should be gone, as found by the periodic check:
    the plan is deleted or no longer published."""

    class Meta:
        verbose_name = _("publication")
        verbose_name_plural = _("publications")

    def __str__(self) -> str:
        return f"{self.plan_public_id}@{self.generation}"


class PublishedDocument(models.Model):
    """The record of a published file, used to decide whether to write it again."""

    path = ExactCharField(_("path"), max_length=CONTENT_PATH_LENGTH, unique=True)
    lesson_id = ExactCharField(
        max_length=ID_MAX_LENGTH, blank=True, db_index=True, editable=False
    )
    """The lesson whose file this is; "" for a plan's own file."""
    publication = models.ForeignKey(
        Publication, models.CASCADE, null=True, related_name="documents"
    )
    """NULL for a lesson: lessons are shared by plans."""
    fingerprint = models.CharField(max_length=64)
    """SHA-256 of the content without version, time and signatures; "" if the next build
    must write the file in any case."""
    version = models.PositiveBigIntegerField(_("version"))
    """The highest version ever published under this path; after a rollback the file
    itself has an earlier one."""
    sha256 = models.CharField(max_length=64)
    size = models.PositiveIntegerField(_("bytes"))
    source_revision = models.PositiveBigIntegerField(default=0)
    """For a lesson: its subject's revision when it was read, so that an older snapshot
    never overwrites a newer one."""
    source = models.CharField(max_length=32, blank=True, default="", editable=False)
    """For a lesson: digest of its other sources (`documents.LessonSources`); "" if
    unknown, and the next build computes it."""
    review_items = models.TextField(blank=True, default="", editable=False)
    """For a lesson: the ids of its reviewable items, separated by spaces. A plan's bitmap
    lists them, also when the lesson's file is reused and its stages are not read."""
    search_words = models.TextField(blank=True, default="", editable=False)
    """For a lesson: its words, for plans' search indexes (`publishing.format.keywords`).
    """
    signed_until = models.PositiveBigIntegerField(null=True, blank=True)
    """The Unix time when the first signature in the file expires."""

    class Meta:
        verbose_name = _("published file")
        verbose_name_plural = _("published files")

    def __str__(self) -> str:
        return str(self.path)


class PlanLesson(models.Model):
    """A lesson in a plan's current release, and whether the plan offers it openly.

    A lesson that no plan offers openly is gated; one without any row is not needed by
    a current release. See docs/architecture.md, "Open and gated lessons".
    """

    publication = models.ForeignKey(
        Publication, models.CASCADE, related_name="plan_lessons"
    )
    lesson_id = ExactCharField(max_length=ID_MAX_LENGTH)
    is_open = models.BooleanField()

    class Meta:
        verbose_name = _("plan lesson")
        verbose_name_plural = _("plan lessons")
        db_table = "publishing_lessonoffer"
        constraints = [
            models.UniqueConstraint(
                fields=["publication", "lesson_id"], name="publishing_one_offer"
            )
        ]
        indexes = [
            models.Index(fields=["lesson_id", "is_open"], name="publishing_offers")
        ]

    def __str__(self) -> str:
        return str(self.lesson_id)


class ReleaseCounters(models.Model):
    """One row with the counters of all releases; its lock is the switch lock.

    A build locks the row while it puts its files in place. Lessons are shared by plans:
    two switches at the same time could replace a newer lesson with an older one.
    """

    ROW = 1

    removals = models.PositiveBigIntegerField(default=0)
    """Grows when lesson files are deleted; a build that read an older number may depend
    on one of them."""
    newest_version = models.PositiveBigIntegerField(default=0)
    """The highest version ever published: a file that is created again under the path
    of a removed one must have a higher version."""
    switches = models.PositiveBigIntegerField(default=0)
    """The number of switches so far. The disk has the number of the switch begun last
    (`file_store.switches`). When they differ, a switch was begun and its tables were
    not written (`publishing.storage.recovery`)."""
    newest_withdrawn_number = models.PositiveBigIntegerField(default=0)
    """The highest build number of the plans withdrawn so far. A plan that is published
    again continues above it, so that a cached number never names another release
    (`publishing.published_content`)."""

    class Meta:
        verbose_name = _("release counters")
        verbose_name_plural = _("release counters")
        db_table = "publishing_switchlock"

    def __str__(self) -> str:
        return str(self.pk)
