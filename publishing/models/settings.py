"""The settings of publishing that operators change at run time."""

import re
import time
from typing import Any, ClassVar
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models, transaction
from django.utils.translation import gettext_lazy as _
from solo.models import SingletonModel

from core import private_hosts, secrets
from publishing import signals

BUCKET_STORAGE = "publishing.storages.BucketStorage"
"""The back end of ``STORAGES["cdn"]`` that is configured by the settings row."""

_BUCKET_NAME = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9._-]*+\Z")
_REGION = re.compile(r"\A[A-Za-z0-9-]++\Z")
_ZONE = re.compile(r"\A[A-Za-z0-9]++\Z")
_PARTS_OF_ADDRESSES = {
    "cdn_bucket": _BUCKET_NAME,
    "cdn_private_bucket": _BUCKET_NAME,
    "cdn_region": _REGION,
    "cloudflare_zone": _ZONE,
}
"""Values that become part of a URL and must not change its host or path."""


class SettingsQuerySet(models.QuerySet[Any]):
    def update(self, **kwargs: Any) -> int:
        """Update the row and send the signal that `PublishingSettings.save` sends."""
        with transaction.atomic(using=self.db):
            count = super().update(**kwargs)
            signals.settings_changed.send(sender=self.model, fields=frozenset(kwargs))
        return count

    update.alters_data = True  # type: ignore[attr-defined]


