"""Requests to a peer: permitted addresses, and what each fault means."""

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from registrar.peers import http
from registrar.peers.errors import (
    PeerAnswerError,
    PeerBusyError,
    PeerUnavailableError,
    PeerUncertainError,
)
from registrar.peers.http import PeerClient, retry_after
from registrar.peers.limits import Limits

LIMITS = Limits(peer="moodle", concurrency=5)


@pytest.fixture
def client():
    made = PeerClient(LIMITS, read=0.3)
    yield made
    made.close()


@pytest.fixture
def site():
    """A web server; ``site.answer`` writes the response."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.requests.append(self.path)
            self.server.answer(self)

        def do_POST(self):
            self.do_GET()

        def log_message(self, *_args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.requests = []
    server.url = f"http://127.0.0.1:{server.server_port}/"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def answers(status: int, body: bytes = b"", **headers: str):
    def answer(handler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def never(handler) -> None:
    threading.Event().wait(1)


def test_an_answer_has_status_headers_and_body(client, site):
    site.answer = answers(404, b"nothing", X_Kind="test")
    found = client.request("GET", site.url, writes=False)
    assert (found.status, found.headers["x-kind"], found.body) == (
        404,
        "test",
        b"nothing",
    )


def test_a_private_address_is_not_connected_to(client, site, settings):
    settings.PRIVATE_HOSTS = []
    site.answer = answers(200)
    for url in (site.url, site.url.replace("http:", "https:")):
        with pytest.raises(PeerUnavailableError):
            client.request("GET", url, writes=False)
    assert site.requests == []


def test_a_name_that_resolves_to_a_private_address_is_not_connected_to(
    client, resolver, monkeypatch
):
    resolver["crm.example"] = ["10.0.0.1"]
    monkeypatch.setattr(
        socket, "create_connection", lambda *_a, **_k: pytest.fail("connected")
    )
    with pytest.raises(PeerUnavailableError):
        client.request("GET", "https://crm.example/", writes=False)


def test_the_checked_address_is_the_one_connected_to(client, resolver, monkeypatch):
    resolver["crm.example"] = ["93.184.215.14"]
    made = []

    def create_connection(address, *_args, **_kwargs):
        made.append(address)
        raise OSError("nobody")

    monkeypatch.setattr(socket, "create_connection", create_connection)
    with pytest.raises(PeerUnavailableError):
        client.request("POST", "https://crm.example/", writes=True)
    assert made == [("93.184.215.14", 443)]


def test_a_redirect_is_not_followed(client, site):
    site.answer = answers(302, Location=f"{site.url}other")
    with pytest.raises(PeerUnavailableError):
        client.request("GET", site.url, writes=False)
    assert site.requests == ["/"]


@pytest.mark.parametrize("writes", [True, False])
def test_a_closed_port_means_that_nothing_was_done(client, writes):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(PeerUnavailableError) as failed:
        client.request("POST", f"http://127.0.0.1:{port}/", writes=writes)
    assert not failed.value.may_have_happened


@pytest.mark.parametrize("answer", [never, answers(502), answers(500)])
def test_a_write_without_an_answer_may_have_been_carried_out(client, site, answer):
    site.answer = answer
    with pytest.raises(PeerUncertainError) as failed:
        client.request("POST", site.url, writes=True)
    assert failed.value.may_have_happened
    assert not failed.value.permanent


@pytest.mark.parametrize("answer", [never, answers(502)])
def test_a_read_without_an_answer_can_be_repeated(client, site, answer):
    site.answer = answer
    with pytest.raises(PeerUnavailableError):
        client.request("GET", site.url, writes=False)


def test_a_429_pauses_the_requests_of_all_processes(client, site):
    site.answer = answers(429, Retry_After="7")
    with pytest.raises(PeerBusyError) as refused:
        client.request("POST", site.url, writes=True)
    assert refused.value.retry_after == 7
    with pytest.raises(PeerBusyError) as refused, LIMITS.turn(wait=0):
        pass
    assert refused.value.reason == "pause"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7), ("0", 0), ("", 60), ("-1", 60), ("999999", 3600), ("Mon, 1 Jan", 60)],
)
def test_the_time_to_wait_is_read_from_the_header(header, seconds):
    assert retry_after(httpx.Headers({"Retry-After": header})) == seconds


def test_a_very_large_answer_is_given_up(client, site, monkeypatch):
    monkeypatch.setattr(http, "MAX_BYTES", 1000)
    site.answer = answers(200, b"x" * 1001)
    with pytest.raises(PeerAnswerError):
        client.request("GET", site.url, writes=False)


def test_no_error_contains_the_address_or_what_was_sent(client, site):
    site.answer = answers(500, b"secret-of-the-answer")
    with pytest.raises(PeerUncertainError) as failed:
        client.request("POST", site.url, writes=True, data={"token": "secret-sent"})
    assert "secret" not in f"{failed.value!r} {failed.value.details}"
    assert "127.0.0.1" not in str(failed.value)
