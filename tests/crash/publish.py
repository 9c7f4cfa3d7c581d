"""Kill a build at every step, and see that nobody notices: ``make crash-publish``.

A real build, on a real database and content root, dies by SIGKILL before and after
every call that changes the disk and every commit, one run for each; then each of those
calls, and each that reads, fails with a full disk, an I/O error and a missing
permission, and each commit with a lost connection. All the while a reader walks the
releases. Then editors may change their minds, perhaps the next build dies as well, and
at last a build in a fresh process must bring everything to where an undisturbed one
would have.

``DATABASE_URL`` chooses the database (MariaDB: databases of its own beside it); without
it, a SQLite file. The last line is JSON; the exit status is 1 after any violation.
"""

import argparse
import json
import logging
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "memora_site.settings")
if __name__ == "__main__":
    django.setup()

import redis
from django.conf import settings

from memora_site import embedded_redis
from publishing.building import builds, unpublish
from publishing.storage import file_store
from tests.crash import checks, reader, scenarios
from tests.crash.faults import (
    COMMIT,
    Call,
    Fault,
    Faults,
    Kind,
    kinds_at,
    undurable,
)
from tests.crash.scenario_data import Ended, MariadbWorld, SqliteWorld, World
from tests.crash.scenarios import SCENARIOS, Scenario

TWO_DEATHS = "killed twice"
POWER_CUT = "power cut"
"""Not run, but derived from the order of the calls: `tests.crash.faults.undurable`."""


_CHANGING_NAMES = {"rename", "replace", "link", "symlink", "unlink", COMMIT}


@dataclass(frozen=True, slots=True)
class Case:
    """One run: a fault, the edits after it, perhaps a fault in the next build."""

    scenario: str
    fault: Fault
    interlude: int = 0
    second: Fault | None = None

    @property
    def column(self) -> str:
        return TWO_DEATHS if self.second else self.fault.kind.value

    def __str__(self) -> str:
        text = f"{self.scenario}:{self.fault.kind.name}:{self.fault.at}"
        text += f":{self.interlude}"
        return f"{text}:{self.second.at}" if self.second else text


@dataclass(slots=True)
class Result:
    """The results of one worker."""

    points: Counter[tuple[str, str]] = field(default_factory=Counter)
    faulty: Counter[tuple[str, str]] = field(default_factory=Counter)
    violations: list[tuple[str, str, list[str]]] = field(default_factory=list)
    walks: int = 0
    calls: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Ready:
    """A scenario whose world is saved, with the results of its undisturbed run.

    ``expected`` is the final state for each interlude; ``on_the_way`` the contents that
    each plan's release may have after a kill.
    """

    scenario: Scenario
    calls: list[Call]
    expected: list[dict[str, Any]]
    on_the_way: dict[str, list[dict[str, Any]]]
    at_first: dict[str, reader.Walk]


