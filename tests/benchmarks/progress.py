"""Completions, progress and reviews over HTTP, against their floors.

``python -m tests.benchmarks.progress [--rounds 3] [--seconds 4] [--only PART …]``
(``make bench-progress``). Servers, load and floors are those of
`tests.benchmarks.players`. The parts:

- **complete**: lessons of a plan of 2,000, completed for the first time by 200 students;
- **progress**: in subjects of 100, 2,000 and 10,000 lessons, half of them passed; and
  the same with ``If-None-Match``;
- **reviews**: overview and due list of a student after 150 lessons without items, and of
  one with 10,000 cards among a million;
- **batches**: 1, 20 and 200 queued events a request, first completions, by one
  connection: events per second, p50 and p95 of a request;
- **snapshots**: progress of 10,000 students written back, against one by one.

The last line is JSON.
"""

import argparse
import json
import statistics
import time
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from tests.benchmarks import api_load, school
from tests.benchmarks.api_load import Bench, Measure, Reach, Server
from tests.benchmarks.school import Student

PARTS = ("complete", "progress", "reviews", "batches", "snapshots")
SIZES = (100, 2_000, 10_000)
PLAN = 2_000
STUDENTS = 200
WITHOUT_ITEMS = 150
CARDS = 10_000
ALL_CARDS = 1_000_000
SNAPSHOTS = 10_000
BATCHES = {1: 200, 20: 100, 200: 40}
"""The sizes of batches, and how many of each are sent."""
MAX_BATCH_P95_MS = 300
"""Of the largest batches."""
LESSONS_EACH = 5
ONE_BY_ONE = 300
MIN_COMPLETE_OF_F2 = 0.8
MIN_PROGRESS_OF_F1 = 0.8
MIN_LARGE_OF_SMALL = 0.85
MIN_UNCHANGED_OF_F1 = 0.9
MAX_REVIEWS_OF_F0 = 2.5
MIN_OF_ONE_BY_ONE = 35
# The reference specification, in milliseconds.
REFERENCE_COMPLETE_MS = 50
REFERENCE_PROGRESS_MS = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES)
    parser.add_argument("--cards", type=int, default=ALL_CARDS)
    parser.add_argument("--snapshots", type=int, default=SNAPSHOTS)
    api_load.add_server_options(parser)
    parser.add_argument("--connections", type=int, default=api_load.CONNECTIONS)
    options = parser.parse_args()
    with api_load.running() as bench:
        size = {"workers": options.workers, "threads": options.threads}
        floor = bench.serve("tests.benchmarks.floor.wsgi:application", **size)
        site = bench.serve("tests.benchmarks.site.wsgi:application", **size)
        plans = _Plans()
        measures = api_load.floors(floor)
        if "complete" in options.only:
            measures.append(completions(site, plans, options.rounds))
        if "progress" in options.only:
            for size in options.sizes:
                measures += progress(bench, site, plans, size)
        if "reviews" in options.only:
            measures += reviews(bench, site, plans, options.cards)
        found = api_load.interleaved(
            bench,
            measures,
            rounds=options.rounds,
            seconds=options.seconds,
            connections=options.connections,
        )
        for name, row in found.items():
            row["of_f0"] = round(row["cpu_us"] / found["f0"]["cpu_us"], 2)
            print(api_load.row(name, row, f"  {row['of_f0']:6.2f} × f0"))
        figures: dict[str, Any] = {
            "bench": "progress",
            "database": bench.database,
            "rounds": options.rounds,
            "seconds": options.seconds,
            "workers": options.workers,
            "threads": options.threads,
            "connections": options.connections,
            **found,
        }
        reaches = compare(found)
        if "batches" in options.only:
            figures["batches"] = batches(site, plans)
            largest = figures["batches"][str(max(BATCHES))]
            reaches.append(
                Reach(
                    "200 events, p95 in ms",
                    largest["p95_ms"],
                    MAX_BATCH_P95_MS,
                    at_most=True,
                )
            )
        if "snapshots" in options.only:
            figures["snapshots"] = snapshots(plans, options.snapshots, options.rounds)
            reaches.append(
                Reach(
                    "snapshots / one by one, rows per second",
                    figures["snapshots"]["over_one_by_one"],
                    MIN_OF_ONE_BY_ONE,
                )
            )
    figures |= api_load.print_reaches(reaches)
    print(json.dumps(figures))


