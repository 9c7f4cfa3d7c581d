"""Input of editors that is not saved yet."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from core.fields import CanonicalJSONEncoder


class FormDraft(models.Model):
    """The unsaved input of one editor on one page (`content.drafts`).

    ``page`` is the model's label and the row's key or ``new``: ``content.node/12``,
    ``content.node/new/5`` (below the entry 5), ``plans.academicplan/new``. ``data`` has
    the fields of the form in order, as ``[name, value]``.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+"
    )
    page = models.CharField(max_length=80)
    data = models.JSONField(encoder=CanonicalJSONEncoder)
    saved_at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name = _("draft of a form")
        verbose_name_plural = _("drafts of forms")
        constraints = [
            # A page restores one draft; another tab of the same editor replaces it.
            models.UniqueConstraint(
                fields=["page", "user"], name="content_draft_once_per_page"
            )
        ]

    def __str__(self) -> str:
        return self.page


class UnfinishedLesson(models.Model):
    """A lesson's saved version that is not complete, shown to every editor of it.

    The lesson's rows have the last complete version, which is what everything else reads
    (docs/adr/0036). ``data`` is that of a `FormDraft`; ``seen`` in it is the version of
    the rows.
    """

    lesson = models.OneToOneField(
        "content.Node",
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="unfinished",
    )
    data = models.JSONField(encoder=CanonicalJSONEncoder)
    saved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    saved_at = models.DateTimeField()

    class Meta:
        verbose_name = _("unfinished lesson")
        verbose_name_plural = _("unfinished lessons")

    def __str__(self) -> str:
        return str(self.pk)
