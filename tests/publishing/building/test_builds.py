"""From an edit to a release, on real files."""

import errno
import os
from pathlib import Path

import pytest
import time_machine
from django.db import DatabaseError, OperationalError, models, transaction

import publishing.storage.activation
from content import services
from content.kinds import Kind
from content.models import LessonStage, Node, SubjectState
from plans.models import AcademicPlan, PlanOverride
from plans.services import add_subject, set_override
from publishing import staleness
from publishing.building import builds, claims, rollback, snapshot, sweep
from publishing.models import (
    Publication,
    PublishedDocument,
    PublishingSettings,
    SyncLog,
    SyncStatus,
)
from publishing.monitoring import health
from publishing.published_content import load_plan
from publishing.storage import cleanup, file_store, open_lessons
from tests.factories.content import trash_node
from tests.publishing import release
from tests.publishing.conftest import node

pytestmark = pytest.mark.django_db


def publish(plan):
    entry = builds.publish_plan(plan.pk, trigger="test")
    assert entry is not None, "nothing to publish"
    assert entry.status == SyncStatus.LOCAL_ONLY, entry.error
    return entry


def test_a_plan_becomes_a_whole_release(plan):
    entry = publish(plan)
    found = release.walk("PLAN-A")
    # manifest, search, hierarchy, bitmap, two topics, four lessons
    assert entry.files_written == len(found) == 10


def test_publishing_again_builds_nothing(plan):
    publish(plan)
    assert builds.publish_plan(plan.pk) is None


def test_an_edit_that_changes_no_file_writes_none(plan, math):
    publish(plan)
    before = release.everything()
    math.save()
    entry = publish(plan)
    assert (entry.files_written, release.everything()) == (0, before)
    assert file_store.kept_generations("PLAN-A") == [1]


def test_a_stage_edit_rewrites_the_lesson_and_what_leads_to_it(plan):
    with time_machine.travel(1_800_000_000):
        publish(plan)
    before = release.everything()
    stage = LessonStage.objects.get(public_id="STG-MATH-0-1")
    stage.config = {"format": "markdown", "body": "new"}
    stage.save()
    with time_machine.travel(1_800_000_100):
        entry = publish(plan)
    after = release.everything()
    assert {path for path in after if after[path] != before.get(path)} == {
        "lessons/LES-MATH-0-1.json",
        "plans/PLAN-A/TOP-MATH-0.json",
        "plans/PLAN-A/SUBJ-MATH_h.json",
        "plans/PLAN-A/search_index.json",
        "plans/PLAN-A/manifest.json",
    }
    assert entry.files_written == 5
    assert release.read("lessons/LES-MATH-0-1.json")["version"] == 1_800_000_100
    assert release.read("lessons/LES-MATH-0-0.json")["version"] == 1_800_000_000
    previous = release.root() / "lessons" / "LES-MATH-0-1.json.prev"
    assert previous.read_bytes() == before["lessons/LES-MATH-0-1.json"]
    kept = release.root() / "plans/PLAN-A/manifest.json.prev"
    assert kept.read_bytes() == before["plans/PLAN-A/manifest.json"]


def test_two_changes_within_a_second_have_different_versions(plan):
    with time_machine.travel(1_800_000_000, tick=False):
        publish(plan)
        AcademicPlan.objects.filter(pk=plan.pk).update(title="Renamed")
        publish(plan)
    assert release.read("plans/PLAN-A/manifest.json")["version"] == 1_800_000_001


def test_a_file_that_comes_back_has_a_later_version_than_it_had(plan):
    unit = Node.objects.filter(public_id="UNIT-MATH-0")
    path = "lessons/LES-MATH-0-0.json"
    with time_machine.travel(1_800_000_000, tick=False):
        publish(plan)
        before = release.read(path)["version"]
        unit.update(is_published=False)
        publish(plan)
        LessonStage.objects.filter(public_id="STG-MATH-0-0").update(title="Changed")
        unit.update(is_published=True)
        publish(plan)
        assert release.read(path)["version"] > before


