"""The publishing commands: their output and exit codes."""

import shutil
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from redis.lock import Lock

from content.models import LessonStage, SubjectState
from plans.models import AcademicPlan
from plans.services import set_override
from publishing import queue, sync_log, tasks
from publishing.building import builds, sweep
from publishing.models import SyncLog, SyncStatus
from publishing.monitoring import schema_check
from publishing.storage import file_store
from tests.commands import run, run_json
from tests.publishing import release
from tests.publishing.conftest import node

pytestmark = pytest.mark.django_db


def edit(title: str = "New") -> None:
    LessonStage.objects.filter(public_id="STG-MATH-0-0").update(title=title)


@pytest.fixture
def published(plan):
    tasks.heartbeat()
    builds.publish_plan(plan.pk)
    return plan


# --- publish --------------------------------------------------------------------------


def test_publish_builds_what_differs(plan):
    assert "PLAN-A: generation 1, 10 files written" in run("publish", "PLAN-A")
    assert "PLAN-A: nothing to do" in run("publish", "--all")
    release.walk("PLAN-A")


def test_publish_answers_in_json(plan):
    answer, code = run_json("publish", "PLAN-A")
    assert code == 0
    assert answer["plans"][0]["generation"] == 1
    edit("")
    answer, code = run_json("publish", "PLAN-A")
    assert (code, answer["ok"]) == (1, False)
    assert answer["plans"][0]["document"] == "lessons/LES-MATH-0-0.json"


@pytest.mark.parametrize("words", [[], ["PLAN-A", "--all"], ["PLAN-NONE"]])
def test_publish_misused_exits_with_2(plan, words):
    with pytest.raises(CommandError) as refused:
        run("publish", *words)
    assert refused.value.returncode == 2


def test_a_full_publish_of_a_sound_release_writes_nothing(published):
    before = release.everything()
    answer, _code = run_json("publish", "PLAN-A", "--full")
    assert answer["plans"][0]["files_written"] == 0
    assert release.everything() == before


def test_a_full_publish_mends_a_file_that_was_changed_on_disk(published):
    path = release.root() / "plans/PLAN-A/TOP-MATH-0.json"
    path.write_bytes(b"{}")
    run("publish", "PLAN-A", "--full")
    release.walk("PLAN-A")


@pytest.fixture
def held(published):
    edit()
    run("publish", "PLAN-A")
    run("rollback", "PLAN-A", "1")
    return published


def test_publish_refuses_a_held_plan(held):
    answer, code = run_json("publish", "PLAN-A")
    assert (answer["plans"][0]["status"], code) == ("held", 1)
    assert file_store.current_generation("PLAN-A") == 1


def test_publish_of_all_plans_leaves_a_held_plan_alone(held):
    answer, code = run_json("publish", "--all")
    assert (answer["plans"][0]["status"], code) == ("held", 0)
    assert file_store.current_generation("PLAN-A") == 1


def test_publish_releases_a_held_plan_when_told_to(held):
    assert "generation" in run("publish", "PLAN-A", "--release")
    assert file_store.current_generation("PLAN-A") > 2


def test_a_dry_run_of_a_new_plan_adds_everything_and_writes_nothing(plan):
    answer, code = run_json("publish", "PLAN-A", "--dry-run")
    assert code == 0
    assert len(answer["plans"][0]["added"]) == 10
    assert not SyncLog.objects.exists()
    assert not list(release.root().glob("**/*.json"))


def test_a_dry_run_says_what_an_edit_changes(published):
    edit()
    before = release.everything()
    assert run("publish", "PLAN-A", "--dry-run").splitlines() == [
        "PLAN-A: ~ lessons/LES-MATH-0-0.json",
        "PLAN-A: ~ plans/PLAN-A/SUBJ-MATH_h.json",
        "PLAN-A: ~ plans/PLAN-A/TOP-MATH-0.json",
        "PLAN-A: ~ plans/PLAN-A/manifest.json",
        "PLAN-A: ~ plans/PLAN-A/search_index.json",
    ]
    assert release.everything() == before


def test_a_dry_run_says_what_hiding_removes(published):
    set_override(plan=published, target=node("UNIT-MATH-0"), action="hide")
    answer, _code = run_json("publish", "PLAN-A", "--dry-run")
    assert answer["plans"][0]["removed"] == [
        "lessons/LES-MATH-0-0.json",
        "lessons/LES-MATH-0-1.json",
        "plans/PLAN-A/TOP-MATH-0.json",
    ]