class Driver:
    """One worker: a world, a reader, and the cases it runs one after another."""

    def __init__(self, world: World, client: redis.Redis, options: Any) -> None:
        self.world = world
        self.client = client
        self.options = options
        self.result = Result()
        self._pipe, self._reader = _start_reader()

    def close(self) -> None:
        self._pipe.close()
        self._reader.join()
        self.world.close()

    def prepare(self, scenario: Scenario) -> Ready:
        """Create the scenario's world and record an undisturbed run."""
        world = self.world
        self.client.flushdb()
        world.root = world.folder / "prepared"
        shutil.rmtree(world.root, ignore_errors=True)
        world.must(_emptied)
        world.must(scenario.before)
        world.must(scenario.edit)
        world.keep()
        expected = []
        for interlude in scenario.interludes:
            self._restore("nothing")
            world.must(interlude)
            shutil.rmtree(world.root, ignore_errors=True)
            expected.append(world.must(checks.from_nothing))
        self._restore("undisturbed")
        at_first = checks.releases(world.root)
        calls, on_the_way, at_risk = world.must(lambda: _recorded(scenario))
        self.result.calls[scenario.name] = len(calls)
        if at_risk:
            self.violated(scenario.name, POWER_CUT, "every call", at_risk)
        return Ready(scenario, calls, expected, on_the_way, at_first)

    def violated(self, name: str, column: str, call: str, problems: list[str]) -> None:
        """Count and print a violation."""
        scenario = name.split(":")[0]
        self.result.faulty[scenario, column] += 1
        self.result.violations.append((name, call, problems))
        say(f"  VIOLATION {name} ({column}) at “{call}”")
        for problem in problems[: self.options.show]:
            say(f"    {problem}")

    def _restore(self, name: str) -> None:
        self.client.flushdb()
        self.world.restore(name)

    def run(self, ready: Ready, case: Case) -> list[str]:
        """Run one case; return the problems in words."""
        self._restore("case")
        scenario, root = ready.scenario, self.world.root
        goes_back = scenario.act is scenarios.go_back
        watch = reader.Watch(root, checks.PLANS, frozenset(scenario.lasting), goes_back)
        self._pipe.send(watch)
        history = reader.History(goes_back=goes_back)
        problems: list[str] = []
        for found in ready.at_first.values():
            problems += history.add(found)
        ended = self.world.in_child(lambda: _faulted(scenario, case.fault))
        problems += self._after_death(ready, case, ended, history)
        self.world.must(scenario.interludes[case.interlude])
        if case.second is not None:
            self.client.flushdb()
            self.world.in_child(lambda: _faulted(scenario, case.second))
            problems += self._look(history)
        self.client.flushdb()  # the killed builder's lock has expired
        final = self.world.in_child(checks.converge)
        problems += final.value or []
        if final.error or final.signal:
            problems.append(f"the next build failed: {final.error[-1500:]}")
        problems += self._look(history)
        found = checks.releases(root)
        for plan_id, expected in ready.expected[case.interlude].items():
            if reader.essence(found[plan_id]) != expected:
                problems.append(f"{plan_id} is not what an undisturbed build makes")
        problems += checks.leftovers(root, found)
        self._pipe.send(None)
        walks, seen = self._pipe.recv()
        self.result.walks += walks
        return problems + [f"a reader saw: {problem}" for problem in seen]

    def _look(self, history: reader.History) -> list[str]:
        problems = []
        for found in checks.releases(self.world.root).values():
            problems += found.problems
            problems += history.add(found)
        return problems

    def _after_death(
        self, ready: Ready, case: Case, ended: Ended, history: reader.History
    ) -> list[str]:
        problems = self._look(history)
        for plan_id, found in checks.releases(self.world.root).items():
            known = ready.on_the_way[plan_id]
            if case.fault.kind.kills and reader.plan_essence(found) not in known:
                problems.append(f"{plan_id} is neither the old nor a new release")
            if found.generation is None and plan_id in ready.scenario.lasting:
                problems.append(f"no release of {plan_id} after the fault")
        if case.fault.kind.kills:
            if ended.signal == 0:
                problems.append("the process was not killed: the run was another")
            return problems
        return problems + _failure_problems(ready.scenario, case, ended)


def _failure_problems(scenario: Scenario, case: Case, ended: Ended) -> list[str]:
    """A failed build must end and record its error in the sync log."""
    lost = case.fault.kind in (Kind.LOST_BEFORE, Kind.LOST_AFTER)
    if ended.signal:
        return [f"died of signal {ended.signal}"]
    if ended.error:
        if lost or scenario.act in (scenarios.collect, scenarios.go_back):
            return []
        return [f"raised instead of writing it down: {ended.error[-700:]}"]
    fired, entries = ended.value
    problems = [] if fired else ["the fault never came: the run was another"]
    for plan_id, status, error in entries:
        if status == "processing" and not lost:
            problems.append(f"{plan_id} is left in Processing")
        if status == "queued" and len(error) < 10:
            problems.append(f"no clear error of {plan_id}: {error!r}")
    return problems


def _emptied() -> None:
    """In a child: delete all plans, content and published files."""
    from content.models import Node
    from plans.models import AcademicPlan
    from publishing.models import (
        Publication,
        PublishedDocument,
        ReleaseCounters,
        SyncLog,
    )

    SyncLog.objects.all().delete()
    PublishedDocument.objects.all().delete()
    Publication.objects.all().delete()
    ReleaseCounters.objects.all().delete()
    AcademicPlan.objects.all().delete()
    for kind in ("lesson", "topic", "unit", "track", "subject"):
        Node.objects.filter(kind=kind).delete()


def _everything_once() -> None:
    """In the worker itself: run once what children need not import or compile again."""
    logging.disable()
    try:
        scenarios.a_published_school()
        scenarios.edit_lesson()
        checks.build_all()
        scenarios.withdraw_b()
        stale = file_store._STALE_SECONDS
        checks.converge()
        file_store._STALE_SECONDS = stale
    finally:
        logging.disable(logging.NOTSET)


def _set_up(scenario: Scenario) -> None:
    if scenario.one_sync:
        file_store._SYNCED_ONE_BY_ONE = 0


