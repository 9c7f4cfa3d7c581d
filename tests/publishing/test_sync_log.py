"""The sync log: who started a run, and which rows are kept."""

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import Group
from django.db import OperationalError, connection
from django.test import Client
from django.urls import reverse

from content.models import LessonStage
from plans.models import AcademicPlan
from players import roles
from players.models import User
from publishing import sync_log, tasks
from publishing.admin_views import labels
from publishing.building import builds, sweep
from publishing.models import Publication, SyncLog, SyncStatus, SyncStep
from publishing.storage import file_store
from tests.publishing.conftest import node

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
OLD = NOW - timedelta(days=91)


def edit(title: str) -> None:
    topic = node("TOP-MATH-0")
    topic.title = title
    topic.save()


def break_lesson() -> None:
    LessonStage.objects.filter(public_id="STG-MATH-0-0").update(title="")


def mend() -> None:
    LessonStage.objects.filter(public_id="STG-MATH-0-0").update(title="Read")


# --- Two writers at once --------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_the_end_of_a_build_is_written_down_though_another_writer_goes_first(plan):
    refusals = [OperationalError(1213, "deadlock found")] * 2

    def unlucky(execute, sql, *rest):
        is_end = sql.startswith("UPDATE") and "publishing_synclog" in sql
        if is_end and "finished_at" in sql and "WHERE" in sql and refusals:
            raise refusals.pop()
        return execute(sql, *rest)

    with connection.execute_wrapper(unlucky):
        builds.publish_plan(plan.pk)
    assert refusals == []
    assert SyncLog.objects.get().status == SyncStatus.LOCAL_ONLY


# --- Who started a run ----------------------------------------------------------------


@pytest.fixture
def publisher(db) -> User:
    user = User.objects.create_user("pub@example.com", "p", is_staff=True)
    user.groups.add(Group.objects.get(name=roles.PUBLISHERS))
    return user


def publish_now(user: User, plan: AcademicPlan) -> None:
    browser = Client()
    browser.force_login(user)
    browser.post(reverse("admin:publishing_publish_plan", args=[plan.pk]))


def test_who_chose_publish_now_stands_in_the_log_and_at_the_generation(publisher, plan):
    publish_now(publisher, plan)
    entry = SyncLog.objects.get()
    assert (entry.status, entry.trigger) == (SyncStatus.LOCAL_ONLY, "admin")
    assert entry.started_by == publisher
    browser = Client()
    browser.force_login(publisher)
    url = reverse("admin:publishing_generations", args=[plan.pk])
    assert "pub@example.com" in browser.get(url).content.decode()


def test_a_change_that_nobody_asked_to_publish_names_nobody(plan):
    tasks.process_pending()
    entry = SyncLog.objects.get()
    assert (entry.trigger, entry.started_by) == ("queue", None)


def test_who_asked_stays_when_the_run_is_tried_again(publisher, plan):
    break_lesson()
    publish_now(publisher, plan)
    sync_log.retry(SyncLog.objects.get())
    mend()
    tasks.publish_plan(plan.pk, "retry")
    entry = SyncLog.objects.get()
    assert (entry.status, entry.attempts) == (SyncStatus.LOCAL_ONLY, 1)
    assert (entry.trigger, entry.started_by) == ("admin", publisher)


def test_a_run_that_failed_is_theirs_who_ask_for_it_now(publisher, plan):
    break_lesson()
    tasks.process_pending()
    publish_now(publisher, plan)
    entry = SyncLog.objects.get()
    assert (entry.attempts, entry.started_by) == (2, publisher)


def test_asking_for_what_is_up_to_date_leaves_no_trace(publisher, plan):
    builds.publish_plan(plan.pk)
    tasks.publish_plan(plan.pk, "admin", publisher.pk)
    assert SyncLog.objects.get().started_by is None


def test_asking_while_a_build_runs_does_not_name_it(publisher, plan):
    break_lesson()
    builds.publish_plan(plan.pk)
    SyncLog.objects.update(status=SyncStatus.PROCESSING)
    sync_log.record_request(plan.pk, trigger="admin", by=publisher.pk)
    asked, running = SyncLog.objects.all()
    assert (running.status, running.started_by) == (SyncStatus.PROCESSING, None)
    assert (asked.status, asked.started_by) == (SyncStatus.QUEUED, publisher)


