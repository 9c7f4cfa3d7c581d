"""Break everything while students play, and see that nobody loses anything.

``make crash-players``. Twelve apps complete lessons, answer reviews and read, with
retries, over HTTP. Meanwhile Redis, MariaDB, web server and worker are killed (SIGKILL)
and stopped (SIGSTOP), Redis is emptied, comes back older, and evicts keys. At the end
everything that was acknowledged must be there once, and what is shown must be what a
plain reference computes from the ledger.

Each fault happens ten times; ``--quick``: once, ``--thorough``: 25 times. The last line
is JSON; the exit status is 1 after any violation. Without MariaDB's server SQLite is
used, and the faults of the database are left out.
"""

import argparse
import json
import random
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tests.crash.apps import App, School, Sent, Student
from tests.crash.player_faults import FAULTS, LONG_SECONDS, Episode, Fault, strike
from tests.crash.site import Site, running
from tests.crash.stalls import Stalls

PASSWORD = "a-long-password-7"
PLAYERS_WITH_TWO_APPS = 4
PLAYERS_WITH_ONE_APP = 4
_SETTLE_SECONDS = 11.0
"""Longer than a record lives that a writer has begun."""
_EARLIER_DAYS = (4, 3, 1)
_SHOWN = 25


@dataclass
class World:
    """A published plan with students who are signed in, on a running site."""

    site: Site
    plan: Any
    structure: Any
    school: School
    students: list[Student] = field(default_factory=list)
    deleted: list[int] = field(default_factory=list)
    log_of_deleted: list[Sent] = field(default_factory=list)
    log: list[Sent] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    stalls: Stalls = field(default_factory=Stalls)


def main(arguments: list[str] | None = None) -> int:
    """Run everything; return 1 after a violation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=10, help="how often each fault")
    parser.add_argument("--quick", action="store_true", help="each once, none is long")
    parser.add_argument("--thorough", action="store_true", help="each 25 times")
    parser.add_argument(
        "--only", default="", help="faults whose name has one of these, comma-separated"
    )
    parser.add_argument("--workers", type=int, default=3, help="of the web server")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="a folder for the logs")
    options = parser.parse_args(arguments)
    if options.quick or options.thorough:
        options.each = 1 if options.quick else 25
    began = time.monotonic()
    with running(workers=options.workers) as site:
        site.set_up_django()
        world = make_world(site, students=PLAYERS_WITH_TWO_APPS + PLAYERS_WITH_ONE_APP)
        if site.database is None:
            _say("MariaDB's server is not installed: SQLite, without its faults")
        site.start_web()
        site.start_worker()
        episodes = _play(world, options)
        summary = _check(world, episodes)
        if options.keep:
            options.keep.mkdir(parents=True, exist_ok=True)
            for path in site.folder.glob("*.log"):
                (options.keep / path.name).write_bytes(path.read_bytes())
    summary["seconds"] = round(time.monotonic() - began, 1)
    _say(json.dumps(summary))
    return 1 if summary["violations"] else 0


# --- The world ------------------------------------------------------------------


def make_world(site: Site, *, students: int) -> World:
    """Publish a plan of three subjects and sign students in to it."""
    from django.db import connections

    from plans.models import AcademicPlan
    from plans.services import add_subject
    from publishing import api
    from publishing.building import builds
    from tests.factories.content import make_subject

    plan = AcademicPlan.objects.create(
        public_id="PLAN-A", title="Grade 5", is_published=True
    )
    for name in ("MATH", "ART", "HISTORY"):
        subject = make_subject(
            name, units=4, lessons=8, is_linear=name != "ART", stage=_quiz
        )
        add_subject(plan=plan, subject=subject)
    entry = builds.publish_plan(plan.pk, trigger="test")
    assert entry is not None
    assert not entry.error, entry.error
    structure = api.load_plan("PLAN-A")
    lessons = {
        subject_id: tuple(lesson.id for lesson in subject.lessons)
        for subject_id, subject in structure.subjects.items()
    }
    world = World(site, plan, structure, School(lessons))
    for number in range(students):
        world.students.append(_student(world, f"student-{number}"))
    connections.close_all()
    return world


def _quiz(place: str) -> dict[str, Any]:
    questions = [
        {
            "id": item,
            "prompt": "1 + 1?",
            "options": [{"text": "2", "correct": True}, {"text": "3"}],
        }
        for item in items_of(f"LES-{place}")
    ]
    return {"type": "Quiz", "title": "Ask", "config": {"questions": questions}}


def items_of(lesson_id: str) -> Sequence[str]:
    """Two items of each lesson."""
    return [f"Q{number}-{lesson_id.removeprefix('LES-')}" for number in (1, 2)]


def _student(world: World, name: str) -> Student:
    """Create a student who learnt on the days before today, and sign them in."""
    from datetime import timedelta

    from django.utils import timezone

    from players.services import accounts
    from progress.services import completion

    email = f"{name}@school.example"
    profile = accounts.create_player(email, PASSWORD, name, plan=world.plan)
    student = Student(profile.pk, email, PASSWORD)
    now = timezone.now()
    for days in _EARLIER_DAYS:
        completion.complete(
            player_id=profile.pk,
            lesson_id=world.school.lessons["SUBJ-MATH"][0],
            hearts=3,
            idempotency_key=None,
            now=now - timedelta(days=days),
        )
    sign_in(student)
    return student


def sign_in(student: Student) -> None:
    """Sign a student in, past the site's web server."""
    from django.utils import timezone

    from players.services import sessions
    from players.services.devices import parse_device_id

    signed_in = sessions.sign_in(
        email=student.email,
        password=student.password,
        device_id=parse_device_id(student.device_id),
        now=timezone.now(),
    )
    student.token = signed_in.token.text


