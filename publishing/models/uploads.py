"""The recorded state of the CDN."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from core.fields import ExactCharField
from publishing.models.releases import CONTENT_PATH_LENGTH


class UploadedDocument(models.Model):
    """The state of a path on the CDN, as far as it is known.

    Written before an object is changed and again after it is verified, so that a
    process that stops in between is detected: an object in an unknown state is uploaded
    again.
    """

    target = models.CharField(max_length=16)
    """Fingerprint of the server and bucket (`destinations.bucket_destination_id`)."""
    path = ExactCharField(_("path"), max_length=CONTENT_PATH_LENGTH)
    sha256 = models.CharField(max_length=64, blank=True)
    """Hash of the content verified there; "" while it is unknown."""
    gzipped = models.BooleanField(default=False, db_column="packed")
    """Stored compressed; after a change of that setting it must be uploaded again."""
    size = models.PositiveIntegerField(_("bytes"), default=0)
    switch_number = models.PositiveBigIntegerField(default=0, db_column="edition")
    """`ReleaseCounters.switches` of the release for which it was last changed; a
    distributor with an older number does not change it."""
    claim = models.CharField(max_length=32, blank=True)
    """The distributor that is changing the object. A distributor that finds another
    name here after its own upload leaves the object to the other."""
    recheck_at = models.DateTimeField(null=True, editable=False)
    """When to verify it again, because another upload may have arrived late."""
    purge = models.BooleanField(default=False)
    """The CDN's cache may hold other bytes than the bucket."""
    obsolete_since = models.DateTimeField(
        null=True, editable=False, db_column="leaving_since"
    )
    """The time since which it should not be there any more."""

    class Meta:
        verbose_name = _("uploaded file")
        verbose_name_plural = _("uploaded files")
        constraints = [
            # Two distributors must not both create the row of a path.
            models.UniqueConstraint(
                fields=["target", "path"], name="publishing_one_upload"
            )
        ]

    def __str__(self) -> str:
        return str(self.path)
