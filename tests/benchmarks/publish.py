"""What publishing costs, against what the disk alone would cost.

``python -m tests.benchmarks.publish [--lessons 100,1000,10000] [--rounds 3]``
(``make bench-publish``). Every figure is measured beside its floor in the same round,
and the ratio is of the medians:

- **W**: dump the same documents once more, write each to a temporary file, one sync of
  the file system, rename each.
- **E**: write and sync the files of a one-lesson edit, and hard-link a generation.

Once per size the plain way is timed, too: model instances, ``json``, ``jsonschema`` and
an ``fsync`` for each file of the same lessons and topics.

The database is the one ``DATABASE_URL`` names (a scratch one is made beside it), else
SQLite. Every size runs in a process of its own; memory is what one build takes at most
over what was there before it. Nothing is deleted before the end: ext4 makes files five
times slower where as many were freed a moment ago. The last line is JSON with every
figure.
"""

import argparse
import gc
import json
import logging
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SIZES = (100, 1_000, 10_000)
STAGES = 5
STAGE_BYTES = 800
GOALS = {"full": 1.6, "again": 1.8, "noop": 0.4, "edit": 1.5}
"""Targets for 10,000 lessons, as multiples of their floors."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lessons", default=",".join(map(str, SIZES)))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure_in_scratch(options.one, options.rounds)))
        return
    figures: dict[str, Any] = {"bench": "publish", "rounds": options.rounds}
    for lessons in map(int, options.lessons.split(",")):
        size = subprocess.run(
            [
                *(sys.executable, "-m", __spec__.name),
                *("--one", str(lessons), "--rounds", str(options.rounds)),
            ],
            stdout=subprocess.PIPE,
            check=True,
        )
        found = json.loads(size.stdout.splitlines()[-1])
        figures[str(lessons)] = found
        figures["database"] = found.pop("database")
        report(lessons, found)
    if {"100", "10000"} <= figures.keys():
        per_lesson = [
            figures[size]["full"]["cpu"] / int(size) for size in ("10000", "100")
        ]
        figures["per_lesson_10000_over_100"] = round(per_lesson[0] / per_lesson[1], 2)
        print(
            f"CPU per lesson, 10,000 over 100: {figures['per_lesson_10000_over_100']} ×"
        )
    print(json.dumps(figures))


def report(lessons: int, found: dict[str, Any]) -> None:
    print(f"\n{lessons:,} lessons × {STAGES} stages")
    print(
        f"  {'the plain way':<34} {found['naive']:8.3f} s, "
        f"{found['naive_over_full']} × the full build, fresh"
    )
    for name, words in {
        "full": "full build, fresh",
        "again": "full build, every lesson changed",
        "noop": "full rebuild without a change",
        "edit": "one stage edited",
    }.items():
        row = found[name]
        goal = f" (reach {GOALS[name]})" if lessons == max(SIZES) else ""
        print(
            f"  {words:<34} {row['wall']:8.3f} s  cpu {row['cpu']:7.3f} s  "
            f"{row['queries']:4} queries  {row['files']:6} files  "
            f"{row['peak_mib']:4} MiB  {row['ratio']:5.2f} × {row['floor']}"
            f"{goal}"
        )
    print(
        f"  an edit is {found['edit_over_full']:.1%} of a full build; "
        f"checking is {found['check_over_dumps']} × dumping"
    )


@contextmanager
def scratch() -> Iterator[Path]:
    """Create an own folder, database and Redis; remove them afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="memora-bench-"))
    os.environ["MEMORA_STATE_DIR"] = str(folder / "state")
    os.environ["MEMORA_CONTENT_ROOT"] = str(folder / "content")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "memora_site.settings")
    import django
    from django.conf import settings

    django.setup()
    logging.disable(logging.WARNING)
    from django.test.utils import setup_databases, teardown_databases

    from memora_site import embedded_redis

    redis = embedded_redis.start(
        settings.EMBEDDED_REDIS_DIR / "redis.sock", data_dir=None
    )
    database = settings.DATABASES["default"]
    if database["ENGINE"].endswith("sqlite3"):
        # A database file, as in production; Django's tests would use memory.
        database.setdefault("TEST", {})["NAME"] = str(folder / "bench.sqlite3")
    databases = setup_databases(verbosity=0, interactive=False)
    try:
        yield folder
    finally:
        teardown_databases(databases, verbosity=0)
        if redis is not None:
            embedded_redis.stop(redis)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(settings.EMBEDDED_REDIS_DIR, ignore_errors=True)


def measure_in_scratch(lessons: int, rounds: int) -> dict[str, Any]:
    with scratch() as folder:
        return measure(lessons, rounds, folder)


