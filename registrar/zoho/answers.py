"""What Zoho's answers mean: errors of a request, and results of single rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from registrar.peers.errors import (
    PeerAnswerError,
    PeerBusyError,
    PeerCredentialsError,
    PeerError,
    PeerRefusedError,
    PeerUncertainError,
)

PEER = "zoho"
INVALID_TOKENS = {"INVALID_TOKEN", "AUTHENTICATION_FAILURE"}
"""Codes of a 401 after which another access token may help."""
_FORBIDDEN = {
    *INVALID_TOKENS,
    *("AUTHORIZATION_FAILED", "NO_PERMISSION", "OAUTH_SCOPE_MISMATCH"),
}
_LATER = {"RECORD_LOCKED", "RECORD_IN_BLUEPRINT_TRANSITION", "LOCK_WAIT_TIMEOUT"}


@dataclass(frozen=True, slots=True)
class RowResult:
    """The result of one record of a create, an update or an upsert.

    ``id`` is Zoho's id of the record, of a duplicate that prevented it, or "". ``action``
    is ``insert`` or ``update`` for an upsert. ``error`` is None for a success.
    """

    id: str
    action: str = ""
    error: PeerError | None = None

    def checked(self) -> str:
        """Return the id; raise the error if there is one."""
        if self.error is not None:
            raise self.error
        return self.id


def row_results(body: Any, *, expected: int) -> list[RowResult]:
    """Return the results of all rows, in the order in which they were sent.

    Raises:
        PeerAnswerError: the answer has another number of rows.
    """
    rows = body.get("data") if isinstance(body, Mapping) else None
    if not isinstance(rows, list) or len(rows) != expected:
        raise unreadable("rows")
    return [_row_result(row) for row in rows]


def _row_result(row: Any) -> RowResult:
    if not isinstance(row, Mapping):
        raise unreadable("row")
    found = row.get("details")
    details = found if isinstance(found, Mapping) else {}
    if row.get("status") == "success":
        return RowResult(str(details.get("id", "")), str(row.get("action") or ""))
    duplicate = details.get("duplicate_record")
    of = duplicate if isinstance(duplicate, Mapping) else details
    code = str(row.get("code", ""))
    return RowResult(str(of.get("id", "")), error=error_of(code, details))


def error_of(code: str, details: Mapping[str, Any] | None = None) -> PeerError:
    """Return the error of a code of Zoho's API, of a request or of a row."""
    field = str((details or {}).get("api_name", ""))
    options: dict[str, Any] = {"peer": PEER, "reason": code}
    if code in _FORBIDDEN:
        return PeerCredentialsError(
            _("Zoho does not permit this call (%(code)s).") % {"code": code}, **options
        )
    if code in _LATER:
        return PeerBusyError(
            _("The record is locked in Zoho at the moment."),
            retry_after=60.0,
            **options,
        )
    if code == "INTERNAL_ERROR":
        return PeerUncertainError(_("Zoho reports an error of its own."), **options)
    if field:
        return PeerRefusedError(
            _("Zoho refuses the value of %(field)s (%(code)s).")
            % {"field": field, "code": code},
            details={"field": field},
            **options,
        )
    return PeerRefusedError(
        _("Zoho refuses the request (%(code)s).") % {"code": code}, **options
    )


def unreadable(reason: str) -> PeerAnswerError:
    """Return the error of an answer that has not the documented form."""
    return PeerAnswerError(
        _("Zoho's answer has not the expected form."), peer=PEER, reason=reason
    )
