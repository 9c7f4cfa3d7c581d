"""The compressed copies beside a release's large files (docs/adr/0012)."""

import gzip

import pytest

from content.models import Node
from plans.services import set_override
from publishing import tasks
from publishing.building import builds, rollback
from publishing.models import FaultKind, SyncStatus
from publishing.monitoring import health
from publishing.storage import file_store
from tests.publishing import release
from tests.publishing.conftest import node

pytestmark = pytest.mark.django_db

PLAN = "plans/PLAN-A"
HIERARCHY = f"{PLAN}/SUBJ-MATH_h.json"
BITMAP = f"{PLAN}/SUBJ-MATH_b.json"


def publish(plan):
    entry = builds.publish_plan(plan.pk, trigger="test")
    assert entry is not None, "nothing to publish"
    assert entry.status == SyncStatus.LOCAL_ONLY, entry.error


def rename(public_id: str, title: str) -> None:
    Node.objects.filter(public_id=public_id).update(title=title)
    node(public_id).save()


def of_plan() -> dict[str, bytes]:
    """The files in the release itself."""
    found = release.everything()
    return {path: data for path, data in found.items() if path.startswith(PLAN)}


def copies() -> dict[str, bytes]:
    """The contents of the compressed copies, by the path of the original."""
    folder = release.root() / PLAN
    return {
        f"{PLAN}/{path.relative_to(folder).with_suffix('')}": gzip.decompress(
            path.read_bytes()
        )
        for path in folder.rglob("*.gz")
    }


@pytest.fixture
def packed_from(monkeypatch):
    """Return a function that sets the size from which files are compressed; first 1."""

    def set_to(size: int) -> None:
        monkeypatch.setattr(file_store, "COMPRESS_FROM_BYTES", size)

    set_to(1)
    return set_to


def test_large_files_have_a_copy_and_others_have_none(plan, packed_from):
    packed_from(8 * 1024)
    publish(plan)
    before = of_plan()
    assert copies() == {}
    packed_from(len(before[HIERARCHY]))
    rename("SUBJ-MATH", "Mathematics")
    publish(plan)
    written = dict(of_plan().items() - before.items())
    large = {
        path: data
        for path, data in written.items()
        if len(data) >= file_store.COMPRESS_FROM_BYTES
    }
    assert HIERARCHY in large.keys() < written.keys()
    assert copies() == large


def _published_once(plan) -> dict[str, bytes]:
    publish(plan)
    assert copies() == of_plan()
    return of_plan()


def test_after_every_edit_each_copy_holds_what_its_file_does(plan, packed_from):
    before = _published_once(plan)
    inode = (release.root() / f"{BITMAP}.gz").stat().st_ino
    for title in ("Longer by some words", "x", "Another of the same le"):
        rename("TOP-MATH-0", title)
        publish(plan)
        assert copies() == of_plan()
    assert of_plan()[HIERARCHY] != before[HIERARCHY]
    assert (release.root() / f"{BITMAP}.gz").stat().st_ino == inode
    set_override(plan=plan, target=node("TOP-MATH-1"), action="hide")
    publish(plan)
    assert copies() == of_plan()
    assert f"{PLAN}/TOP-MATH-1.json" not in copies()


def test_a_generation_gone_back_to_has_its_own_copies(plan, packed_from):
    before = _published_once(plan)
    rename("TOP-MATH-0", "Other")
    publish(plan)
    rollback.make_current("PLAN-A", 1)
    assert copies() == of_plan() == before


DAMAGE = {
    "of another file": gzip.compress(b"{}"),
    "cut": gzip.compress(b"{}" * 99)[:-9],
    "no gzip": b"{}",
    "empty": b"",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("path", [HIERARCHY, BITMAP, f"{PLAN}/TOP-MATH-0.json"])
def test_a_copy_that_holds_something_else_is_found_and_mended(
    plan, packed_from, path, damage
):
    tasks.heartbeat()
    publish(plan)
    copy = release.root() / f"{path}.gz"
    copy.unlink()
    copy.write_bytes(damage)
    report = health.check(full=True)
    assert report.counts[FaultKind.CORRUPT] == 1
    assert report.findings[FaultKind.CORRUPT][0]["what"] == path
    assert health.check(full=True, repair=True).is_sound
    assert health.check(full=True).counts == {}
    assert copies() == of_plan()
    release.walk("PLAN-A")


def test_a_copy_that_is_gone_is_no_fault_and_stops_no_build(plan, packed_from):
    tasks.heartbeat()
    publish(plan)
    (release.root() / f"{BITMAP}.gz").unlink()
    assert health.check(full=True).counts == {}
    rename("TOP-MATH-0", "Other")
    publish(plan)
    assert copies().keys() == of_plan().keys() - {BITMAP}
