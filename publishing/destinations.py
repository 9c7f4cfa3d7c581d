"""Ids of the places that published files are uploaded to.

Each `publishing.models.UploadedDocument` holds the id of its place. So a different
bucket starts without records, and new credentials for the same bucket keep them.
"""

import hashlib
import json
from typing import Any

from django.conf import settings

from publishing.models import PublishingSettings, storage_is_the_bucket

_SECRET_WORDS = ("key", "secret", "token", "password", "credential", "sas")


def public_destination_id(current: PublishingSettings) -> str:
    """Return the id of the place for open files. Reads no credentials."""
    if storage_is_the_bucket():
        return bucket_destination_id(current.cdn_endpoint, current.cdn_bucket)
    return storage_destination_id("cdn")


def bucket_destination_id(endpoint: str, name: str) -> str:
    """Return the id of a bucket, independent of its credentials."""
    return _fingerprint("s3", endpoint.rstrip("/"), name)


def storage_destination_id(alias: str) -> str:
    """Return the id of a storage in ``STORAGES``."""
    return _fingerprint("storage", alias, _description(alias))


def _fingerprint(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _description(alias: str) -> str:
    """Describe a storage without its secrets, so that new keys keep the id."""
    entry: Any = settings.STORAGES[alias]
    options = {
        name: str(value)
        for name, value in entry.get("OPTIONS", {}).items()
        if not any(word in name.lower() for word in _SECRET_WORDS)
    }
    return json.dumps([entry["BACKEND"], options], sort_keys=True)
