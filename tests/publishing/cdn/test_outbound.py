"""Which addresses the server may connect to when a user enters one in the settings."""

import gzip
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count

import pytest
import urllib3
from django.core.exceptions import ValidationError

from core import secrets
from publishing.cdn import connection, outbound, s3_session
from publishing.cdn.backends import s3 as s3_buckets
from publishing.cdn.backends.base import DistributionError
from publishing.cdn.backends.storage import targets_of
from publishing.models import PublishingSettings
from tests.publishing.fake_s3 import PUBLIC, turn_on

PUBLIC_ADDRESS = "93.184.215.14"


def settings_row(**fields) -> PublishingSettings:
    """Settings as they may have been stored before addresses were checked."""
    current = PublishingSettings(
        cdn_enabled=True,
        cdn_region="us-east-1",
        cdn_bucket=PUBLIC,
        cdn_base_url="https://cdn.example.org",
    )
    current.cdn_access_key = secrets.encrypt("id")
    current.cdn_secret_key = secrets.encrypt("secret")
    for name, value in fields.items():
        setattr(current, name, value)
    return current


def write_error(current: PublishingSettings) -> str:
    with pytest.raises(DistributionError) as refused:
        targets_of(current, interactive=True).public.put("a", b"a", sha256="")
    return refused.value.message


class Site:
    """A web server on this machine; ``answer`` writes the response to a GET."""

    def __init__(self, answer) -> None:
        self.asked: list[str] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                site.asked.append(self.path)
                answer(self)

            def log_message(self, *_args):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def site():
    started = []

    def start(answer) -> Site:
        started.append(Site(answer))
        return started[-1]

    yield start
    for found in started:
        found.stop()


