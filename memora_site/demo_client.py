"""A student's app over HTTP: its requests, in order.

The demo runs it against a running server, and the journey tests use it. It uses only
the standard library, because a real client has no code of this project.
"""

import json
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener
from uuid import UUID, uuid4

from django.utils.translation import gettext as _, ngettext

TIMEOUT_SECONDS = 20
PAID = "paid"
LOCKED = "locked"

# The server is on this machine: ignore proxies from the environment.
_opener = build_opener(ProxyHandler({}))


class AnswerError(Exception):
    """The server refused or failed; with its status, and its body if that is JSON."""

    def __init__(self, method: str, path: str, status: int, body: Any) -> None:
        super().__init__(f"{method} {path}: {status} {body}")
        self.status = status
        self.body = body


class StoryError(Exception):
    """A response does not fit the steps."""


class StudentApp:
    """A student's app on one device: a minimal client of the API.

    It follows links as docs/app-guide.md describes: ``base_url`` plus a link's path,
    and ``lesson_url`` for a gated lesson.

    Args:
        server: the URL of the server.
        public_url: the URL by which other clients reach the same server, if it
            differs: an emulator uses another address for this machine.
    """

    def __init__(
        self,
        server: str,
        *,
        public_url: str = "",
        device_id: UUID | None = None,
        language: str = "en",
    ) -> None:
        self.server = server.rstrip("/")
        self.public_url = public_url.rstrip("/")
        self.api = f"{self.server}/api/v1/"
        self.base_url = ""
        self.device_id = device_id or uuid4()
        self.language = language
        self.token = ""

    def get(self, path: str) -> Any:
        """Return the API's response to ``path``."""
        return send("GET", self.api + path, headers=self._credentials())

    def post(
        self,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str = "",
    ) -> Any:
        """Send ``body`` to ``path`` of the API and return the response."""
        headers = self._credentials()
        if idempotency_key:
            headers["Idempotency-Key"] = idempotency_key
        return send("POST", self.api + path, body=body or {}, headers=headers)

    def open_plan(self) -> Any:
        """Return the URLs of the student's plan, and remember its base URL."""
        content = self.get("content/")
        self.base_url = content["base_url"]
        return content

    def file(self, path: str) -> Any:
        """Return the published file at a link's path; opens the plan first."""
        if not self.base_url:
            self.open_plan()
        return self.read(self.base_url + path)

    def read(self, url: str) -> Any:
        """Return the content of an absolute URL; only the API gets credentials."""
        if self.public_url and url.startswith(f"{self.public_url}/"):
            url = self.server + url.removeprefix(self.public_url)
        own = url.startswith(self.api)
        return send("GET", url, headers=self._credentials() if own else {})

    def sign_in(self, email: str, password: str) -> Any:
        """Sign in on this device; later calls send the token."""
        answer = self.post("auth/login/", {"email": email, "password": password})
        self.token = answer["token"]
        return answer

    def sign_out(self) -> None:
        """End the session."""
        self.post("auth/logout/")
        self.token = ""

    def complete(self, lesson_id: str, *, hearts: int) -> Any:
        """Complete a lesson with ``hearts``, 0 to 5."""
        return self.post(
            f"lessons/{lesson_id}/complete/",
            {"hearts": hearts},
            idempotency_key=str(uuid4()),
        )

    def lesson(self, entry: Mapping[str, Any]) -> Any:
        """Return the lesson of a topic's entry; a gated one through its signed URL."""
        if not entry.get("gated"):
            return self.file(entry["lesson_path"])
        return self.read(self.read(entry["lesson_url"])["url"])

    def _credentials(self) -> dict[str, str]:
        headers = {"X-Device-ID": str(self.device_id), "Accept-Language": self.language}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        return headers


def send(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: Mapping[str, Any] | None = None,
) -> Any:
    """Send one request and return the JSON of its response.

    Raises:
        AnswerError: the status is not 2xx.
        OSError: the server does not answer.
    """
    data = None if body is None else json.dumps(body).encode()
    request = Request(url, data=data, method=method, headers=dict(headers or {}))  # noqa: S310 - the server's own links
    if data is not None:
        request.add_header("Content-Type", "application/json")
    try:
        with _opener.open(request, timeout=TIMEOUT_SECONDS) as response:
            content = response.read()
    except HTTPError as error:
        with error:
            path = url.partition("?")[0]  # the query may contain a signature
            raise AnswerError(method, path, error.code, _body(error)) from None
    return json.loads(content) if content else None


def _body(error: HTTPError) -> Any:
    content = error.read()
    try:
        return json.loads(content)
    except ValueError:
        return HTTPStatus(error.code).phrase


