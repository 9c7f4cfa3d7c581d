"""Sentry reports: the place and the error, without personal data.

No Django imports, because the settings import this module.
"""

from typing import Any

import sentry_sdk

from memora_site.logs import redact

SENT_HEADERS = frozenset(
    {"accept", "accept-language", "content-length", "content-type", "host"}
    | {"user-agent", "x-request-id"}
)
"""Request headers that are sent, in lower case. All others are removed."""
_EXCLUDED_BREADCRUMBS = frozenset(
    {"redis.key", "db.params", "http.query", "http.fragment"}
)


def init(dsn: str, environment: str, **options: Any) -> None:
    """Send errors to the Sentry project of ``dsn``.

    If Sentry does not answer, a background thread drops the report; requests and tasks
    are not delayed.

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
            # The frames of an upload hold the keys of the CDN.
            "stack_frame_variables": False,
        },
        max_request_body_size="never",
        # Requests to other systems carry no headers of Sentry.
        trace_propagation_targets=[],
        before_send=clean_event,
        before_send_transaction=clean_event,
        before_breadcrumb=clean_breadcrumb,
        **options,
    )


def clean_event(event: Any, _hint: Any) -> Any:
    """Return the event without personal data and secrets.

    Removed are the user, local variables, and the request's body, cookies, query and
    most headers. In all texts, secrets and e-mail addresses are replaced.
    """
    event.pop("user", None)
    if "request" in event:
        event["request"] = _clean_request(event["request"])
    for stack in _stacks(event):
        for frame in stack.get("frames") or ():
            frame.pop("vars", None)
    return redact(event)


def clean_breadcrumb(crumb: Any, _hint: Any) -> Any:
    """Return the breadcrumb without Redis keys, SQL parameters and URL queries."""
    data = crumb.get("data") or {}
    if crumb.get("category") == "redis":
        crumb["message"] = data.get("redis.command", "")
    crumb["data"] = {
        key: value for key, value in data.items() if key not in _EXCLUDED_BREADCRUMBS
    }
    if crumb.get("category") == "query":
        # A query's text has placeholders only, and there are many queries. The event
        # that contains the breadcrumb is cleaned as a whole.
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
