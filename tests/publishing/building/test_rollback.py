"""Making a kept generation current, and returning to a newer one."""

import errno
import threading
from collections.abc import Iterator
from contextlib import nullcontext, suppress

import orjson
import pytest
import time_machine
from django.db import OperationalError, connection

from content import services
from content.kinds import Kind
from content.models import LessonStage, Node
from core import folding
from plans.models import AcademicPlan
from plans.services import add_subject, set_override
from publishing import queue, staleness, tasks
from publishing.building import builds, claims, releases, rollback, sweep
from publishing.building.rollback import RollbackError
from publishing.format import encoding
from publishing.models import (
    PlanLesson,
    Publication,
    PublishedDocument,
    PublishingSettings,
    SyncLog,
    SyncStatus,
)
from publishing.monitoring import health
from publishing.storage import cleanup, file_store, link_check, open_lessons
from tests.factories.content import trash_node
from tests.publishing import release
from tests.publishing.conftest import node

pytestmark = pytest.mark.django_db

TOPIC = "plans/PLAN-A/TOP-MATH-0.json"
MANIFEST = "plans/PLAN-A/manifest.json"


def publish(plan) -> SyncLog:
    entry = builds.publish_plan(plan.pk, trigger="test")
    assert entry is not None, "nothing to publish"
    assert entry.status == SyncStatus.LOCAL_ONLY, entry.error
    return entry


def rename(title: str) -> None:
    lesson = node("LES-MATH-0-0")
    lesson.title = title
    lesson.save()


def plan_files() -> dict[str, bytes]:
    found = release.everything()
    return {path: found[path] for path in found if path.startswith("plans/")}


def tables_match_the_disk() -> bool:
    report = health.check(full=True)
    service = {"silent", "stale"}
    return not [kind for kind in report.counts if kind not in service]


@pytest.fixture
def two_generations(plan):
    """Generation 1 has the title "Lesson 0.0", generation 2 "Renamed"."""
    with time_machine.travel(1_800_000_000):
        publish(plan)
    first = plan_files()
    rename("Renamed")
    with time_machine.travel(1_800_000_100):
        publish(plan)
    return first


def test_an_earlier_generation_is_current_again(two_generations):
    entry = rollback.make_current("PLAN-A", 1)
    assert plan_files() == two_generations
    release.walk("PLAN-A")
    assert Publication.objects.get().generation == 1
    assert (entry.trigger, entry.status) == ("rollback", SyncStatus.LOCAL_ONLY)
    assert tables_match_the_disk()


def test_the_sweep_leaves_a_rollback_alone(plan, two_generations):
    rollback.make_current("PLAN-A", 1)
    assert not staleness.pending()
    sweep.process_pending(limit=10)
    assert file_store.current_generation("PLAN-A") == 1


def test_what_waited_at_the_rollback_does_not_undo_it(plan, two_generations):
    rename("Not yet published")
    rollback.make_current("PLAN-A", 1)
    sweep.process_pending(limit=10)
    assert file_store.current_generation("PLAN-A") == 1


def set_a_cdn(plan) -> None:
    current = PublishingSettings.get_solo()
    current.cdn_base_url = "https://cdn.example.org"
    current.local_domain = "https://other.example.org"
    current.save()


def install_new_rules(plan) -> None:
    folding.VERSION += 1


