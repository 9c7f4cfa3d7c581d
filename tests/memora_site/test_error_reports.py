"""Sentry receives where and why something failed, and no personal data."""

import json
import logging
from typing import Any

import httpx
import pytest
import sentry_sdk
import structlog
from django.core import signals
from django.core.cache import cache
from django.core.handlers.wsgi import WSGIHandler
from django.db import close_old_connections
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from sentry_sdk.transport import Transport

from memora_site import error_reports
from players.models import User

SECRET = "hunter2"
ADDRESS = f"{SECRET}@example.org"
NAME = "Sarah"
TOKEN = f"42.{SECRET}{'x' * 36}"


class Captured(Transport):
    """A transport that records what would be sent."""

    def __init__(self) -> None:
        super().__init__()
        self.items: list[Any] = []

    def capture_envelope(self, envelope: Any) -> None:
        for item in envelope.items:
            self.items.append(json.loads(item.payload.get_bytes()))

    @property
    def events(self) -> list[Any]:
        return [item for item in self.items if "event_id" in item]


@pytest.fixture
def sent():
    """Record what Sentry would receive while the test runs."""
    transport = Captured()
    error_reports.init(
        f"https://{SECRET}@sentry.example/1",
        "production",
        transport=transport,
        traces_sample_rate=1.0,
    )
    with sentry_sdk.isolation_scope():
        yield transport
    sentry_sdk.get_client().close()
    sentry_sdk.get_global_scope().set_client(None)


@csrf_exempt
def boom(request: HttpRequest) -> None:
    """A view that leaves every kind of breadcrumb and then fails."""
    token, address = TOKEN, ADDRESS
    list(User.objects.filter(email=address))
    list(User.objects.raw(f"SELECT * FROM players_user WHERE email = '{address}'"))  # noqa: S608
    cache.get(f"sign-in:{address}")
    logging.getLogger("somewhere").warning("no account %s", address)
    structlog.get_logger("somewhere").warning("refused", email=address, token=token)
    url = f"https://bucket.example/v.mp4?X-Amz-Signature={SECRET}"
    query = {"url": url, "http.query": f"X-Amz-Signature={SECRET}", "method": "GET"}
    sentry_sdk.add_breadcrumb(type="http", category="httplib", data=query)
    sentry_sdk.set_user({"email": address, "username": NAME})
    sentry_sdk.set_extra("player", {"password": SECRET})
    raise ValueError(f"cannot mail {address} with {token}")


def handler500(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=500)


urlpatterns = [path("boom/", boom)]


def serve(environ: dict[str, Any]) -> str:
    """Run the WSGI application as a server does and return the status of its answer."""
    statuses: list[str] = []
    # These handlers would close the test's connection.
    signals.request_finished.disconnect(close_old_connections)
    signals.request_started.disconnect(close_old_connections)
    try:
        answer = WSGIHandler()(environ, lambda status, *_rest: statuses.append(status))
        list(answer)
        answer.close()
    finally:
        signals.request_started.connect(close_old_connections)
        signals.request_finished.connect(close_old_connections)
    return statuses[0]


@pytest.mark.django_db
@pytest.mark.urls(__name__)
def test_an_error_is_reported_without_anything_of_the_person(sent: Captured):
    factory = RequestFactory()
    factory.cookies["sessionid"] = SECRET
    request = factory.post(
        f"/boom/?token={SECRET}&q={NAME}",
        {"password": SECRET, "full_name": NAME},
        headers={
            "Authorization": f"Bearer {TOKEN}",
            "Referer": f"https://learn.example/?token={SECRET}",
            "X-Device-ID": "7d0b3c1e-5a4f-4c1b-9e0d-2f6a8b1c3d5e",
            "X-Forwarded-For": "203.0.113.9",
            "User-Agent": "Memora app 3",
        },
    )
    assert serve(request.environ).startswith("500")
    sentry_sdk.flush()
    everything = json.dumps(sent.items)
    for private in (SECRET, NAME, "7d0b3c1e", "203.0.113.9", "sessionid"):
        assert private not in everything, private
    event = next(found for found in sent.events if found.get("exception"))
    # The report is still useful.
    [error] = event["exception"]["values"]
    assert error["type"] == "ValueError"
    assert error["value"] == "cannot mail [removed] with [removed]"
    assert error["stacktrace"]["frames"][-1]["function"] == "boom"
    assert event["request"]["url"] == "http://testserver/boom/"
    assert event["request"]["method"] == "POST"
    assert event["request"]["headers"]["User-Agent"] == "Memora app 3"
    crumbs = event["breadcrumbs"]["values"]
    categories = {crumb["category"] for crumb in crumbs}
    assert {"query", "redis", "httplib", "somewhere"} <= categories
    redis = next(crumb for crumb in crumbs if crumb["category"] == "redis")
    assert redis["message"] == "GET"


def test_an_error_in_a_log_is_reported_without_its_secrets(sent: Captured):
    logging.getLogger("somewhere").error(
        "failed for %s", ADDRESS, extra={"api_key": SECRET, "about": ADDRESS}
    )
    sentry_sdk.flush()
    [event] = sent.events
    assert SECRET not in json.dumps(sent.items)
    assert event["logentry"]["message"] == "failed for %s"
    assert event["extra"]["about"] == "[removed]"


def test_a_frame_has_no_local_variables(sent: Captured):
    try:
        private = NAME
        raise ValueError(len(private))
    except ValueError:
        sentry_sdk.capture_exception()
    sentry_sdk.flush()
    [event] = sent.events
    frames = event["exception"]["values"][0]["stacktrace"]["frames"]
    assert frames
    assert all("vars" not in frame for frame in frames)


def test_a_request_to_another_system_carries_no_header_of_sentry(sent: Captured):
    headers = {}

    def answer(request: httpx.Request) -> httpx.Response:
        headers.update(request.headers)
        return httpx.Response(200)

    with (
        sentry_sdk.start_transaction(name="task"),
        httpx.Client(transport=httpx.MockTransport(answer)) as client,
    ):
        client.get("https://crm.example/")
    assert "user-agent" in headers
    assert not {"sentry-trace", "baggage", "traceparent"} & headers.keys()
