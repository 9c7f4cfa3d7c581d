"""HTTP session of the S3 client: permitted targets only, limited response bodies.

botocore's event ``before-send`` allows this: if a handler returns a response, botocore
uses it and sends nothing itself.
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

MAX_ANSWER_BYTES = 64 * 1024**2
"""In bytes; several times the largest published file."""
_SECONDS = 120
"""The longest time for reading a response body."""


class _Connection(outbound.Guard, AWSHTTPConnection):  # type: ignore[misc]
    pass


class _EncryptedConnection(outbound.Guard, AWSHTTPSConnection):  # type: ignore[misc]
    pass


class _Pool(AWSHTTPConnectionPool):
    ConnectionCls = _Connection


class _EncryptedPool(AWSHTTPSConnectionPool):
    ConnectionCls = _EncryptedConnection


class _Body(io.BytesIO):
    """A response body already read, with the ``stream`` method that botocore needs."""

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
        """Send ``request`` and return the response with its body read.

        Raises:
            botocore.exceptions.HTTPClientError: the server does not answer, the target
                is forbidden, or the response is too large or too slow.
        """
        request.stream_output = True  # the session must not read the body itself
        response = super().send(request)
        try:
            body = outbound.read(response.raw, most=MAX_ANSWER_BYTES, seconds=_SECONDS)
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
