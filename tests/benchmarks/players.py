"""The students' session, wallet, profile and content over HTTP, against their floors.

``python -m tests.benchmarks.players [--rounds 3] [--seconds 4] [--only NAME …]``
(``make bench-players``). One Granian worker of four threads, wrk with eight connections.
Each round measures the floors and every endpoint, one after the other:

- **f0**: a DRF view that does nothing, without middleware; **f1**: and one Redis GET;
  **f2**: and one committed INSERT;
- **nothing**: f0's view behind the site's middleware, as a request of a student;
- **session**, **wallet**, **me**, **content**, **start**, **links** (those of a
  subject's lessons), **lesson** (a lesson's link), **sign_in**.

Then **sync**: the wallets of 50,000 students are written back, against one bulk
statement of the same rows. Read the ratios: figures in microseconds depend on what else
the machine does. The last line is JSON.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from tests.benchmarks import api_load, school
from tests.benchmarks.api_load import Bench, Measure, Reach
from tests.benchmarks.school import Student

STUDENTS = 50
WALLETS = 50_000
CHUNK = 500
# The most CPU, in units of f0's.
MAX_OF_F0 = {
    "nothing": 1.15,
    "session": 1.6,
    "wallet": 1.7,
    "me": 2.2,
    "content": 2.2,
}
MIN_OF_BULK = 0.7
# The reference specification: milliseconds, and seconds for the sync of all wallets.
REFERENCE_SESSION_MS = 2
REFERENCE_SYNC_SECONDS = 300
ENDPOINTS = {
    "nothing": "nothing/",
    "session": "auth/session/",
    "wallet": "wallet/",
    "me": "me/",
    "content": "content/",
    "start": "start/",
    "links": f"content/nodes/{school.subject_id(20)}/lessons/",
    "lesson": f"content/lessons/{school.lesson_id(20, 3)}/",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--wallets", type=int, default=WALLETS)
    parser.add_argument(
        "--only",
        nargs="+",
        choices=[*ENDPOINTS, "sign_in", "sync"],
        default=[*ENDPOINTS, "sign_in", "sync"],
    )
    api_load.add_server_options(parser)
    parser.add_argument("--connections", type=int, default=api_load.CONNECTIONS)
    options = parser.parse_args()
    with api_load.running() as bench:
        figures: dict[str, Any] = {
            "bench": "players",
            "database": bench.database,
            "rounds": options.rounds,
            "seconds": options.seconds,
            "workers": options.workers,
            "threads": options.threads,
            "connections": options.connections,
        }
        plan = school.publish_plan(20)
        reaches: list[Reach] = []
        if {*options.only} - {"sync"}:
            students = school.make_students(STUDENTS, plan=plan)
            found = measure(bench, students, options)
            figures |= found
            reaches += compare(found)
        if "sync" in options.only:
            figures["sync"] = sync(plan, options.wallets, options.rounds)
            reaches.append(
                Reach(
                    "sync / bulk statement, rows per second",
                    figures["sync"]["over_bulk"],
                    MIN_OF_BULK,
                )
            )
            reaches.append(
                Reach(
                    "sync of 50,000 wallets, seconds (reference)",
                    figures["sync"]["seconds"] * WALLETS / options.wallets,
                    REFERENCE_SYNC_SECONDS,
                    at_most=True,
                )
            )
    figures |= api_load.print_reaches(reaches)
    print(json.dumps(figures))


def measure(
    bench: Bench, students: list[Student], options: argparse.Namespace
) -> dict[str, dict[str, Any]]:
    size = {"workers": options.workers, "threads": options.threads}
    floor = bench.serve("tests.benchmarks.floor.wsgi:application", **size)
    site = bench.serve("tests.benchmarks.site.wsgi:application", **size)
    measures = api_load.floors(floor)
    measures += [
        Measure(name, site, [[student.ask(path) for student in students]])
        for name, path in ENDPOINTS.items()
        if name in options.only
    ]
    for one in measures[3:]:
        for ask in one.asks(0):  # the copies of all students are in Redis
            site.ask(ask)
    if "sign_in" in options.only:
        # A sign-in ends the session: these students do nothing else.
        pupils = school.make_students(STUDENTS, plan=_plan_of(students), prefix="p")
        measures.append(
            Measure("sign_in", site, [[student.sign_in() for student in pupils]])
        )
    found = api_load.interleaved(
        bench,
        measures,
        rounds=options.rounds,
        seconds=options.seconds,
        connections=options.connections,
    )
    floor_cpu = found["f0"]["cpu_us"]
    for name, figures in found.items():
        figures["of_f0"] = round(figures["cpu_us"] / floor_cpu, 2)
        print(api_load.row(name, figures, f"  {figures['of_f0']:6.2f} × f0"))
    return found


def _plan_of(students: list[Student]) -> Any:
    from players.models import PlayerProfile

    return PlayerProfile.objects.get(pk=students[0].player_id).active_plan


def compare(found: dict[str, dict[str, Any]]) -> list[Reach]:
    reaches = [
        Reach(f"{name} / f0, CPU", found[name]["of_f0"], goal, at_most=True)
        for name, goal in MAX_OF_F0.items()
        if name in found
    ]
    if "session" in found:
        reaches.append(
            Reach(
                "session, CPU in ms (reference)",
                found["session"]["cpu_us"] / 1000,
                REFERENCE_SESSION_MS,
                at_most=True,
            )
        )
    errors = sum(figures["errors"] for figures in found.values())
    return [*reaches, Reach("errors", errors, 0, at_most=True)]


# --- Wallets ------------------------------------------------------------------


def sync(plan: Any, count: int, rounds: int) -> dict[str, Any]:
    """Write back ``count`` wallets, and the same rows in one statement for each 500.

    With the wallets in Redis, as after a morning at school, and from the ledger alone,
    as after a loss of Redis.
    """
    students = school.make_students(count, plan=plan, prefix="w")
    ids = [student.player_id for student in students]
    lesson = (school.lesson_id(20, 1), 1)
    school.add_completions(ids, [lesson], school.subject_id(20))
    times: dict[str, list[float]] = {"bulk": [], "redis": [], "ledger": []}
    for _round in range(rounds):
        times["ledger"].append(timed(write_back, ids))
        fill_redis(ids)
        times["redis"].append(timed(write_back, ids))
        times["bulk"].append(timed(partial(bulk_floor, ids), ids))
        forget_redis(ids)
    medians = {name: statistics.median(found) for name, found in times.items()}
    found = {
        "wallets": count,
        "seconds": round(medians["redis"], 2),
        **{
            f"{name}_rows_per_second": round(count / seconds)
            for name, seconds in medians.items()
        },
        "over_bulk": round(medians["bulk"] / medians["redis"], 3),
        "ledger_over_bulk": round(medians["bulk"] / medians["ledger"], 3),
    }
    print(
        f"  sync: {found['redis_rows_per_second']:,} wallets/s from Redis, "
        f"{found['ledger_rows_per_second']:,}/s from the ledger; bulk statement "
        f"{found['bulk_rows_per_second']:,} rows/s"
    )
    return found


def timed(write: Callable[[], None], ids: list[int]) -> float:
    """Seconds to write all wallets, each of which is behind before."""
    from django.db.models import QuerySet

    from players.models import PlayerWallet

    rows = QuerySet(PlayerWallet)
    for start in range(0, len(ids), 5000):
        behind = rows.filter(pk__in=ids[start : start + 5000])
        behind.update(total_xp=0, current_streak=0, seq=0)
    started = time.perf_counter()
    write()
    seconds = time.perf_counter() - started
    written = rows.filter(pk__in=ids[-1000:], total_xp=school.XP).count()
    assert written == min(len(ids), 1000), written
    return seconds


def write_back() -> None:
    from players import wallet_sync

    # All, whenever their rows were received.
    wallet_sync.sync_pending_wallets(force=True)


def fill_redis(ids: list[int]) -> None:
    from django.utils import timezone

    from core.redis_client import client
    from players import keys

    now = timezone.now()
    record: dict[str | bytes, str | int] = {
        "seq": 1,
        "claim": 0,
        "inc": "bench",
        "total_xp": school.XP,
        "current_streak": 1,
        "last_success_date": now.date().isoformat(),
        "last_played_at": now.isoformat(timespec="microseconds"),
        "freezes": 0,
        "frozen_days": "",
    }
    for start in range(0, len(ids), CHUNK):
        pipeline = client().pipeline(transaction=False)
        for player_id in ids[start : start + CHUNK]:
            pipeline.hset(keys.wallet(player_id), mapping=record)
        pipeline.execute()


def forget_redis(ids: list[int]) -> None:
    from core.redis_client import client
    from players import keys

    for start in range(0, len(ids), CHUNK):
        client().delete(*map(keys.wallet, ids[start : start + CHUNK]))


def bulk_floor(ids: list[int]) -> None:
    """Write a wallet for each of ``ids`` by the fastest statement of the database."""
    from django.db import connection, transaction
    from django.utils import timezone

    names = [
        *("total_xp", "current_streak", "last_success_date", "last_played_at", "seq"),
    ]
    if connection.vendor == "mysql":
        updates = ", ".join(f"{name} = VALUES({name})" for name in names)
        conflict = f"ON DUPLICATE KEY UPDATE {updates}"
    else:
        updates = ", ".join(f"{name} = excluded.{name}" for name in names)
        conflict = f"ON CONFLICT (player_id) DO UPDATE SET {updates}"
    now = timezone.now()
    day = now.date()
    for start in range(0, len(ids), CHUNK):
        chunk = ids[start : start + CHUNK]
        values = [
            value
            for player_id in chunk
            for value in (player_id, school.XP, 1, day, now, 1)
        ]
        listed = ", ".join(["(%s, %s, %s, %s, %s, %s)"] * len(chunk))
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO players_playerwallet "  # noqa: S608
                f"(player_id, {', '.join(names)}) VALUES {listed} {conflict}",
                values,
            )


if __name__ == "__main__":
    main()
