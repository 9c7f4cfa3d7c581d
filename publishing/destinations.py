"""The places that published files are uploaded to, by name.

What is known of a place's files (`publishing.models.UploadedDocument`) bears its id, so
another bucket starts empty and new keys of the same one do not.
"""

import hashlib
import json
from typing import Any

from django.conf import settings

from publishing.models import PublishingSettings, storage_is_the_bucket

_SECRET_WORDS = ("key", "secret", "token", "password", "credential", "sas")


def public_place(current: PublishingSettings) -> str:
    """The id of the place that these settings upload open files to; asks for no key."""
    if storage_is_the_bucket():
        return bucket_place(current.cdn_endpoint, current.cdn_bucket)
    return storage_place("cdn")


def bucket_place(endpoint: str, name: str) -> str:
    """The id of a bucket, whatever keys open it."""
    return _fingerprint("s3", endpoint.rstrip("/"), name)


def storage_place(alias: str) -> str:
    """The id of a storage of ``STORAGES``."""
    return _fingerprint("storage", alias, _description(alias))


def _fingerprint(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _description(alias: str) -> str:
    """A storage's settings without its secrets: new keys are no new place."""
    entry: dict[str, Any] = settings.STORAGES[alias]
    options = {
        name: str(value)
        for name, value in entry.get("OPTIONS", {}).items()
        if not any(word in name.lower() for word in _SECRET_WORDS)
    }
    return json.dumps([entry["BACKEND"], options], sort_keys=True)
