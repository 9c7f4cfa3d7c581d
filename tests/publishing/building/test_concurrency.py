"""Concurrent editors, builders and readers, on real connections.

Every thread has its own database connection: to MariaDB as usual, with SQLite to a
file copied from the suite's database in memory.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import connection, transaction

from content.models import LessonStage, Node
from core.db import consistent_read
from plans.models import AcademicPlan
from plans.services import add_subject, set_override
from publishing import queue, staleness, sync_log
from publishing.building import builds, releases, snapshot, sweep
from publishing.models import Publication, PublishedDocument, SyncLog, SyncStatus
from publishing.storage import cleanup, file_store
from tests.crash import reader
from tests.factories.content import make_subject
from tests.publishing import release
from tests.publishing.conftest import node

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("side_by_side", "worker_starts"),
]

PATIENCE = 60
"""Seconds after which a blocked test fails."""
_ENDED = {SyncStatus.LOCAL_ONLY, SyncStatus.SUPERSEDED}
_OWN_NAMES = {".generations", ".switches", ".discarded"}


@pytest.fixture(autouse=True)
def side_by_side(transactional_db: None, tmp_path: Path) -> Iterator[None]:
    """Give every thread a connection that runs in parallel."""
    if connection.vendor != "sqlite":
        yield
        return
    connection.ensure_connection()
    memory, name = connection.connection, connection.settings_dict["NAME"]
    file = sqlite3.connect(tmp_path / "db.sqlite3")
    memory.backup(file)
    file.close()
    connection.connection = None
    connection.settings_dict["NAME"] = str(tmp_path / "db.sqlite3")
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["NAME"] = name
        connection.connection = memory


@pytest.fixture
def second_plan(math: Node, plan: AcademicPlan) -> AcademicPlan:
    """Another plan with the same subject and a second one."""
    other = AcademicPlan.objects.create(
        public_id="PLAN-B", title="Grade 6", is_published=True
    )
    add_subject(plan=other, subject=math)
    add_subject(plan=other, subject=make_subject("ART", units=1, lessons=1))
    return other


class Actor(threading.Thread):
    """A thread with its own connection; its errors fail the test."""

    def __init__(self, action: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self.action = action
        self.result: object = None
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self.result = self.action()
        except BaseException as error:  # noqa: BLE001 - raised again by `done`
            self.error = error
        finally:
            connection.close()

    def done(self) -> object:
        self.join(PATIENCE)
        assert not self.is_alive(), "still at it"
        if self.error is not None:
            raise self.error
        return self.result


class Pause:
    """Blocks the first caller until the test releases it."""

    def __init__(self) -> None:
        self._reached, self._go = threading.Event(), threading.Event()

    def wait_until_reached(self) -> None:
        assert self._reached.wait(PATIENCE), "nobody came by"

    def let_go(self) -> None:
        self._go.set()

    def __call__(self) -> None:
        if not self._reached.is_set():
            self._reached.set()
            assert self._go.wait(PATIENCE), "never let go"


@contextmanager
def paused_after(
    monkeypatch: pytest.MonkeyPatch, owner: object, name: str
) -> Iterator[Pause]:
    """The first call of ``owner.name`` returns only after the test releases it."""
    pause, real = Pause(), getattr(owner, name)

    def pausing(*args, **kwargs):
        result = real(*args, **kwargs)
        pause()
        return result

    monkeypatch.setattr(owner, name, pausing)
    try:
        yield pause
    finally:
        pause.let_go()


def rename(title: str) -> None:
    lesson = node("LES-MATH-0-0")
    lesson.title = title
    lesson.save()


def beat() -> None:
    """Run the periodic tasks of beat."""
    SyncLog.objects.filter(status=SyncStatus.QUEUED).update(next_attempt_at=None)
    sweep.process_pending(limit=10)
    sync_log.close_stale()


def assert_settled() -> None:
    """Nothing is pending, every run has ended, and the tables match the disk."""
    assert not staleness.pending()
    assert not staleness.to_withdraw()
    assert set(SyncLog.objects.values_list("status", flat=True)) <= _ENDED
    for row in PublishedDocument.objects.all():
        assert row.sha256 == release.sha256(row.path), row.path
    for publication in Publication.objects.all():
        assert publication.generation == file_store.current_generation(
            publication.plan_public_id
        )
    for path in release.root().rglob("*"):
        assert path.name in _OWN_NAMES or path.name[0] != "."


def assert_nothing_of(plan_id: str) -> None:
    """No file of the plan remains, not even a hidden one."""
    assert not [path for path in release.root().rglob("*") if plan_id in path.name]


@contextmanager
def reading(*plan_ids: str) -> Iterator[None]:
    """Walk these plans' releases in a thread, as a student's app, all the while."""
    stop = threading.Event()

    def keep_reading() -> list[str]:
        history, problems = reader.History(), []
        while not stop.is_set():
            for plan_id in plan_ids:
                found = reader.walk(release.root(), plan_id)
                problems += [*found.problems, *history.add(found)]
                if found.generation is None:
                    problems.append(f"no release of {plan_id}")
        return problems

    app = Actor(keep_reading)
    try:
        yield
    finally:
        stop.set()
    assert app.done() == []


@pytest.fixture(params=["with Redis", "without Redis"])
def with_or_without_redis(request, settings) -> None:
    """Without Redis, both builders believe that they hold the lock."""
    if request.param == "without Redis":
        settings.REDIS_URL = "unix:///nowhere/redis.sock"


def test_a_snapshot_sees_one_moment(plan):
    builds.publish_plan(plan.pk)
    with consistent_read():
        before = Node.objects.get(public_id="LES-MATH-0-0").title
        Actor(lambda: rename("Meanwhile")).done()
        assert Node.objects.get(public_id="LES-MATH-0-0").title == before
    assert node("LES-MATH-0-0").title == "Meanwhile"


def test_an_edit_during_a_build_builds_again(plan, monkeypatch):
    with paused_after(monkeypatch, snapshot, "take") as pause:
        builder = Actor(lambda: builds.publish_plan(plan.pk))
        pause.wait_until_reached()
        rename("Later")
    builder.done()
    made = SyncLog.objects.order_by("pk").values_list("generation", flat=True)
    assert list(made) == [1, 2]  # the first build had read before the edit
    assert release.read("lessons/LES-MATH-0-0.json")["title"] == "Later"
    assert_settled()


def test_a_second_builder_leaves_a_plan_that_is_being_built(plan, monkeypatch):
    with paused_after(monkeypatch, file_store, "write_generation") as pause:
        first = Actor(lambda: builds.publish_plan(plan.pk))
        pause.wait_until_reached()
        assert builds.publish_plan(plan.pk) is None
    entry = first.done()
    assert entry.status == SyncStatus.LOCAL_ONLY
    release.walk("PLAN-A")
    assert_settled()


@pytest.mark.usefixtures("with_or_without_redis")
def test_two_builders_of_one_plan_make_one_release(plan):
    builds.publish_plan(plan.pk)
    with reading("PLAN-A"):
        for number in range(6):
            rename(f"Title {number}")
            both = [Actor(lambda: builds.publish_plan(plan.pk)) for _ in range(2)]
            for builder in both:
                builder.done()
    beat()
    release.walk("PLAN-A")
    assert release.read("lessons/LES-MATH-0-0.json")["title"] == "Title 5"
    assert_settled()


@pytest.mark.parametrize("after", ["prepare_lessons", "write_generation"])
def test_a_builder_paused_past_its_lock_is_overtaken(
    plan, monkeypatch, redis_client, after
):
    builds.publish_plan(plan.pk)
    rename("What the slow one read")
    with reading("PLAN-A"):
        with paused_after(monkeypatch, file_store, after) as pause:
            slow = Actor(lambda: builds.publish_plan(plan.pk))
            pause.wait_until_reached()
            redis_client.flushdb()  # the lock has expired
            rename("What the fast one read")
            fast = builds.publish_plan(plan.pk)
            done = release.everything()
        assert slow.done().status == SyncStatus.SUPERSEDED
    assert fast.status == SyncStatus.LOCAL_ONLY
    assert release.everything() == done
    assert done["lessons/LES-MATH-0-0.json"].find(b"What the fast one read") > 0
    fast.refresh_from_db()
    assert (fast.status, fast.generation) == (SyncStatus.LOCAL_ONLY, 3)
    release.walk("PLAN-A")
    assert_settled()


def test_a_builder_paused_past_its_lock_overwrites_no_shared_lesson(
    plan, second_plan, monkeypatch
):
    beat()
    rename("What the slow one read")
    with paused_after(monkeypatch, file_store, "prepare_lessons") as pause:
        slow = Actor(lambda: builds.publish_plan(plan.pk))
        pause.wait_until_reached()
        rename("What the other plan read")
        builds.publish_plan(second_plan.pk)
    slow.done()
    lesson = release.read("lessons/LES-MATH-0-0.json")
    assert lesson["title"] == "What the other plan read"
    beat()
    assert release.read("lessons/LES-MATH-0-0.json") == lesson
    release.walk("PLAN-A")
    release.walk("PLAN-B")
    assert_settled()


@pytest.mark.usefixtures("with_or_without_redis")
def test_plans_that_share_lessons_are_built_at_once_while_editors_edit(
    plan, second_plan
):
    beat()
    stop = threading.Event()

    def keep_building(plan_pk: int) -> None:
        while not stop.is_set():
            builds.publish_plan(plan_pk)

    def keep_hiding() -> None:
        for number in range(6):
            if number % 2:
                plan.overrides.filter(action="hide").delete()
            else:
                set_override(plan=plan, target=node("UNIT-MATH-1"), action="hide")

    with reading("PLAN-A", "PLAN-B"):
        builders = [
            Actor(lambda pk=pk: keep_building(pk)) for pk in (plan.pk, second_plan.pk)
        ]
        editor = Actor(keep_hiding)
        for number in range(12):
            with transaction.atomic():
                rename(f"Title {number}")
            LessonStage.objects.filter(public_id="STG-MATH-0-1").update(
                title=f"Stage {number}"
            )
        editor.done()
        stop.set()
        for builder in builders:
            builder.done()
        for _turn in range(3):  # a lesson gated or opened makes other plans pending
            beat()
    for plan_id in ("PLAN-A", "PLAN-B"):
        release.walk(plan_id)
    assert release.read("lessons/LES-MATH-0-0.json")["title"] == "Title 11"
    assert release.read("lessons/LES-MATH-0-1.json")["stages"][0]["title"] == "Stage 11"
    assert_settled()


def end(plan: AcademicPlan, how: str) -> None:
    if how == "deleted":
        AcademicPlan.objects.get(pk=plan.pk).delete()
    else:
        AcademicPlan.objects.filter(pk=plan.pk).update(is_published=False)


@pytest.mark.parametrize("how", ["deleted", "unpublished"])
@pytest.mark.parametrize("swept", ["swept meanwhile", "swept afterwards"])
@pytest.mark.parametrize(
    ("owner", "when"),
    [(snapshot, "take"), (releases, "make"), (file_store, "write_generation")],
    ids=lambda value: value if isinstance(value, str) else "after",
)
def test_a_plan_that_ends_while_it_builds_leaves_nothing(
    plan, second_plan, monkeypatch, how, swept, owner, when
):
    builds.publish_plan(second_plan.pk)
    with paused_after(monkeypatch, owner, when) as pause:
        builder = Actor(lambda: builds.publish_plan(plan.pk))
        pause.wait_until_reached()
        end(plan, how)
        if swept == "swept meanwhile":
            beat()
    builder.done()
    beat()
    cleanup.collect()
    assert_nothing_of("PLAN-A")
    assert not Publication.objects.filter(plan_public_id="PLAN-A").exists()
    release.walk("PLAN-B")
    assert_settled()


@pytest.mark.parametrize("how", ["deleted", "unpublished"])
def test_a_plan_that_ends_just_before_it_is_claimed_is_no_failure(
    plan, monkeypatch, how
):
    with paused_after(monkeypatch, staleness, "pending") as pause:
        builder = Actor(lambda: builds.publish_plan(plan.pk))
        pause.wait_until_reached()
        end(plan, how)
    builder.done()
    beat()
    cleanup.collect()
    assert_nothing_of("PLAN-A")
    assert_settled()


def test_a_plan_published_again_while_its_old_build_sleeps_is_not_disturbed(
    plan, monkeypatch
):
    with paused_after(monkeypatch, file_store, "write_generation") as pause:
        sleeper = Actor(lambda: builds.publish_plan(plan.pk))
        pause.wait_until_reached()
        end(plan, "unpublished")
        beat()
        AcademicPlan.objects.filter(pk=plan.pk).update(is_published=True)
        monkeypatch.setattr(queue, "build_lock", _no_lock)
        builds.publish_plan(plan.pk)
        done = release.everything()
    sleeper.done()
    assert release.everything() == done
    beat()
    release.walk("PLAN-A")
    assert_settled()


@contextmanager
def _no_lock(_plan_id: int, **_patience: float) -> Iterator[bool]:
    yield True
