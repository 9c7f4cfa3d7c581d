"""The library of media: one row for each stored picture, recording and video."""

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from core.fields import (
    ExactCharField,
    FoldedField,
    FoldingModel,
    FoldingQuerySet,
    TitleField,
)


class MediaKind(models.TextChoices):
    """Pictures and audio are public files below ``MEDIA_ROOT``; videos are private."""

    PICTURE = "picture", _("picture")
    AUDIO = "audio", _("audio")
    VIDEO = "video", _("video")


class MediaFile(FoldingModel, models.Model):
    """A stored file. `content.media` stores it and finds where it is used.

    ``path`` is that of the public storage (pictures and audio) or of the video storage.
    Hashes are 64 hexadecimal digits, "" if unknown: ``sha256`` is that of the stored
    bytes, ``source_sha256`` that of the bytes that were sent, which differ because
    pictures are encoded again.
    """

    kind = models.CharField(_("kind"), max_length=10, choices=MediaKind.choices)
    path = ExactCharField(_("file"), max_length=255, unique=True)
    name = TitleField(_("name"), max_length=255)
    name_folded = FoldedField("name")
    sha256 = models.CharField(max_length=64, blank=True, db_index=True, editable=False)
    source_sha256 = models.CharField(
        max_length=64, blank=True, db_index=True, editable=False
    )
    size = models.BigIntegerField(_("size"), default=0, editable=False)
    alt = models.CharField(
        _("alternative text"),
        max_length=500,
        blank=True,
        help_text=_(
            "What people who cannot see the picture need to know. The editor takes it "
            "when the picture is inserted."
        ),
    )
    captions: Any = models.JSONField(
        _("captions"), default=list, blank=True, editable=False
    )
    """Caption tracks as in the config of a Video stage, with cues."""
    created_at = models.DateTimeField(_("uploaded"), auto_now_add=True, db_index=True)

    objects = FoldingQuerySet.as_manager()

    class Meta:
        verbose_name = _("media file")
        verbose_name_plural = _("media library")
        ordering = ["-created_at", "-pk"]

    def __str__(self) -> str:
        return self.name