# --- Withdrawals ----------------------------------------------------------------------


def test_that_a_plan_was_withdrawn_stands_in_the_log_once(plan):
    publish_files = builds.publish_plan(plan.pk).files_written
    AcademicPlan.objects.filter(pk=plan.pk).update(is_published=False)
    for _sweep in range(2):
        sweep.process_pending(limit=10)
    withdrawal = SyncLog.objects.get(trigger=SyncLog.WITHDRAWAL)
    assert (withdrawal.plan, withdrawal.status) == (plan, SyncStatus.LOCAL_ONLY)
    lessons = 4
    assert withdrawal.files_removed == publish_files - lessons
    assert withdrawal.finished_at >= withdrawal.started_at
    assert labels.triggered_by(withdrawal) == "deleted or unpublished"


def test_that_a_deleted_plan_was_withdrawn_stands_in_the_log_by_its_id(plan):
    builds.publish_plan(plan.pk)
    plan.delete()
    sweep.process_pending(limit=10)
    withdrawal = SyncLog.objects.get(trigger=SyncLog.WITHDRAWAL)
    assert (withdrawal.plan, withdrawal.plan_public_id) == (None, "PLAN-A")


# --- Retention ------------------------------------------------------------------------


def run(plan: AcademicPlan, **fields) -> SyncLog:
    values = {
        "plan": plan,
        "plan_public_id": plan.public_id,
        "status": SyncStatus.LOCAL_ONLY,
        "trigger": "queue",
        "created_at": OLD,
        "finished_at": OLD,
        **fields,
    }
    return SyncLog.objects.create(**values)


def test_what_ended_long_ago_is_deleted(plan):
    for status in (SyncStatus.LOCAL_ONLY, SyncStatus.SUCCESS, SyncStatus.SUPERSEDED):
        run(plan, built_at=OLD, status=status)
    last_build = run(plan, built_at=OLD)
    recent = run(plan, created_at=NOW - timedelta(days=89))
    assert sync_log.prune(NOW) == 3
    assert set(SyncLog.objects.all()) == {last_build, recent}
    assert sync_log.prune(NOW) == 0


def test_what_is_not_over_is_kept_however_old(plan):
    run(plan, built_at=OLD)
    for status in (SyncStatus.QUEUED, SyncStatus.PROCESSING, SyncStatus.DEAD_LETTER):
        run(plan, status=status)
    run(plan, status=SyncStatus.FAILED, step=SyncStep.UPLOAD, error="It waits.")
    assert sync_log.prune(NOW) == 0


def test_the_runs_of_the_generations_still_here_are_kept(plan):
    for title in ("One", "Two"):
        edit(title)
        builds.publish_plan(plan.pk)
    SyncLog.objects.update(created_at=OLD)
    old_run = run(plan, generation=99, built_at=None)
    assert sync_log.prune(NOW) == 1
    assert not SyncLog.objects.filter(pk=old_run.pk).exists()
    assert file_store.kept_generations("PLAN-A") == [1, 2]
    assert SyncLog.objects.count() == 2


def test_a_folder_that_cannot_be_read_holds_up_no_other_plan(plan, monkeypatch):
    run(plan, plan_public_id="PLAN-B", generation=1)
    run(plan, generation=1)
    listed = file_store.kept_generations

    def refused(plan_id):
        if plan_id == "PLAN-A":
            raise PermissionError(13, "Permission denied")
        return listed(plan_id)

    monkeypatch.setattr(file_store, "kept_generations", refused)
    assert sync_log.prune(NOW) == 1
    assert SyncLog.objects.get().plan_public_id == "PLAN-A"


def test_each_plans_last_build_is_kept_though_its_release_is_gone(plan):
    builds.publish_plan(plan.pk)
    SyncLog.objects.update(created_at=OLD)
    Publication.objects.all().delete()
    file_store.withdraw_plan("PLAN-A")
    assert sync_log.prune(NOW) == 0


def test_the_hourly_collection_prunes(plan):
    builds.publish_plan(plan.pk)
    run(plan, status=SyncStatus.SUPERSEDED)
    tasks.prune_generations()
    assert SyncLog.objects.count() == 1
