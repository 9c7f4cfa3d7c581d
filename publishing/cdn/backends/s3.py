"""An S3 bucket (Amazon S3, Cloudflare R2, MinIO …) as an upload target.

All threads share one client. Checksums are sent only where an operation requires one:
R2 refuses the newer ones that boto3 sends by default. Every failure is raised as a
`DistributionError` whose message contains no keys or signatures.
"""

import base64
import gzip
import hashlib
import os
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import IO, Any

import boto3
import botocore.session
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError as BotoConnectionError,
    EndpointConnectionError,
    HTTPClientError,
    ParamValidationError,
    SSLError,
)
from django.conf import settings
from django.utils.translation import gettext as _, gettext_lazy

from publishing.cdn.backends.base import (
    CdnTimeoutError,
    DistributionError,
    ListedObject,
)
from publishing.cdn.s3_session import MAX_ANSWER_BYTES, GuardedSession
from publishing.destinations import bucket_destination_id
from publishing.models import PublishingSettings

DELETE_BATCH_SIZE = 1000
"""The most objects that one DeleteObjects request may name."""
_INTERACTIVE_READ_TIMEOUT = 10
"""Read timeout in seconds when a user is waiting for the result."""
_NOT_FOUND_CODES = {"404", "NoSuchKey", "NotFound"}
_ERROR_MESSAGES = {
    "NoSuchBucket": gettext_lazy("there is no bucket with this name"),
    "InvalidBucketName": gettext_lazy("this is not a valid bucket name"),
    "PermanentRedirect": gettext_lazy(
        "the bucket is in another region, or the endpoint belongs to another service"
    ),
    "AuthorizationHeaderMalformed": gettext_lazy(
        "the region does not match the bucket"
    ),
    "InvalidAccessKeyId": gettext_lazy("the access key id is unknown"),
    "SignatureDoesNotMatch": gettext_lazy(
        "the secret access key does not match the access key id"
    ),
    "Unauthorized": gettext_lazy("the keys are not accepted"),
    "AccessDenied": gettext_lazy(
        "the keys do not allow this; they need permission to list, read, write and "
        "delete objects"
    ),
    "403": gettext_lazy(
        "the keys do not allow this; they need permission to list, read, write and "
        "delete objects"
    ),
    "RequestTimeTooSkewed": gettext_lazy("this machine's clock is wrong"),
    "ExpiredToken": gettext_lazy("the keys have expired"),
    "BadDigest": gettext_lazy("the data was corrupted in transit"),
    "SlowDown": gettext_lazy("the service limits the number of requests"),
    "404": gettext_lazy("the object does not exist"),
}