@pytest.mark.parametrize("how", ["hide", "unpublish", "trash"])
def test_what_is_hidden_is_nowhere(plan, how):
    publish(plan)
    unit = node("UNIT-MATH-0")
    if how == "hide":
        set_override(plan=plan, target=unit, action="hide")
    elif how == "unpublish":
        Node.objects.filter(pk=unit.pk).update(is_published=False)
    else:
        trash_node(node=unit)
    publish(plan)
    release.walk("PLAN-A")
    everything = b"".join(release.everything().values())
    for hidden_id in (b"UNIT-MATH-0", b"TOP-MATH-0", b"LES-MATH-0-0", b"LES-MATH-0-1"):
        assert hidden_id not in everything
    # Their files are kept, gated, for a rollback: docs/adr/0009.
    assert open_lessons.is_gated("LES-MATH-0-0")


def test_a_lesson_file_stays_while_another_plan_offers_it(plan, math):
    other = AcademicPlan.objects.create(
        public_id="PLAN-B", title="Other", is_published=True
    )
    add_subject(plan=other, subject=math)
    publish(plan)
    publish(other)
    set_override(plan=plan, target=node("UNIT-MATH-0"), action="hide")
    publish(plan)
    release.walk("PLAN-B")
    assert (release.root() / "lessons/LES-MATH-0-0.json").exists()


def test_an_empty_subject_stays_in_the_manifest(plan):
    for unit in ("UNIT-MATH-0", "UNIT-MATH-1"):
        trash_node(node=node(unit))
    publish(plan)
    manifest = release.read("plans/PLAN-A/manifest.json")
    assert [subject["id"] for subject in manifest["subjects"]] == ["SUBJ-MATH"]
    assert release.read("plans/PLAN-A/SUBJ-MATH_b.json")["total_lessons"] == 0


def test_access_and_rename_reach_the_documents(plan):
    set_override(plan=plan, target=node("LES-MATH-0-0"), action="set_free")
    set_override(
        plan=plan,
        target=node("UNIT-MATH-1"),
        action="set_sold_separately",
        value="ITEM-1",
    )
    set_override(plan=plan, target=node("UNIT-MATH-1"), action="rename", value="Extra")
    set_override(
        plan=plan, target=node("TOP-MATH-1"), action="set_linear", value="true"
    )
    publish(plan)
    release.walk("PLAN-A")
    topic = release.read("plans/PLAN-A/TOP-MATH-1.json")
    assert topic["access"] == {
        "is_published": True,
        "access_level": "paid",
        "required_item": "ITEM-1",
    }
    assert topic["parent"]["unit_title"] == "Extra"
    assert topic["is_linear"] is True
    free, gated = release.read("plans/PLAN-A/TOP-MATH-0.json")["lessons"]
    assert "gated" not in free
    assert free["lesson_url"].endswith(
        "/files/memora_content/lessons/LES-MATH-0-0.json"
    )
    assert gated["gated"] is True
    assert gated["lesson_url"].endswith("/api/v1/content/lessons/LES-MATH-0-1/")


def test_a_lesson_another_plan_opens_stops_being_gated_here(plan, math):
    other = AcademicPlan.objects.create(
        public_id="PLAN-B", title="Other", is_published=True
    )
    add_subject(plan=other, subject=math)
    publish(plan)
    publish(other)
    set_override(plan=other, target=node("LES-MATH-0-0"), action="set_free")
    publish(other)
    publish(plan)
    lesson = release.read("plans/PLAN-A/TOP-MATH-0.json")["lessons"][0]
    assert "gated" not in lesson
    AcademicPlan.objects.filter(pk=other.pk).update(is_published=False)
    sweep.process_pending(limit=10)
    lesson = release.read("plans/PLAN-A/TOP-MATH-0.json")["lessons"][0]
    assert lesson["gated"] is True


