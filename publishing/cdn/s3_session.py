"""How the S3 client sends: to permitted targets only, reading so much of an answer.

botocore offers the event ``before-send`` for this: what a handler returns is the answer,
and its own session is not asked (`send`).
"""

import io
from collections.abc import Iterator
from typing import Any

import urllib3
from botocore.awsrequest import (
    AWSHTTPConnection,
    AWSHTTPConnectionPool,
    AWSHTTPSConnection,
    AWSHTTPSConnectionPool,
    AWSResponse,
)
from botocore.exceptions import (
    ConnectionClosedError,
    HTTPClientError,
    ReadTimeoutError,
)
from botocore.httpsession import URLLib3Session

from publishing.cdn import outbound

LARGEST_ANSWER = 64 * 1024**2
"""Bytes: several times the largest published file."""
_SECONDS = 120
"""How long an answer's body may take."""


class _Connection(outbound.Guard, AWSHTTPConnection):  # type: ignore[misc]
    pass


class _EncryptedConnection(outbound.Guard, AWSHTTPSConnection):  # type: ignore[misc]
    pass


class _Pool(AWSHTTPConnectionPool):
    ConnectionCls = _Connection


class _EncryptedPool(AWSHTTPSConnectionPool):
    ConnectionCls = _EncryptedConnection


class _Body(io.BytesIO):
    """A body that was read, in the form botocore reads it in."""

    def stream(self, *_args: Any, **_kwargs: Any) -> Iterator[bytes]:
        yield self.read()


class GuardedSession(URLLib3Session):
    """botocore's session with the connections of `publishing.cdn.outbound`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._manager.pool_classes_by_scheme = {  # type: ignore[attr-defined]
            "http": _Pool,
            "https": _EncryptedPool,
        }

    def send(self, request: Any) -> AWSResponse:
        """The answer to ``request``, its body read.

        Raises:
            botocore.exceptions.HTTPClientError: nobody answers, the target is forbidden,
                or the answer is too large or too slow.
        """
        request.stream_output = True  # the session must not read the body itself
        response = super().send(request)
        try:
            body = outbound.read(response.raw, most=LARGEST_ANSWER, seconds=_SECONDS)
        except urllib3.exceptions.ReadTimeoutError as error:
            raise ReadTimeoutError(endpoint_url=request.url, error=error) from error
        except urllib3.exceptions.ProtocolError as error:
            raise ConnectionClosedError(
                endpoint_url=request.url, request=request, error=error
            ) from error
        except urllib3.exceptions.HTTPError as error:
            raise HTTPClientError(error=error) from error
        response.raw = _Body(body)
        return response