# --- Faults under load ------------------------------------------------------------


def _play(world: World, options: Any) -> list[Episode]:
    """Let the apps play while the faults strike; return the faults."""
    dice = random.Random(options.seed)
    apps = []
    for number, student in enumerate(world.students):
        count = 2 if number < PLAYERS_WITH_TWO_APPS else 1
        apps += [
            App(
                student,
                world.school,
                port=world.site.port,
                seed=f"{options.seed} {student.email} {n}",
                alone=count == 1,
            )
            for n in range(count)
        ]
    world.stalls.start()
    for app in apps:
        app.start()
    time.sleep(2)
    episodes = []
    for fault, seconds in _plan(world.site, dice, options):
        episode = strike(world.site, fault, dice, seconds)
        episodes.append(episode)
        _say(f"{fault.name}: {episode.ended - episode.started:.1f} s")
        if len(episodes) % len(FAULTS) == 0:
            _delete_a_player_in_play(world, dice)
        time.sleep(dice.uniform(0.5, 2.5))
    time.sleep(1)
    _finish(world, apps)
    return episodes


def _plan(
    site: Site, dice: random.Random, options: Any
) -> Iterable[tuple[Fault, float]]:
    """Return the faults in a random order, and how long each may last."""
    faults = [
        fault
        for fault in FAULTS
        if any(word in fault.name for word in options.only.split(","))
        and (site.database is not None or fault.part != "database")
    ]
    planned = []
    for fault in faults:
        for number in range(options.each):
            is_long = number == 0 and not options.quick
            seconds = LONG_SECONDS if is_long else dice.uniform(1.2, 5.0)
            planned.append((fault, seconds))
    dice.shuffle(planned)
    return planned


def _delete_a_player_in_play(world: World, dice: random.Random) -> None:
    from django.db import connections

    from players.models import User

    student = _student(world, f"leaver-{len(world.deleted)}")
    world.deleted.append(student.player_id)
    apps = [
        App(student, world.school, port=world.site.port, seed=f"{n}", alone=False)
        for n in range(2)
    ]
    for app in apps:
        app.start()
    time.sleep(dice.uniform(0.5, 1.5))
    User.objects.get(email=student.email).delete()
    connections.close_all()
    time.sleep(0.5)
    for app in apps:
        app.end()
    for app in apps:
        app.join()
        world.log_of_deleted += app.log


def _finish(world: World, apps: Sequence[App]) -> None:
    """Let every app send what is unanswered; wait until records are repaired."""
    for app in apps:
        app.end()
    for app in apps:
        app.join()
    settling = [threading.Thread(target=app.settle) for app in apps]
    for thread in settling:
        thread.start()
    for thread in settling:
        thread.join()
    for app in apps:
        world.log += app.log
        world.problems += app.problems
    world.stalls.end()
    world.log.sort(key=lambda sent: sent.started)
    time.sleep(_SETTLE_SECONDS)


# --- The checks -----------------------------------------------------------------