def test_a_dry_run_after_which_publishing_does_just_that(published):
    set_override(plan=published, target=node("UNIT-MATH-0"), action="hide")
    edit()
    announced = run_json("publish", "PLAN-A", "--dry-run")[0]["plans"][0]
    before = release.everything()
    run("publish", "PLAN-A")
    after = release.everything()
    assert announced["added"] == sorted(after.keys() - before)
    assert announced["removed"] == sorted(before.keys() - after)
    assert announced["changed"] == sorted(
        path for path in after if path in before and after[path] != before[path]
    )


def test_a_full_dry_run_names_the_files_damaged_on_disk(published):
    path = release.root() / "lessons/LES-MATH-0-0.json"
    path.unlink()
    path.write_text("{}")
    answer = run_json("publish", "PLAN-A", "--full", "--dry-run")[0]["plans"][0]
    assert "lessons/LES-MATH-0-0.json" in answer["changed"]
    assert path.read_text() == "{}"


def test_a_dry_run_with_nothing_to_do_says_so(published):
    assert "no file would change" in run("publish", "PLAN-A", "--dry-run")


def test_a_dry_run_that_would_fail_says_where(plan):
    edit("")
    answer, code = run_json("publish", "PLAN-A", "--dry-run")
    assert code == 1
    assert "lessons/LES-MATH-0-0.json" in answer["plans"][0]["error"]


def test_a_dry_run_that_would_fail_says_what_to_do(plan, math):
    SubjectState.objects.filter(pk=math.pk).delete()
    answer, code = run_json("publish", "PLAN-A", "--dry-run")
    assert code == 1
    assert "check_tree --repair" in answer["plans"][0]["error"]


def test_publish_waits_for_a_builder_that_is_done_soon(plan, monkeypatch):
    acquire = Lock.acquire

    def acquire_late(self, **kwargs):
        holder.__exit__(None, None, None)  # the other builder ends during the wait
        return acquire(self, **kwargs)

    holder = queue.build_lock(plan.pk)
    assert holder.__enter__()
    monkeypatch.setattr(Lock, "acquire", acquire_late)
    assert "10 files written" in run("publish", "PLAN-A")


@pytest.mark.parametrize("command", [["publish", "PLAN-A"], ["process_pending"]])
def test_a_plan_that_is_built_elsewhere_is_no_success(plan, monkeypatch, command):
    monkeypatch.setattr(builds, "LOCK_WAIT_SECONDS", 0.2)
    with queue.build_lock(plan.pk):
        answer, code = run_json(*command)
    assert (code, answer["ok"]) == (1, False)
    assert "Another process is building" in answer["plans"][0]["error"]


# --- process_pending, queue_status ----------------------------------------------------


def test_process_pending_builds_what_waits_and_withdraws(plan, published):
    edit()
    assert "1 plan published." in run("process_pending")
    assert "0 plans published." in run("process_pending")
    AcademicPlan.objects.filter(pk=plan.pk).update(is_published=False)
    run("process_pending")
    assert release.everything() == {}


def test_process_pending_exits_with_1_when_a_plan_fails(plan):
    edit("")
    answer, code = run_json("process_pending")
    assert (code, answer["plans"][0]["ok"]) == (1, False)
    # The plan is not due before its next attempt.
    assert run_json("process_pending") == ({"ok": True, "plans": []}, 0)


def test_process_pending_exits_with_1_when_a_plan_cannot_be_withdrawn(
    plan, published, monkeypatch
):
    def refused(*_args):
        raise PermissionError(13, "Permission denied")

    AcademicPlan.objects.filter(pk=plan.pk).update(is_published=False)
    with monkeypatch.context() as patch:
        patch.setattr(file_store, "withdraw_plan", refused)
        answer, code = run_json("process_pending")
    assert code == 1
    assert [(found["plan"], found["ok"]) for found in answer["plans"]] == [
        ("PLAN-A", False)
    ]
    assert run_json("process_pending") == ({"ok": True, "plans": []}, 0)


def test_queue_status_of_a_quiet_queue(published):
    answer, code = run_json("queue_status")
    assert code == 0
    assert answer["pending_plans"] == answer["dead_letter_count"] == 0
    assert answer["plans"][0]["last_success"] is not None
    assert "Waiting: 0" in run("queue_status")