class _Plans:
    """The plans by their number of lessons, published when they are first needed."""

    def __init__(self) -> None:
        self._made: dict[int, Any] = {}

    def of(self, size: int) -> Any:
        if size not in self._made:
            self._made[size] = school.publish_plan(size)
        return self._made[size]


def completions(site: Server, plans: _Plans, rounds: int) -> Measure:
    """First completions only: each round has lessons and an order of its own."""
    students = school.make_students(STUDENTS, plan=plans.of(PLAN), prefix="c")
    for student in students:
        site.ask(student.ask(f"progress/{school.subject_id(PLAN)}/"))
    share = PLAN // (rounds + 1)
    lists = []
    for number in range(rounds + 1):
        lessons = range(number * share, (number + 1) * share)
        lists.append(
            [
                student.complete(school.lesson_id(PLAN, lesson))
                for lesson in lessons
                for student in students
            ]
        )
    return Measure("complete", site, lists)


def batches(site: Server, plans: _Plans) -> dict[str, dict[str, float]]:
    """Send batches of first completions, each of another student, and time them."""
    plan = plans.of(PLAN)
    figures = {}
    for size, count in BATCHES.items():
        students = school.make_students(count, plan=plan, prefix=f"b{size}-")
        times = []
        for student in students:
            site.ask(student.ask("wallet/"))
            ask = student.ask("sync/events/", method="POST", body=_batch(size))
            start = time.perf_counter()
            _status, _headers, answer = site.ask(ask)
            times.append(time.perf_counter() - start)
            statuses = {one["status"] for one in json.loads(answer)["results"]}
            assert statuses == {"applied"}, answer
        times.sort()
        figures[str(size)] = {
            "events_per_s": round(size * count / sum(times), 1),
            "p50_ms": round(1000 * times[count // 2], 1),
            "p95_ms": round(1000 * times[count * 95 // 100], 1),
        }
        print(f"  {size:3} events a batch: {figures[str(size)]}")
    return figures


def _batch(size: int) -> str:
    now = "2026-11-29T17:05:00Z"
    events = [
        {
            "id": str(uuid.uuid4()),
            "seq": number + 1,
            "kind": "lesson_completed",
            "lesson_id": school.lesson_id(PLAN, number),
            "hearts": 4,
            "occurred_at": now,
        }
        for number in range(size)
    ]
    return json.dumps({"device_time": now, "events": events})


def progress(bench: Bench, site: Server, plans: _Plans, size: int) -> list[Measure]:
    """Reading progress of students who have passed half of the subject."""
    plan = plans.of(size)
    students = school.make_students(10, plan=plan, prefix=f"p{size}-")
    passed = [(lesson, bit) for lesson, bit in _bits(size) if bit % 2]
    school.add_completions(
        [student.player_id for student in students], passed, school.subject_id(size)
    )
    path = f"progress/{school.subject_id(size)}/"
    plain = [student.ask(path) for student in students]
    unchanged = []
    for student, ask in zip(students, plain, strict=True):
        status, headers, body = site.ask(ask)
        assert status == 200, body[:500]
        if tag := headers.get("etag"):
            unchanged.append(student.ask(path, more=[("If-None-Match", tag)]))
    measures = [Measure(f"progress_{size}", site, [plain])]
    if unchanged:
        measures.append(Measure(f"progress_{size}_unchanged", site, [unchanged]))
    return measures


def _bits(size: int) -> list[tuple[str, int]]:
    """Each lesson of the plan of that size, with its progress bit."""
    from content.models import Node

    ids = [school.lesson_id(size, number) for number in range(size)]
    found: list[tuple[str, int]] = []
    for start in range(0, size, 1000):
        rows = Node.objects.filter(public_id__in=ids[start : start + 1000])
        found += [
            (public_id, bit)
            for public_id, bit in rows.values_list("public_id", "bit_index")
            if bit is not None
        ]
    return found


def reviews(bench: Bench, site: Server, plans: _Plans, all_cards: int) -> list[Measure]:
    """Overview and due list: without any card, and with many."""
    plan = plans.of(PLAN)
    without, many = school.make_students(2, plan=plan, prefix="r")
    complete_all(site, without, [2 * n + 1 for n in range(WITHOUT_ITEMS)])
    complete_all(site, many, [2 * n for n in range(CARDS // school.ITEMS)])
    for student in (without, many):
        status, _headers, body = site.ask(student.ask("reviews/"))
        assert status == 200, body[:500]
    status, _headers, body = site.ask(many.ask("reviews/"))
    assert json.loads(body)["total"] == CARDS, body[:500]
    others = school.make_students(all_cards // CARDS - 1, plan=plan, prefix="o")
    spread_due(many.player_id)
    from progress.models import ReviewCard

    school.copy_rows(
        ReviewCard, many.player_id, [student.player_id for student in others]
    )
    return [
        Measure(f"{name}_{who}", site, [[student.ask(path)]])
        for who, student in (("no_cards", without), ("10k_cards", many))
        for name, path in (("reviews", "reviews/"), ("due", "reviews/due/?limit=20"))
    ]


def complete_all(site: Server, student: Student, numbers: Sequence[int]) -> None:
    for number in numbers:
        status, _headers, body = site.ask(
            student.complete(school.lesson_id(PLAN, number))
        )
        assert status == 200, body[:500]


def spread_due(player_id: int) -> None:
    """Let a seventh of the cards be due, and the rest within two months."""
    from datetime import timedelta

    from django.utils import timezone

    from progress.models import ReviewCard

    now = timezone.now()
    cards = ReviewCard.objects.filter(player_id=player_id)
    pks = list(cards.order_by("pk").values_list("pk", flat=True))
    for day in range(70):
        due = now + timedelta(days=day - 10)
        ReviewCard.objects.filter(pk__in=pks[day::70]).update(due_at=due)


def compare(found: dict[str, dict[str, Any]]) -> list[Reach]:
    def rate(name: str, floor: str) -> float:
        value: float = found[name]["rate"] / found[floor]["rate"]
        return value

    reaches = []
    if "complete" in found:
        reaches += [
            Reach(
                "complete / f2, requests", rate("complete", "f2"), MIN_COMPLETE_OF_F2
            ),
            Reach(
                "complete, p50 in ms (reference: unlock)",
                found["complete"]["p50_ms"],
                REFERENCE_COMPLETE_MS,
                at_most=True,
            ),
        ]
    small, large = f"progress_{SIZES[0]}", f"progress_{PLAN}"
    if large in found:
        reaches += [
            Reach(
                "progress 2,000 / f1, requests", rate(large, "f1"), MIN_PROGRESS_OF_F1
            ),
            Reach(
                "progress 2,000, p50 in ms (reference)",
                found[large]["p50_ms"],
                REFERENCE_PROGRESS_MS,
                at_most=True,
            ),
            # 0 while there is no ETag.
            Reach(
                "progress 2,000 unchanged / f1, requests",
                rate(f"{large}_unchanged", "f1")
                if f"{large}_unchanged" in found
                else 0,
                MIN_UNCHANGED_OF_F1,
            ),
        ]
    if small in found and large in found:
        reaches.append(
            Reach(
                "progress 2,000 / 100, requests", rate(large, small), MIN_LARGE_OF_SMALL
            )
        )
    reaches += [
        Reach(f"{name} / f0, CPU", row["of_f0"], MAX_REVIEWS_OF_F0, at_most=True)
        for name, row in found.items()
        if name.startswith(("reviews_", "due_"))
    ]
    errors = sum(row["errors"] for row in found.values())
    return [*reaches, Reach("errors", errors, 0, at_most=True)]


# --- Snapshots ----------------------------------------------------------------


def snapshots(plans: _Plans, count: int, rounds: int) -> dict[str, Any]:
    """Write back the progress of ``count`` students in the subject of 2,000 lessons.

    With the progress in Redis, as after a morning at school, and from the ledger alone,
    as after a loss of Redis. One by one reads Redis, too.
    """
    from progress.services import snapshots

    students = school.make_students(count, plan=plans.of(PLAN), prefix="n")
    ids = [student.player_id for student in students]
    school.add_completions(ids, _bits(PLAN)[:LESSONS_EACH], school.subject_id(PLAN))
    few = ids[:ONE_BY_ONE]
    # All, whenever their rows were received.
    write_back = partial(snapshots.sync_pending, force=True)
    times: dict[str, list[float]] = {"redis": [], "ledger": [], "alone": []}
    for _round in range(rounds):
        times["ledger"].append(timed(write_back, ids))
        fill_redis(ids)
        times["redis"].append(timed(write_back, ids))
        times["alone"].append(timed(partial(one_by_one, few), few))
        forget_redis(ids)
    medians = {name: statistics.median(found) for name, found in times.items()}
    rates = {name: count / medians[name] for name in ("redis", "ledger")}
    slow = len(few) / medians["alone"]
    found = {
        "snapshots": count,
        "redis_per_second": round(rates["redis"]),
        "ledger_per_second": round(rates["ledger"]),
        "one_by_one_per_second": round(slow),
        "over_one_by_one": round(rates["redis"] / slow, 1),
    }
    print(
        f"  snapshots: {found['redis_per_second']:,}/s from Redis, "
        f"{found['ledger_per_second']:,}/s from the ledger, one by one "
        f"{found['one_by_one_per_second']:,}/s: {found['over_one_by_one']} ×"
    )
    return found


def timed(write: Callable[[], object], ids: list[int]) -> float:
    """Seconds to write these students' snapshots, of which there are none before."""
    from progress.models import StructureProgress

    for start in range(0, len(ids), 5000):
        chunk = ids[start : start + 5000]
        StructureProgress.objects.filter(player_id__in=chunk)._raw_delete("default")
    started = time.perf_counter()
    write()
    seconds = time.perf_counter() - started
    last = StructureProgress.objects.filter(player_id__in=ids[-1000:])
    written = last.filter(passed_lessons=LESSONS_EACH).count()
    assert written == min(len(ids), 1000), written
    return seconds


def one_by_one(ids: list[int]) -> None:
    """Read each student's progress and save their row, one at a time."""
    from django.utils import timezone

    from players import bulk_records
    from progress import bitmap
    from progress.models import StructureProgress

    subject = school.subject_id(PLAN)
    for player_id in ids:
        [found] = bulk_records.read_subjects([(player_id, subject)])
        assert found is not None
        seq, progress = found
        StructureProgress.objects.update_or_create(
            player_id=player_id,
            subject_id=subject,
            defaults={
                "progress_bitmap": bitmap.encode(progress.bitmap),
                "best_hearts": bitmap.unpack_hearts(progress.hearts),
                "total_xp_earned": progress.xp,
                "passed_lessons": progress.passed,
                "last_synced_at": timezone.now(),
                "seq": seq,
            },
        )


def fill_redis(ids: list[int]) -> None:
    from core.redis_client import client
    from players import keys
    from progress import bitmap

    bits = [bit for _lesson, bit in _bits(PLAN)[:LESSONS_EACH]]
    held = bitmap.pack(dict.fromkeys(bits, 4), xp=school.XP * LESSONS_EACH)
    subject = school.subject_id(PLAN)
    for start in range(0, len(ids), 500):
        pipeline = client().pipeline(transaction=False)
        for player_id in ids[start : start + 500]:
            wallet: dict[str | bytes, str | int] = {
                "seq": LESSONS_EACH,
                "claim": 0,
                "inc": "bench",
                "total_xp": held.xp,
                "current_streak": 1,
                "last_success_date": "",
                "last_played_at": "",
                "freezes": 0,
                "frozen_days": "",
            }
            pipeline.hset(keys.wallet(player_id), mapping=wallet)
            values = (held.bitmap, held.hearts, held.xp, "", "bench")
            names = keys.subject(player_id, subject)
            pipeline.mset(dict(zip(names, values, strict=True)))
        pipeline.execute()


def forget_redis(ids: list[int]) -> None:
    from core.redis_client import client
    from players import keys

    for start in range(0, len(ids), 500):
        client().delete(*map(keys.wallet, ids[start : start + 500]))


if __name__ == "__main__":
    main()