def test_an_invalid_document_leaves_the_release_and_names_the_place(plan):
    publish(plan)
    before = release.everything()
    stage = LessonStage.objects.get(public_id="STG-MATH-0-0")
    LessonStage.objects.filter(pk=stage.pk).update(title="")
    entry = builds.publish_plan(plan.pk)
    assert entry.status == SyncStatus.QUEUED
    assert entry.error_document == "lessons/LES-MATH-0-0.json"
    assert entry.error_json_path == "stages[0].title"
    assert entry.error.endswith("at stages[0].title: must not be empty")
    assert entry.next_attempt_at is not None
    assert release.everything() == before


def test_a_stage_its_schema_refuses_is_named(plan):
    LessonStage.objects.filter(public_id="STG-MATH-0-0").update(config={"body": 5})
    entry = builds.publish_plan(plan.pk)
    assert entry.error_document == "lessons/LES-MATH-0-0.json"
    assert entry.error_json_path.startswith("stages[0].config")


def test_html_that_got_past_saving_is_sanitised(plan):
    config = {"format": "html", "body": "<p>Hi<script>alert(1)</script></p>"}
    LessonStage.objects.filter(public_id="STG-MATH-0-0").update(config=config)
    publish(plan)
    lesson = release.read("lessons/LES-MATH-0-0.json")
    assert lesson["stages"][0]["config"]["body"] == "<p>Hi</p>"


def test_a_video_s_page_is_published_with_its_player_and_its_referrer_policy(plan):
    lesson = node("LES-MATH-0-1")
    frame = (
        '<iframe src="https://www.youtube.com/watch?v=dQw4w9WgXcQ" '
        'referrerpolicy="strict-origin-when-cross-origin"></iframe>'
    )
    for name, config in (
        ("Video", {"source": "https://youtu.be/dQw4w9WgXcQ?t=9"}),
        ("Interactive", {"html": frame, "height": 300}),
    ):
        LessonStage.objects.create(lesson=lesson, type=name, title="V", config=config)
    publish(plan)
    found = release.read("lessons/LES-MATH-0-1.json")["stages"]
    video, page = (stage["config"] for stage in found if stage["title"] == "V")
    player = "https://www.youtube-nocookie.com/embed/dQw4w9WgXcQ"
    assert video == {
        "source": "https://youtu.be/dQw4w9WgXcQ?t=9",
        "player_url": f"{player}?start=9",
    }
    assert page["html"] == (
        f'<iframe src="{player}" '
        'referrerpolicy="strict-origin-when-cross-origin"></iframe>'
    )


def test_a_bit_that_meant_another_lesson_before_is_refused(plan):
    """As after restoring an older database beside newer files."""
    publish(plan)
    lesson = node("LES-MATH-0-0")
    Node.objects.filter(pk=lesson.pk).update(bit_index=77)
    Node.objects.filter(public_id="LES-MATH-0-1").update(bit_index=lesson.bit_index)
    entry = builds.publish_plan(plan.pk)
    assert entry.error_document == "plans/PLAN-A/SUBJ-MATH_b.json"
    assert "belongs to the lesson LES-MATH-0-0" in entry.error


def test_a_subject_without_its_state_fails_the_build_and_says_what_to_do(plan, math):
    publish(plan)
    SubjectState.objects.filter(pk=math.pk).delete()
    entry = builds.publish_plan(plan.pk)
    assert "The state row of the subject “MATH” is missing" in entry.error
    assert "check_tree --repair" in entry.error


def test_failures_end_in_dead_letter_and_an_edit_tries_again(plan, settings):
    stage = LessonStage.objects.filter(public_id="STG-MATH-0-0")
    stage.update(title="")
    for _attempt in range(len(settings.PUBLISH_RETRY_DELAYS) + 1):
        entry = builds.publish_plan(plan.pk)
    assert entry.status == SyncStatus.DEAD_LETTER
    sweep.process_pending(limit=10)
    assert SyncLog.objects.count() == 1
    assert SyncLog.objects.get().status == SyncStatus.DEAD_LETTER
    stage.update(title="Read")
    sweep.process_pending(limit=10)
    assert SyncLog.objects.get().status == SyncStatus.LOCAL_ONLY


