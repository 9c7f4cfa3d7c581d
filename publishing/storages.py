"""The storages of ``STORAGES`` for published files: the local disk and the CDN."""

from django.conf import settings
from django.core.files.storage import FileSystemStorage, Storage


class StagingStorage(FileSystemStorage):
    """The current published files on the local disk; only builds write to it."""

    def __init__(self) -> None:
        super().__init__(location=settings.CONTENT_ROOT, base_url=settings.CONTENT_URL)


class BucketStorage(Storage):
    """Marker for ``STORAGES["cdn"]``: use the bucket of the publishing settings.

    `publishing.cdn.backends.s3` implements the upload; this class has no methods.
    """
