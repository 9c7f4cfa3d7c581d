"""The state of a subject and the locks of the tree."""

from collections.abc import Iterable

from django.db import models
from django.utils.translation import gettext_lazy as _

from content import signals


class SubjectState(models.Model):
    """The revisions, bit counter and file header of a subject.

    The row is the lock of the subject's tree.
    """

    subject = models.OneToOneField(
        "content.Node",
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="state",
    )
    next_bit_index = models.PositiveIntegerField(default=0)
    """The bit of the next lesson. It only grows, so no bit is reused."""
    revision = models.PositiveBigIntegerField(default=1)
    """Grows in the transaction of every edit of the subject.

    See docs/architecture.md, "Edits".
    """
    tree_revision = models.PositiveBigIntegerField(default=1)
    """The revision of the last edit of anything other than lessons' stages.

    A release built at or after it still has the current tree (see
    `Node.stages_revision`).
    """
    language = models.CharField(_("language"), max_length=35, blank=True)
    attribution = models.TextField(_("attribution"), blank=True)
    license = models.CharField(_("licence"), max_length=500, blank=True)

    class Meta:
        verbose_name = _("subject state")
        verbose_name_plural = _("subject states")

    def __str__(self) -> str:
        return f"{self.subject_id}@{self.revision}"

    @classmethod
    def mark_changed(cls, subject_ids: Iterable[int], *, urgent: bool = False) -> None:
        """Raise the revisions of these subjects and send ``subjects_changed``.

        ``urgent`` is that of the signal. This is part of the caller's transaction: a
        rollback also undoes it.
        """
        changed = sorted(set(subject_ids))
        if not changed:
            return
        # The order matters: MariaDB assigns from left to right, so the second
        # assignment uses the new value of the first.
        cls.objects.filter(pk__in=changed).update(
            tree_revision=models.F("revision") + 1, revision=models.F("revision") + 1
        )
        signals.subjects_changed.send(sender=cls, subject_ids=changed, urgent=urgent)


class TreeLock(models.Model):
    """A row to lock when there is no subject to lock."""

    ROOTS = 1

    class Meta:
        verbose_name = _("tree lock")
        verbose_name_plural = _("tree locks")

    def __str__(self) -> str:
        return str(self.pk)
