"""A builder crashes between the disk and the tables; the next builds recover.

`make crash-publish` kills real processes at every step; these are scenarios in which
recovery was wrong once.
"""

import pytest
import time_machine

from content import services
from content.kinds import Kind
from content.models import LessonStage
from plans.models import AcademicPlan
from plans.services import add_subject, set_override
from publishing import staleness, sync_log
from publishing.building import builds, releases, sweep
from publishing.models import PlanLesson, Publication, SyncLog, SyncStatus
from publishing.storage import activation, cleanup, file_store, recovery
from tests.publishing import release
from tests.publishing.conftest import node

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("worker_starts"),
]


class DiedError(BaseException):
    """As after `kill -9`: no code catches it."""


@pytest.fixture
def other(math, plan) -> AcademicPlan:
    """A second plan with the same lessons; both are published."""
    other = AcademicPlan.objects.create(
        public_id="PLAN-B", title="Other", is_published=True
    )
    add_subject(plan=other, subject=math)
    sweep.process_pending(limit=10)
    return other


@pytest.fixture
def die(monkeypatch):
    """Crash a build with all files in place and nothing committed."""

    def build_and_die(plan: AcademicPlan) -> None:
        def died(*_args, **_kwargs):
            raise DiedError

        with monkeypatch.context() as patch:
            patch.setattr(activation, "_record_release", died)
            patch.setattr(activation, "_drop_unfinished", lambda *_: None)
            with pytest.raises(DiedError):
                builds.publish_plan(plan.pk)

    return build_and_die


def write_stage(body: str) -> None:
    stage = LessonStage.objects.get(public_id="STG-MATH-0-0")
    stage.config = {"format": "markdown", "body": body}
    stage.save()


def add_lesson() -> None:
    services.create_node(
        kind=Kind.LESSON,
        parent=node("TOP-MATH-0"),
        title="New",
        public_id="LES-NEW",
        is_published=True,
    )


def test_the_other_plan_writes_a_lesson_again_that_a_dead_build_had_changed(
    plan, other, die
):
    write_stage("Never meant to stay")
    die(plan)
    write_stage("اقرأ 0.0")
    set_override(plan=plan, target=node("UNIT-MATH-0"), action="hide")
    builds.publish_plan(plan.pk)
    builds.publish_plan(other.pk)
    lesson = release.read("lessons/LES-MATH-0-0.json")
    assert lesson["stages"][0]["config"]["body"] == "اقرأ 0.0"
    release.walk("PLAN-B")


def test_a_new_lesson_of_a_dead_build_goes_when_it_is_deleted(plan, die):
    builds.publish_plan(plan.pk)
    add_lesson()
    die(plan)
    services.delete_node(node=node("LES-NEW"))
    builds.publish_plan(plan.pk)
    cleanup.collect()
    assert not file_store.exists("lessons/LES-NEW.json")
    release.walk("PLAN-A")


def test_cleaning_up_spares_the_lessons_of_a_release_no_table_knows(plan, die):
    builds.publish_plan(plan.pk)
    add_lesson()
    die(plan)
    cleanup.remove_unneeded_lessons()
    release.walk("PLAN-A")
    recovery.recover()
    cleanup.remove_unneeded_lessons()
    release.walk("PLAN-A")
    assert PlanLesson.objects.filter(lesson_id="LES-NEW").exists()


def test_recovery_records_what_readers_see_and_leaves_the_plan_pending(plan, die):
    builds.publish_plan(plan.pk)
    write_stage("Seen by readers")
    die(plan)
    recovery.recover()
    publication = Publication.objects.get()
    assert publication.generation == file_store.current_generation("PLAN-A") == 2
    for row in publication.documents.all():
        assert row.sha256 == release.sha256(row.path)
    before = release.everything()
    assert builds.publish_plan(plan.pk).files_written == 0
    assert release.everything() == before
    assert not staleness.pending()


def test_a_build_that_read_before_another_died_reads_again(
    plan, other, die, monkeypatch
):
    write_stage("Read by both")
    real = releases.make

    def made_while_another_dies(*args, **kwargs):
        made = real(*args, **kwargs)
        monkeypatch.setattr(releases, "make", real)
        with time_machine.travel(2_000_000_000):  # a version newer than ours
            die(plan)
        return made

    monkeypatch.setattr(releases, "make", made_while_another_dies)
    assert builds.publish_plan(other.pk).status == SyncStatus.LOCAL_ONLY
    release.walk("PLAN-A")
    release.walk("PLAN-B")


def test_a_lost_content_root_is_built_anew(plan, other):
    for path in sorted(release.root().rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink()
    sweep.process_pending(limit=10)
    release.walk("PLAN-A")
    release.walk("PLAN-B")


def test_a_run_whose_builder_died_with_its_work_done_is_closed(plan, monkeypatch):
    def died(*_args):
        raise DiedError

    with monkeypatch.context() as patch:
        patch.setattr(sync_log, "record_success", died)
        with pytest.raises(DiedError):
            builds.publish_plan(plan.pk)
    sync_log.close_stale()
    entry = SyncLog.objects.get()
    assert (entry.status, entry.generation) == (SyncStatus.LOCAL_ONLY, 1)


def test_a_withdrawal_that_fails_holds_up_no_build(plan, other, monkeypatch):
    AcademicPlan.objects.filter(pk=other.pk).update(is_published=False)
    write_stage("New")

    def refused(*_args):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(file_store, "withdraw_plan", refused)
        sweep.process_pending(limit=10)
    lesson = release.read("lessons/LES-MATH-0-0.json")
    assert lesson["stages"][0]["config"]["body"] == "New"
    sweep.process_pending(limit=10)
    assert not (release.root() / "plans/PLAN-B").exists()


def test_a_release_without_a_plan_is_collected(plan, other):
    Publication.objects.filter(plan=other).delete()
    AcademicPlan.objects.filter(pk=other.pk).update(is_published=False)
    cleanup.collect()
    assert not file_store.kept_generations("PLAN-B")
    assert not (release.root() / "plans/PLAN-B").is_symlink()
    release.walk("PLAN-A")


def test_what_a_withdrawal_could_not_delete_is_collected(plan, other, monkeypatch):
    AcademicPlan.objects.filter(pk=other.pk).update(is_published=False)
    with monkeypatch.context() as patch:
        patch.setattr(file_store.shutil, "rmtree", lambda *_args, **_kwargs: None)
        sweep.process_pending(limit=10)
    assert not file_store.kept_generations("PLAN-B")
    assert list((release.root() / ".discarded").iterdir())
    cleanup.collect()
    assert not list((release.root() / ".discarded").iterdir())
