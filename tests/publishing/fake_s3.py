"""Fake CDN services for tests, real over HTTP on this machine.

An S3 server, a proxy with faults, and a purge API with Cloudflare's limits.
"""

import json
import logging
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
from botocore.config import Config
from moto.server import ThreadedMotoServer

from core import secrets
from publishing.models import PublishingSettings

PUBLIC, PRIVATE = "memora-public", "memora-private"
KEY_ID = "AKIDTESTS"
SECRET = "a-Very/Secret+Key0123456789abcdefghijklmn"
TOKEN = "cloudflare-Token_0123456789"
ZONE = "023e105f4ecef8ad9ca31a8372d0c353"
BASE_URL = "https://cdn.example.org/book"


class S3Server:
    """moto's S3 over HTTP, with two empty buckets after each `reset`."""

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.port = port
        self.url = f"http://{host}:{port}"
        self.client = boto3.session.Session().client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="tests",
            aws_secret_access_key="tests",
            config=Config(s3={"addressing_style": "path"}),
        )

    def reset(self) -> None:
        for bucket in (PUBLIC, PRIVATE):
            existing = {b["Name"] for b in self.client.list_buckets()["Buckets"]}
            if bucket in existing:
                for path in self.objects(bucket):
                    self.client.delete_object(Bucket=bucket, Key=path)
            else:
                self.client.create_bucket(Bucket=bucket)

    def stop(self) -> None:
        self._server.stop()

    def objects(self, bucket: str = PUBLIC) -> dict[str, bytes]:
        """Every object's bytes, by path."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return {
            entry["Key"]: self.get(entry["Key"], bucket)["Body"].read()
            for page in pages
            for entry in page.get("Contents", ())
        }

    def get(self, path: str, bucket: str = PUBLIC) -> dict[str, Any]:
        return self.client.get_object(Bucket=bucket, Key=path)

    def put(self, path: str, data: bytes, bucket: str = PUBLIC) -> None:
        self.client.put_object(Bucket=bucket, Key=path, Body=data)


class Wire:
    """A proxy before the S3 server: counts requests in order, and injects faults.

    ``fault`` is called for each request (method, path) and returns the fault:
    ``"500"``, ``"reset"`` (before the request arrives), ``"cut"`` (the request arrives,
    the answer does not), ``"hang"``, ``"flip"`` (a byte of the body is changed),
    ``"lie"`` (200, but nothing is stored), ``"late"`` (delivered when `deliver` is
    called; the sender sees a broken connection), or None.
    """

    def __init__(self, upstream_port: int) -> None:
        self.requests: list[tuple[str, str]] = []
        self.sent: dict[str, tuple[bytes, dict[str, str]]] = {}
        """The last body and headers of each method."""
        self.fault = lambda _method, _path: None
        self.before = lambda _method, _path: None
        self._late: list[tuple[str, str, bytes, dict[str, str]]] = []
        self._upstream = upstream_port
        self._lock = threading.Lock()
        wire = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_args: Any) -> None:
                pass

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except (ConnectionError, TimeoutError):
                    self.close_connection = True

            def _do(self) -> None:
                wire._handle(self)

            do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _do  # noqa: N815

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def counts(self) -> Counter[str]:
        """The number of requests by method; listings are LIST, deletes DELETE."""
        return Counter(_verb(method, path) for method, path in self.requests)

    def paths(self, method: str) -> list[str]:
        """The content paths of these requests, in order."""
        return [
            path.split("/", 2)[2] for found, path in self.requests if found == method
        ]

    def reset(self) -> None:
        self.requests.clear()
        self._late.clear()
        self.fault = self.before = lambda _method, _path: None

    def deliver(self) -> None:
        """Deliver the requests that were held back."""
        for method, path, body, headers in self._late:
            self._forward(method, path, body, headers)
        self._late.clear()

    def _handle(self, request: Any) -> None:
        length = int(request.headers.get("Content-Length") or 0)
        if request.headers.get("Expect", "").lower() == "100-continue":
            pass  # http.server has answered it
        body = request.rfile.read(length)
        method, path = request.command, request.path
        with self._lock:
            self.requests.append((method, path))
        self.before(method, path)
        fault = self.fault(method, path)
        headers = dict(request.headers.items())
        self.sent[method] = body, headers
        if fault == "reset":
            return self._break(request)
        if fault == "hang":  # until the client closes the connection
            request.connection.settimeout(30)
            with suppress(OSError):
                request.connection.recv(1)
            return self._break(request)
        if fault == "late":
            self._late.append((method, path, body, headers))
            return self._break(request)
        if fault == "500":
            return self._answer(request, 500, {}, b"")
        if fault == "lie":
            return self._answer(request, 200, {"ETag": '"0"'}, b"")
        if fault == "flip":
            body = bytes([body[0] ^ 1]) + body[1:]
        status, answer_headers, answer = self._forward(method, path, body, headers)
        if fault == "cut":
            return self._break(request)
        return self._answer(request, status, answer_headers, answer)

    def _forward(
        self, method: str, path: str, body: bytes, headers: dict[str, str]
    ) -> tuple[int, dict[str, str], bytes]:
        import http.client

        upstream = http.client.HTTPConnection("127.0.0.1", self._upstream, timeout=30)
        headers = {k: v for k, v in headers.items() if k.lower() != "expect"}
        upstream.request(method, path, body=body, headers=headers)
        response = upstream.getresponse()
        found = response.status, dict(response.getheaders()), response.read()
        upstream.close()
        return found

    def _break(self, request: Any) -> None:
        request.close_connection = True
        # RST, as from a server that crashed.
        linger = b"\x01\0\0\0\0\0\0\0"
        request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        request.connection.close()

    def _answer(
        self, request: Any, status: int, headers: dict[str, str], body: bytes
    ) -> None:
        request.send_response(status)
        dropped = {
            "content-length",
            "transfer-encoding",
            "connection",
            "server",
            "date",
        }
        for name, value in headers.items():
            if name.lower() not in dropped:
                request.send_header(name, value)
        length = headers.get("Content-Length") or headers.get("content-length")
        is_head = request.command == "HEAD"
        request.send_header(
            "Content-Length", length if is_head and length else str(len(body))
        )
        request.end_headers()
        if not is_head:
            request.wfile.write(body)


def _verb(method: str, path: str) -> str:
    if method == "GET" and "list-type=2" in path:
        return "LIST"
    if method == "POST" and "delete" in path:
        return "DELETE"
    return method


class PurgeApi:
    """Cloudflare's ``purge_cache`` as documented: 30 URLs, a bearer token, a zone, and a
    rate limit that answers 429 with Retry-After."""

    def __init__(self) -> None:
        self.purged: list[list[str]] = []
        self.refused: list[int] = []
        self.limit_next, self.retry_after = 0, 1
        self.fail_with = 0
        self.before = lambda _urls: None
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_args: Any) -> None:
                pass

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                status, answer, extra = api._judge(self.path, self.headers, body)
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                for name, value in extra.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/client/v4"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def fields(self) -> dict[str, str]:
        """The settings that lead to this API."""
        return {"cloudflare_zone": ZONE, "cloudflare_token": secrets.encrypt(TOKEN)}

    def urls(self) -> list[str]:
        return [url for few in self.purged for url in few]

    def _judge(
        self, path: str, headers: Any, body: bytes
    ) -> tuple[int, dict[str, Any], dict[str, str]]:
        def refuse(status: int, code: int, **extra: str) -> Any:
            self.refused.append(status)
            errors = [{"code": code, "message": "refused"}]
            return status, {"success": False, "errors": errors}, extra

        if headers.get("Authorization") != f"Bearer {TOKEN}":
            return refuse(401, 10000)
        if path != f"/client/v4/zones/{ZONE}/purge_cache":
            return refuse(404, 7003)
        if self.fail_with:
            return refuse(self.fail_with, 1)
        if self.limit_next:
            self.limit_next -= 1
            return refuse(429, 971, **{"Retry-After": str(self.retry_after)})
        files = json.loads(body).get("files")
        if not isinstance(files, list) or not 1 <= len(files) <= 30:
            return refuse(400, 1094)
        if not all(isinstance(url, str) and url.startswith("http") for url in files):
            return refuse(400, 1095)
        self.before(files)
        self.purged.append(files)
        return 200, {"success": True, "errors": [], "result": {"id": ZONE}}, {}


@contextmanager
def running(server: Any) -> Iterator[Any]:
    try:
        yield server
    finally:
        server.stop()


def turn_on(endpoint: str, **fields: Any) -> PublishingSettings:
    """Turn the CDN on as an operator does; ``fields`` replace settings."""
    current = PublishingSettings.get_solo()
    values = {
        "cdn_enabled": True,
        "cdn_base_url": BASE_URL,
        "cdn_endpoint": endpoint,
        "cdn_region": "us-east-1",
        "cdn_bucket": PUBLIC,
        "cdn_private_bucket": PRIVATE,
        "cdn_access_key": secrets.encrypt(KEY_ID),
        **fields,
    }
    for name, value in values.items():
        setattr(current, name, value)
    current.cdn_secret_key = secrets.encrypt(SECRET)
    current.full_clean()
    current.save()
    return current
