"""Students' apps as threads: requests over HTTP with retries, and a log of all answers.

Two apps may play for one student with the same token, so that writes of one player
overlap.
"""

import json
import random
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPException
from typing import Any
from uuid import uuid4

TIMEOUT_SECONDS = 8.0
"""An app gives up then: longer than the longest answer that is allowed."""
THINK_SECONDS = 0.08
_TRIES = 5
NO_ANSWER = 0


@dataclass(slots=True)
class Sent:
    """One request and its answer; times are those of the monotonic clock.

    Attributes:
        about: what was asked, for the checks: of a completion (lesson id, hearts).
        status: `NO_ANSWER` if the connection broke or nothing came in time.
        error: the error code of the answer, or how the connection failed.
        answer: its JSON; for a 304 what the app has.
    """

    player_id: int
    kind: str
    started: float
    ended: float
    status: int
    error: str = ""
    key: str = ""
    about: Any = None
    answer: Any = None


@dataclass
class Student:
    """A student: what all their apps share."""

    player_id: int
    email: str
    password: str
    device_id: str = field(default_factory=lambda: str(uuid4()))
    token: str = ""
    next_lessons: dict[str, str | None] = field(default_factory=dict)
    """The suggested lesson of each subject."""
    passed: set[str] = field(default_factory=set)
    """Lessons that were completed, as answers said."""


@dataclass(frozen=True)
class School:
    """What apps know of the plan: the lessons of each subject, in tree order."""

    lessons: Mapping[str, tuple[str, ...]]