def test_queue_status_names_what_waits_and_what_is_tried_again(published):
    edit("")
    builds.publish_plan(published.pk)
    tasks.watch_queue()
    answer, code = run_json("queue_status")
    assert code == 0
    assert [plan["plan"] for plan in answer["pending"]] == ["PLAN-A"]
    assert answer["oldest_seconds"] is not None
    (retry,) = answer["retries"]
    assert (retry["document"], retry["json_path"]) == (
        "lessons/LES-MATH-0-0.json",
        "stages[0].title",
    )
    assert "stages[0].title" in run("queue_status")


def test_queue_status_names_what_should_be_gone_and_since_when(plan, published):
    AcademicPlan.objects.filter(pk=plan.pk).delete()
    tasks.watch_queue()
    answer, _code = run_json("queue_status")
    assert [found["plan"] for found in answer["withdrawing"]] == ["PLAN-A"]
    assert answer["withdrawing"][0]["since"] is not None
    assert "To be withdrawn: 1" in run("queue_status")


def test_queue_status_exits_with_1_for_a_dead_letter(plan, settings):
    settings.PUBLISH_RETRY_DELAYS = ()
    edit("")
    builds.publish_plan(plan.pk)
    answer, code = run_json("queue_status")
    assert (code, answer["dead_letter_count"]) == (1, 1)


def test_queue_status_knows_a_build_whose_builder_is_gone(published):
    SyncLog.objects.update(status=SyncStatus.PROCESSING)
    answer, _code = run_json("queue_status")
    assert answer["building"][0]["is_alive"] is False


# --- check_content, rollback, prune_generations ------------------------------------


def test_content_health_exits_with_1_until_it_is_repaired(published):
    (release.root() / "lessons/LES-MATH-0-0.json").unlink()
    answer, code = run_json("check_content", "--full")
    assert (code, answer["counts"]) == (1, {"missing": 1})
    answer, code = run_json("check_content", "--full", "--repair")
    assert (code, answer["repaired"]) == (0, 1)
    assert "matches what was published" in run("check_content", "--full")


def test_content_health_looks_at_named_plans(published):
    answer, code = run_json("check_content", "PLAN-A", "--full")
    assert (code, answer["plans"]) == (0, ["PLAN-A"])


def test_rollback_lists_and_makes_current(published):
    edit()
    run("publish", "PLAN-A")
    answer, _code = run_json("rollback", "PLAN-A")
    assert [g["number"] for g in answer["generations"]] == [2, 1]
    assert "Generation 1 of the plan PLAN-A is now current" in run(
        "rollback", "PLAN-A", "1"
    )
    assert run("rollback", "PLAN-A").splitlines()[1].startswith("*      1")


def test_rollback_refused_exits_with_1(published):
    answer, code = run_json("rollback", "PLAN-A", "9")
    assert (code, answer["ok"]) == (1, False)
    assert "no generation 9" in answer["error"]