def _faulted(scenario: Scenario, fault: Fault) -> tuple[bool, list[Any]]:
    """In a child: run the scenario's action with a fault."""
    _set_up(scenario)
    faults = Faults(file_store.root(), fault)
    with faults.active():
        scenario.act()
    return faults.fired, checks.log_entries()


def _recorded(
    scenario: Scenario,
) -> tuple[list[Call], dict[str, list[Any]], list[str]]:
    """In a child: return the calls of an undisturbed run, the releases it passes
    through, and what a power cut could lose."""
    _set_up(scenario)
    root = file_store.root()
    seen: dict[str, list[Any]] = {plan_id: [] for plan_id in checks.PLANS}

    def look() -> None:
        faults_inside = faults._inside
        faults._inside = True
        for plan_id, found in checks.releases(root).items():
            said = reader.plan_essence(found)
            if said not in seen[plan_id]:
                seen[plan_id].append(said)
        faults._inside = faults_inside

    def looked_after(function: Callable[..., Any]) -> Callable[..., Any]:
        def looked(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            finally:
                look()

        return looked

    faults = Faults(root)
    look()
    builds.publish_plan = looked_after(builds.publish_plan)
    unpublish.unpublish = looked_after(unpublish.unpublish)
    with faults.active():
        scenario.act()
    look()
    if faults.unwatched:
        raise RuntimeError(f"unwatched, add them to CALLS: {faults.unwatched}")
    return faults.calls, seen, undurable(faults.done)


def _start_reader() -> tuple[Connection, Any]:
    parent_end, child_end = multiprocessing.Pipe()
    context = multiprocessing.get_context("fork")

    def read() -> None:
        parent_end.close()
        reader.keep_reading(child_end)

    process = context.Process(target=read, daemon=True)
    process.start()
    child_end.close()
    return parent_end, process


def cases_of(ready: Ready, options: Any) -> Iterator[Case]:
    """Yield every call with a kill before it, a kill after it and each failure of it.

    The interludes take turns. A kill after a call that changes no name equals the kill
    before the next call, so it is left out. With ``thorough``, all combinations run.
    """
    name, count = ready.scenario.name, len(ready.scenario.interludes)
    for at, call in enumerate(ready.calls):
        if at % options.every:
            continue
        kinds = kinds_at(call.name)
        if options.thorough:
            for kind in kinds:
                for interlude in range(count):
                    yield Case(name, Fault(kind, at), interlude)
            continue
        for turn, kind in enumerate(kinds):
            if kind is not Kind.KILL_AFTER or call.name in _CHANGING_NAMES:
                yield Case(name, Fault(kind, at), (at + turn) % count)
    dice = random.Random(f"{options.seed} {name}")
    for _number in range(options.two_deaths):
        first = Fault(Kind.KILL_BEFORE, dice.randrange(len(ready.calls)))
        second = Fault(Kind.KILL_BEFORE, dice.randrange(len(ready.calls)))
        yield Case(name, first, dice.randrange(count), second)


def work(number: int, options: Any, redis_url: str, now: int) -> Result:
    """Run one worker's share of the cases of every scenario."""
    file_store.COMPRESS_FROM_BYTES = 1_000  # the scenarios' files are small
    folder = Path(options.folder) / f"worker-{number}"
    client = redis.Redis.from_url(f"{redis_url}?db={number}")
    world = _world(folder, f"{redis_url}?db={number}", number, now)
    world.migrate()
    world.warm_up(_everything_once)
    driver = Driver(world, client, options)
    try:
        for scenario in SCENARIOS:
            if options.scenario not in scenario.name:
                continue
            began = time.monotonic()
            ready = driver.prepare(scenario)
            chosen = list(cases_of(ready, options))[number :: options.jobs]
            if options.case:
                chosen = [_named(options.case)]
            faulty = 0
            for case in chosen:
                problems = driver.run(ready, case)
                driver.result.points[scenario.name, case.column] += 1
                if problems:
                    faulty += 1
                    call = str(ready.calls[case.fault.at])
                    driver.violated(str(case), case.column, call, problems)
                    if options.case:
                        say((world.folder / "log.txt").read_text())
            took = time.monotonic() - began
            say(
                f"[{number}] {scenario.name}: {len(ready.calls)} calls, "
                f"{len(chosen)} runs, {faulty} with violations, {took:.0f} s"
            )
    finally:
        driver.close()
        client.close()
    return driver.result


def _named(text: str) -> Case:
    """Parse the case that `str` wrote as ``text``."""
    name, kind, at, interlude, *second = text.split(":")
    death = Fault(Kind.KILL_BEFORE, int(second[0])) if second else None
    return Case(name, Fault(Kind[kind], int(at)), int(interlude), death)


def _world(folder: Path, redis_url: str, number: int, now: int) -> World:
    if settings.DATABASES["default"]["ENGINE"].endswith("mysql"):
        name = f"memora_crash_{os.getpid()}_{number}"
        return MariadbWorld(folder, redis_url=redis_url, now=now, name=name)
    return SqliteWorld(folder, redis_url=redis_url, now=now)


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@contextmanager
def _own_redis(folder: Path) -> Iterator[str]:
    process = embedded_redis.start(folder / "redis.sock", data_dir=None)
    assert process is not None
    try:
        yield f"unix://{folder / 'redis.sock'}"
    finally:
        embedded_redis.stop(process)


def run(options: Any) -> list[Result]:
    """Run all workers and return their results."""
    shared = Path("/dev/shm")  # noqa: S108 - memory: nothing here outlives the run
    home = options.folder or (shared if os.access(shared, os.W_OK) else None)
    options.folder = tempfile.mkdtemp(prefix="memora-crash-", dir=home)
    now = int(time.time())
    try:
        with _own_redis(Path(options.folder)) as url:
            if options.jobs == 1:
                return [work(0, options, url, now)]
            context = multiprocessing.get_context("fork")
            queue: Any = context.Queue()
            workers = [
                context.Process(target=_worker, args=(n, options, url, now, queue))
                for n in range(options.jobs)
            ]
            for worker in workers:
                worker.start()
            try:
                results = [queue.get() for _worker in workers]
            except BaseException:  # interrupted: stop the workers as well
                for worker in workers:
                    worker.terminate()
                raise
            for worker in workers:
                worker.join()
    finally:
        shutil.rmtree(options.folder, ignore_errors=True)
    for result in results:
        if isinstance(result, str):
            raise RuntimeError(result)
    return results


def _worker(number: int, options: Any, url: str, now: int, queue: Any) -> None:
    try:
        queue.put(work(number, options, url, now))
    except BaseException as error:  # noqa: BLE001 - told to the parent
        import traceback

        queue.put("".join(traceback.format_exception(error)))


def report(results: list[Result], seconds: float) -> dict[str, Any]:
    """Print the table; return the content of the JSON line."""
    points: Counter[tuple[str, str]] = Counter()
    faulty: Counter[tuple[str, str]] = Counter()
    for result in results:
        points.update(result.points)
        faulty.update(result.faulty)
    for name in {name for name, _column in points}:
        points[name, POWER_CUT] = 1
    columns = [kind.value for kind in Kind] + [TWO_DEATHS, POWER_CUT]
    columns = [name for name in columns if any(key[1] == name for key in points)]
    names = list(dict.fromkeys(name for name, _column in points))
    width = max(map(len, names), default=0)
    say("")
    say("runs, and after a “!” how many broke something")
    say(f"{'':{width}}  " + "  ".join(f"{name:>20}" for name in columns))
    for name in names:
        cells = []
        for column in columns:
            bad = faulty[name, column]
            text = f"{points[name, column]}" + (f" !{bad}" if bad else "")
            cells.append(f"{text:>20}")
        say(f"{name:{width}}  " + "  ".join(cells))
    return {
        "crash": "publish",
        "database": settings.DATABASES["default"]["ENGINE"].rsplit(".", 1)[-1],
        "scenarios": len(names),
        "calls": sum(results[0].calls.values()) if results else 0,
        "runs": points.total(),
        "reader_walks": sum(result.walks for result in results),
        "violations": faulty.total(),
        "seconds": round(seconds, 1),
    }


def main(arguments: list[str] | None = None) -> int:
    """Run everything; return 1 after a violation or when no case ran."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenario", default="", help="those whose name has this")
    parser.add_argument(
        "--thorough", action="store_true", help="every fault, every interlude, at each"
    )
    parser.add_argument("--every", type=int, default=1, help="only each k-th call")
    parser.add_argument("--two-deaths", type=int, default=15, help="runs a scenario")
    parser.add_argument("--jobs", type=int, default=min(os.cpu_count() or 1, 4))
    parser.add_argument("--folder", help="where the worlds are made")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=4, help="problems told a run")
    parser.add_argument("--case", default="", help="one run, as a violation names it")
    options = parser.parse_args(arguments)
    if options.case:
        options.scenario, options.jobs = options.case.split(":")[0], 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    began = time.monotonic()
    results = run(options)
    summary = report(results, time.monotonic() - began)
    say(json.dumps(summary))
    return 1 if summary["violations"] or not summary["runs"] else 0


if __name__ == "__main__":
    sys.exit(main())