def test_a_failed_plan_waits_for_its_next_attempt(plan):
    stage = LessonStage.objects.filter(public_id="STG-MATH-0-0")
    stage.update(title="")
    with time_machine.travel(1_800_000_000, tick=False) as clock:
        sweep.process_pending(limit=10)
        sweep.process_pending(limit=10)
        assert SyncLog.objects.get().attempts == 1
        clock.shift(31)
        sweep.process_pending(limit=10)
        assert SyncLog.objects.get().attempts == 2


def test_an_unpublished_plan_is_withdrawn(plan):
    publish(plan)
    AcademicPlan.objects.filter(pk=plan.pk).update(is_published=False)
    sweep.process_pending(limit=10)
    assert (release.everything(), release.lessons()) == ({}, set())
    assert PublishedDocument.objects.count() == 0


@pytest.mark.parametrize("is_deleted", [False, True])
def test_a_withdrawn_plan_leaves_no_file(plan, is_deleted):
    """Also not a lesson that only an earlier generation names."""
    publish(plan)
    trash_node(node=node("LES-MATH-0-0"))
    publish(plan)
    if is_deleted:
        plan.delete()
    else:
        AcademicPlan.objects.filter(pk=plan.pk).update(is_published=False)
    sweep.process_pending(limit=10)
    assert release.everything() == {}
    assert "orphaned" not in health.check(full=True).counts


def test_a_deleted_plan_is_withdrawn(plan):
    publish(plan)
    plan.delete()
    sweep.process_pending(limit=10)
    assert (release.everything(), release.lessons()) == ({}, set())


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "end",
    [
        lambda plan: plan.delete(),
        lambda plan: AcademicPlan.objects.filter(pk=plan.pk).update(is_published=False),
    ],
    ids=["deleted", "unpublished"],
)
def test_an_ended_plan_s_files_are_gone_with_the_commit(plan, end):
    publish(plan)
    with transaction.atomic():
        end(plan)
        assert release.everything()
    assert (release.everything(), release.lessons()) == ({}, set())
    assert file_store.kept_generations("PLAN-A") == []


@pytest.mark.django_db(transaction=True)
def test_a_deleted_lesson_s_file_is_gone_with_the_commit(plan):
    publish(plan)
    with transaction.atomic():
        services.delete_node(node=node("LES-MATH-0-0"))
        assert file_store.exists("lessons/LES-MATH-0-0.json")
    assert not file_store.exists("lessons/LES-MATH-0-0.json")
    release.walk("PLAN-A")


@pytest.mark.django_db(transaction=True)
def test_a_deleted_subject_s_files_are_gone_with_the_commit(plan, math):
    publish(plan)
    services.delete_node(node=math)
    assert release.everything().keys() == {
        "plans/PLAN-A/manifest.json",
        "plans/PLAN-A/search_index.json",
    }
    assert release.lessons() == set()


@pytest.mark.django_db(transaction=True)
def test_the_file_of_a_lesson_deleted_out_of_the_trash_is_gone_with_the_commit(plan):
    publish(plan)
    trash_node(node=node("LES-MATH-0-0"))
    publish(plan)
    assert "LES-MATH-0-0" in release.lessons()
    services.delete_node(node=node("LES-MATH-0-0"))
    assert "LES-MATH-0-0" not in release.lessons()


def test_a_deleted_subject_leaves_its_plans(plan, math):
    publish(plan)
    services.delete_node(node=math)
    sweep.process_pending(limit=10)
    assert release.read("plans/PLAN-A/manifest.json")["subjects"] == []
    assert not list((release.root() / "lessons").glob("*"))


def test_a_settings_change_moves_every_link(plan):
    publish(plan)
    current = PublishingSettings.get_solo()
    current.local_domain = "https://school.example"
    current.save()
    publish(plan)
    release.walk("PLAN-A")
    manifest = release.read("plans/PLAN-A/manifest.json")
    assert manifest["search_index_url"].startswith("https://school.example/files/")