def test_a_rollback_that_the_disk_refuses_is_answered(published, monkeypatch):
    edit()
    run("publish", "PLAN-A")

    def refuse(*_args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(file_store, "switch", refuse)
    answer, code = run_json("rollback", "PLAN-A", "1")
    assert (code, answer["ok"]) == (1, False)
    assert "Permission denied" in answer["error"]


def test_generations_that_cannot_be_read_are_answered(published):
    (file_store.root() / "plans/PLAN-A").unlink()
    (file_store.root() / "plans/PLAN-A").mkdir()
    answer, code = run_json("rollback", "PLAN-A")
    assert (code, answer["ok"]) == (1, False)
    assert "is not a symbolic link to a release" in answer["error"]


def test_collect_generations_says_when_something_is_left(published, monkeypatch):
    for number in range(4):
        edit(f"Text {number}")
        run("publish", "PLAN-A")
    monkeypatch.setattr(file_store.shutil, "rmtree", lambda *_args, **_kwargs: None)
    answer, code = run_json("prune_generations")
    assert (code, answer["ok"], answer["left"]) == (1, False, 2)


def test_collect_generations_names_what_it_deleted(published):
    for number in range(4):
        AcademicPlan.objects.filter(pk=published.pk).update(title=f"Title {number}")
        run("publish", "PLAN-A")
    answer, _code = run_json("prune_generations")
    assert answer["collected"] == {"PLAN-A": [1, 2]}
    assert "0 generations deleted." in run("prune_generations")


def test_retrying_an_entry_that_is_done_changes_nothing(published):
    sync_log.retry(SyncLog.objects.get())
    assert SyncLog.objects.get().status == SyncStatus.LOCAL_ONLY


# --- diagnose -------------------------------------------------------------------------


def test_a_migrated_database_has_no_differences():
    assert run_json("check_schema", "--rows") == ({"ok": True, "faults": []}, 0)


@pytest.mark.django_db(transaction=True)
def test_diagnose_finds_what_is_missing_and_what_is_too_much():
    def execute(*statements: str) -> None:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    execute(
        "ANALYZE TABLE auth_group" if connection.vendor == "mysql" else "ANALYZE",
        "CREATE TABLE stray (id integer)",
        "ALTER TABLE publishing_switchlock ADD COLUMN extra integer NULL",
        "ALTER TABLE publishing_waitingplan RENAME TO publishing_waiting_away",
        "ALTER TABLE publishing_alert DROP COLUMN seen_at",
        "DROP INDEX publishing_offers"
        + (" ON publishing_lessonoffer" if connection.vendor == "mysql" else ""),
    )
    try:
        found = {(fault.code, fault.table, fault.what) for fault in _faults()}
    finally:
        execute(
            "DROP TABLE stray",
            "ALTER TABLE publishing_switchlock DROP COLUMN extra",
            "ALTER TABLE publishing_waiting_away RENAME TO publishing_waitingplan",
            "ALTER TABLE publishing_alert ADD COLUMN seen_at "
            + ("datetime(6)" if connection.vendor == "mysql" else "datetime")
            + " NOT NULL DEFAULT '2000-01-01'",
            "CREATE INDEX publishing_offers ON publishing_lessonoffer "
            "(lesson_id, is_open)",
        )
    assert found == {
        ("extra_table", "stray", ""),
        ("extra_table", "publishing_waiting_away", ""),
        ("missing_table", "publishing_waitingplan", ""),
        ("extra_column", "publishing_switchlock", "extra"),
        ("missing_column", "publishing_alert", "seen_at"),
        ("missing_index", "publishing_lessonoffer", "publishing_offers"),
    }
    assert not _faults()


def _faults() -> list[schema_check.SchemaFault]:
    return schema_check.find_faults()


def test_a_lost_content_root_is_made_again(published):
    before = release.everything()
    shutil.rmtree(release.root())
    run("publish", "--all", "--full")
    release.walk("PLAN-A")
    assert release.everything() == before
    assert run_json("check_content", "--full")[1] == 0


# --- Progress -------------------------------------------------------------------------


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def told(*words: str) -> list[str]:
    """Return the progress lines that the command shows on a terminal, one by one."""
    terminal = Terminal()
    call_command(*words, stdout=StringIO(), stderr=terminal, no_color=True)
    assert terminal.getvalue().endswith("\r\033[K"), "the line is gone at the end"
    return terminal.getvalue().split("\r\033[K")[:-1]


def test_publish_counts_plans_that_are_done(plan):
    AcademicPlan.objects.create(title="Second", is_published=True)
    assert told("publish", "--all") == ["0 / 2", "1 / 2"]
    assert told("publish", "PLAN-A") == ["0 / 1"]


def test_process_pending_counts_plans_that_are_done(plan):
    assert told("process_pending", "--json") == ["0 / 1"]


def test_a_failure_stands_on_a_line_of_its_own(plan):
    edit("")
    terminal = Terminal()
    with pytest.raises(CommandError):
        call_command("publish", "PLAN-A", stderr=terminal, no_color=True)
    assert terminal.getvalue().startswith("0 / 1\r\033[KPLAN-A: lessons/LES")


def test_diagnose_counts_tables(db):
    counted = told("check_schema")
    tables = len(counted)
    assert counted == [f"{done} / {tables}" for done in range(tables)]
    assert len(told("check_schema", "--rows")) == 2 * tables


def test_collecting_counts_the_plans_on_the_disk(published):
    AcademicPlan.objects.create(title="Second", is_published=True)
    sweep.process_pending(limit=10)
    assert told("prune_generations") == ["0 / 2", "1 / 2"]


def test_a_log_file_is_told_no_progress(plan):
    out = StringIO()
    call_command("publish", "PLAN-A", stdout=StringIO(), stderr=out)
    assert out.getvalue() == ""
