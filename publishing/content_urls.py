"""The URLs at which clients find published files."""

from urllib.parse import urlsplit

from django.conf import settings

from publishing import destinations
from publishing.format import locations
from publishing.models import Publication, PublishingSettings


def local_base_url(current: PublishingSettings | None = None) -> str:
    """Return the base URL of content on this server, ending in ``/``."""
    current = current or PublishingSettings.get_solo()
    domain = (current.local_domain or settings.SITE_URL).rstrip("/")
    return f"{domain}{settings.CONTENT_URL}"


def content_base_url(current: PublishingSettings | None = None) -> str:
    """Return the base URL of content for clients, ending in ``/``.

    Without ``current`` the settings row is read again, so that every process follows a
    change at once. A caller that makes many URLs passes the row that it has read.
    """
    current = current or PublishingSettings.get_solo()
    if current.local_fallback_mode or not current.cdn_enabled:
        return local_base_url(current)
    return cdn_base_url(current)


def release_base_url(current: PublishingSettings, cdn_place: str) -> str:
    """Return the base URL of the links in a plan's documents, ending in ``/``.

    It is the CDN's only when the CDN has received a complete release of the plan: no
    document links to a CDN that is new or cannot be written (ADR 17).

    Args:
        cdn_place: the plan's `Publication.cdn_place`.
    """
    if cdn_place != destinations.public_destination_id(current):
        return local_base_url(current)
    return content_base_url(current)


def plan_base_url(plan_id: str, current: PublishingSettings) -> str:
    """As `release_base_url`, for a plan's public id; one query if the CDN is used."""
    base_url = content_base_url(current)
    if base_url == local_base_url(current):
        return base_url
    publications = Publication.objects.filter(plan_public_id=plan_id)
    place = publications.values_list("cdn_place", flat=True).first()
    return release_base_url(current, place or "")


def cdn_base_url(current: PublishingSettings) -> str:
    """Return the CDN's base URL of content, ending in ``/``, whether in use or not.

    Without a configured base URL, it is the public bucket's own URL.
    """
    base = current.cdn_base_url.rstrip("/") or bucket_url(current, current.cdn_bucket)
    return f"{base}/"


def bucket_url(current: PublishingSettings, bucket: str) -> str:
    """Return a bucket's own URL on the configured server."""
    if not current.cdn_endpoint:
        return f"https://{bucket}.s3.{current.cdn_region}.amazonaws.com"
    endpoint = urlsplit(current.cdn_endpoint)
    path = endpoint.path.rstrip("/")
    if current.cdn_path_style:
        return f"{endpoint.scheme}://{endpoint.netloc}{path}/{bucket}"
    return f"{endpoint.scheme}://{bucket}.{endpoint.netloc}{path}"


def get_content_url(path: str) -> str:
    """Return the absolute URL of a content path such as ``plans/P-1/manifest.json``."""
    return content_base_url() + path


def gated_lesson_url(lesson_id: str, current: PublishingSettings | None = None) -> str:
    """Return the API's URL of a lesson that needs an entitlement check."""
    current = current or PublishingSettings.get_solo()
    domain = (current.local_domain or settings.SITE_URL).rstrip("/")
    locations.lesson(lesson_id)
    return f"{domain}/api/v1/content/lessons/{lesson_id}/"
