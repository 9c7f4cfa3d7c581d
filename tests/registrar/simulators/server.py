"""A small HTTP server with routes in Python, whose faults a test chooses."""

import json
import random
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit


@dataclass
class Request:
    """A request; ``form`` has the texts of a form, ``files`` name, type and content."""

    method: str
    path: str
    query: dict[str, str]
    headers: Any
    body: bytes
    form: dict[str, str] = field(default_factory=dict)
    files: dict[str, tuple[str, str, bytes]] = field(default_factory=dict)

    def json(self) -> Any:
        try:
            return json.loads(self.body)
        except ValueError:
            return None


@dataclass
class Response:
    """A response; ``body`` is JSON, bytes, or None for none."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Fault:
    """What goes wrong with the next requests that ``matches``.

    ``kind`` is one of

    - ``drop_before``: the connection breaks and nothing was done;
    - ``drop_after``: the request is carried out, and the connection breaks: what a
      client sees of a time-out after success;
    - ``slow``: the answer comes after ``seconds``;
    - ``status``: an error with ``response``, and nothing was done.
    """

    kind: str
    times: int = 1
    matches: Callable[[Request], bool] = lambda _request: True
    seconds: float = 0.0
    response: Response | None = None


class Simulator(ABC):
    """The base of both simulators: a server in a thread, and its faults.

    Args:
        port: 0 for any free one.
    """

    def __init__(self, port: int = 0) -> None:
        self.requests: list[Request] = []
        self.lock = threading.RLock()
        self.max_under_way = 0
        self._under_way = 0
        self._faults: list[Fault] = []
        self._chance: Callable[[Request], Fault | None] = lambda _request: None
        self._server = _Server(("127.0.0.1", port), _handler(self))
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @abstractmethod
    def answer(self, request: Request) -> Response:
        """Carry out a request; one at a time, under ``lock``."""

    # --- Faults -----------------------------------------------------------------------

    def fail(self, kind: str, **options: Any) -> None:
        """Let the next requests go wrong (`Fault`)."""
        with self.lock:
            self._faults.append(Fault(kind, **options))

    def fail_at_random(
        self, kinds: dict[str, float], *, seed: int, response: Response | None = None
    ) -> None:
        """Let requests go wrong by chance: each kind with its probability."""
        chance = random.Random(seed)

        def pick(_request: Request) -> Fault | None:
            drawn = chance.random()
            for kind, probability in kinds.items():
                if drawn < probability:
                    return Fault(kind, response=response)
                drawn -= probability
            return None

        self._chance = pick

    def recover(self) -> None:
        """End all faults."""
        with self.lock:
            self._faults.clear()
            self._chance = lambda _request: None

    def serve(self, request: Request) -> Response | None:
        """Return the response to ``request``, with its fault; None drops it."""
        with self.lock:
            self.requests.append(request)
            self._under_way += 1
            self.max_under_way = max(self.max_under_way, self._under_way)
            fault = self._next_fault(request)
        try:
            if fault and fault.kind == "slow":
                time.sleep(fault.seconds)
            if fault and fault.kind == "drop_before":
                return None
            if fault and fault.kind == "status":
                return fault.response or Response(status=500)
            with self.lock:
                response = self.answer(request)
            return None if fault and fault.kind == "drop_after" else response
        finally:
            with self.lock:
                self._under_way -= 1

    def _next_fault(self, request: Request) -> Fault | None:
        for fault in self._faults:
            if fault.matches(request):
                fault.times -= 1
                if fault.times <= 0:
                    self._faults.remove(fault)
                return fault
        return self._chance(request)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


def _handler(simulator: Simulator) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Headers and body are two writes.
        disable_nagle_algorithm = True

        def handle_any(self) -> None:
            response = simulator.serve(self._request())
            if response is None:
                self.close_connection = True
                return
            body = response.body
            kind = "application/json"
            if isinstance(body, bytes):
                kind = "application/octet-stream"
            else:
                body = b"" if body is None else json.dumps(body).encode()
            self.send_response(response.status)
            headers = {"Content-Type": f"{kind};charset=UTF-8"} | response.headers
            for name, value in headers.items():
                self.send_header(name, value)
            if response.status not in (204, 304):
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if response.status not in (204, 304):
                self.wfile.write(body)

        def _request(self) -> Request:
            parts = urlsplit(self.path)
            query = parse_qs(parts.query, keep_blank_values=True)
            body = self._read_body()
            request = Request(
                self.command,
                parts.path,
                {name: values[-1] for name, values in query.items()},
                self.headers,
                body,
            )
            kind = self.headers.get("Content-Type", "")
            if kind.startswith("application/x-www-form-urlencoded"):
                form = parse_qs(body.decode(), keep_blank_values=True)
                request.form = {name: values[-1] for name, values in form.items()}
            elif kind.startswith("multipart/form-data"):
                _read_parts(request, kind)
            return request

        def _read_body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
                body = b""
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def log_message(self, *_args: object) -> None:
            pass

    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        setattr(Handler, f"do_{method}", Handler.handle_any)
    return Handler


def _read_parts(request: Request, kind: str) -> None:
    head = f"Content-Type: {kind}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + request.body)
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if file_name := part.get_filename():
            request.files[name] = (file_name, part.get_content_type(), content)
        else:
            request.form[name] = content.decode()
