"""Calls of Moodle's web service functions.

Moodle answers an error with HTTP 200 and ``{exception, errorcode, message}``: only
``errorcode`` says what happened. A success may be ``null``, and may carry ``warnings``
of parts that were not done.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import httpx
import orjson
from django.utils.translation import gettext as _

from registrar.moodle.parameters import flatten
from registrar.peers.errors import (
    PeerAnswerError,
    PeerCredentialsError,
    PeerError,
    PeerRefusedError,
    PeerUnavailableError,
)
from registrar.peers.http import Answer, PeerClient
from registrar.peers.limits import Limits

PEER = "moodle"
DEFAULT_LIMITS = Limits(peer=PEER, concurrency=4)
MAX_PARAMETERS = 4900
"""The most values of one call. Moodle requires PHP to accept 5,000 (``max_input_vars``);
PHP drops those beyond its limit, and Moodle would carry out a part of the call."""
FUNCTIONS_SECONDS = 600.0
"""How long a client remembers which functions the site offers."""
_FORBIDDEN = {
    *("accessexception", "invalidtoken", "nopermissions", "nopermission"),
    *("requireloginerror", "servicenotavailable", "servicerequireslogin"),
    *("usernotallowed", "restoredaccountresetpassword", "forcepasswordchangenotice"),
}
_LATER = {
    *("sitemaintenance", "upgraderunning", "upgradepending", "locktimeout"),
    *("dbconnectionfailed", "cannotgetlock", "backgroundlock"),
}


@dataclass(frozen=True, kw_only=True)
class MoodleSite:
    """A site, and the token of a user who may call its web services.

    Args:
        url: the site's address (``$CFG->wwwroot``).
    """

    url: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SiteInfo:
    """What the site says of itself and of the token's user."""

    name: str
    release: str
    user_id: int
    functions: frozenset[str]


class MoodleClient:
    """Calls the functions of one site. Safe to use from many threads.

    Every call raises the errors of `PeerClient.request`, and

    - `PeerCredentialsError`: the token is not accepted or lacks a permission;
    - `PeerUnavailableError`: the site is in maintenance or being upgraded;
    - `PeerRefusedError`: any other ``errorcode``, which is its ``reason``;
    - `PeerAnswerError`: the answer is not JSON.

    A call with more than `MAX_PARAMETERS` values is a ValueError.
    """

    def __init__(
        self,
        site: MoodleSite,
        *,
        limits: Limits = DEFAULT_LIMITS,
        http: PeerClient | None = None,
    ) -> None:
        self._site = site
        self._http = http or PeerClient(limits)
        self._info: SiteInfo | None = None
        self._info_until = 0.0

    def read(self, function: str, **parameters: Any) -> Any:
        """Call a function that changes nothing and return its JSON."""
        return self._call(function, parameters, writes=False)

    def write(self, function: str, **parameters: Any) -> Any:
        """Call a function that changes something and return its JSON."""
        return self._call(function, parameters, writes=True)

    def info(self) -> SiteInfo:
        """Return what the site offers; remembered for ten minutes."""
        if self._info is None or time.monotonic() > self._info_until:
            found = self.read("core_webservice_get_site_info")
            self._info = SiteInfo(
                name=str(found.get("sitename", "")),
                release=str(found.get("release", "")),
                user_id=int(found.get("userid", 0)),
                functions=frozenset(
                    str(row.get("name")) for row in found.get("functions", ())
                ),
            )
            self._info_until = time.monotonic() + FUNCTIONS_SECONDS
        return self._info

    def offers(self, function: str) -> bool:
        """Return whether the token's user may call ``function`` on this site."""
        return function in self.info().functions

    def upload(self, *, name: str, file: BinaryIO, content_type: str) -> Any:
        """Upload a file into a draft area of the token's user; return the JSON.

        Args:
            file: is read in parts, from its start.
        """
        file.seek(0)
        answer = self._http.request(
            "POST",
            f"{self._site.url.rstrip('/')}/webservice/upload.php",
            writes=True,
            data={"token": self._site.token, "itemid": "0", "filepath": "/"},
            files={"file_1": (name, file, content_type)},
        )
        return _result(answer)

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def _call(
        self, function: str, parameters: Mapping[str, Any], *, writes: bool
    ) -> Any:
        flat = flatten(parameters)
        if len(flat) > MAX_PARAMETERS:
            raise ValueError(f"{len(flat)} values; at most {MAX_PARAMETERS} in a call")
        answer = self._http.request(
            "POST",
            f"{self._site.url.rstrip('/')}/webservice/rest/server.php",
            writes=writes,
            # The token is in the body: the web server of the site logs addresses.
            data={
                "wstoken": self._site.token,
                "wsfunction": function,
                "moodlewsrestformat": "json",
                **flat,
            },
        )
        return _result(answer)


def check_warnings(answer: Any) -> None:
    """Raise the first of an answer's ``warnings``: that part was not done.

    Raises:
        PeerRefusedError: its ``reason`` is the ``warningcode``.
    """
    warnings = answer.get("warnings") if isinstance(answer, Mapping) else None
    for warning in warnings or ():
        code = str(warning.get("warningcode", ""))
        raise PeerRefusedError(
            _("Moodle did not do what was asked (%(code)s).") % {"code": code},
            peer=PEER,
            reason=code,
            details={key: warning[key] for key in ("item", "itemid") if key in warning},
        )


def _result(answer: Answer) -> Any:
    if answer.status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        raise PeerCredentialsError(
            _("Moodle's web services are switched off, or their address is protected."),
            peer=PEER,
            reason=f"HTTP_{answer.status}",
        )
    if answer.status != httpx.codes.OK:
        raise PeerRefusedError(
            _("There is no Moodle with web services at this address."),
            peer=PEER,
            reason=f"HTTP_{answer.status}",
        )
    try:
        found = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        raise PeerAnswerError(
            _("Moodle's answer cannot be read."), peer=PEER, reason="json"
        ) from None
    if isinstance(found, dict) and ("exception" in found or "errorcode" in found):
        # An error of PHP has no code, only the name of its class.
        raise error_of(str(found.get("errorcode") or found.get("exception", "")))
    return found


def error_of(code: str) -> PeerError:
    """Return the error of an ``errorcode``."""
    if code in _FORBIDDEN:
        return PeerCredentialsError(
            _("Moodle does not permit this call (%(code)s).") % {"code": code},
            peer=PEER,
            reason=code,
        )
    if code in _LATER:
        return PeerUnavailableError(
            _("Moodle is in maintenance."), peer=PEER, reason=code, retry_after=60.0
        )
    return PeerRefusedError(
        _("Moodle refuses the request (%(code)s).") % {"code": code},
        peer=PEER,
        reason=code,
    )
