"""What nginx serves of a published book: open and gated, against a bare answer.

``python -m tests.benchmarks.static [--lessons 500] [--rounds 3] [--seconds 4]``
(``make bench-static``). The stack of ``deploy/`` runs with a published plan, and wrk
holds 1,000 connections. Each round measures, one after the other:

- **floor**: ``return 200`` of the same nginx;
- **plan**: the plan's own files; **open**: lessons that anyone may read;
- **gated**: as many lessons of the same size, each with a token of its own;
- **open, gated gzip**: the same as apps ask for them, compressed;
- **large gzip**: the plan's files that publishing has compressed.

Ratios are of the medians over the rounds, by requests a second and, steadier on a busy
machine, by the CPU nginx spends on each. The client shares the machine with the server.
The goals are printed beside the figures; it fails only when it cannot measure. The last
line is JSON with every figure.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.deploy.stack import Stack, nginx, running

CONNECTIONS = 1_000
PLAN = "PLAN-BENCH"
MIN_OF_FLOOR = 0.65
MIN_OF_OPEN = 0.9
MAX_P99 = 2.0
_SCRIPT = """
local uris = {}
for uri in io.lines("%(uris)s") do uris[#uris + 1] = uri end
local number = math.random(#uris)
request = function()
    number = number %% #uris + 1
    return wrk.format("GET", uris[number], %(headers)s)
end
done = function(summary, latency, _)
    io.write(string.format(
        'FOUND {"requests": %%d, "us": %%d, "bytes": %%d, "p50": %%d, "p99": %%d, ' ..
        '"connect": %%d, "read": %%d, "write": %%d, "status": %%d, "timeout": %%d}\\n',
        summary.requests, summary.duration, summary.bytes,
        latency:percentile(50), latency:percentile(99),
        summary.errors.connect, summary.errors.read, summary.errors.write,
        summary.errors.status, summary.errors.timeout))
end
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lessons", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4)
    options = parser.parse_args()
    for name, found in (("nginx", nginx()), ("wrk", shutil.which("wrk"))):
        if found is None:
            sys.exit(f"{name} is not installed; on Debian: apt-get install {name}")
    with running(seed=False, worker=False) as stack:
        publish(stack, options.lessons)
        sets = uris(stack)
        runs: dict[str, list[dict[str, int]]] = {name: [] for name in sets}
        for name, found in sets.items():
            load(stack, name, found, seconds=1)  # warm: page cache, gate, connections
        for _round in range(options.rounds):
            for name, found in sets.items():
                runs[name].append(load(stack, name, found, seconds=options.seconds))
    report(runs, options)


def publish(stack: Stack, lessons: int) -> None:
    """Publish a plan in which every second lesson is open."""
    book = stack.folder / "spool" / "book.json"
    from tests.benchmarks.publish import curriculum

    book.write_text(json.dumps(curriculum(lessons)))
    stack.run(
        "from content.curriculum import import_curriculum; "
        "from content.models import Node; from plans.models import AcademicPlan; "
        "from plans.services import add_subject; from publishing.building import builds; "
        f"import_curriculum(open({str(book)!r}, 'rb').read()); "
        f"plan = AcademicPlan.objects.create(public_id={PLAN!r}, title='Bench', "
        "is_published=True); "
        "add_subject(plan=plan, subject=Node.objects.get(public_id='SUBJ-BENCH')); "
        "even = [f'LES-{n}' for n in range(0, "
        f"{lessons}, 2)]; "
        "Node.objects.filter(public_id__in=even).update(is_free_preview=True); "
        "entry = builds.publish_plan(plan.pk, trigger='bench'); "
        "assert not entry.error, entry.error"
    )


def uris(stack: Stack) -> dict[str, list[str]]:
    base = "/files/memora_content/"
    opened = sorted(path.name for path in (stack.content / ".open").iterdir())
    every = sorted(path.stem for path in (stack.content / "lessons").glob("*.json"))
    gated = [lesson for lesson in every if lesson not in set(opened)]
    assert opened
    assert len(opened) - len(gated) in (0, 1)
    folder = stack.content / "plans" / PLAN
    tokens = stack.run(
        "import time; from publishing.signing import links; "
        "end = int(time.time()) + 3600; "
        f"[print(links.lesson_url(lesson, expires=end, player_id=n)) "
        f"for n, lesson in enumerate({gated!r})]"
    )
    opened_uris = [f"{base}lessons/{lesson}.json" for lesson in opened]
    gated_uris = [line.removeprefix(stack.site) for line in tokens.splitlines()]
    return {
        "floor": ["/bench-floor"],
        "plan": [
            f"{base}plans/{PLAN}/{path.relative_to(folder)}"
            for path in sorted(folder.rglob("TOP-*.json"))
        ],
        "open": opened_uris,
        "gated": gated_uris,
        "open_gzip": opened_uris,
        "gated_gzip": gated_uris,
        "large_gzip": [
            f"{base}plans/{PLAN}/{path.relative_to(folder).with_suffix('')}"
            for path in sorted(folder.rglob("*.json.gz"))
        ],
    }


def load(stack: Stack, name: str, asked: list[str], *, seconds: int) -> dict[str, int]:
    """Return what wrk measured; every answer must be a success."""
    assert stack.ask(asked[0]).status == 200, asked[0]
    listed = stack.folder / "spool" / f"{name}.txt"
    listed.write_text("\n".join(asked) + "\n")
    script = listed.with_suffix(".lua")
    headers = '{["Accept-Encoding"] = "gzip"}' if name.endswith("gzip") else "{}"
    script.write_text(_SCRIPT % {"uris": listed, "headers": headers})
    before = cpu_seconds(stack)
    done = subprocess.run(
        [
            *("wrk", "--threads", "1", "--connections", str(CONNECTIONS)),
            *("--duration", f"{seconds}s", "--timeout", "10s"),
            *("--script", str(script), stack.site),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r"^FOUND (.+)$", done.stdout, re.M)
    assert found is not None, done.stdout
    run: dict[str, int] = json.loads(found[1])
    run["cpu_us"] = round((cpu_seconds(stack) - before) * 1e6)
    return run


def cpu_seconds(stack: Stack) -> float:
    """CPU seconds used so far by all nginx and Granian processes."""
    ticks = 0
    pids = {process.pid for process in stack.processes}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) in pids:  # a process group has the id of its leader
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def report(runs: dict[str, list[dict[str, int]]], options: Any) -> None:
    figures: dict[str, Any] = {
        "bench": "static",
        "connections": CONNECTIONS,
        "lessons": options.lessons,
        "rounds": options.rounds,
        "errors": 0,
    }
    for name, found in runs.items():
        errors = sum(
            run[kind]
            for run in found
            for kind in ("connect", "read", "write", "status", "timeout")
        )
        rates = [run["requests"] * 1e6 / run["us"] for run in found]
        figures["errors"] += errors
        figures[name] = {
            "requests_per_second": round(statistics.median(rates)),
            "p50_ms": round(statistics.median(run["p50"] for run in found) / 1000, 2),
            "p99_ms": round(statistics.median(run["p99"] for run in found) / 1000, 2),
            "cpu_us": round(
                statistics.median(run["cpu_us"] / run["requests"] for run in found), 1
            ),
            "bytes_each": round(found[-1]["bytes"] / max(found[-1]["requests"], 1)),
            "errors": errors,
        }
        row = figures[name]
        print(
            f"  {name:<10} {row['requests_per_second']:8,} requests/s  "
            f"p50 {row['p50_ms']:7.2f} ms  p99 {row['p99_ms']:7.2f} ms  "
            f"{row['cpu_us']:5.1f} µs CPU  {row['bytes_each']:6,} bytes  {errors} errors"
        )
    figures["open_over_floor"] = _ratio(figures, "open", "floor")
    figures["plan_over_floor"] = _ratio(figures, "plan", "floor")
    figures["gated_over_open"] = _ratio(figures, "gated", "open")
    figures["gated_gzip_over_open_gzip"] = _ratio(figures, "gated_gzip", "open_gzip")
    figures["open_cpu_over_gated"] = round(
        figures["open"]["cpu_us"] / figures["gated"]["cpu_us"], 2
    )
    figures["gated_p99_over_open"] = round(
        figures["gated"]["p99_ms"] / figures["open"]["p99_ms"], 2
    )
    met = {
        "open_over_floor": figures["open_over_floor"] >= MIN_OF_FLOOR,
        "gated_over_open": figures["gated_over_open"] >= MIN_OF_OPEN,
        "gated_p99_over_open": figures["gated_p99_over_open"] <= MAX_P99,
        "errors": figures["errors"] == 0,
    }
    figures["missed"] = [name for name, is_met in met.items() if not is_met]
    print(
        f"  open is {figures['open_over_floor']} × the floor (goal ≥ {MIN_OF_FLOOR}); "
        f"gated {figures['gated_over_open']} × open (goal ≥ {MIN_OF_OPEN}), "
        f"compressed {figures['gated_gzip_over_open_gzip']} ×, "
        f"by CPU {figures['open_cpu_over_gated']} ×;\n"
        f"  p99 of gated is {figures['gated_p99_over_open']} × open's "
        f"(goal ≤ {MAX_P99}); {figures['errors']} errors (goal 0); "
        f"missed: {', '.join(figures['missed']) or 'nothing'}"
    )
    print(json.dumps(figures))


def _ratio(figures: dict[str, Any], one: str, other: str) -> float:
    ratio: float = (
        figures[one]["requests_per_second"] / figures[other]["requests_per_second"]
    )
    return round(ratio, 2)


if __name__ == "__main__":
    main()
