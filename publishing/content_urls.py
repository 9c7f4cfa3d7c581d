"""Where clients find published files: the one place that decides (DESIGN 5)."""

from urllib.parse import urlsplit

from django.conf import settings

from publishing import destinations
from publishing.format import locations
from publishing.models import Publication, PublishingSettings, UploadedDocument


def local_base_url(current: PublishingSettings | None = None) -> str:
    """Where this server itself serves content paths, ending in ``/``."""
    current = current or PublishingSettings.get_solo()
    domain = (current.local_domain or settings.SITE_URL).rstrip("/")
    return f"{domain}{settings.CONTENT_URL}"


def content_base_url(current: PublishingSettings | None = None) -> str:
    """What a content path is appended to, ending in ``/``.

    Reads the settings row anew, so that a change is followed at once by every
    process; a caller with many URLs to make passes the row it has read.
    """
    current = current or PublishingSettings.get_solo()
    if current.local_fallback_mode or not current.cdn_enabled:
        return local_base_url(current)
    return cdn_base_url(current)


def release_base_url(current: PublishingSettings, cdn_place: str) -> str:
    """What the links of a plan's documents begin with, ending in ``/``.

    The CDN's base only where the CDN has had the plan's whole release: a CDN that is
    new, or that cannot be written, is named by no document (ADR 17).

    Args:
        cdn_place: the plan's `Publication.cdn_place`.
    """
    if cdn_place != destinations.public_place(current):
        return local_base_url(current)
    return content_base_url(current)


def plan_base_url(plan_id: str, current: PublishingSettings) -> str:
    """`release_base_url` of a plan by its public id; one query where the CDN is used."""
    base_url = content_base_url(current)
    if base_url == local_base_url(current):
        return base_url
    publications = Publication.objects.filter(plan_public_id=plan_id)
    place = publications.values_list("cdn_place", flat=True).first()
    return release_base_url(current, place or "")


def base_url_of(path: str, current: PublishingSettings) -> str:
    """What to append ``path`` to now, ending in ``/``; one query where the CDN is used.

    The CDN's base only once it has the file, if need be of an older release: a CDN that
    is new is filled before anybody is sent there.
    """
    base_url = content_base_url(current)
    if base_url == local_base_url(current):
        return base_url
    there = UploadedDocument.objects.filter(
        target=destinations.public_place(current),
        path=path,
        sha256__gt="",
        leaving_since__isnull=True,
    )
    return base_url if there.exists() else local_base_url(current)


def cdn_base_url(current: PublishingSettings) -> str:
    """Where the CDN serves content paths, ending in ``/``; whether it is used or not.

    Without a base URL of its own, the public bucket's own address (spec 4).
    """
    base = current.cdn_base_url.rstrip("/") or bucket_url(current, current.cdn_bucket)
    return f"{base}/"


def bucket_url(current: PublishingSettings, bucket: str) -> str:
    """A bucket's own address at the settings' server."""
    if not current.cdn_endpoint:
        return f"https://{bucket}.s3.{current.cdn_region}.amazonaws.com"
    endpoint = urlsplit(current.cdn_endpoint)
    path = endpoint.path.rstrip("/")
    if current.cdn_path_style:
        return f"{endpoint.scheme}://{endpoint.netloc}{path}/{bucket}"
    return f"{endpoint.scheme}://{bucket}.{endpoint.netloc}{path}"


def get_content_url(path: str) -> str:
    """The absolute URL of a content path such as ``plans/PLAN-1/manifest.json``."""
    return content_base_url() + path


def gated_lesson_url(lesson_id: str, current: PublishingSettings | None = None) -> str:
    """The API's address for a lesson that needs an entitlement check."""
    current = current or PublishingSettings.get_solo()
    domain = (current.local_domain or settings.SITE_URL).rstrip("/")
    locations.lesson(lesson_id)
    return f"{domain}/api/v1/content/lessons/{lesson_id}/"
