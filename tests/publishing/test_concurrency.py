"""Editors, builders and readers at the same time, on real connections."""

import threading

import pytest
from django.db import connection, transaction

from content.models import Node
from publishing import builds, changes, snapshot
from tests.publishing import release
from tests.publishing.conftest import node

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.mariadb,
    pytest.mark.skipif(
        "connection.vendor != 'mysql'",
        reason="needs connections that truly run side by side: MariaDB",
    ),
]


def in_thread(action) -> threading.Thread:
    def run():
        try:
            action()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def rename(title: str) -> None:
    lesson = node("LES-MATH-0-0")
    lesson.title = title
    lesson.save()


def test_a_snapshot_sees_one_moment(plan):
    builds.publish_plan(plan.pk)
    with snapshot.consistent_read():
        before = Node.objects.get(public_id="LES-MATH-0-0").title
        in_thread(lambda: rename("Meanwhile")).join()
        assert Node.objects.get(public_id="LES-MATH-0-0").title == before
    assert node("LES-MATH-0-0").title == "Meanwhile"


def test_an_edit_during_a_build_builds_again(plan, monkeypatch):
    real = builds._documents

    def edited_meanwhile(*args, **kwargs):
        in_thread(lambda: rename("Later")).join()
        monkeypatch.setattr(builds, "_documents", real)
        return real(*args, **kwargs)

    monkeypatch.setattr(builds, "_documents", edited_meanwhile)
    builds.publish_plan(plan.pk)
    assert release.read("lessons/LES-MATH-0-0.json")["title"] == "Lesson 0.0"
    assert list(changes.pending()) == [plan.pk]
    builds.process_pending(limit=10)
    assert release.read("lessons/LES-MATH-0-0.json")["title"] == "Later"


def test_builds_and_edits_side_by_side_end_in_the_last_edit(plan):
    stop = threading.Event()
    faults = []

    def keep_building():
        while not stop.is_set():
            entry = builds.publish_plan(plan.pk)
            if entry is not None and entry.error:
                faults.append(entry.error)

    def keep_reading():
        while not stop.is_set():
            try:
                release.read("plans/PLAN-A/manifest.json")
            except FileNotFoundError as error:
                faults.append(str(error))

    builds.publish_plan(plan.pk)
    threads = [in_thread(keep_building), in_thread(keep_reading)]
    for number in range(20):
        with transaction.atomic():
            rename(f"Title {number}")
    stop.set()
    for thread in threads:
        thread.join()
    builds.process_pending(limit=10)
    assert not [fault for fault in faults if "newer than" not in fault]
    release.walk("PLAN-A")
    assert release.read("lessons/LES-MATH-0-0.json")["title"] == "Title 19"