def test_a_large_plan_has_its_search_split_by_subject(plan):
    current = PublishingSettings.get_solo()
    current.search_shard_threshold = 3
    current.save()
    publish(plan)
    release.walk("PLAN-A")
    index = release.read("plans/PLAN-A/search_index.json")
    assert index["is_sharded"] is True
    shard = release.read("plans/PLAN-A/search/SUBJ-MATH.json")
    assert shard["total_items"] == index["total_items"] == 10


def test_a_low_disk_pauses_without_using_up_attempts(plan, monkeypatch):
    usage = type("Usage", (), {"total": 1000, "free": 50})
    monkeypatch.setattr(file_store.shutil, "disk_usage", lambda _path: usage)
    for _attempt in range(8):
        entry = builds.publish_plan(plan.pk)
    assert entry.status == SyncStatus.QUEUED
    assert "would stay free" in entry.error
    monkeypatch.undo()
    publish(plan)


def test_a_lost_file_is_written_again(plan, math):
    publish(plan)
    (release.root() / "lessons/LES-MATH-0-0.json").unlink()
    (release.root() / "plans/PLAN-A/TOP-MATH-1.json").unlink()
    math.save()
    publish(plan)
    release.walk("PLAN-A")


def test_a_plan_made_again_under_its_id_has_nothing_of_the_deleted_one(plan, math):
    """The new plan is published before the old one's files are removed."""
    publish(plan)
    set_override(plan=plan, target=node("UNIT-MATH-0"), action="hide")
    publish(plan)
    seen = AcademicPlan.objects.get(pk=plan.pk).revision
    plan.delete()
    again = AcademicPlan.objects.create(
        public_id="PLAN-A", title="Grade 5", is_published=True
    )
    add_subject(plan=again, subject=math)
    models.QuerySet(AcademicPlan).filter(pk=again.pk).update(revision=seen)
    publish(again)
    assert "plans/PLAN-A/TOP-MATH-0.json" in release.walk("PLAN-A")


def test_old_generations_are_collected_but_never_the_current(plan):
    publish(plan)
    for number in range(5):
        AcademicPlan.objects.filter(pk=plan.pk).update(title=f"Title {number}")
        publish(plan)
    assert cleanup.collect().generations == {"PLAN-A": [1, 2, 3]}
    assert file_store.kept_generations("PLAN-A") == [4, 5, 6]
    release.walk("PLAN-A")


def test_a_release_that_no_reader_was_shown_is_none_to_go_back_to(plan, monkeypatch):
    publish(plan)
    AcademicPlan.objects.filter(pk=plan.pk).update(title="Other")

    def die(*_args):
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(publishing.storage.activation, "_lock_for_switch", die)
        patch.setattr(
            publishing.storage.activation, "_drop_unfinished", lambda *_: None
        )
        with pytest.raises(SystemExit):
            builds.publish_plan(plan.pk)
    assert file_store.kept_generations("PLAN-A") == [1]
    publish(plan)
    assert file_store.kept_generations("PLAN-A") == [1, 3]


def test_a_generation_made_current_while_it_was_to_be_collected_stays(
    plan, monkeypatch
):
    current = PublishingSettings.get_solo()
    current.kept_generations = 1
    current.save()
    publish(plan)
    AcademicPlan.objects.filter(pk=plan.pk).update(title="Other")
    publish(plan)
    real = publishing.storage.activation.take_switch_lock

    def wait_while_somebody_goes_back():
        monkeypatch.setattr(publishing.storage.activation, "take_switch_lock", real)
        rollback.make_current("PLAN-A", 1)
        return real()

    monkeypatch.setattr(
        publishing.storage.activation, "take_switch_lock", wait_while_somebody_goes_back
    )
    assert cleanup.collect().generations == {}
    assert file_store.kept_generations("PLAN-A") == [1, 2]
    release.walk("PLAN-A")