class Bucket:
    """One bucket with one set of keys. Safe to use from many threads."""

    def __init__(
        self, client: Any, name: str, *, endpoint: str, compresses: bool, cache: str
    ) -> None:
        self._client = client
        self._name = name
        self.compresses = compresses
        self._cache = cache
        self.id = bucket_destination_id(endpoint, name)

    def put(self, path: str, data: bytes, *, sha256: str) -> None:
        """Store ``data`` as JSON.

        Raises:
            DistributionError: the bucket refused it, or the outcome is unknown.
        """
        body, headers = self._stored(data)
        with self._described_errors():
            self._client.put_object(
                Bucket=self._name,
                Key=path,
                Body=body,
                ContentMD5=base64.b64encode(_md5(body).digest()).decode(),
                ContentType="application/json; charset=utf-8",
                CacheControl=self._cache,
                Metadata={"sha256": sha256},
                **headers,
            )

    def put_video(self, path: str, file: IO[bytes], *, content_type: str) -> None:
        """Upload a large file in parts and verify its size.

        Nothing is uploaded if the bucket already has an object of that size.

        Raises:
            DistributionError: the bucket does not have the file, even if it reported
                success.
        """
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        if self._size(path) == size:  # uploaded by an interrupted run
            return
        headers = {
            "ContentType": content_type,
            "CacheControl": "private, max-age=3600",
        }
        with self._described_errors():
            self._client.upload_fileobj(file, self._name, path, ExtraArgs=headers)
        if self._size(path) != size:
            raise DistributionError(
                _(
                    "The bucket %(bucket)s confirmed that it stored %(path)s, but the "
                    "object does not exist."
                )
                % {"bucket": self._name, "path": path}
            )

    def _size(self, path: str) -> int | None:
        head = self._head(path)
        return None if head is None else int(head["ContentLength"])

    def exists(self, path: str) -> bool:
        """Return whether there is an object at ``path``, whatever its content."""
        return self._head(path) is not None

    def has(self, path: str, data: bytes, *, sha256: str) -> bool:
        """Check with the server whether the stored object is exactly ``data``.

        The hash in the metadata only repeats what `put` sent. The ETag proves which
        bytes arrived: it is the MD5 of a plain object. Where it is not (an encrypted
        bucket, a file that another machine compressed), the object is read back.
        """
        body, headers = self._stored(data)
        head = self._head(path)
        if head is None or _claim_of(head) != sha256:
            return False
        if head["ETag"].strip('"') == _md5(body).hexdigest():
            return bool(head["ContentLength"] == len(body))
        if head.get("ContentEncoding") != headers.get("ContentEncoding"):
            return False
        return self._may_be(head["ContentLength"], body) and self.read(path) == data

    def holds(self, listed: ListedObject, data: bytes) -> bool | None:
        """Whether an entry of `list` matches ``data``; None if undetermined."""
        body, _headers = self._stored(data)
        if listed.etag == _md5(body).hexdigest():
            return listed.size == len(body)
        return None if self._may_be(listed.size, body) else False

    def _may_be(self, size: int, body: bytes) -> bool:
        """Whether ``size`` is possible for ``body``.

        With compression every size is: two machines may compress the same content
        differently.
        """
        return self.compresses or size == len(body)

    def claims(self, path: str, sha256: str) -> bool:
        """Whether the object's metadata holds this hash."""
        head = self._head(path)
        return head is not None and _claim_of(head) == sha256

    def _head(self, path: str) -> dict[str, Any] | None:
        """Return the object's headers, or None if there is no object."""
        with self._described_errors():
            try:
                head: dict[str, Any] = self._client.head_object(
                    Bucket=self._name, Key=path
                )
            except ClientError as error:
                if _code(error) in _NOT_FOUND_CODES:
                    return None
                raise
        return head

    def read(self, path: str) -> bytes | None:
        """Return the uncompressed content, or None if there is no object."""
        with self._described_errors():
            try:
                answer = self._client.get_object(Bucket=self._name, Key=path)
            except ClientError as error:
                if _code(error) in _NOT_FOUND_CODES:
                    return None
                raise
            data: bytes = answer["Body"].read()
        return _unpacked(data) if answer.get("ContentEncoding") == "gzip" else data

    def list(self, prefix: str) -> dict[str, ListedObject]:
        """Return the objects below ``prefix``, by path; 1,000 per request."""
        found: dict[str, ListedObject] = {}
        pages = self._client.get_paginator("list_objects_v2")
        with self._described_errors():
            for page in pages.paginate(Bucket=self._name, Prefix=prefix):
                for entry in page.get("Contents", ()):
                    etag = entry.get("ETag", "").strip('"')
                    found[entry["Key"]] = ListedObject(size=entry["Size"], etag=etag)
        return found

    def delete(self, paths: Collection[str]) -> None:
        """Delete objects, 1,000 per request; paths that do not exist are ignored.

        Raises:
            DistributionError: at least one object was not deleted.
        """
        names = list(paths)
        for start in range(0, len(names), DELETE_BATCH_SIZE):
            objects = [
                {"Key": path} for path in names[start : start + DELETE_BATCH_SIZE]
            ]
            with self._described_errors():
                answer = self._client.delete_objects(
                    Bucket=self._name, Delete={"Objects": objects, "Quiet": True}
                )
            for refused in answer.get("Errors", ()):
                if refused.get("Code") not in _NOT_FOUND_CODES:
                    raise DistributionError(
                        _("The bucket %(bucket)s did not delete %(path)s: %(why)s.")
                        % {
                            "bucket": self._name,
                            "path": refused.get("Key", ""),
                            "why": _message_for_code(refused.get("Code", "")),
                        }
                    )

    def signed_url(self, path: str, *, seconds: int) -> str:
        """Return a URL that lets anyone read ``path`` for ``seconds``; no request."""
        with self._described_errors():
            url: str = self._client.generate_presigned_url(
                "get_object",
                Params={"Bucket": self._name, "Key": path},
                ExpiresIn=seconds,
            )
            return url

    def _stored(self, data: bytes) -> tuple[bytes, dict[str, str]]:
        """Return the bytes to store and their headers; equal for equal content."""
        if not self.compresses:
            return data, {}
        return gzip.compress(data, 6, mtime=0), {"ContentEncoding": "gzip"}

    @contextmanager
    def _described_errors(self) -> Iterator[None]:
        """Convert errors of boto3 into a `DistributionError` that names the bucket."""
        try:
            yield
        except (Boto3Error, ClientError, BotoCoreError, HTTPClientError) as error:
            kind = CdnTimeoutError if _is_connection_error(error) else DistributionError
            # "from None": a botocore error may contain the request and its signature.
            raise kind(
                _("The bucket %(bucket)s: %(why)s.")
                % {"bucket": self._name, "why": describe_error(error)}
            ) from None


def _unpacked(data: bytes) -> bytes:
    """Decompress gzip; return b"" if invalid or larger than `MAX_ANSWER_BYTES`."""
    unpacking = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        content = unpacking.decompress(data, MAX_ANSWER_BYTES)
    except zlib.error:
        return b""
    return content if unpacking.eof else b""


