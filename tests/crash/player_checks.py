"""What must be true after the faults; each check returns what is wrong, in words.

The expected state of a player is computed from the rows of the ledger by plain code
(`History`), which shares nothing with `progress.services`.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import redis
from django.db.models import Max

from core.time_budget import BUDGET_SECONDS
from memora_site.demo_client import AnswerError, StudentApp
from players import records
from players.models import PlayerProfile, PlayerWallet
from progress import bitmap, scheduler
from progress.models import (
    InteractionLog,
    ReviewCard,
    ReviewRating,
    StructureProgress,
)
from publishing.api import PlanStructure
from tests.crash.apps import NO_ANSWER, Sent, Student
from tests.crash.player_faults import Episode
from tests.crash.site import Site
from tests.crash.stalls import Stalls
from tests.progress import reference

SLOW_SECONDS = 5.0
_UNANSWERED = (NO_ANSWER, 503)
_EXPECTED = {
    "complete": {(200, ""), (400, "NO_HEARTS"), (403, "NOT_UNLOCKED")},
    "conflict": {(409, "IDEMPOTENCY_CONFLICT")},
    "progress": {(200, ""), (304, "")},
    "file": {(200, ""), (304, "")},
    "old token": {(401, "SESSION_REPLACED"), (401, "SESSION_SIGNED_OUT")},
    "sign out": {(200, ""), (401, "SESSION_REPLACED"), (401, "SESSION_SIGNED_OUT")},
}
_OF_DELETED = (200, 304, 400, 401, 403, 409)
_AFTER = 3.0
"""Seconds after its repair in which a fault may still be noticed: pauses of the clients
of Redis and MariaDB, new connections."""
STALE_SECONDS = 25.0
"""How long a figure may be old: the life of a record that a writer has begun, or the
time until reconciliation where Redis lost data; both with time for a busy machine."""


# --- Answers ------------------------------------------------------------------


def statuses(
    log: Iterable[Sent],
    episodes: Sequence[Episode],
    stalls: Stalls,
    *,
    are_deleted: bool = False,
) -> list[str]:
    """No 500 and no other unexpected status; 503 and broken connections for a reason.

    A request during which the machine stood still may run out of the time that it has;
    so may one that lasted longer than that while a worker of the web server was stopped.

    Args:
        are_deleted: whether the players of the log were deleted while they played.
    """
    found: dict[str, list[float]] = defaultdict(list)
    for sent in log:
        took = sent.ended - sent.started
        expected = _EXPECTED.get(sent.kind, {(200, "")})
        if (sent.status, sent.error) in expected:
            continue
        if are_deleted and sent.status in _OF_DELETED:
            continue
        parts = {
            episode.fault.part
            for episode in episodes
            if episode.touches(sent.started, sent.ended, after=_AFTER)
        }
        was_stopped = took >= BUDGET_SECONDS and any(
            episode.fault.name == "web worker stopped"
            for episode in episodes
            if episode.touches(sent.started, sent.ended)
        )
        is_stalled = was_stopped or stalls.seconds_in(sent.started, sent.ended) > 0
        if is_stalled and sent.status in _UNANSWERED:
            continue
        if sent.status == NO_ANSWER:
            if "web" not in parts:
                found[f"{sent.kind}: no answer ({sent.error}){_during(parts)}"].append(
                    took
                )
        elif sent.status == 503:
            needs_redis = sent.kind in ("sign in", "sign out")
            if "database" not in parts and not ("redis" in parts and needs_redis):
                found[f"{sent.kind}: 503{_during(parts)}"].append(took)
        else:
            found[f"{sent.kind}: {sent.status} {sent.error}{_during(parts)}"].append(
                took
            )
    return [
        f"{len(times)} × {what}, after at most {max(times):.1f} s"
        for what, times in sorted(found.items())
    ]


def _during(parts: Iterable[str]) -> str:
    return f" while away: {', '.join(sorted(parts))}" if parts else " without a fault"


def refused_though_passed(log: Sequence[Sent]) -> list[str]:
    """A lesson that was acknowledged as passed is never refused as locked later."""
    passed: dict[tuple[int, str], float] = {}
    for sent in log:
        if sent.kind == "complete" and sent.status == 200:
            known = (sent.player_id, sent.about[0])
            passed[known] = min(passed.get(known, sent.ended), sent.ended)
    return [
        f"{sent.about[0]} of player {sent.player_id} was passed and then locked"
        for sent in log
        if sent.kind == "complete"
        and sent.error == "NOT_UNLOCKED"
        and passed.get((sent.player_id, sent.about[0]), sent.started) < sent.started
    ]


@dataclass(frozen=True, slots=True)
class StaleRead:
    """An answer without XP that had been acknowledged ``seconds`` before it."""

    sent: Sent
    seconds: float


def stale_reads(log: Sequence[Sent]) -> list[StaleRead]:
    """Return the wallets that showed less XP than acknowledged before they were read."""
    acknowledged: dict[int, list[tuple[float, int]]] = defaultdict(list)
    for sent in sorted(log, key=lambda one: one.ended):
        if sent.kind == "complete" and sent.status == 200:
            total = sent.answer["new_total_xp"]
            acknowledged[sent.player_id].append((sent.ended, total))
    found = []
    for sent in log:
        if sent.kind != "wallet" or sent.status != 200:
            continue
        shown = sent.answer["total_xp"]
        for ended, total in acknowledged[sent.player_id]:
            if ended >= sent.started:
                break
            if total > shown:
                found.append(StaleRead(sent, sent.started - ended))
                break
    return found


def repeats(log: Iterable[Sent]) -> list[str]:
    """Every answer to one key is the same."""
    answers: dict[tuple[int, str], set[str]] = defaultdict(set)
    for sent in log:
        if sent.key and sent.status not in _UNANSWERED:
            text = json.dumps([sent.status, sent.error, sent.answer])
            answers[sent.player_id, sent.key].add(text)
    return [
        f"player {player_id}: different answers to one key: {sorted(texts)}"
        for (player_id, _key), texts in answers.items()
        if len(texts) > 1
    ]


# --- The ledger ---------------------------------------------------------------


def acknowledged(log: Sequence[Sent], player_id: int, *, after: int) -> list[str]:
    """Every acknowledged answer is in the ledger once, and nothing else is.

    Args:
        after: the last position before the apps started.
    """
    ledger = InteractionLog.objects.filter(player_id=player_id, seq__gt=after)
    rows = list(ledger.exclude(type="review_session").order_by("seq"))
    by_event = {row.event_id: row for row in rows}
    problems = []
    if len(by_event) != len(rows):
        problems.append(f"player {player_id}: an event is twice in the ledger")
    mine = [
        sent for sent in log if sent.player_id == player_id and sent.kind == "complete"
    ]
    keyed: dict[str, list[Sent]] = defaultdict(list)
    for sent in mine:
        if sent.key:
            keyed[_event(sent.key)].append(sent)
    for event_id, attempts in keyed.items():
        row = by_event.pop(event_id, None)
        problems += [
            f"player {player_id}: {what}" for what in _keyed_problems(row, attempts)
        ]
    problems += [
        f"player {player_id}: {what}"
        for what in _keyless_problems(
            list(by_event.values()), [sent for sent in mine if not sent.key]
        )
    ]
    return problems


def _event(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _keyed_problems(row: InteractionLog | None, attempts: Sequence[Sent]) -> list[str]:
    answers = [sent for sent in attempts if sent.status not in _UNANSWERED]
    if not answers:
        return ["a request was never answered"]
    answer, about = answers[0], attempts[0].about
    if answer.error == "NOT_UNLOCKED":
        # An attempt without an answer may have been carried out later.
        if row is not None and len(attempts) == len(answers):
            return [f"{about} was refused, but is in the ledger"]
        return []
    if row is None:
        return [f"{about} was acknowledged ({answer.status}) and is lost"]
    return _row_problems(row, answer)


def _row_problems(row: InteractionLog, answer: Sent) -> list[str]:
    found = (row.reference_id, row.hearts)
    if found != tuple(answer.about):
        return [f"{answer.about} was acknowledged, but {found} recorded"]
    if answer.error == "NO_HEARTS":
        is_right = (row.type, row.xp) == ("lesson_failed", 0)
        return [] if is_right else [f"{found}: a failure was recorded as {row.type}"]
    if (row.type, row.xp) != ("lesson_completed", answer.answer["xp_earned"]):
        return [
            f"{found}: {answer.answer['xp_earned']} XP acknowledged, {row.xp} recorded"
        ]
    if row.data["answer"] != answer.answer:
        return [f"{found}: another answer was recorded"]
    return []


def _keyless_problems(
    rows: Sequence[InteractionLog], attempts: Sequence[Sent]
) -> list[str]:
    """Match rows with the server's own event ids to requests without a key."""
    left = Counter(_signature(row.reference_id, row.hearts, row.data) for row in rows)
    problems = []
    unanswered: Counter[tuple[str, int]] = Counter()
    for sent in attempts:
        lesson_id, hearts = sent.about
        if sent.status in _UNANSWERED:
            unanswered[lesson_id, hearts] += 1
        elif sent.error != "NOT_UNLOCKED":
            data = {"answer": sent.answer} if sent.status == 200 else {}
            wanted = _signature(lesson_id, hearts, data)
            if left[wanted]:
                left[wanted] -= 1
            else:
                problems.append(f"{sent.about} was acknowledged and is lost")
    for (lesson_id, hearts, _data), count in left.items():
        unanswered[lesson_id, hearts] -= count
        if unanswered[lesson_id, hearts] < 0:
            problems.append(f"{(lesson_id, hearts)} was recorded, but nobody sent it")
    return problems