def test_what_cannot_be_collected_is_counted_and_keeps_nothing_else(
    plan, math, forbidden, monkeypatch
):
    other = AcademicPlan.objects.create(
        public_id="PLAN-B", title="Other", is_published=True
    )
    add_subject(plan=other, subject=math)
    for number in range(5):
        AcademicPlan.objects.update(title=f"Title {number}")
        sweep.process_pending(limit=10)
    with monkeypatch.context() as patch:
        patch.setattr(file_store.shutil, "rmtree", lambda *_args, **_kwargs: None)
        forbidden(".generations/PLAN-A")
        collected = cleanup.collect()
    # One plan's folder cannot be read; two generations could not be deleted.
    assert (collected.generations, collected.left) == ({"PLAN-B": [1, 2]}, 3)
    assert file_store.kept_generations("PLAN-B") == [3, 4, 5]
    assert cleanup.collect().left == 1


def test_a_leftover_that_cannot_be_deleted_keeps_nothing_else(plan, monkeypatch):
    builds.publish_plan(plan.pk)
    trash_node(node=node("LES-MATH-0-0"))
    builds.publish_plan(plan.pk)
    PublishingSettings.objects.update_or_create(defaults={"kept_generations": 1})
    leftovers = [
        release.root() / name
        for name in ("lessons/.LES-X.json.PLAN-A.9", "plans/.PLAN-A.9")
    ]
    for leftover in leftovers:
        leftover.write_text("{}")
        os.utime(leftover, (0, 0))
    real = Path.unlink

    def unlink(path, **how):
        if path == leftovers[0]:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        real(path, **how)

    monkeypatch.setattr(Path, "unlink", unlink)
    collected = cleanup.collect()
    assert (collected.lessons, collected.left) == (1, 1)
    assert [leftover.exists() for leftover in leftovers] == [True, False]


def test_a_video_is_signed_and_a_rebuild_keeps_the_signature(plan, math):
    LessonStage.objects.create(
        public_id="STG-VIDEO",
        lesson=node("LES-MATH-0-0"),
        type="Video",
        title="Watch",
        config={"source": "intro.mp4"},
    )
    with time_machine.travel(1_800_000_000, tick=False) as clock:
        publish(plan)
        path = "lessons/LES-MATH-0-0.json"
        first = release.read(path)
        config = first["stages"][1]["config"]
        assert config["expires_at"] == "2027-01-15T12:00:00+00:00"
        assert "expires=1800014400&token=" in config["signed_url"]
        clock.shift(3600)
        math.save()
        assert publish(plan).files_written == 0
        clock.shift(2 * 3600)
        math.save()
        assert publish(plan).files_written == 1
        again = release.read(path)
        assert again["version"] == first["version"]
        assert again["stages"][1]["config"]["expires_at"] > config["expires_at"]


def test_a_release_the_tables_do_not_know_of_is_corrected(plan, monkeypatch):
    """A builder crashes after the rename and before the commit."""
    with time_machine.travel(1_800_000_000, tick=False):
        publish(plan)
    stage = LessonStage.objects.filter(public_id="STG-MATH-0-0")
    stage.update(title="Torn")

    def die(*_args, **_kwargs):
        raise SystemExit

    with monkeypatch.context() as patch, time_machine.travel(1_800_000_050):
        patch.setattr(publishing.storage.activation, "_record_release", die)
        with pytest.raises(SystemExit):
            builds.publish_plan(plan.pk)
    assert release.read("lessons/LES-MATH-0-0.json")["stages"][0]["title"] == "Torn"
    stage.update(title="Read")
    with time_machine.travel(1_800_000_050, tick=False):
        publish(plan)
    release.walk("PLAN-A")
    lesson = release.read("lessons/LES-MATH-0-0.json")
    assert lesson["stages"][0]["title"] == "Read"
    assert lesson["version"] > 1_800_000_050