CHANGES = {
    "stage": lambda _plan: LessonStage.objects.update(title="Fixed"),
    "plan": lambda plan: AcademicPlan.objects.filter(pk=plan.pk).update(title="New"),
    "override": lambda plan: set_override(
        plan=plan, target=node("UNIT-MATH-0"), action="hide"
    ),
    "settings": set_a_cdn,
    "new rules": install_new_rules,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_a_held_plan_keeps_changes_and_publishes_none(
    plan, two_generations, monkeypatch, change
):
    monkeypatch.setattr(folding, "VERSION", folding.VERSION)
    rollback.make_current("PLAN-A", 1)
    change(plan)
    for work in (
        lambda: sweep.process_pending(limit=10),
        lambda: tasks.publish_plan(plan.pk, "retry"),
        lambda: health.check(full=True, repair=True),
    ):
        work()
        assert plan_files() == two_generations
    assert not staleness.pending()
    assert list(staleness.waiting_in_held()) == [plan.pk]


def test_a_released_plan_is_built_by_the_next_sweep(plan, two_generations):
    rollback.make_current("PLAN-A", 1)
    assert rollback.is_held(plan.pk)
    assert rollback.release(plan.pk)
    assert not rollback.release(plan.pk), "it is released once"
    sweep.process_pending(limit=10)
    assert release.read(TOPIC)["lessons"][0]["title"] == "Renamed"
    assert not staleness.pending()


def test_a_build_that_began_before_the_rollback_does_not_end_the_hold(
    plan, two_generations, monkeypatch
):
    """Without the build lock, as when Redis is away."""
    monkeypatch.setattr(queue, "build_lock", lambda _plan, **_: nullcontext(True))
    rename("Third")
    real = claims.claim

    def claim_late(*args, **kwargs):
        monkeypatch.setattr(claims, "claim", real)
        rollback.make_current("PLAN-A", 1)
        return real(*args, **kwargs)

    monkeypatch.setattr(claims, "claim", claim_late)
    assert builds.build_plan(plan.pk) is None
    assert plan_files() == two_generations
    assert rollback.is_held(plan.pk)


def test_a_held_plan_that_is_unpublished_is_withdrawn(plan, two_generations):
    rollback.make_current("PLAN-A", 1)
    AcademicPlan.objects.filter(pk=plan.pk).update(is_published=False)
    sweep.process_pending(limit=10)
    assert plan_files() == {}
    AcademicPlan.objects.filter(pk=plan.pk).update(is_published=True)
    publish(plan)
    assert not rollback.is_held(plan.pk)


def test_a_new_plan_with_the_id_of_a_deleted_held_one_is_built(plan, two_generations):
    rollback.make_current("PLAN-A", 1)
    plan.delete()
    new = AcademicPlan.objects.create(
        public_id="PLAN-A", title="New", is_published=True
    )
    publish(new)


def test_a_release_builds_a_new_generation_with_everything_in_it(plan, two_generations):
    rollback.make_current("PLAN-A", 1)
    LessonStage.objects.filter(public_id="STG-MATH-1-0").update(title="Fixed")
    rollback.release(plan.pk)
    with time_machine.travel(1_800_000_200):
        publish(plan)
    release.walk("PLAN-A")
    assert file_store.current_generation("PLAN-A") > 2
    # Not built upon the files of the rollback: the first edit is there as well.
    assert release.read(TOPIC)["lessons"][0]["title"] == "Renamed"
    assert Publication.objects.get().rolled_back_at is None


def test_a_released_plan_is_published_at_once(plan, two_generations):
    rollback.make_current("PLAN-A", 1)
    rollback.release(plan.pk)
    tasks.publish_plan(plan.pk, "release")
    assert file_store.current_generation("PLAN-A") > 2
    assert release.read(TOPIC)["lessons"][0]["title"] == "Renamed"
    assert tables_match_the_disk()


def test_versions_after_a_rollback_exceed_everything_published(plan, two_generations):
    """Even when the clock stands still."""
    before = {path: release.read(path)["version"] for path in (TOPIC, MANIFEST)}
    rollback.make_current("PLAN-A", 1)
    assert release.read(TOPIC)["version"] < before[TOPIC]
    rename("Third")
    rollback.release(plan.pk)
    with time_machine.travel(1_800_000_100, tick=False):
        publish(plan)
    for path in (TOPIC, MANIFEST):
        assert release.read(path)["version"] > before[path]
    release.walk("PLAN-A")


class Copy:
    """An app's copy of a plan, updated as the guide describes: by bytes and hashes."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.reads: list[str] = []

    def catch_up(self) -> None:
        manifest = self._read(MANIFEST)
        if self.files.get(MANIFEST) == manifest:
            return
        documents = {MANIFEST: manifest}
        waiting = [manifest]
        while waiting:
            for path, sha256 in linked(orjson.loads(waiting.pop())):
                held = self.files.get(path)
                if held is None or encoding.sha256(held) != sha256:
                    held = self._read(path)
                assert encoding.sha256(held) == sha256
                documents[path] = held
                waiting.append(held)
        self.files = documents

    def _read(self, path: str) -> bytes:
        self.reads.append(path)
        data = file_store.read(path)
        assert data is not None
        return data


def linked(value: object) -> Iterator[tuple[str, str]]:
    """Yield the paths and hashes of the documents that a document links to."""
    if isinstance(value, list):
        for item in value:
            yield from linked(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key.endswith("_path") and f"{key[:-5]}_hash" in value:
                yield item, value[f"{key[:-5]}_hash"]
            yield from linked(item)


def test_an_app_that_compares_hashes_follows_a_rollback_and_what_comes_after(
    plan, two_generations
):
    app = Copy()
    app.catch_up()
    newest = orjson.loads(app.files[MANIFEST])["version"]
    assert app.files == plan_files()
    rollback.make_current("PLAN-A", 1)
    app.reads.clear()
    app.catch_up()
    assert orjson.loads(app.files[MANIFEST])["version"] < newest
    assert app.files == plan_files() == two_generations
    assert "plans/PLAN-A/TOP-MATH-1.json" not in app.reads
    rename("Third")
    rollback.release(plan.pk)
    publish(plan)
    app.catch_up()
    assert app.files == plan_files()


def test_what_both_generations_share_is_not_written_again(plan, two_generations):
    rollback.make_current("PLAN-A", 1)
    other = (release.root() / "plans/PLAN-A/TOP-MATH-1.json").stat().st_ino
    rollback.release(plan.pk)
    tasks.publish_plan(plan.pk, "admin")
    assert (release.root() / "plans/PLAN-A/TOP-MATH-1.json").stat().st_ino == other


def test_back_and_forward_again(two_generations):
    second = {"title": "Renamed"}
    rollback.make_current("PLAN-A", 1)
    rollback.make_current("PLAN-A", 2)
    assert release.read(TOPIC)["lessons"][0]["title"] == second["title"]
    assert tables_match_the_disk()
    kept = rollback.kept_releases("PLAN-A")
    assert [(k.number, k.is_current) for k in kept] == [(2, True), (1, False)]
    assert kept[1].log is not None


def test_a_generation_that_is_not_kept_is_refused(two_generations):
    with pytest.raises(RollbackError, match=r"no generation 7.*Kept generations: 1, 2"):
        rollback.make_current("PLAN-A", 7)


def test_the_current_generation_is_refused(two_generations):
    with pytest.raises(RollbackError, match="is the current one"):
        rollback.make_current("PLAN-A", 2)


def test_a_plan_that_is_no_longer_published_is_refused(plan, two_generations):
    AcademicPlan.objects.filter(pk=plan.pk).update(is_published=False)
    with pytest.raises(RollbackError, match="no published plan PLAN-A"):
        rollback.make_current("PLAN-A", 1)


MISTAKES = {
    "hidden": lambda plan, unit: set_override(plan=plan, target=unit, action="hide"),
    "unpublished": lambda plan, unit: Node.objects.filter(pk=unit.pk).update(
        is_published=False
    ),
    "trashed": lambda plan, unit: trash_node(node=unit),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=list(MISTAKES))
def test_what_was_taken_away_by_mistake_is_back(plan, mistake):
    Node.objects.filter(public_id="LES-MATH-0-0").update(is_public=True)
    publish(plan)
    before = release.everything()
    mistake(plan, node("UNIT-MATH-0"))
    publish(plan)
    cleanup.collect()
    assert open_lessons.opened() == set()
    assert release.lessons() > {"LES-MATH-0-0", "LES-MATH-0-1"}
    assert tables_match_the_disk()
    rollback.make_current("PLAN-A", 1)
    assert release.everything() == before
    release.walk("PLAN-A")
    assert open_lessons.opened() == {"LES-MATH-0-0"}
    assert tables_match_the_disk()


def test_a_lesson_goes_with_the_last_generation_that_names_it(plan):
    publish(plan)
    trash_node(node=node("LES-MATH-0-0"))
    for title in ("Second", "Third", "Fourth"):
        assert "LES-MATH-0-0" in release.lessons()
        AcademicPlan.objects.filter(pk=plan.pk).update(title=title)
        publish(plan)
        cleanup.collect()
    assert "LES-MATH-0-0" not in release.lessons()
    release.walk("PLAN-A")


def test_new_lessons_are_there_to_go_forward_to(plan):
    publish(plan)
    services.create_node(
        kind=Kind.LESSON,
        parent=node("TOP-MATH-0"),
        title="New",
        public_id="LES-NEW",
        is_published=True,
    )
    publish(plan)
    rollback.make_current("PLAN-A", 1)
    cleanup.collect()
    rollback.make_current("PLAN-A", 2)
    assert "lessons/LES-NEW.json" in release.everything()


def test_a_kept_lesson_that_is_damaged_refuses_the_rollback(plan):
    publish(plan)
    trash_node(node=node("LES-MATH-0-0"))
    publish(plan)
    (release.root() / "lessons/LES-MATH-0-0.json").write_bytes(b"{}")
    with pytest.raises(RollbackError, match=r"LES-MATH-0-0"):
        rollback.make_current("PLAN-A", 1)


def test_a_lesson_that_is_gone_refuses_the_rollback(plan):
    publish(plan)
    services.delete_node(node=node("LES-MATH-0-0"))
    sweep.process_pending(limit=10)
    before, was = release.everything(), Publication.objects.values().get()
    with pytest.raises(RollbackError, match=r"LES-MATH-0-0\.json: .*missing"):
        rollback.make_current("PLAN-A", 1)
    assert release.everything() == before
    # Only a used number remains of the attempt.
    assert {**Publication.objects.values().get(), "build_number": 0} == {
        **was,
        "build_number": 0,
    }
    assert not staleness.pending()


def test_a_damaged_generation_is_refused(two_generations):
    # The generations have different manifests; this topic is only in generation 1.
    path = release.root() / ".generations/PLAN-A/1/TOP-MATH-0.json"
    path.write_bytes(b"{}")
    with pytest.raises(RollbackError, match="TOP-MATH-0"):
        rollback.make_current("PLAN-A", 1)


def test_a_plan_being_built_refuses_the_rollback(plan, two_generations):
    with (
        queue.build_lock(plan.pk),
        pytest.raises(RollbackError, match="being built right now"),
    ):
        rollback.make_current("PLAN-A", 1)


def test_offers_follow_the_rollback(plan, math):
    other = AcademicPlan.objects.create(
        public_id="PLAN-B", title="Other", is_published=True
    )
    add_subject(plan=other, subject=math)
    publish(plan)
    set_override(plan=plan, target=node("LES-MATH-0-0"), action="set_free")
    publish(plan)
    publish(other)
    assert "gated" not in release.read("plans/PLAN-B/TOP-MATH-0.json")["lessons"][0]
    rollback.make_current("PLAN-A", 1)
    assert not PlanLesson.objects.filter(is_open=True).exists()
    # The other plan's link must lead through the gate again.
    assert list(staleness.pending()) == [other.pk]
    publish(other)
    assert release.read("plans/PLAN-B/TOP-MATH-0.json")["lessons"][0]["gated"] is True


@pytest.fixture
def other(plan, math):
    """A second plan with the same lessons, which once opened one of them."""
    other = AcademicPlan.objects.create(
        public_id="PLAN-B", title="Other", is_published=True
    )
    add_subject(plan=other, subject=math)
    publish(plan)
    publish(other)
    set_free(other)
    publish(other)
    publish(plan)
    set_override(plan=other, target=node("LES-MATH-0-0"), action="hide")
    publish(other)
    return other


def set_free(plan) -> None:
    set_override(plan=plan, target=node("LES-MATH-1-0"), action="set_free")


WHAT_OTHERS_DO = {
    "edit": lambda other: set_override(
        plan=other,
        target=node("LES-MATH-1-0"),
        action="set_access_level",
        value="authenticated",
    ),
    "rollback": lambda _other: rollback.make_current("PLAN-B", 1),
    "withdrawal": lambda other: AcademicPlan.objects.filter(pk=other.pk).update(
        is_published=False
    ),
}


@pytest.mark.parametrize("act", WHAT_OTHERS_DO.values(), ids=list(WHAT_OTHERS_DO))
def test_what_is_done_to_another_plan_undoes_no_rollback(plan, other, act):
    set_override(plan=plan, target=node("UNIT-MATH-0"), action="hide")
    publish(plan)
    number = file_store.kept_generations("PLAN-A")[-2]
    rollback.make_current("PLAN-A", number)
    before = open_lessons.opened()
    act(other)
    for _sweep in range(2):
        sweep.process_pending(limit=10)
    assert open_lessons.opened() != before
    assert file_store.current_generation("PLAN-A") == number
    assert not staleness.pending()


def test_a_lesson_gated_while_a_plan_is_released_is_gated_in_that_build(
    plan, other, monkeypatch
):
    """A build with an older snapshot must not have the final effect."""
    rename("Renamed")
    publish(plan)
    rollback.make_current("PLAN-A", file_store.kept_generations("PLAN-A")[-2])
    real = releases.make

    def gated_meanwhile(snapshot, *, now):
        monkeypatch.setattr(releases, "make", real)
        made = real(snapshot, now=now)
        WHAT_OTHERS_DO["edit"](other)
        publish(other)
        return made

    monkeypatch.setattr(releases, "make", gated_meanwhile)
    rollback.release(plan.pk)
    tasks.publish_plan(plan.pk, "release")
    assert open_lessons.opened() == set()
    assert release.read("plans/PLAN-A/TOP-MATH-1.json")["lessons"][0]["gated"] is True


def test_a_rollback_ends_attempts_at_what_it_left(plan, two_generations):
    LessonStage.objects.filter(public_id="STG-MATH-0-0").update(title="")
    failed = builds.publish_plan(plan.pk)
    assert failed.status == SyncStatus.QUEUED
    rollback.make_current("PLAN-A", 1)
    failed.refresh_from_db()
    assert failed.status == SyncStatus.SUPERSEDED


def test_a_rollback_that_dies_after_the_rename_is_put_right(
    plan, two_generations, monkeypatch
):
    def die(*_args, **_kwargs):
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(rollback, "_record_lessons", die)
        with pytest.raises(SystemExit):
            rollback.make_current("PLAN-A", 1)
    assert file_store.current_generation("PLAN-A") == 1
    sweep.process_pending(limit=10)
    release.walk("PLAN-A")
    assert release.read(TOPIC)["lessons"][0]["title"] == "Renamed"
    assert tables_match_the_disk()


def test_a_disk_that_refuses_leaves_an_earlier_rollback_alone(
    plan, two_generations, monkeypatch
):
    rename("Third")
    publish(plan)
    rollback.make_current("PLAN-A", 2)
    was = Publication.objects.values().get()

    def refuse(*_args):
        raise OSError(errno.ENOSPC, "No space left on device")

    for name in ("switch", "begin_switch"):
        with monkeypatch.context() as patch:
            patch.setattr(file_store, name, refuse)
            with pytest.raises(OSError, match="No space"):
                rollback.make_current("PLAN-A", 1)
        sweep.process_pending(limit=10)
        assert file_store.current_generation("PLAN-A") == 2
        now = Publication.objects.values().get()
        assert {**now, "build_number": 0} == {**was, "build_number": 0}


@pytest.mark.parametrize("lost", [1, rollback._ATTEMPTS])
def test_a_rollback_that_loses_a_race_is_made_again(
    plan, two_generations, monkeypatch, lost
):
    real, turns = rollback.activation.take_switch_lock, []

    def lose():
        turns.append(1)
        if len(turns) <= lost:
            raise OperationalError(1205, "Lock wait timeout exceeded")
        return real()

    monkeypatch.setattr(rollback.activation, "take_switch_lock", lose)
    if lost == 1:
        rollback.make_current("PLAN-A", 1)
        assert file_store.current_generation("PLAN-A") == 1
    else:
        with pytest.raises(RollbackError, match="busy"):
            rollback.make_current("PLAN-A", 1)
        assert file_store.current_generation("PLAN-A") == 2
    assert not staleness.pending()


def test_collecting_keeps_the_rolled_back_generation(plan, two_generations):
    current = PublishingSettings.get_solo()
    current.kept_generations = 1
    current.save()
    rollback.make_current("PLAN-A", 1)
    tasks.prune_generations()
    assert 1 in file_store.kept_generations("PLAN-A")
    release.walk("PLAN-A")


def test_following_a_release_finds_the_bytes_a_link_does_not_name(two_generations):
    path = release.root() / ".generations/PLAN-A/2/SUBJ-MATH_h.json"
    path.write_bytes(path.read_bytes() + b" ")
    faults = link_check.read_release("PLAN-A", 2).faults
    assert [fault[0] for fault in faults] == ["plans/PLAN-A/SUBJ-MATH_h.json"]


def test_the_rows_of_a_rolled_back_file_have_its_hash(two_generations):
    rollback.make_current("PLAN-A", 1)
    for row in PublishedDocument.objects.all():
        assert row.sha256 == release.sha256(row.path)


@pytest.mark.mariadb
@pytest.mark.django_db(transaction=True)
def test_builds_and_rollbacks_side_by_side_leave_a_whole_release(plan, monkeypatch):
    """Without the build lock, as when Redis is away: only the fence decides."""
    monkeypatch.setattr(queue, "build_lock", lambda _plan, **_: nullcontext(True))
    publish(plan)
    stop = threading.Event()

    def keep_building():
        number = 0
        try:
            while not stop.is_set():
                number += 1
                rename(f"Title {number}")
                rollback.release(plan.pk)
                builds.publish_plan(plan.pk)
        finally:
            connection.close()

    builder = threading.Thread(target=keep_building)
    builder.start()
    done = 0
    while done < 5 and builder.is_alive():
        kept = file_store.kept_generations("PLAN-A")
        with suppress(RollbackError):
            rollback.make_current("PLAN-A", kept[len(kept) // 2])
            done += 1
        release.read(MANIFEST)
    stop.set()
    builder.join()
    assert done == 5
    release.walk("PLAN-A")
    assert tables_match_the_disk()
    rollback.release(plan.pk)
    tasks.publish_plan(plan.pk, "release")
    release.walk("PLAN-A")
