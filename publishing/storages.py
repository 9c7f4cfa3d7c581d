"""The two ends of distribution in ``STORAGES``: this disk, and the CDN's bucket."""

from django.conf import settings
from django.core.files.storage import FileSystemStorage, Storage


class StagingStorage(FileSystemStorage):
    """The published files on this disk, as readers see them. Builds alone write."""

    def __init__(self) -> None:
        super().__init__(location=settings.CONTENT_ROOT, base_url=settings.CONTENT_URL)


class BucketStorage(Storage):
    """Says that the CDN is the bucket of the publishing settings (`cdn.s3`)."""