def test_an_older_builder_gives_up_at_the_switch(plan, monkeypatch):
    real = snapshot.take

    def overtaken(plan_pk, **kwargs):
        taken = real(plan_pk, **kwargs)
        Publication.objects.update(build_number=99)
        return taken

    monkeypatch.setattr(snapshot, "take", overtaken)
    entry = builds.publish_plan(plan.pk)
    assert entry.status == SyncStatus.SUPERSEDED
    assert release.everything() == {} if (release.root() / "plans").exists() else True


def test_pending_is_what_differs(plan, math):
    assert list(staleness.pending()) == [plan.pk]
    publish(plan)
    assert not staleness.pending()
    services.create_node(kind=Kind.TRACK, parent=math, title="New")
    assert list(staleness.pending()) == [plan.pk]
    assert PlanOverride.objects.count() == 0


@pytest.fixture
def forbidden(monkeypatch):
    """Return a function that makes a folder of the content root unreadable."""

    def forbid(folder: str) -> None:
        iterdir = Path.iterdir

        def look(self: Path):
            if self == release.root() / folder:
                raise PermissionError(errno.EACCES, "Permission denied", str(self))
            return iterdir(self)

        monkeypatch.setattr(Path, "iterdir", look)

    return forbid


def test_a_plan_whose_folder_is_forbidden_holds_up_no_other(plan, math, forbidden):
    publish(plan)
    other = AcademicPlan.objects.create(
        public_id="PLAN-B", title="Other", is_published=True
    )
    add_subject(plan=other, subject=math)
    math.title = "Renamed"
    math.save()
    forbidden(".generations/PLAN-A")
    sweep.process_pending(limit=10)
    release.walk("PLAN-B")
    failed = SyncLog.objects.get(plan=plan, status=SyncStatus.QUEUED)
    assert "Permission denied" in failed.error
    assert ".generations/PLAN-A" in failed.error
    assert failed.next_attempt_at is not None


def test_a_plan_that_cannot_be_claimed_holds_up_no_other(plan, math, monkeypatch):
    other = AcademicPlan.objects.create(
        public_id="PLAN-B", title="Other", is_published=True
    )
    add_subject(plan=other, subject=math)
    real = claims.sync_log.open_entry

    def refuse(claimed, *args, **kwargs):
        if claimed == plan:
            raise DatabaseError("no room for the entry")
        return real(claimed, *args, **kwargs)

    monkeypatch.setattr(claims.sync_log, "open_entry", refuse)
    sweep.process_pending(limit=10)
    release.walk("PLAN-B")
    assert list(staleness.pending()) == [plan.pk]


def test_numbers_that_the_disk_has_used_are_not_used_again(plan):
    publish(plan)
    (release.root() / ".generations/PLAN-A/7").mkdir()
    Node.objects.filter(public_id="LES-MATH-0-0").update(title="Other")
    assert publish(plan).generation == 8


def test_a_plan_published_again_uses_no_number_twice(plan):
    publish(plan)
    assert list(load_plan("PLAN-A").lessons) == [
        f"LES-MATH-{unit}-{n}" for unit in (0, 1) for n in (0, 1)
    ]
    AcademicPlan.objects.filter(pk=plan.pk).update(is_published=False)
    sweep.process_pending(limit=10)
    trash_node(node=node("UNIT-MATH-0"))
    AcademicPlan.objects.filter(pk=plan.pk).update(is_published=True)
    assert publish(plan).generation == 2
    # Progress follows the new tree, also in processes that had cached the old one.
    assert list(load_plan("PLAN-A").lessons) == ["LES-MATH-1-0", "LES-MATH-1-1"]


@pytest.mark.django_db(transaction=True)
def test_a_claim_that_loses_a_race_is_made_again(plan, monkeypatch):
    real, lost = claims.claim, []

    def lose_twice(*args, **kwargs):
        if len(lost) < 2:
            lost.append(1)
            raise OperationalError(1213, "Deadlock found when trying to get lock")
        return real(*args, **kwargs)

    monkeypatch.setattr(claims, "claim", lose_twice)
    publish(plan)
    assert len(lost) == 2
    release.walk("PLAN-A")