class App(threading.Thread):
    """One app; its log is complete once it has ended."""

    def __init__(
        self, student: Student, school: School, *, port: int, seed: str, alone: bool
    ) -> None:
        super().__init__(name=seed, daemon=True)
        self.student = student
        self.school = school
        self.log: list[Sent] = []
        self.problems: list[str] = []
        self._dice = random.Random(seed)
        self._port = port
        self._alone = alone
        self._ends = threading.Event()
        self._connection: HTTPConnection | None = None
        self._open: deque[tuple[str, str, Any, Any]] = deque()
        """Requests with a key that have no answer yet."""
        self._done: list[tuple[str, str, Any, Any]] = []
        self._queue: list[dict[str, Any]] = []
        """Completions that were made offline and are not decided yet."""
        self._next_seq = 1
        self._tags: dict[str, tuple[str, Any]] = {}
        self._may_be_replaced = False
        """Whether a sign-in got no answer: it may take effect at any time."""

    def end(self) -> None:
        self._ends.set()

    def run(self) -> None:
        weights = {
            self._complete: 34,
            self._wallet: 14,
            self._progress: 18,
            self._content: 10,
            self._review: 14,
            self._look_around: 6,
            self._repeat: 5,
            # Apps of one student share its device, and so its numbers.
            self._sync: 10 if self._alone else 0,
            self._sign_in_again: 1 if self._alone else 0,
        }
        while not self._ends.is_set():
            self._dice.choices(list(weights), list(weights.values()))[0]()
            self._ends.wait(self._dice.expovariate(1 / THINK_SECONDS))

    def settle(self) -> None:
        """Send everything that is unanswered until it is answered; see `_until`."""
        while self._open:
            self._until(*self._open.popleft(), tries=12)
        self._send_queue(tries=12)
        self._close()

    # --- What an app does ---------------------------------------------------------

    def _complete(self) -> None:
        lesson_id, hearts = self._draw()
        key = str(uuid4()) if self._dice.random() < 0.9 else ""
        self._until("complete", key, (lesson_id, hearts), {"hearts": hearts})

    def _sync(self) -> None:
        """Make completions as while the phone was offline, and send the queue."""
        for _event in range(self._dice.randint(1, 4)):
            lesson_id, hearts = self._draw()
            self._queue.append(
                {
                    "id": str(uuid4()),
                    "seq": self._next_seq,
                    "kind": "lesson_completed" if hearts else "lesson_failed",
                    "lesson_id": lesson_id,
                    "hearts": hearts,
                    "occurred_at": datetime.now(UTC).isoformat(),
                }
            )
            self._next_seq += 1
        self._send_queue(tries=_TRIES)

    def _send_queue(self, *, tries: int) -> None:
        for attempt in range(tries):
            if not self._queue:
                return
            now = datetime.now(UTC).isoformat()
            body = {"device_time": now, "events": self._queue}
            sent = self._ask("sync", "sync/events/", body=body)
            if sent.status == 200:
                self._decided(sent)
            elif sent.status in (NO_ANSWER, 503):
                time.sleep(self._dice.uniform(0.1, 0.3) * 2 ** min(attempt, 3))
            else:
                return

    def _decided(self, sent: Sent) -> None:
        """Log each event of a batch as a completion with its id as the key."""
        events = {event["id"]: event for event in self._queue}
        for result in sent.answer["results"]:
            if result["keep"]:
                continue
            event = events.pop(result["id"])
            one = replace(sent, kind="complete", key=event["id"], answer=None)
            one.about = event["lesson_id"], event["hearts"]
            if result["code"] in ("NOT_UNLOCKED", "SEQ_USED"):
                one.status, one.error = 403, "NOT_UNLOCKED"
            elif result["status"] not in ("applied", "duplicate"):
                self.problems.append(f"{event} was answered {result}")
            elif event["hearts"]:
                one.answer = result["completion"]
            else:
                one.status, one.error = 400, "NO_HEARTS"
            self.log.append(one)
            self._learn(one)
        self._queue = list(events.values())
        if sent.answer["next_seq"] != self._next_seq - len(self._queue):
            self.problems.append(f"next_seq is {sent.answer['next_seq']}")

    def _draw(self) -> tuple[str, int]:
        """Return a lesson to do, and the hearts that are left at its end."""
        dice, student = self._dice, self.student
        subject_id = dice.choice(list(self.school.lessons))
        lessons = self.school.lessons[subject_id]
        drawn = dice.random()
        passed = [one for one in lessons if one in student.passed]
        lesson_id = student.next_lessons.get(subject_id, lessons[0])
        if drawn > 0.97:
            lesson_id = dice.choice(lessons)  # most likely locked
        elif (drawn > 0.2 or lesson_id is None) and passed:
            lesson_id = dice.choice(passed)
        assert lesson_id is not None
        return lesson_id, 0 if dice.random() < 0.06 else dice.randint(1, 5)

    def _review(self) -> None:
        dice = self._dice
        due = self._ask("due", "reviews/due/?limit=10")
        if due.status != 200 or not due.answer["items"]:
            self._ask("reviews", "reviews/")
            return
        now = datetime.now(UTC)
        items = due.answer["items"]
        rated = [
            {
                "item_id": item["item_id"],
                "lesson_id": item["lesson_id"],
                "rating": dice.randint(1, 4),
            }
            for item in dice.sample(items, min(len(items), dice.randint(1, 3)))
        ]
        for one in rated:
            if dice.random() < 0.5:  # answered while the phone was offline
                at = now - timedelta(seconds=dice.randint(0, 3000))
                one["reviewed_at"] = at.isoformat()
        self._until("rate", str(uuid4()), rated, {"reviews": rated})

    def _wallet(self) -> None:
        self._ask("wallet", "wallet/")

    def _progress(self) -> None:
        subject_id = self._dice.choice(list(self.school.lessons))
        sent = self._ask_with_tag("progress", f"progress/{subject_id}/")
        sent.about = subject_id
        if sent.status == 200:
            next_lesson = sent.answer["suggested_next_lesson_id"]
            self.student.next_lessons[subject_id] = next_lesson

    def _content(self) -> None:
        lessons = self.school.lessons[self._dice.choice(list(self.school.lessons))]
        content = self._ask("content", "content/")
        self._ask("link", f"content/lessons/{self._dice.choice(lessons)}/")
        if content.status == 200:
            path = content.answer["manifest_url"].split("/", 3)[3]
            self._ask_with_tag("file", f"/{path}")

    def _look_around(self) -> None:
        for kind, path in (
            ("session", "auth/session/"),
            ("me", "me/"),
            ("devices", "devices/check/"),
        ):
            self._ask(kind, path)

    def _repeat(self) -> None:
        """Send an answered request again, with or without another body."""
        if not self._done:
            return
        kind, key, about, body = self._dice.choice(self._done)
        if kind == "complete" and self._dice.random() < 0.2:
            _lesson_id, hearts = about
            other = {"hearts": (hearts + 1) % 6}
            sent = self._ask("conflict", _path(kind, about), body=other, key=key)
            sent.key = ""  # another request than that of the key
            return
        self._until(kind, key, about, body)

    def _sign_in_again(self) -> None:
        """Replace or end the session; its token must not be good any more."""
        old = self.student.token
        if self._dice.random() < 0.5:
            sent = self._ask("sign out", "auth/logout/", body={})
            if sent.status == NO_ANSWER:
                self._may_be_replaced = True
        if self._sign_in():
            self._ask("old token", "auth/session/", token=old)

    def _sign_in(self) -> bool:
        body = {"email": self.student.email, "password": self.student.password}
        for attempt in range(40):
            sent = self._ask("sign in", "auth/login/", body=body, token="")
            if sent.status == 200:
                self.student.token = sent.answer["token"]
                return True
            self._may_be_replaced |= sent.status == NO_ANSWER
            time.sleep(min(0.2 * (attempt + 1), 1.0))
        self.problems.append(f"{self.student.email} could not sign in for a minute")
        return False

    # --- Requests -------------------------------------------------------------------

    def _until(
        self, kind: str, key: str, about: Any, body: Any, *, tries: int = _TRIES
    ) -> None:
        """Send until there is an answer other than 503; keep for later what has none.

        Without a key a request is sent once: its repeat would be another one.
        """
        for attempt in range(tries if key else 1):
            sent = self._ask(kind, _path(kind, about), body=body, key=key)
            sent.about = about
            if sent.status not in (NO_ANSWER, 503):
                if key and sent.status != 403:
                    self._done.append((kind, key, about, body))
                    del self._done[:-30]
                self._learn(sent)
                return
            time.sleep(self._dice.uniform(0.1, 0.3) * 2**attempt if attempt < 4 else 2)
        if key:
            self._open.append((kind, key, about, body))

    def _learn(self, sent: Sent) -> None:
        if sent.kind != "complete" or sent.status != 200:
            return
        lesson_id, _hearts = sent.about
        self.student.passed.add(lesson_id)
        for subject_id, lessons in self.school.lessons.items():
            if lesson_id in lessons:
                next_lesson = sent.answer["next_lesson_id"]
                self.student.next_lessons[subject_id] = next_lesson

    def _ask_with_tag(self, kind: str, path: str) -> Sent:
        tag, held = self._tags.get(path, ("", None))
        sent = self._ask(kind, path, tag=tag)
        if sent.status == 304:
            sent.answer = held
        return sent

    def _ask(
        self,
        kind: str,
        path: str,
        *,
        body: Any = None,
        key: str = "",
        token: str | None = None,
        tag: str = "",
    ) -> Sent:
        """Send one request, log it and return it."""
        headers = {"X-Device-ID": self.student.device_id, "Accept-Language": "en"}
        used = self.student.token if token is None else token
        if used and not path.startswith("/"):
            headers["Authorization"] = f"Bearer {used}"
        if key:
            headers["Idempotency-Key"] = key
        if tag:
            headers["If-None-Match"] = tag
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        started = time.monotonic()
        url = path if path.startswith("/") else f"/api/v1/{path}"
        try:
            status, answer, new_tag = self._exchange(url, data, headers)
            error = answer.get("error_code", "") if status >= 400 else ""
        except (OSError, HTTPException, ValueError) as failure:
            self._close()
            status, answer, new_tag = NO_ANSWER, None, ""
            error = "timeout" if isinstance(failure, TimeoutError) else "broken"
        sent = Sent(
            player_id=self.student.player_id,
            kind=kind,
            started=started,
            ended=time.monotonic(),
            status=status,
            error=error,
            key=key,
            answer=answer,
        )
        self.log.append(sent)
        if new_tag and status == 200:
            self._tags[path] = (new_tag, answer)
        if status == 401 and token is None:
            self._refused(sent)
        return sent

    def _refused(self, sent: Sent) -> None:
        if self._may_be_replaced:
            self._may_be_replaced = False
            self._sign_in()
        else:
            self.problems.append(
                f"a good token was refused: {sent.kind} {sent.error} "
                f"of player {sent.player_id}"
            )

    def _exchange(
        self, url: str, data: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, Any, str]:
        if self._connection is None or self._dice.random() < 0.2:
            self._close()  # the next connection may be another process's
            self._connection = HTTPConnection(
                "127.0.0.1", self._port, timeout=TIMEOUT_SECONDS
            )
        self._connection.request(
            "GET" if data is None else "POST", url, data, dict(headers)
        )
        answer = self._connection.getresponse()
        content = answer.read()
        parsed = json.loads(content) if content else {}
        return answer.status, parsed, answer.getheader("ETag", "")

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _path(kind: str, about: Any) -> str:
    return f"lessons/{about[0]}/complete/" if kind == "complete" else "reviews/"