def play(app: StudentApp, *, email: str, password: str) -> Iterator[str]:
    """Run the steps, and yield a sentence after each.

    Raises:
        AnswerError: a step was refused.
        StoryError: a response does not fit an earlier one.
        OSError: the server does not answer.
    """
    app.sign_in(email, password)
    yield _("Signed in as %(email)s on this device.") % {"email": email}

    content = app.open_plan()
    yield _("The plan's manifest is at %(url)s") % {"url": content["manifest_url"]}

    manifest = app.file(content["manifest_path"])
    count = len(manifest["subjects"])
    yield ngettext(
        "The plan “%(title)s” has %(count)d subject.",
        "The plan “%(title)s” has %(count)d subjects.",
        count,
    ) % {"title": manifest["title"], "count": count}

    subject, hierarchy, mappings = _first_subject(app, manifest)
    stats = hierarchy["stats"]
    yield _(
        "“%(title)s” (tracks: %(tracks)d, units: %(units)d, topics: %(topics)d, "
        "lessons: %(lessons)d)."
    ) % {
        "title": hierarchy["title"],
        "tracks": stats["total_tracks"],
        "units": stats["total_units"],
        "topics": stats["total_topics"],
        "lessons": stats["total_lessons"],
    }

    before = app.get(f"progress/{subject['id']}/")
    yield _("Lessons passed so far: %(passed)d of %(total)d (%(percentage)g %%).") % {
        "passed": before["passed_lessons"],
        "total": before["total_lessons"],
        "percentage": before["completion_percentage"],
    }

    lesson_id = _next_lesson(before, mappings)
    topic = app.file(_topic_path(hierarchy, mappings[lesson_id]["topic_id"]))
    entry = next(found for found in topic["lessons"] if found["id"] == lesson_id)
    yield _("Opened the topic “%(topic)s”.") % {"topic": topic["title"]}

    lesson = app.lesson(entry)
    how = (
        _("through a signed link, because it is gated")
        if entry.get("gated")
        else _("open to all")
    )
    yield _("Read the lesson “%(lesson)s” (%(how)s): %(stages)s.") % {
        "lesson": lesson["title"],
        "how": how,
        "stages": ", ".join(stage["type"] for stage in lesson["stages"]),
    }

    done = app.complete(lesson_id, hearts=5)
    yield _(
        "Completed it with 5 hearts: %(xp)d XP earned, %(total)d in all; "
        "the streak is %(streak)d."
    ) % {
        "xp": done["xp_earned"],
        "total": done["new_total_xp"],
        "streak": done["streak"]["new"],
    }

    after = app.get(f"progress/{subject['id']}/")
    _require_passed(after, lesson_id)
    yield _("Lessons passed now: %(passed)d of %(total)d (%(percentage)g %%).") % {
        "passed": after["passed_lessons"],
        "total": after["total_lessons"],
        "percentage": after["completion_percentage"],
    }
    if (upcoming := after["suggested_next_lesson_id"]) is not None:
        yield _("The next lesson is %(lesson)s.") % {"lesson": upcoming}
    else:
        yield _("The whole subject is done.")

    wallet = app.get("wallet/")
    if wallet["total_xp"] < done["new_total_xp"]:
        raise StoryError(
            _("The wallet has %(found)d XP instead of %(expected)d.")
            % {"found": wallet["total_xp"], "expected": done["new_total_xp"]}
        )
    yield _("The wallet has %(xp)d XP.") % {"xp": wallet["total_xp"]}


def _first_subject(
    app: StudentApp, manifest: Mapping[str, Any]
) -> tuple[Any, Any, Mapping[str, Any]]:
    """Return the first subject with a lesson: its entry, hierarchy and mappings."""
    for subject in manifest["subjects"]:
        bitmap = app.file(subject["bitmap_path"])
        if bitmap["total_lessons"]:
            return subject, app.file(subject["hierarchy_path"]), bitmap["mappings"]
    raise StoryError(_("The plan has no lessons."))


def _lessons(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the lessons of a progress tree, in tree order."""
    if node["type"] == "lesson":
        yield node
    for child in node.get("children", ()):
        yield from _lessons(child)


def _next_lesson(
    progress: Mapping[str, Any], mappings: Mapping[str, Mapping[str, Any]]
) -> str:
    """Return the suggested lesson, else another unlocked one; never a paid one."""
    playable = [
        node["id"] for node in _lessons(progress["root"]) if node["status"] != LOCKED
    ]
    for lesson_id in (progress["suggested_next_lesson_id"], *playable):
        if lesson_id in mappings and mappings[lesson_id]["access_level"] != PAID:
            return str(lesson_id)
    raise StoryError(_("No lesson of this subject is open to the student."))


def _topic_path(hierarchy: Mapping[str, Any], topic_id: str) -> str:
    for track in hierarchy["tracks"]:
        for unit in track["units"]:
            for topic in unit["topics"]:
                if topic["id"] == topic_id:
                    return str(topic["topic_path"])
    raise StoryError(
        _("The topic %(topic)s is missing in the hierarchy.") % {"topic": topic_id}
    )


def _require_passed(progress: Mapping[str, Any], lesson_id: str) -> None:
    status = {node["id"]: node["status"] for node in _lessons(progress["root"])}
    if status.get(lesson_id) != "passed":
        raise StoryError(
            _("The lesson %(lesson)s was completed but does not count as passed.")
            % {"lesson": lesson_id}
        )
