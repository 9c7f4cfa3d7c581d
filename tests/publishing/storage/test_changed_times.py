"""Modification times of published files: nginx makes ETags from time and size."""

import os

import pytest
import time_machine

from content.models import LessonStage, Node
from publishing.building import builds, rollback
from publishing.models import PublishedDocument, SyncStatus
from publishing.signing import renewal
from publishing.storage import activation as local_release, file_store
from tests.publishing.conftest import node

pytestmark = pytest.mark.django_db

NOON = 1_800_014_400
MANIFEST = "plans/PLAN-A/manifest.json"
LESSON = "lessons/LES-MATH-0-0.json"


@pytest.fixture
def second():
    """Stop the clock within one second."""
    with time_machine.travel(NOON, tick=False):
        yield


def publish(plan) -> None:
    entry = builds.publish_plan(plan.pk, trigger="test")
    assert entry is not None, "nothing to publish"
    assert entry.status == SyncStatus.LOCAL_ONLY, entry.error


def rename(title: str) -> None:
    for public_id in ("SUBJ-MATH", "LES-MATH-0-0"):
        Node.objects.filter(public_id=public_id).update(title=title)
        node(public_id).save()


def validators() -> dict[str, tuple[int, int]]:
    """The parts of nginx's ETag by path, for every file that readers can request."""
    root = file_store.root()
    found = {}
    for folder in ("lessons", "plans/PLAN-A"):
        for path in (root / folder).rglob("*.json*"):
            if path.suffix != ".prev":
                stat = path.stat()
                name = str(path.relative_to(root))
                found[name] = (int(stat.st_mtime), stat.st_size)
    return found


def contents() -> dict[str, bytes]:
    return {path: (file_store.root() / path).read_bytes() for path in validators()}


def test_a_file_s_time_is_its_version(plan, second, monkeypatch):
    monkeypatch.setattr(file_store, "COMPRESS_FROM_BYTES", 1)
    publish(plan)
    versions = dict(PublishedDocument.objects.values_list("path", "version"))
    found = validators()
    assert any(path.endswith(".gz") for path in found)
    assert {path: time for path, (time, _size) in found.items()} == {
        path: versions[path.removesuffix(".gz")] for path in found
    }


def test_releases_within_a_second_differ_for_every_changed_file(
    plan, second, monkeypatch
):
    monkeypatch.setattr(file_store, "COMPRESS_FROM_BYTES", 1)
    known: dict[tuple[str, int, int], bytes] = {}
    for title in ("Title A", "Title B", "Title C", "Title A"):
        rename(title)
        publish(plan)
        data = contents()
        for path, pair in validators().items():
            before = known.setdefault((path, *pair), data[path])
            assert before == data[path], path
    times = {time for path, time, _size in known if path == MANIFEST}
    sizes = {size for path, _time, size in known if path == MANIFEST}
    assert (len(times), len(sizes)) == (4, 1)


def test_going_back_and_on_within_a_second_differs_too(plan, second):
    rename("Title A")
    publish(plan)
    first = validators()[MANIFEST]
    rename("Title B")
    publish(plan)
    second_release = validators()[MANIFEST]
    rollback.make_current("PLAN-A", 1)
    assert validators()[MANIFEST] == first != second_release
    rename("Title C")
    rollback.release(plan.pk)
    publish(plan)
    assert validators()[MANIFEST] not in (first, second_release)


def test_a_signature_made_anew_changes_the_time_and_no_version(plan):
    LessonStage.objects.create(
        public_id="STG-V",
        lesson=node("LES-MATH-0-0"),
        type="Video",
        title="Watch",
        config={"source": "a.mp4"},
    )
    with time_machine.travel(NOON, tick=False):
        publish(plan)
    before, data = validators()[LESSON], contents()[LESSON]
    assert renewal.renew_signatures(NOON + 3 * 3600) == 1
    assert contents()[LESSON] != data
    assert validators()[LESSON][0] == before[0] + 1
    assert PublishedDocument.objects.get(path=LESSON).version == before[0]


def test_a_damaged_file_that_is_repaired_has_another_time(plan, second):
    publish(plan)
    path = file_store.root() / LESSON
    good, time = path.read_bytes(), int(path.stat().st_mtime)
    path.write_bytes(b"x" * len(good))
    os.utime(path, (time, time))
    local_release.mark_for_full_build([plan.publication.pk])
    publish(plan)
    assert path.read_bytes() != b"x" * len(good)
    assert (int(path.stat().st_mtime), path.stat().st_size) == (time + 1, len(good))