def _signature(lesson_id: str, hearts: int | None, data: Any) -> tuple[str, int, str]:
    return lesson_id, hearts or 0, json.dumps(data, sort_keys=True)


# --- The reference ------------------------------------------------------------


@dataclass
class History:
    """What a player has earned, computed from the rows of the ledger one by one."""

    structure: PlanStructure
    total_xp: int = 0
    best: dict[str, int] = field(default_factory=dict)
    """The best hearts of each passed lesson."""
    xp_of_subject: Counter[str] = field(default_factory=Counter)
    repeats: set[tuple[str, date | None]] = field(default_factory=set)
    """Repeats of passed lessons that earned XP, with their days."""
    first_at: dict[str, Any] = field(default_factory=dict)
    days: int = 0
    last_day: date | None = None
    position: int = 0

    def add(self, row: InteractionLog) -> list[str]:
        """Add the next row; return where it was decided wrongly."""
        self.position += 1
        problems = []
        if row.seq != self.position:
            problems.append(f"position {row.seq} follows {self.position - 1}")
        if row.type == "review_session":
            self.total_xp += row.xp
            return problems if row.xp == 3 else [*problems, f"a session: {row.xp} XP"]
        lesson_id, subject_id = row.reference_id, row.subject_id
        before = self.states(subject_id)
        if before[lesson_id][0] == "locked":
            problems.append(f"{lesson_id} was completed while it was locked")
        if row.type == "lesson_failed":
            return problems
        is_first = lesson_id not in self.best
        is_record = row.hearts > self.best.get(lesson_id, 0)
        earned = 10 + 2 * row.hearts + 5 * is_first + 10 * is_record
        if not is_first and not is_record:
            # Paid once a day.
            earned *= (lesson_id, row.day) not in self.repeats
            self.repeats.add((lesson_id, row.day))
        old_days = self.days
        action = self._play(row.day)
        self.best[lesson_id] = max(row.hearts, self.best.get(lesson_id, 0))
        self.first_at.setdefault(lesson_id, row.occurred_at)
        self.total_xp += earned
        self.xp_of_subject[subject_id] += earned
        after = self.states(subject_id)
        expected = {
            "success": True,
            "xp_earned": earned,
            "new_total_xp": self.total_xp,
            "is_first_completion": is_first,
            "is_new_record": is_record,
            "streak": {
                "old": old_days,
                "new": self.days,
                "action": action,
                "last_success_date": self.last_day.isoformat(),
                # The run is shorter than the days that earn one.
                "freezes": 0,
                "frozen_days": [],
            },
            "unlocked": [
                name
                for name, (status, _reason) in after.items()
                if status == "unlocked" and before[name][0] == "locked"
            ],
            "next_lesson_id": self.next_lesson(subject_id),
        }
        if row.data["answer"] != expected:
            problems.append(f"{row.data['answer']} should be {expected}")
        if (row.xp, row.best_hearts) != (earned, self.best[lesson_id]):
            problems.append(f"row {row.seq} has {row.xp} XP, {row.best_hearts} hearts")
        return problems

    def _play(self, day: date) -> str:
        if self.last_day is not None and day <= self.last_day:
            return "unchanged"
        missed = self.last_day is None or day - self.last_day > timedelta(days=1)
        action = "extended"
        if missed:
            action = "started" if self.last_day is None else "reset"
        self.days = 1 if missed else self.days + 1
        self.last_day = day
        return action

    def _root(self, subject_id: str) -> Any:
        return self.structure.subjects[subject_id].root

    def _done(self, subject_id: str) -> dict[int, int]:
        return {
            node.lesson.bit_index: self.best[node.id]
            for node in reference.lessons(self._root(subject_id))
            if node.id in self.best
        }

    def states(self, subject_id: str) -> dict[str, Any]:
        done = set(self._done(subject_id))
        return reference.states(self._root(subject_id), done, set())

    def next_lesson(self, subject_id: str) -> str | None:
        done = set(self._done(subject_id))
        return reference.next_lesson(self._root(subject_id), done, set())

    def progress(self, subject_id: str) -> dict[str, Any]:
        """The answer of the API to this player."""
        return reference.answer(
            self._root(subject_id),
            self._done(subject_id),
            set(),
            self.xp_of_subject[subject_id],
        )

    def packed(self, subject_id: str) -> tuple[str, dict[str, int], int]:
        """The bitmap as Base64, the hearts by bit, and the XP, as a snapshot has them."""
        done = self._done(subject_id)
        bits = bytearray(max(done, default=-1) // 8 + 1)
        for bit in done:
            bits[bit // 8] |= 1 << (7 - bit % 8)
        hearts = {str(bit): most for bit, most in sorted(done.items())}
        return bitmap.encode(bytes(bits)), hearts, self.xp_of_subject[subject_id]


def histories(
    structure: PlanStructure, player_ids: Iterable[int]
) -> tuple[dict[int, History], list[str]]:
    """Replay the ledger of each player; also return the wrong decisions."""
    found, problems = {}, []
    for player_id in player_ids:
        history = History(structure)
        rows = InteractionLog.objects.filter(player_id=player_id).order_by("seq")
        for row in rows.iterator():
            problems += [f"player {player_id}: {one}" for one in history.add(row)]
        found[player_id] = history
    return found, problems


# --- What is shown, and the snapshots -----------------------------------------------


def shown(site: Site, student: Student, history: History) -> list[str]:
    """Return where the API's answers differ from the reference."""
    app = StudentApp(f"http://127.0.0.1:{site.port}")
    app.device_id, app.token = student.device_id, student.token
    who = f"player {student.player_id}"
    wallet = _read(app, "wallet/")
    expected = {
        "total_xp": history.total_xp,
        "current_streak": history.days,
        "last_success_date": history.last_day and history.last_day.isoformat(),
    }
    found = {name: wallet.get(name) for name in expected}
    problems = []
    if found != expected:
        problems.append(f"{who}: the wallet shows {found}, not {expected}")
    for subject_id in history.structure.subjects:
        answer = _read(app, f"progress/{subject_id}/")
        wanted = history.progress(subject_id)
        if answer != wanted:
            differing = [name for name in wanted if answer.get(name) != wanted[name]]
            problems.append(f"{who}: the progress in {subject_id} differs: {differing}")
    return problems + [f"{who}: {one}" for one in _due_problems(app, student)]


def _read(app: StudentApp, path: str) -> Any:
    try:
        return app.get(path)
    except AnswerError as error:
        return {"error": str(error)}


def _due_problems(app: StudentApp, student: Student) -> list[str]:
    """The due list is that of the cards; call it after `StudentApp.get` met them."""
    answer = _read(app, "reviews/due/?limit=100")
    if "items" not in answer:
        return [f"due items: {answer}"]
    cards = ReviewCard.objects.filter(player_id=student.player_id, is_active=True)
    last = cards.aggregate(last=Max("due_at"))["last"]
    overview = _read(app, "reviews/")
    if overview.get("total") != cards.count():
        return [f"the overview has {overview}, the cards are {cards.count()}"]
    due = [(item["item_id"], item["lesson_id"]) for item in answer["items"]]
    rows = cards.order_by("due_at", "pk").values_list("item_id", "lesson_id")
    if due != list(rows[: len(due)]) or (last is not None and not overview["total"]):
        return ["the due list is not that of the cards"]
    return []


def snapshots(history_of: Mapping[int, History]) -> list[str]:
    """Wallets and progress in the database are what the ledger has."""
    problems = []
    for player_id, history in history_of.items():
        held = PlayerWallet.objects.get(player_id=player_id)
        found = (
            held.total_xp,
            held.current_streak,
            held.last_success_date,
            held.seq,
        )
        wanted = (
            history.total_xp,
            history.days,
            history.last_day,
            history.position,
        )
        if found != wanted:
            problems.append(
                f"player {player_id}: wallet snapshot {found}, not {wanted}"
            )
        rows = {
            row.subject_id: (row.progress_bitmap, row.best_hearts, row.total_xp_earned)
            for row in StructureProgress.objects.filter(player_id=player_id)
        }
        for subject_id, xp in history.xp_of_subject.items():
            if rows.get(subject_id) != history.packed(subject_id):
                problems.append(
                    f"player {player_id}: snapshot of {subject_id} ({xp} XP) differs"
                )
    return problems


# --- Reviews --------------------------------------------------------------------


def ratings(log: Sequence[Sent], player_id: int) -> list[str]:
    """Every acknowledged batch is recorded once, in one piece; sessions are paid once."""
    rows = list(ReviewRating.objects.filter(player_id=player_id).order_by("position"))
    problems = []
    paid = InteractionLog.objects.filter(player_id=player_id, type="review_session")
    expected = reference.paid_sessions(
        [row.reviewed_at for row in rows], gap=timedelta(minutes=15), most=5
    )
    if list(paid.order_by("seq").values_list("occurred_at", flat=True)) != expected:
        problems.append(f"the paid sessions of reviews are not {expected}")
    if [row.position for row in rows] != list(range(1, len(rows) + 1)):
        problems.append("the positions of the ratings have gaps")
    batches: dict[str, list[ReviewRating]] = {}
    for row in rows:
        if row.idempotency_key:
            batches[row.idempotency_key] = []
        if batches:
            batches[next(reversed(batches))].append(row)
    keyed: dict[str, list[Sent]] = defaultdict(list)
    for sent in log:
        if sent.player_id == player_id and sent.kind == "rate":
            keyed[_event(sent.key)].append(sent)
    for key, attempts in keyed.items():
        found = batches.pop(key, None)
        if not any(sent.status == 200 for sent in attempts):
            problems.append("a batch was never answered")
        elif found is None:
            problems.append("an acknowledged batch is lost")
        elif Counter((row.item_id, row.rating) for row in found) != Counter(
            (one["item_id"], one["rating"]) for one in attempts[0].about
        ):
            problems.append("a batch was recorded in part")
    problems += ["a batch was recorded that nobody sent"] * len(batches)
    return [f"player {player_id}: {what}" for what in problems]


def cards(
    player_id: int, history: History, items: Callable[[str], Sequence[str]]
) -> list[str]:
    """Each item of each passed lesson has a card, and its memory is a replay.

    Args:
        items: returns the ids of a lesson's items.
    """
    held = {
        (card.item_id, card.lesson_id): card
        for card in ReviewCard.objects.filter(player_id=player_id)
    }
    wanted = {
        (item, lesson_id) for lesson_id in history.best for item in items(lesson_id)
    }
    problems = []
    if set(held) != wanted:
        differing = sorted(set(held) ^ wanted)[:3]
        problems.append(f"player {player_id}: cards differ: {differing}")
    for (item_id, lesson_id), card in held.items():
        answers = ReviewRating.objects.filter(card=card)
        history_of = answers.order_by("reviewed_at", "position")
        memory = scheduler.replay(
            history.first_at[lesson_id], history_of.values_list("reviewed_at", "rating")
        )
        found = (card.state, card.due_at, card.last_reviewed_at, card.failures)
        failures = answers.filter(rating=1).count()
        wanted_memory = (memory.state, memory.due_at, memory.last_reviewed_at, failures)
        if found != wanted_memory:
            problems.append(f"player {player_id}: the card of {item_id} is no replay")
    return problems


# --- Redis ------------------------------------------------------------------------

_LONGEST_MS = {
    "wallet:": records.WRITTEN_MS,
    "user_prog:": records.SUBJECT_MS,
    "best_hearts:": records.SUBJECT_MS,
    "subject_xp:": records.SUBJECT_MS,
    "subject_played:": records.SUBJECT_MS,
    "subject_stamp:": records.SUBJECT_MS,
    "active_session:": records.SESSION_SECONDS * 1000,
    "player:": records.SESSION_SECONDS * 1000,
    "access:": records.ACCESS_SECONDS * 1000,
    "rate_limit:": 3_600_000,
}


def lives(site: Site) -> list[str]:
    """Every key of a player has a life, and none is longer than the rule allows."""
    client = redis.Redis.from_url(site.redis.url)
    problems = []
    for name in client.scan_iter(count=1000):
        text = name.decode()
        if "{" not in text:
            continue
        prefix = text.partition("{")[0]
        longest = _LONGEST_MS.get(prefix)
        life = client.pttl(name)
        if longest is None:
            problems.append(f"an unknown key: {text}")
        elif life == -1:
            problems.append(f"a key without a life: {text}")
        elif life > longest:
            problems.append(f"{text} lives {life} ms, not {longest}")
    return problems


def no_keys_of(site: Site, player_ids: Iterable[int]) -> list[str]:
    """Nothing that lasts is left of deleted players, in Redis or in the database."""
    client = redis.Redis.from_url(site.redis.url)
    problems = []
    for player_id in player_ids:
        problems += [
            f"left of deleted player {player_id}: {name.decode()}"
            for name in client.scan_iter(match=f"*{{{player_id}}}*", count=1000)
            if not name.startswith(b"rate_limit:")
        ]
        if PlayerProfile.objects.filter(pk=player_id).exists():
            problems.append(f"player {player_id} is still there")
        if InteractionLog.objects.filter(player_id=player_id).exists():
            problems.append(f"rows of deleted player {player_id}")
    return problems


# --- The log of the web server ------------------------------------------------------


def causes_of_503(text: str) -> Counter[str]:
    """Return how often each error of a service was answered with 503."""
    return Counter(
        f"{entry['error']} {entry['error_code']}"
        for line in text.splitlines()
        if '"api_dependency_unavailable"' in line
        for entry in [json.loads(line)]
    )


def tracebacks(text: str) -> Counter[str]:
    """Return the tracebacks of failed requests in the web server's log."""
    found: Counter[str] = Counter()
    for line in text.splitlines():
        if '"exception"' not in line:
            continue
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        request = entry.get("request", entry.get("event", ""))
        found[f"{request}\n{entry['exception'][-2500:]}"] += 1
    return found
