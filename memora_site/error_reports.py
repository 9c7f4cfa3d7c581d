"""What Sentry is told of an error: where and why, and nothing about a person.

Plain configuration: no Django here, because the settings use it.
"""

from typing import Any

import sentry_sdk

from memora_site.logs import redact

SENT_HEADERS = frozenset(
    {"accept", "accept-language", "content-length", "content-type", "host"}
    | {"user-agent", "x-request-id"}
)
"""Request headers that are sent, in lower case. All others are left out."""
_LEFT_OUT_OF_BREADCRUMBS = frozenset(
    {"redis.key", "db.params", "http.query", "http.fragment"}
)


def init(dsn: str, environment: str, **options: Any) -> None:
    """Send errors to the Sentry project of ``dsn``.

    Where Sentry does not answer, a background thread drops the report; requests and
    tasks do not wait for it.

    Args:
        options: more options of ``sentry_sdk.init``.
    """
    sentry_sdk.init(
        dsn=dsn,
        environment=environment,
        data_collection={
            "user_info": False,
            "cookies": {"mode": "off"},
            "http_headers": {
                "request": {"mode": "allowlist", "terms": sorted(SENT_HEADERS)}
            },
            "http_bodies": [],
            "url_query_params": {"mode": "off"},
            "graphql": {"document": False, "variables": False},
            "gen_ai": {"inputs": False, "outputs": False},
            "database_query_data": False,
            "queues": False,
            # A frame of the upload holds the keys of the CDN.
            "stack_frame_variables": False,
        },
        max_request_body_size="never",
        before_send=clean_event,
        before_send_transaction=clean_event,
        before_breadcrumb=clean_breadcrumb,
        **options,
    )


def clean_event(event: Any, _hint: Any) -> Any:
    """The event as it may leave this server.

    Without the user, the request's body, cookies, query and most of its headers, and
    without local variables; in all texts, secrets and e-mail addresses are replaced.
    """
    event.pop("user", None)
    if "request" in event:
        event["request"] = _clean_request(event["request"])
    for stack in _stacks(event):
        for frame in stack.get("frames") or ():
            frame.pop("vars", None)
    return redact(event)


def clean_breadcrumb(crumb: Any, _hint: Any) -> Any:
    """The breadcrumb without keys of Redis, parameters of SQL and queries of URLs."""
    data = crumb.get("data") or {}
    if crumb.get("category") == "redis":
        crumb["message"] = data.get("redis.command", "")
    crumb["data"] = {
        key: value for key, value in data.items() if key not in _LEFT_OUT_OF_BREADCRUMBS
    }
    if crumb.get("category") == "query":
        # The text of a query has placeholders, and there are many of them. The event
        # that takes it along is cleaned as a whole.
        return crumb
    return redact(crumb)


def _clean_request(request: Any) -> dict[str, Any]:
    headers = request.get("headers") or {}
    return {
        "method": request.get("method"),
        "url": str(request.get("url") or "").partition("?")[0],
        "headers": {
            name: value
            for name, value in headers.items()
            if name.lower() in SENT_HEADERS
        },
    }


def _stacks(event: Any) -> list[Any]:
    found = [event.get("stacktrace")]
    for part in ("exception", "threads"):
        values = (event.get(part) or {}).get("values") or ()
        found += [value.get("stacktrace") for value in values]
    return [stack for stack in found if stack]