def measure(lessons: int, rounds: int, folder: Path) -> dict[str, Any]:
    from django.conf import settings
    from django.db import connection

    from content.models import LessonStage
    from plans.models import AcademicPlan
    from publishing.models import (
        PlanLesson,
        Publication,
        PublishedDocument,
        ReleaseCounters,
    )

    plan = make_plan(lessons)
    stage = LessonStage.objects.order_by("pk").first()
    assert stage is not None

    def forget(number: int) -> None:
        """Reset the state to "never published".

        Nothing is deleted from the disk before the end: ext4 takes five times as long
        to create files where as many have just been freed.
        """
        settings.CONTENT_ROOT = folder / f"content-{number}"
        for model in (PlanLesson, PublishedDocument, Publication, ReleaseCounters):
            model.objects.all().delete()

    def change_all(number: int) -> None:
        LessonStage.objects.update(title=f"Round {number}")
        AcademicPlan.mark_changed([plan.pk])

    def edit(number: int) -> None:
        LessonStage.objects.filter(pk=stage.pk).update(title=f"Edit {number}")

    prepare: dict[str, Callable[[int], object]] = {
        "full": forget,
        "again": change_all,
        "noop": lambda _number: AcademicPlan.mark_changed([plan.pk]),
        "edit": edit,
    }
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in prepare}
    floors: dict[str, list[float]] = {"W": [], "E": []}
    for number in range(rounds):
        for name, before in prepare.items():
            before(number)
            runs[name].append(publish(plan.pk))
        content = Path(settings.CONTENT_ROOT)
        documents = release_bytes(content)
        floors["W"].append(write_floor(documents, folder / f"floor-{number}"))
        floors["E"].append(edit_floor(content, folder / f"links-{number}"))
    naive = naive_build(folder / "naive")
    found: dict[str, Any] = {
        "database": connection.vendor,
        "W": round(statistics.median(floors["W"]), 4),
        "E": round(statistics.median(floors["E"]), 4),
    }
    for name, measured in runs.items():
        floor = "E" if name == "edit" else "W"
        wall = statistics.median(run["wall"] for run in measured)
        prepare[name](-1)
        found[name] = {
            "wall": round(wall, 4),
            "cpu": round(statistics.median(run["cpu"] for run in measured), 4),
            "files": int(measured[-1]["files"]),
            "queries": count_queries(plan.pk),
            "peak_mib": int(max(run["peak_mib"] for run in measured)),
            "floor": floor,
            "ratio": round(wall / statistics.median(floors[floor]), 2),
        }
    found["edit_over_full"] = round(found["edit"]["wall"] / found["full"]["wall"], 4)
    found["check_over_dumps"] = checking_over_dumping(plan.pk)
    found["naive"] = round(naive, 4)
    found["naive_over_full"] = round(naive / found["full"]["wall"], 2)
    return found


def make_plan(lessons: int) -> Any:
    """Create a published plan of one subject with this many lessons."""
    from content.curriculum import import_curriculum
    from content.models import Node
    from plans.models import AcademicPlan
    from plans.services import add_subject

    import_curriculum(json.dumps(curriculum(lessons), ensure_ascii=False).encode())
    plan = AcademicPlan.objects.create(
        public_id="PLAN-BENCH", title="Bench", is_published=True
    )
    add_subject(plan=plan, subject=Node.objects.get(public_id="SUBJ-BENCH"))
    return plan


