"""The students' session, wallet, profile and content over HTTP, against their floors.

``python -m tests.benchmarks.players [--rounds 3] [--seconds 4] [--only NAME …]``
(``make bench-players``). One Granian worker of four threads, wrk with eight connections.
Each round measures the floors and every endpoint, one after the other:

- **f0**: a DRF view that does nothing, without middleware; **f1**: and one Redis GET;
  **f2**: and one committed INSERT;
- **nothing**: f0's view behind the site's middleware, as a request of a student;
- **session**, **wallet**, **me**, **content**, **lesson** (a lesson's link), **sign_in**.

Then **sync**: the wallets of 50,000 students are written back, against one bulk
statement of the same rows. Read the ratios: figures in microseconds depend on what else
the machine does. The last line is JSON.
"""

import argparse
import json
import statistics
import time
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
    options = parser.parse_args()
    with api_load.running() as bench:
        figures: dict[str, Any] = {
            "bench": "players",
            "database": bench.database,
            "rounds": options.rounds,
            "seconds": options.seconds,
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
    floor = bench.serve("tests.benchmarks.floor.wsgi:application")
    site = bench.serve("tests.benchmarks.site.wsgi:application")
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
        bench, measures, rounds=options.rounds, seconds=options.seconds
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
    """Write back ``count`` wallets, and the same rows in one statement for each 500."""
    students = school.make_students(count, plan=plan, prefix="w")
    ids = [student.player_id for student in students]
    lesson = (school.lesson_id(20, 1), 1)
    school.add_completions(ids, [lesson], school.subject_id(20))
    floors, measured = [], []
    for _round in range(rounds):
        forget_written(ids)
        floors.append(bulk_floor(ids))
        forget_written(ids)
        started = time.perf_counter()
        write_back()
        measured.append(time.perf_counter() - started)
    from players.models import PlayerWallet

    written = PlayerWallet.objects.filter(pk__in=ids[:1000], total_xp=33).count()
    assert written == min(len(ids), 1000), written
    seconds, floor = statistics.median(measured), statistics.median(floors)
    found = {
        "wallets": count,
        "seconds": round(seconds, 2),
        "rows_per_second": round(count / seconds),
        "bulk_rows_per_second": round(count / floor),
        "over_bulk": round(floor / seconds, 3),
    }
    print(
        f"  sync: {found['rows_per_second']:,} wallets/s, bulk statement "
        f"{found['bulk_rows_per_second']:,} rows/s: {found['over_bulk']} of it"
    )
    return found


def forget_written(ids: list[int]) -> None:
    """Make every wallet in the database one that is behind the ledger."""
    from django.db.models import QuerySet

    from players.models import PlayerWallet

    behind: dict[str, Any] = {"total_xp": 0, "current_streak": 0}
    if any(field.name == "seq" for field in PlayerWallet._meta.concrete_fields):
        behind["seq"] = 0
    for start in range(0, len(ids), 5000):
        rows = QuerySet(PlayerWallet).filter(pk__in=ids[start : start + 5000])
        rows.update(**behind)
    mark_changed(ids)


def write_back() -> None:
    """Write back every wallet that is behind."""
    from django.core.management import call_command, get_commands

    if "sync_wallets" in get_commands():
        call_command("sync_wallets", verbosity=0)
        return
    from players import wallet_sync

    wallet_sync.sync_pending_wallets()


def mark_changed(ids: list[int]) -> None:
    """For a write-back that follows marks in Redis instead of the ledger."""
    import redis
    from django.conf import settings

    from players import keys

    if not hasattr(keys, "PENDING_WALLETS"):
        return
    client = redis.Redis.from_url(settings.REDIS_URL)
    fields = {
        "total_xp": 33,
        "current_streak": 1,
        "last_success_date": "2026-01-01",
        "last_played_at": "2026-01-01T00:00:00.000000+00:00",
    }
    pipeline = client.pipeline(transaction=False)
    for player_id in ids:
        pipeline.hset(keys.wallet(player_id), mapping=fields)
        pipeline.sadd(keys.PENDING_WALLETS, player_id)
    pipeline.execute()
    client.close()


def bulk_floor(ids: list[int]) -> float:
    """Seconds for the fastest statement that writes a wallet for each of ``ids``."""
    from django.db import connection, transaction
    from django.utils import timezone

    columns = "player_id, total_xp, current_streak, last_success_date, last_played_at"
    names = columns.split(", ")[1:]
    if connection.vendor == "mysql":
        updates = ", ".join(f"{name} = VALUES({name})" for name in names)
        conflict = f"ON DUPLICATE KEY UPDATE {updates}"
    else:
        updates = ", ".join(f"{name} = excluded.{name}" for name in names)
        conflict = f"ON CONFLICT (player_id) DO UPDATE SET {updates}"
    extra = _required_columns({"player_id", *names})
    if extra:
        columns += ", " + ", ".join(extra)
    now = timezone.now()
    day = now.date()
    marks = ", ".join(["%s"] * (5 + len(extra)))
    started = time.perf_counter()
    for start in range(0, len(ids), CHUNK):
        chunk = ids[start : start + CHUNK]
        values = [
            value
            for player_id in chunk
            for value in (player_id, 33, 1, day, now, *(0 for _name in extra))
        ]
        listed = ", ".join([f"({marks})"] * len(chunk))
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO players_playerwallet ({columns}) "  # noqa: S608
                f"VALUES {listed} {conflict}",
                values,
            )
    return time.perf_counter() - started


def _required_columns(known: set[str]) -> list[str]:
    from players.models import PlayerWallet

    return [
        field.column
        for field in PlayerWallet._meta.concrete_fields
        if field.column not in known and not field.null
    ]


if __name__ == "__main__":
    main()