def _claim_of(head: dict[str, Any]) -> str:
    """Return the SHA-256 in the object's metadata, or "".

    Some servers capitalise the header's name.
    """
    metadata: dict[str, str] = head.get("Metadata", {})
    return {name.lower(): value for name, value in metadata.items()}.get("sha256", "")


def _is_connection_error(error: Exception) -> bool:
    return isinstance(error, BotoConnectionError | HTTPClientError)


def describe_error(error: Exception) -> str:
    """Describe the error without keys or signatures."""
    if isinstance(error, ClientError):
        return _message_for_code(_code(error))
    if isinstance(error, EndpointConnectionError):
        return _(
            "the endpoint does not answer; a server without a public address and "
            "https must be named in MEMORA_PRIVATE_HOSTS"
        )
    if isinstance(error, SSLError):
        return _("the endpoint's certificate is not trusted")
    if isinstance(error, ParamValidationError):
        return _("this is not a valid bucket name")
    if _is_connection_error(error):
        return _("the connection failed or timed out (%(kind)s)") % {
            "kind": type(error).__name__
        }
    return type(error).__name__


def _message_for_code(code: str) -> str:
    if code in _ERROR_MESSAGES:
        return str(_ERROR_MESSAGES[code])
    return _("the service answered “%(code)s”") % {"code": code or "?"}


def _code(error: ClientError) -> str:
    found: Any = error.response.get("Error", {}).get("Code", "")
    return str(found)


def _md5(data: bytes) -> Any:
    return hashlib.md5(data, usedforsecurity=False)


def client_of(current: PublishingSettings, *, interactive: bool = False) -> Any:
    """Return the client for these settings; all threads of the process share it.

    Args:
        interactive: make one attempt with a read timeout of at most 10 seconds.

    Raises:
        SecretsError: the keys cannot be decrypted.
        DistributionError: the endpoint or the region is not valid.
    """
    read, attempts = settings.UPLOAD_READ_TIMEOUT, settings.UPLOAD_ATTEMPTS
    if interactive:
        read, attempts = min(read, _INTERACTIVE_READ_TIMEOUT), 1
    try:
        return _client(
            current.cdn_endpoint,
            current.cdn_region,
            current.cdn_path_style,
            current.secret("cdn_access_key"),
            current.secret("cdn_secret_key"),
            read=read,
            attempts=attempts,
        )
    except ValueError:
        raise DistributionError(_("The endpoint or the region is not valid.")) from None


@lru_cache(maxsize=4)
def _client(
    endpoint: str,
    region: str,
    path_style: bool,
    key: str,
    secret: str,
    *,
    read: float,
    attempts: int,
) -> Any:
    session = botocore.session.Session()
    timeout = (settings.UPLOAD_CONNECT_TIMEOUT, read)
    pool_size = 2 * settings.UPLOAD_CONCURRENCY
    client: Any = boto3.session.Session(botocore_session=session).client(
        "s3",
        endpoint_url=endpoint or None,
        region_name=region or None,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=Config(
            max_pool_connections=pool_size,
            connect_timeout=timeout[0],
            read_timeout=timeout[1],
            retries={"total_max_attempts": attempts, "mode": "standard"},
            signature_version="s3v4",
            s3={"addressing_style": "path" if path_style else "auto"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
    sending = GuardedSession(
        timeout=timeout,
        max_pool_connections=pool_size,
        verify=session.get_config_variable("ca_bundle") or True,
    )
    client.meta.events.register(
        "before-send.s3", lambda request, **_kwargs: sending.send(request)
    )
    # boto3 sends a newer checksum by default. Servers that support only Content-MD5
    # refuse to delete without it.
    client.meta.events.register("before-sign.s3.DeleteObjects", _add_md5)
    return client


def _add_md5(request: Any, **_kwargs: Any) -> None:
    digest = base64.b64encode(_md5(request.body).digest()).decode()
    request.headers["Content-MD5"] = digest


def public_bucket(current: PublishingSettings, *, interactive: bool = False) -> Bucket:
    """Return the bucket for files that anyone may read."""
    return Bucket(
        client_of(current, interactive=interactive),
        current.cdn_bucket,
        endpoint=current.cdn_endpoint,
        compresses=current.cdn_gzip,
        cache="public, max-age=300",
    )


def private_bucket(
    current: PublishingSettings, *, interactive: bool = False
) -> Bucket | None:
    """Return the bucket for gated lessons, or None if none is configured."""
    if not current.cdn_private_bucket:
        return None
    return Bucket(
        client_of(current, interactive=interactive),
        current.cdn_private_bucket,
        endpoint=current.cdn_endpoint,
        compresses=current.cdn_gzip,
        cache="private, no-store",
    )