def curriculum(lessons: int) -> dict[str, Any]:
    """Ten lessons a topic, ten topics a unit, five stages of ~800 bytes each."""
    text = "قراءة " * (STAGE_BYTES // 11)
    found = [
        {
            "id": f"LES-{number}",
            "title": f"Lesson {number}",
            "stages": [
                {
                    "type": "Text",
                    "title": f"Stage {stage}",
                    "config": {"format": "markdown", "body": f"{text}{number} {stage}"},
                }
                for stage in range(STAGES)
            ],
        }
        for number in range(lessons)
    ]
    topics = [
        {
            "id": f"TOP-{n}",
            "title": f"Topic {n}",
            "lessons": found[n * 10 : n * 10 + 10],
        }
        for n in range(-(-lessons // 10))
    ]
    units = [
        {
            "id": f"UNIT-{n}",
            "title": f"Unit {n}",
            "topics": topics[n * 10 : n * 10 + 10],
        }
        for n in range(-(-len(topics) // 10))
    ]
    return {
        "format": "memora-curriculum/1",
        "language": "ar",
        "subject": {
            "id": "SUBJ-BENCH",
            "title": "Bench",
            "tracks": [{"id": "TRK-BENCH", "title": "Track", "units": units}],
        },
    }


def publish(plan_pk: int) -> dict[str, float]:
    """Run one build; return wall-clock and CPU seconds, and the files written."""
    from publishing.building import builds

    before = forget_peak()
    wall, cpu = time.perf_counter(), time.process_time()
    entry = builds.publish_plan(plan_pk, trigger="bench")
    assert entry is not None
    assert not entry.error, entry.error
    return {
        "wall": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
        "files": entry.files_written,
        "peak_mib": peak_mib() - before,
    }


def forget_peak() -> int:
    """Reset the process's peak memory; return the current memory in MiB."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    return peak_mib()


def peak_mib() -> int:
    """Peak memory of this process since `forget_peak`, in MiB."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


def checking_over_dumping(plan_pk: int) -> float:
    """Time to validate every document, as a multiple of the time to dump it."""
    import orjson
    from django.utils import timezone

    from publishing.building import releases, snapshot
    from publishing.format.validation import validate_documents

    made = releases.make(
        snapshot.take(plan_pk, full=True), now=timezone.now()
    ).documents.values()
    contents = [orjson.loads(document.data) for document in made]
    ratios = []
    for _round in range(5):
        start = time.perf_counter()
        validate_documents(made)
        checked = time.perf_counter()
        for content in contents:
            orjson.dumps(content)
        ratios.append((checked - start) / (time.perf_counter() - checked))
    return round(statistics.median(ratios), 2)


def count_queries(plan_pk: int) -> int:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as captured:
        publish(plan_pk)
    return len(captured)


def release_bytes(content: Path) -> list[Any]:
    """Every published document, parsed, as input of the floor."""
    import orjson

    folders = [content / "lessons", content / "plans" / "PLAN-BENCH"]
    return [
        orjson.loads(path.read_bytes())
        for folder in folders
        for path in sorted(folder.rglob("*.json"))
    ]


def write_floor(documents: list[Any], folder: Path) -> float:
    """W: seconds to dump, write, sync once and rename."""
    import orjson

    from publishing.storage import file_store

    folder.mkdir()
    base = str(folder)
    start = time.perf_counter()
    for number, document in enumerate(documents):
        handle = os.open(f"{base}/.{number}", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        os.write(handle, orjson.dumps(document))
        os.close(handle)
    file_store._sync_file_system(folder)
    for number in range(len(documents)):
        os.rename(f"{base}/.{number}", f"{base}/{number}")
    return time.perf_counter() - start


def naive_build(folder: Path) -> float:
    """Seconds of the plain way for the lessons and topics of a first build."""
    from jsonschema import Draft202012Validator

    from content.models import Node
    from content.stage_types import SCHEMAS
    from publishing.format.validation import SCHEMA_FOLDER

    validators = {
        name: Draft202012Validator(schema) for name, schema in SCHEMAS.items()
    }
    lesson_schema = (SCHEMA_FOLDER / "lesson.schema.json").read_text()
    lesson_validator = Draft202012Validator(json.loads(lesson_schema))
    now = {"version": 1_700_000_000, "generated_at": "2023-11-14T22:13:20+00:00"}
    folder.mkdir()

    def write(name: str, document: dict[str, Any]) -> None:
        final, temporary = folder / f"{name}.json", folder / f".{name}.json"
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(document, file, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(final)

    start = time.perf_counter()
    for topic in Node.objects.filter(kind="topic").order_by("lft"):
        entries = []
        for lesson in topic.children.prefetch_related("stages").order_by("lft"):
            stages = [
                {
                    "idx": number,
                    "id": stage.public_id,
                    "title": stage.title,
                    "type": stage.type,
                    "weight": stage.weight,
                    "target_time": stage.target_time,
                    "is_skippable": stage.is_skippable,
                    "config": stage.config,
                }
                for number, stage in enumerate(lesson.stages.all(), start=1)
            ]
            for stage in stages:
                validators[stage["type"]].validate(stage["config"])
            entry = {"id": lesson.public_id, "title": lesson.title}
            document = {
                **now,
                **entry,
                "stages": stages,
                "navigation": {"is_standalone": True},
            }
            lesson_validator.validate(document)
            write(lesson.public_id, document)
            entries.append(entry)
        write(topic.public_id, {**now, "id": topic.public_id, "lessons": entries})
    return time.perf_counter() - start


def edit_floor(content: Path, folder: Path) -> float:
    """E: seconds to write and sync an edit's four files, and link a generation."""
    release = (content / "plans" / "PLAN-BENCH").resolve()
    names = [str(path) for path in release.rglob("*.json")]
    edited = [
        (content / "lessons" / "LES-0.json").read_bytes(),
        (release / "TOP-0.json").read_bytes(),
        (release / "SUBJ-BENCH_h.json").read_bytes(),
        (release / "manifest.json").read_bytes(),
    ]
    folder.mkdir()
    base = str(folder)
    start = time.perf_counter()
    for number, data in enumerate(edited):
        handle = os.open(f"{base}/edited-{number}", os.O_WRONLY | os.O_CREAT)
        os.write(handle, data)
        os.fsync(handle)
        os.close(handle)
    for number, name in enumerate(names):
        os.link(name, f"{base}/{number}")
        os.link(name, f"{base}/{number}.prev")
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
