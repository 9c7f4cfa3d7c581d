"""The two ends of distribution as Django storages: this disk, and the CDN's bucket."""

from datetime import datetime
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.files.base import File
from django.core.files.storage import FileSystemStorage, Storage

from publishing.content_urls import cdn_base_url
from publishing.models import PublishingSettings


class StagingStorage(FileSystemStorage):
    """The published files on this disk, as readers see them. Builds alone write."""

    def __init__(self) -> None:
        super().__init__(location=settings.CONTENT_ROOT, base_url=settings.CONTENT_URL)


class BucketStorage(Storage):
    """The public bucket of the publishing settings, as they are at each call."""

    def _open(self, name: str, mode: str = "rb") -> "File[Any]":
        file: File[Any] = _bucket().open(name, mode)
        return file

    def _save(self, name: str, content: "File[Any]") -> str:
        saved: str = _bucket().save(name, content)
        return saved

    def delete(self, name: str) -> None:
        _bucket().delete(name)

    def exists(self, name: str) -> bool:
        return bool(_bucket().exists(name))

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        found: tuple[list[str], list[str]] = _bucket().listdir(path)
        return found

    def size(self, name: str) -> int:
        return int(_bucket().size(name))

    def get_modified_time(self, name: str) -> datetime:
        modified: datetime = _bucket().get_modified_time(name)
        return modified

    def url(self, name: str | None) -> str:
        return f"{cdn_base_url(PublishingSettings.get_solo())}{name}"


def _bucket() -> Any:
    current = PublishingSettings.get_solo()
    return _bucket_of(
        current.cdn_bucket,
        current.cdn_endpoint,
        current.cdn_region,
        current.cdn_path_style,
        current.cdn_access_key,
        current.secret("cdn_secret_key"),
    )


@lru_cache(maxsize=2)
def _bucket_of(
    bucket: str, endpoint: str, region: str, path_style: bool, key: str, secret: str
) -> Any:
    from botocore.config import Config
    from storages.backends.s3 import S3Storage

    return S3Storage(
        bucket_name=bucket,
        endpoint_url=endpoint or None,
        region_name=region,
        access_key=key,
        secret_key=secret,
        client_config=Config(
            s3={"addressing_style": "path" if path_style else "auto"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
