"""A simulator of Zoho CRM: accounts server and API version 8 on one address.

``ZohoSimulator`` has switches for what goes wrong: `fail` and `fail_at_random` of
`server.Simulator`, and the attributes below. A test or a demo changes records with
``store``; open channels are notified, and webhooks are sent (``notify``).
"""

import itertools
import json
import threading
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.registrar.simulators import zoho_routes
from tests.registrar.simulators.server import Request, Response, Simulator
from tests.registrar.simulators.zoho_store import Record, Refusal, Store

CLIENT_ID, CLIENT_SECRET = "1000.SIMULATOR", "simulator-secret"
REFRESH_TOKEN = "1000.5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e.5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e"


def too_many_requests(seconds: int = 1) -> Response:
    """The answer over a limit."""
    body = {"code": "TOO_MANY_REQUESTS", "status": "error", "details": {}}
    return Response(body, 429, {"Retry-After": str(seconds)})


@dataclass
class Webhook:
    """A webhook of a workflow: sends what its administrator has configured.

    Args:
        module, operations: which changes send it; ``insert``, ``update``, ``delete``.
        body: makes the JSON body from the record; the default sends its id alone.
        headers: makes the headers from the body, such as a signature.
    """

    module: str
    url: str
    operations: tuple[str, ...] = ("insert", "update", "delete")
    body: Callable[[Record], Any] = lambda record: {"id": record["id"]}
    headers: Callable[[bytes], dict[str, str]] = lambda _body: {}


class ZohoSimulator(Simulator):
    """Zoho CRM. ``url`` is the accounts server and the API's domain."""

    def __init__(self, port: int = 0) -> None:
        super().__init__(port)
        self.store = Store()
        self.channels: dict[str, dict[str, Any]] = {}
        self.attachments: dict[str, list[dict[str, Any]]] = {}
        self.files: dict[str, tuple[str, str, bytes]] = {}
        self.refreshes = 0
        self.max_refreshes = 10
        """Further access tokens are refused."""
        self.max_concurrency = 0
        """Requests beyond so many at once are answered with 429; 0: no limit."""
        self.row_fault: Callable[[Record], str] = lambda _record: ""
        """Returns the code with which a row of a write is refused, or ""."""
        self.hidden: set[str] = set()
        """Ids that lists leave out: a half-empty answer."""
        self.repeats_rows = False
        """Whether the last record of a page is repeated on the next one."""
        self.notify = True
        self.webhooks: list[Webhook] = []
        self._tokens: set[str] = set()
        self.numbers = itertools.count(1)
        self.store.listeners.append(self._changed)

    def expire_tokens(self) -> None:
        """Let no access token that was given until now be accepted."""
        with self.lock:
            self._tokens.clear()

    def answer(self, request: Request) -> Response:
        if request.path == "/oauth/v2/token":
            return self._token(request)
        if self.max_concurrency and self._under_way > self.max_concurrency:
            return too_many_requests()
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind != "Zoho-oauthtoken" or token not in self._tokens:
            return zoho_routes.error(401, "INVALID_TOKEN")
        for method, pattern, function in zoho_routes.ROUTES:
            found = pattern.fullmatch(request.path)
            if found and method == request.method:
                try:
                    return function(self, request, *found.groups())
                except Refusal as refusal:
                    return zoho_routes.error(400, refusal.code, refusal.details)
        return zoho_routes.error(404, "INVALID_URL_PATTERN")

    def _token(self, request: Request) -> Response:
        form = request.form
        if form.get("client_id") != CLIENT_ID:
            return Response({"error": "invalid_client"})
        if form.get("client_secret") != CLIENT_SECRET:
            return Response({"error": "invalid_client_secret"})
        if form.get("refresh_token") != REFRESH_TOKEN:
            return Response({"error": "invalid_code"})
        self.refreshes += 1
        if self.refreshes > self.max_refreshes:
            text = "You have made too many requests continuously. Please try again."
            body = {"error": "Access Denied", "error_description": text}
            return Response(body | {"status": "failure"}, 400)
        token = f"1000.{next(self.numbers):032x}.{'ab' * 16}"
        self._tokens.add(token)
        return Response(
            {
                "access_token": token,
                "api_domain": self.url,
                "expires_in": 3600,
                "token_type": "Bearer",
                "scope": "ZohoCRM.modules.ALL",
            }
        )

    # --- Notifications ----------------------------------------------------------------

    def _changed(self, module: str, key: str, what: str, fields: list[str]) -> None:
        for webhook in self.webhooks if self.notify else ():
            if webhook.module == module and what in webhook.operations:
                record = self.store.records[module].get(key, {"id": key})
                body = json.dumps(webhook.body(record)).encode()
                _post_later(webhook.url, body, webhook.headers(body))
        event = {"insert": "create", "update": "edit", "delete": "delete"}[what]
        for channel in list(self.channels.values()):
            wanted = {f"{module}.{event}", f"{module}.all"}
            expires = datetime.fromisoformat(channel["channel_expiry"])
            is_open = expires > self.store.now()
            if self.notify and is_open and wanted & set(channel["events"]):
                body = {
                    "server_time": int(self.store.now().timestamp() * 1000),
                    "query_params": {},
                    "module": module,
                    "resource_uri": f"{self.url}/crm/v8/{module}",
                    "ids": [key],
                    "affected_fields": [{key: fields}],
                    "operation": what,
                    "channel_id": channel["channel_id"],
                    "token": channel.get("token"),
                }
                _post_later(channel["notify_url"], json.dumps(body).encode(), {})


def _post_later(url: str, body: bytes, headers: dict[str, str]) -> None:
    def post() -> None:
        request = urllib.request.Request(  # noqa: S310
            url, body, {"Content-Type": "application/json", **headers}
        )
        try:
            urllib.request.urlopen(request, timeout=10).close()  # noqa: S310
        except OSError:
            return  # like Zoho, without another attempt

    threading.Thread(target=post, daemon=True).start()
