"""Errors of the peers (Zoho, Moodle) that say whether another attempt helps.

| class | was it done? | another attempt |
|---|---|---|
| `PeerUnavailableError` | no | later |
| `PeerBusyError` | no | after ``retry_after`` seconds |
| `PeerCredentialsError` | no | after staff have changed the settings |
| `PeerRefusedError` | no | only with other data |
| `PeerUncertainError` | perhaps | look up first what the peer has |
| `PeerAnswerError` | yes, for a write | an answer that the client cannot read |

Messages are translated and contain no secret and no personal data; ``code`` is the
peer's own code, for logs and for branching.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from core.errors import MemoraError


class PeerError(MemoraError):
    """A request to a peer has not succeeded."""

    code = "PEER_FAILED"
    permanent: ClassVar[bool] = False
    """Whether the same request fails again, however often it is sent."""
    may_have_happened: ClassVar[bool] = False
    """Whether the peer may have carried out the request."""

    def __init__(
        self,
        message: str,
        *,
        peer: str,
        reason: str = "",
        retry_after: float | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Args:
        message: what happened, for staff.
        peer: ``zoho`` or ``moodle``.
        reason: the peer's code of the error, such as ``INVALID_DATA``; "" without.
        retry_after: seconds to wait before another attempt, if known.
        details: what the peer says of the error, without the values that were sent.
        """
        super().__init__(message, details=details)
        self.peer = peer
        self.reason = reason
        self.retry_after = retry_after


class PeerUnavailableError(PeerError):
    """The peer does not answer, or is out of order; nothing was done."""

    code = "PEER_UNAVAILABLE"


class PeerBusyError(PeerError):
    """A limit of the peer, or ours below it, is reached; nothing was done."""

    code = "PEER_BUSY"


class PeerCredentialsError(PeerError):
    """The peer does not accept our token, or does not permit the call."""

    code = "PEER_CREDENTIALS"
    permanent = True


class PeerRefusedError(PeerError):
    """The peer refuses what was sent."""

    code = "PEER_REFUSED"
    permanent = True


class PeerUncertainError(PeerError):
    """The request was sent, and no usable answer came: it may have been carried out."""

    code = "PEER_UNCERTAIN"
    may_have_happened = True


class PeerAnswerError(PeerError):
    """The peer's answer has not the form that its API documents."""

    code = "PEER_ANSWER"
    permanent = True
    may_have_happened = True
