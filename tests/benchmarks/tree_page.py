"""What the tree page costs: bytes sent and server time, in a small and a large tree.

    make bench-tree
    make bench-tree ARGS="--lessons 500 20000 --repeat 5"

The database is in memory; the requests pass all middleware, but no network. Times
are medians of this process's CPU seconds, so that other load does not count.
"""

import argparse
import gzip
import os
import statistics
import tempfile
import time

TOPICS_PER_UNIT = 10
LESSONS_PER_TOPIC = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--lessons", type=int, nargs="+", default=[100, 10_000])
    parser.add_argument("--repeat", type=int, default=9)
    options = parser.parse_args()
    prepare()
    print(f"{'':44}{'queries':>8}{'KB':>8}{'gzip':>8}{'ms':>8}")
    for lessons in options.lessons:
        measure(lessons, options.repeat)


def prepare() -> None:
    """Set up Django with a database in memory, independent of this machine's state."""
    folder = tempfile.mkdtemp(prefix="memora-bench-")
    os.environ.update(
        DJANGO_SETTINGS_MODULE="memora_site.settings",
        DATABASE_URL="sqlite://:memory:",
        MEMORA_STATE_DIR=folder,
        MEMORA_CONTENT_ROOT=f"{folder}/content",
        MEMORA_LOG_LEVEL="ERROR",
    )
    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command

    settings.DEBUG = False
    settings.ALLOWED_HOSTS = ["testserver"]
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.db"
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    }
    call_command("migrate", verbosity=0)


def grow(lessons: int):
    """Create a subject with that many lessons in bulk, as an import does."""
    from content import services
    from content.kinds import Kind
    from content.models import LessonStage, Node
    from tests.factories.content import make_branch

    branch = make_branch(f"Subject of {lessons}")
    topics = max(1, lessons // LESSONS_PER_TOPIC)
    units = [branch.unit]
    parents = [branch.topic]
    while len(parents) < topics:
        if len(parents) % TOPICS_PER_UNIT == 0:
            units.append(
                services.create_node(
                    kind=Kind.UNIT,
                    parent=branch.track,
                    title=f"Unit {len(units)}",
                    is_published=True,
                )
            )
        parents.append(
            services.create_node(
                kind=Kind.TOPIC,
                parent=units[-1],
                title=f"Topic {len(parents)}",
                is_published=True,
            )
        )
    Node.objects.bulk_create(
        Node(
            kind="lesson",
            public_id=f"LES-{lessons}-{number}",
            title=f"Lesson {number} of many",
            parent=parents[number % len(parents)],
            subject=branch.subject,
            tree_id=branch.subject.tree_id,
            lft=0,
            rght=0,
            level=4,
            bit_index=number,
            is_published=True,
        )
        for number in range(lessons)
    )
    from content.integrity import repair

    repair()
    made = Node.objects.filter(subject=branch.subject, kind="lesson")
    LessonStage.objects.bulk_create(
        LessonStage(
            lesson_id=pk,
            position=0,
            type="Text",
            title="Reading",
            config={"format": "markdown", "body": "Some words."},
        )
        for pk in made.values_list("pk", flat=True)
    )
    return branch


def measure(lessons: int, repeat: int) -> None:
    from django.test import Client
    from django.urls import reverse

    from plans import services as plan_services
    from plans.models import AcademicPlan
    from players.models import User

    branch = grow(lessons)
    plan = AcademicPlan.objects.create(title=f"Plan of {lessons}", is_published=True)
    plan_services.add_subject(plan=plan, subject=branch.subject)
    browser = Client()
    browser.force_login(
        User.objects.create_superuser(f"root{lessons}@example.com", "root-password-1")
    )
    tree = reverse("admin:content_node_changelist")
    rows = reverse("admin:content_node_rows")
    path = (branch.subject, branch.track, branch.unit, branch.topic)
    opened = ",".join(str(node.pk) for node in path)
    print(f"{lessons} lessons")
    for what, address, values in (
        ("the page, on subjects", tree, {}),
        ("a branch: the track's units", f"{rows}{branch.track.pk}/", {}),
        ("the tree open down to a topic's lessons", rows, {"open": opened}),
        ("the same, viewed as a plan", rows, {"open": opened, "view": plan.pk}),
        ("a search that finds most lessons", tree, {"q": "lesson many"}),
    ):
        report(what, browser, address, values, repeat)


def report(what, browser, address, values, repeat: int) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as captured:
        body = browser.get(address, values).content
        queries = len(captured)
    times = []
    for _turn in range(repeat):
        start = time.process_time()
        assert browser.get(address, values).status_code == 200
        times.append(time.process_time() - start)
    print(
        f"  {what:42}{queries:>8}{len(body) / 1024:>8.1f}"
        f"{len(gzip.compress(body)) / 1024:>8.1f}{statistics.median(times) * 1000:>8.1f}"
    )


if __name__ == "__main__":
    main()