def _check(world: World, episodes: Sequence[Episode]) -> dict[str, Any]:
    """Print what is wrong and how long answers took; return the summary."""
    from players import wallet_sync
    from progress.services import snapshots
    from tests.crash import player_checks as checks

    site, log = world.site, world.log
    problems = list(world.problems)
    problems += checks.statuses(log, episodes, world.stalls)
    problems += checks.statuses(
        world.log_of_deleted, episodes, world.stalls, are_deleted=True
    )
    problems += checks.refused_though_passed(log)
    problems += checks.repeats(log)
    stale = checks.stale_reads(log)
    problems += [
        f"a wallet of player {one.sent.player_id} was {one.seconds:.0f} s old"
        for one in stale
        if one.seconds > checks.STALE_SECONDS
    ]
    player_ids = [student.player_id for student in world.students]
    history_of, wrong = checks.histories(world.structure, player_ids)
    problems += wrong
    problems += checks.lives(site)
    show = partial(_shown, world, history_of)
    problems += show("")
    for player_id in player_ids:
        problems += checks.acknowledged(log, player_id, after=len(_EARLIER_DAYS))
        problems += checks.ratings(log, player_id)
        problems += checks.cards(player_id, history_of[player_id], items_of)
    wallet_sync.sync_pending_wallets()
    snapshots.sync_pending()
    problems += checks.snapshots(history_of)
    import redis

    redis.Redis.from_url(site.redis.url).flushall()
    problems += show("after Redis was emptied: ")
    problems += checks.lives(site)
    problems += checks.no_keys_of(site, world.deleted)
    if site.web_restarts:
        problems.append(f"the web server gave up {site.web_restarts} times")
    failed = checks.tracebacks(site.log("web"))
    for text, count in failed.items():
        _say(f"\n{count} × {text}")
    _say_latencies(log, episodes)
    _say(f"Errors answered with 503: {dict(checks.causes_of_503(site.log('web')))}")
    for problem in problems[:_SHOWN]:
        _say(f"VIOLATION {problem}")
    answered = [sent for sent in log if sent.status]
    slow = [
        sent for sent in answered if sent.ended - sent.started > checks.SLOW_SECONDS
    ]
    rows = sum(history.position for history in history_of.values())
    return {
        "crash": "players",
        "database": "MariaDB" if site.database else "SQLite",
        "faults": len(episodes),
        "kills": sum(episode.fault.kills for episode in episodes),
        "requests": len(log),
        "acknowledged": len(
            {s.key for s in log if s.kind == "complete" and s.key and s.status == 200}
        ),
        "ledger_rows": rows,
        "no_answer": sum(not sent.status for sent in log),
        "status_503": sum(sent.status == 503 for sent in log),
        "status_500": sum(sent.status == 500 for sent in log),
        "stale_reads": len(stale),
        "stalest_seconds": round(max((one.seconds for one in stale), default=0), 1),
        "slower_than_5_s": len(slow),
        "worst_ms": round(
            1000 * max((s.ended - s.started for s in answered), default=0)
        ),
        "machine_stalls": len(world.stalls.found),
        "violations": len(problems),
    }


def _shown(world: World, history_of: Any, when: str) -> list[str]:
    from tests.crash import player_checks as checks

    return [
        f"{when}{problem}"
        for student in world.students
        for problem in checks.shown(world.site, student, history_of[student.player_id])
    ]


def _say_latencies(log: Sequence[Sent], episodes: Sequence[Episode]) -> None:
    """Print how long answers took, by the fault that they met."""
    found: dict[str, list[Sent]] = defaultdict(list)
    for sent in log:
        names = {
            episode.fault.name
            for episode in episodes
            if episode.touches(sent.started, sent.ended)
        }
        for name in names or {"no fault"}:
            found[name].append(sent)
    _say(
        f"\n{'':22} {'asked':>7} {'503':>6} {'none':>6} {'p50 ms':>8} "
        f"{'p99 ms':>8} {'worst':>8}"
    )
    for name in sorted(found, key=str.casefold):
        sents = found[name]
        counts = Counter(sent.status for sent in sents)
        times = sorted(1000 * (s.ended - s.started) for s in sents if s.status)
        if not times:
            continue
        _say(
            f"{name:22} {len(sents):7} {counts[503]:6} {counts[0]:6} "
            f"{times[len(times) // 2]:8.0f} {times[len(times) * 99 // 100]:8.0f} "
            f"{times[-1]:8.0f}"
        )
    _say("")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