class PublishingSettings(SingletonModel):
    """The single row of settings that operators change at run time."""

    local_domain = models.URLField(
        _("local domain"),
        blank=True,
        help_text=_(
            "The address at which students reach this server. Empty: the address of "
            "the site."
        ),
    )
    local_fallback_mode = models.BooleanField(
        _("local fallback mode"),
        default=False,
        help_text=_(
            "Students read from this server, and every change is published "
            "immediately. Videos in the private bucket are still played from there."
        ),
    )
    batch_threshold = models.PositiveIntegerField(
        _("number of pending plans that are published immediately"),
        default=50,
        validators=[MinValueValidator(1)],
    )
    search_shard_threshold = models.PositiveIntegerField(
        _("number of lessons at which the search index is split"), default=500
    )
    kept_generations = models.PositiveIntegerField(
        _("kept generations"), default=3, validators=[MinValueValidator(1)]
    )
    min_free_disk_percent = models.PositiveIntegerField(
        _("free disk space below which publishing pauses (%)"),
        default=10,
        validators=[MaxValueValidator(90)],
    )
    signed_url_hours = models.PositiveIntegerField(
        _("lifetime of signed URLs (hours)"),
        default=4,
        validators=[MinValueValidator(1), MaxValueValidator(168)],
    )
    embed_signed_urls = models.BooleanField(
        _("signed video URLs inside lesson files"), default=True
    )
    cdn_enabled = models.BooleanField(
        _("use the CDN"),
        default=False,
        help_text=_(
            "Every release is uploaded. A plan's links lead to the CDN when all its "
            "files are there. Videos stay in the private bucket when this is turned "
            "off, so keep its keys."
        ),
    )
    cdn_base_url = models.URLField(
        _("CDN base URL"),
        blank=True,
        help_text=_(
            "The URL that students' apps put before a file's path, such as "
            "https://cdn.example.org. Empty: the address of the public bucket."
        ),
    )
    cdn_endpoint = models.URLField(
        _("S3 endpoint"),
        blank=True,
        help_text=_(
            "For Cloudflare R2: https://ACCOUNT.r2.cloudflarestorage.com. Empty for "
            "Amazon S3."
        ),
    )
    cdn_region = models.CharField(
        _("region"), max_length=40, default="auto", help_text=_("“auto” for R2.")
    )
    cdn_path_style = models.BooleanField(
        _("bucket in the path"),
        default=True,
        help_text=_("R2 and most S3 servers; off for Amazon S3 itself."),
    )
    cdn_bucket = models.CharField(_("public bucket"), max_length=63, blank=True)
    cdn_private_bucket = models.CharField(
        _("private bucket"),
        max_length=63,
        blank=True,
        help_text=_(
            "For lessons that need an entitlement. It must not be readable without a "
            "signature. Empty: only this server serves these lessons."
        ),
    )
    cdn_access_key = models.TextField(_("access key id"), blank=True)
    cdn_secret_key = models.TextField(_("secret access key"), blank=True)
    """Both are stored encrypted (`secrets.encrypt`); `secret` reads them."""
    cdn_gzip = models.BooleanField(
        _("store files compressed"),
        default=False,
        help_text=_(
            "As gzip with Content-Encoding. Only for a CDN that decompresses for "
            "clients without gzip support, such as Cloudflare."
        ),
    )
    cloudflare_zone = models.CharField(
        _("Cloudflare zone id"),
        max_length=64,
        blank=True,
        help_text=_("With a token, changed files are purged from Cloudflare's cache."),
    )
    cloudflare_token = models.TextField(_("Cloudflare API token"), blank=True)
    """Encrypted like the secret key; needs only the permission “Cache Purge”."""

    SECRETS = ("cdn_access_key", "cdn_secret_key", "cloudflare_token")

    objects = SettingsQuerySet.as_manager()

    class Meta:
        verbose_name = _("publishing settings")

    def __str__(self) -> str:
        return str(_("Publishing settings"))

    _recent: ClassVar[tuple[float, "PublishingSettings"] | None] = None

    @classmethod
    def recent(cls) -> "PublishingSettings":
        """Return the row, at most ``PUBLISHING_SETTINGS_SECONDS`` old.

        For requests of students, for most of which the query would be a third of their
        cost. Each process follows a change after that time. Do not change the object:
        all threads have the same.
        """
        now = time.monotonic()
        held = cls._recent
        if held is None or now - held[0] >= settings.PUBLISHING_SETTINGS_SECONDS:
            held = cls._recent = (now, cls.get_solo())
        return held[1]

    def secret(self, name: str) -> str:
        """Return one of `SECRETS` decrypted; "" when it is empty.

        Raises:
            SecretsError: it cannot be decrypted with the available keys.
        """
        return secrets.decrypt(getattr(self, name))

    def clean(self) -> None:
        """Refuse CDN settings that cannot work and URLs that hold a password."""
        faults: dict[str, Any] = {}
        for name in ("cdn_base_url", "cdn_endpoint", "local_domain"):
            address = urlsplit(getattr(self, name))
            if address.username or address.password:
                faults[name] = _("An address must not contain a user name or password.")
            elif address.query or address.fragment:
                faults[name] = _("Enter only the address, without “?” or “#”.")
        for name in ("cdn_base_url", "cdn_endpoint"):
            typed = getattr(self, name)
            if typed and name not in faults and not private_hosts.is_permitted(typed):
                faults[name] = _(
                    "Enter an https:// address. A server without https must be listed "
                    "in MEMORA_PRIVATE_HOSTS."
                )
        for name, allowed in _PARTS_OF_ADDRESSES.items():
            if (typed := getattr(self, name)) and not allowed.match(typed):
                faults[name] = _("It contains characters that are not allowed.")
        if self.cdn_enabled:
            needed = ["cdn_base_url"]
            if storage_is_the_bucket():
                needed = ["cdn_bucket", "cdn_access_key", "cdn_secret_key"]
            for name in needed:
                if not getattr(self, name) and name not in faults:
                    faults[name] = _("This is required to use the CDN.")
        names_bucket = self.cdn_bucket or self.cdn_private_bucket
        is_amazon = storage_is_the_bucket() and not self.cdn_endpoint
        if names_bucket and is_amazon and self.cdn_region == "auto":
            faults["cdn_region"] = _(
                "Amazon S3 has no region “auto”. Enter the bucket's region, or the "
                "endpoint if it is another service."
            )
        if self.cdn_bucket and self.cdn_bucket == self.cdn_private_bucket:
            faults["cdn_private_bucket"] = _(
                "The private bucket must not be the public bucket."
            )
        if bool(self.cloudflare_zone) != bool(self.cloudflare_token):
            missing = "cloudflare_token" if self.cloudflare_zone else "cloudflare_zone"
            faults[missing] = _("Enter both the zone id and the token.")
        if faults:
            raise ValidationError(faults)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save; send `signals.settings_changed` if any field has changed.

        Raises:
            ValueError: a secret is not encrypted with `secrets.encrypt`.
        """
        for name in self.SECRETS:
            if not secrets.is_encrypted(getattr(self, name)):
                raise ValueError(f"{name} is not encrypted")
        fields = [field.attname for field in self._meta.concrete_fields]
        with transaction.atomic():
            rows = type(self).objects.select_for_update()
            before = rows.filter(pk=self.pk).first() or type(self)(pk=self.pk)
            super().save(*args, **kwargs)
            changed = frozenset(
                name for name in fields if getattr(self, name) != getattr(before, name)
            )
            if changed:
                signals.settings_changed.send(sender=type(self), fields=changed)


def storage_is_the_bucket() -> bool:
    """Return whether ``STORAGES["cdn"]`` is the bucket named in these settings."""
    return bool(settings.STORAGES["cdn"]["BACKEND"] == BUCKET_STORAGE)