def endlessly(sent: list[int]):
    """A response without an end; ``sent`` counts its bytes."""

    def answer(handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            while True:
                sent.append(handler.wfile.write(b"x" * 65536))
        except OSError:
            pass

    return answer


# --- Connections ----------------------------------------------------------------------


@pytest.fixture
def connections(monkeypatch) -> list[tuple[str, int]]:
    """Record the addresses of connections; none is made."""
    made: list[tuple[str, int]] = []

    def create_connection(address, *_args, **_kwargs):
        made.append(address)
        raise OSError("nobody")

    monkeypatch.setattr(
        "urllib3.connection.connection.create_connection", create_connection
    )
    return made


def client() -> outbound.Client:
    return outbound.Client(connect=5, read=5, most=1000, seconds=60)


def test_the_address_that_was_checked_is_connected_to(connections, monkeypatch):
    """DNS rebinding: the name first resolves to a public address, then to this host."""
    answers = iter([PUBLIC_ADDRESS, "127.0.0.1", "127.0.0.1"])
    real = socket.getaddrinfo

    def getaddrinfo(host, port, *args, **kwargs):
        if host == "rebound.example":
            host = next(answers)
        return real(host, port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(urllib3.exceptions.NewConnectionError):
        client().request("GET", "https://rebound.example/")
    assert connections == [(PUBLIC_ADDRESS, 443)]


@pytest.mark.parametrize(
    "url",
    [
        "https://public.example@127.0.0.1:9000/",
        "https://127.0.0.1:9000\\@public.example/",
        "https://2130706433:9000/",
        "https://localhost:9000/",
        "http://public.example/",
    ],
)
def test_no_spelling_of_an_address_leads_into_this_network(
    url, connections, resolver, settings
):
    settings.PRIVATE_HOSTS = []
    resolver["public.example"] = [PUBLIC_ADDRESS]
    with pytest.raises(urllib3.exceptions.HTTPError):
        client().request("GET", url)
    assert connections == []


def test_a_redirect_is_not_followed(site):
    inside = site(endlessly([]))

    def redirect(handler) -> None:
        handler.send_response(302)
        handler.send_header("Location", inside.url)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    outside = site(redirect)
    status, body, _headers = client().request("GET", outside.url)
    assert (status, body) == (302, b"")
    assert (len(outside.asked), inside.asked) == (1, [])


def test_an_answer_without_end_is_given_up(site):
    sent: list[int] = []
    endless = site(endlessly(sent))
    with pytest.raises(outbound.UnusableAnswerError):
        client().request("GET", endless.url)


def test_a_packed_answer_counts_by_what_it_unpacks_to(site):
    packed = gzip.compress(b"0" * 10_000_000)

    def answer(handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Encoding", "gzip")
        handler.send_header("Content-Length", str(len(packed)))
        handler.end_headers()
        handler.wfile.write(packed)

    with pytest.raises(outbound.UnusableAnswerError):
        client().request("GET", site(answer).url)


def test_an_answer_that_takes_too_long_is_given_up(site, monkeypatch):
    """Even when bytes keep arriving."""
    clock = count(step=10)
    monkeypatch.setattr(outbound.time, "monotonic", lambda: float(next(clock)))
    endless = site(endlessly([]))
    patient = outbound.Client(connect=5, read=5, most=10**12, seconds=60)
    with pytest.raises(outbound.UnusableAnswerError):
        patient.request("GET", endless.url)


# --- The bucket and the CDN's address -------------------------------------------------


@pytest.mark.django_db
def test_a_bucket_in_this_network_is_not_asked(wire, settings):
    current = turn_on(wire.url)
    settings.PRIVATE_HOSTS = []
    assert not connection.check(current).ok
    write_error(current)
    assert wire.requests == []


@pytest.mark.django_db
def test_a_named_host_is_asked_at_its_port_alone(wire, settings):
    current = turn_on(wire.url)
    settings.PRIVATE_HOSTS = ["127.0.0.1:9"]
    assert not connection.check(current).ok
    assert wire.requests == []
    settings.PRIVATE_HOSTS = [wire.url.removeprefix("http://")]
    connection.check(current)
    assert wire.requests


@pytest.fixture
def listener():
    """An open port of this machine; `accept` fails when there was no connection."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        found.setblocking(False)
        yield found


@pytest.mark.django_db
def test_nothing_in_this_network_is_connected_to(s3, listener, settings):
    settings.PRIVATE_HOSTS = [f"127.0.0.1:{s3.port}"]
    inside = f"https://127.0.0.1:{listener.getsockname()[1]}"
    found = connection.check(settings_row(cdn_endpoint=s3.url, cdn_base_url=inside))
    assert [step.name for step in found.steps if not step.ok] == [
        "read through the CDN base URL"
    ]
    write_error(settings_row(cdn_endpoint=inside))
    with pytest.raises(BlockingIOError):
        listener.accept()


@pytest.mark.django_db
def test_no_answer_tells_an_open_port_from_a_closed_one(wire, settings):
    settings.PRIVATE_HOSTS = []
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    messages = {
        write_error(settings_row(cdn_endpoint=endpoint))
        for endpoint in (
            wire.url,
            wire.url.replace("http://", "https://"),
            f"https://127.0.0.1:{port}",
            "https://no-such-host.invalid",
        )
    }
    assert len(messages) == 1
    assert "MEMORA_PRIVATE_HOSTS" in messages.pop()


@pytest.mark.django_db
def test_a_base_url_that_nobody_may_ask_reads_like_one_where_nobody_is(
    s3, listener, settings
):
    settings.PRIVATE_HOSTS = [f"127.0.0.1:{s3.port}"]
    opened = listener.getsockname()[1]
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    texts = set()
    for host in (f"127.0.0.1:{opened}", f"127.0.0.1:{port}", "no-such-host.invalid"):
        url = f"https://{host}"
        current = settings_row(cdn_endpoint=s3.url, cdn_base_url=url)
        failed = [
            step.message for step in connection.check(current).steps if not step.ok
        ]
        texts.add(failed[0].replace(url, "URL"))
    assert len(texts) == 1


@pytest.mark.django_db
def test_a_bucket_that_answers_without_end_is_given_up(site, monkeypatch):
    monkeypatch.setattr(s3_session, "MAX_ANSWER_BYTES", 100_000)
    endless = site(endlessly([]))
    current = settings_row(cdn_endpoint=endless.url)
    with pytest.raises(DistributionError):
        targets_of(current, interactive=True).public.read("plans/a.json")
    with pytest.raises(DistributionError):
        targets_of(current, interactive=True).public.list("plans/")


@pytest.mark.django_db
def test_a_packed_object_is_unpacked_to_a_limit(s3, monkeypatch):
    current = turn_on(s3.url, cdn_private_bucket="")
    s3.client.put_object(
        Bucket=PUBLIC,
        Key="plans/a.json",
        Body=gzip.compress(b"0" * 200_000),
        ContentEncoding="gzip",
    )
    bucket = targets_of(current).public
    assert bucket.read("plans/a.json") == b"0" * 200_000
    monkeypatch.setattr(s3_buckets, "MAX_ANSWER_BYTES", 100_000)
    assert bucket.read("plans/a.json") == b""


@pytest.mark.django_db
def test_a_test_ends_whatever_the_other_side_does(wire, settings):
    current = turn_on(wire.url)
    settings.CDN_TEST_SECONDS = 1
    wire.fault = lambda _method, _path: "hang"
    last = connection.check(current).steps[-1]
    assert (last.name, last.ok) == ("time", False)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cdn_endpoint", "http://s3.example.org"),
        ("cdn_endpoint", "http://10.0.0.5:9000"),
        ("cdn_base_url", "http://cdn.example.org"),
        ("cdn_base_url", "ftp://cdn.example.org"),
        ("cdn_bucket", "a.example.org/x"),
        ("cdn_private_bucket", "127.0.0.1:9000#"),
        ("cdn_region", "x.example.org/"),
        ("cloudflare_zone", "../../user"),
    ],
)
def test_the_settings_refuse_it(field, value, settings, purges):
    with pytest.raises(ValidationError) as refused:
        turn_on("https://s3.example.org", **{**purges.fields(), field: value})
    assert list(refused.value.message_dict) == [field]


@pytest.mark.django_db
def test_the_settings_take_a_named_host_without_https(settings):
    settings.PRIVATE_HOSTS = ["minio.school.lan:9000"]
    turn_on("http://minio.school.lan:9000")
