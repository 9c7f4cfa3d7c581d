"""Uploads in the sync log, on the dashboard, in the command and in the metrics."""

import html
import json
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from io import StringIO

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils import timezone

from content.models import LessonStage
from plans.models import AcademicPlan
from publishing import queue, upload_log
from publishing.admin_views import dashboard_views, plan_views
from publishing.building import builds, rollback
from publishing.cdn import uploader
from publishing.cdn.backends.base import DistributionError
from publishing.models import (
    Publication,
    PublishingSettings,
    SyncLog,
    SyncStatus,
    SyncStep,
)
from publishing.monitoring import dashboard, status
from publishing.monitoring.dashboard import CdnState, PlanState, Uploaded
from tests.publishing.conftest import node
from tests.publishing.fake_s3 import turn_on
from tests.publishing.monitoring.test_metrics import scrape

pytestmark = pytest.mark.django_db


@pytest.fixture
def _one_hour() -> Iterator[None]:
    """A running clock that starts well before the end of an hour."""
    with time_machine.travel(1_800_000_000):
        yield


@pytest.fixture
def built(_one_hour, plan) -> AcademicPlan:
    """A plan that is published locally and waits for its first upload."""
    turn_on("https://s3.example.org")
    builds.build_plan(plan.pk)
    return plan


def edit(title: str) -> None:
    topic = node("TOP-MATH-0")
    topic.title = title
    topic.save()


def begin(now: datetime | None = None) -> SyncLog:
    """Start an upload as a distributor does."""
    return upload_log.open_entry(Publication.objects.get(), now=now or timezone.now())


def end(entry: SyncLog, failure: Exception | None = None) -> None:
    upload_log.close(entry, failure, files=3, size=700, seconds=1.5)


def refuse() -> None:
    """Let one attempt fail at the CDN."""
    end(begin(), DistributionError("The bucket is away."))


def refuse_for_good(settings) -> SyncLog:
    for _attempt in range(len(settings.UPLOAD_RETRY_DELAYS) + 1):
        refuse()
    return SyncLog.objects.get(status=SyncStatus.FAILED)


def shown() -> tuple[PlanState, CdnState | None]:
    (row,) = dashboard.load().plans
    return row.state, row.cdn


def headlines() -> list[str]:
    queue.record_beat_heartbeat(time.time())
    return [line["text"] for line in dashboard_views.headlines(dashboard.load())]


# --- The dashboard --------------------------------------------------------------------


def test_a_build_that_waits_for_its_upload_has_not_failed(built):
    found = dashboard.load()
    assert found.failures == found.failed_uploads == ()
    assert shown() == (PlanState.UPLOADING, CdnState.WAITING)
    assert found.queue.retries == []
    assert [run.plan for run in found.queue.waiting_uploads] == ["PLAN-A"]
    assert headlines()[-1] == (
        "Everything is published on this server. The upload to the CDN is not "
        "complete yet."
    )


def test_a_release_is_the_last_build_before_it_is_uploaded(built):
    (row,) = dashboard.load().plans
    (entry,) = SyncLog.objects.all()
    assert row.last_build == entry.built_at
    assert row.seconds == entry.build_seconds is not None
    assert dashboard.load().hours[-1].published == 1
    (state,) = status.queue_status().plans
    assert state.last_success == entry.built_at


def test_the_upload_changes_neither_when_it_was_built_nor_how_long_that_took(built):
    before = SyncLog.objects.get()
    end(begin(timezone.now() + timedelta(minutes=5)))
    after = SyncLog.objects.get()
    assert after.status == SyncStatus.SUCCESS
    assert (after.built_at, after.build_seconds) == (
        before.built_at,
        before.build_seconds,
    )


def test_an_upload_that_runs_is_no_build(built):
    begin()
    found = dashboard.load()
    assert [run.is_upload for run in found.running] == [True]
    assert found.queue.building == []
    assert shown() == (PlanState.UPLOADING, CdnState.UPLOADING)


def test_an_upload_that_runs_says_how_far_it_is_and_counts_nothing_twice(built):
    refuse()
    entry = begin()
    upload_log.note_progress(entry, files=2, size=500)
    (running,) = dashboard.load().running
    assert (running.sent.files, running.sent.bytes) == (5, 1200)
    end(entry)
    entry.refresh_from_db()
    assert (entry.files_uploaded, entry.bytes_uploaded) == (6, 1400)
    upload_log.note_progress(entry, files=9, size=900)  # after the run has ended
    entry.refresh_from_db()
    assert entry.files_uploaded == 6


def test_the_distributor_tells_as_it_goes(plan, s3, wire, monkeypatch):
    progress = []
    monkeypatch.setattr(
        upload_log,
        "note_progress",
        lambda _entry, **sent: progress.append(sent["files"]),
    )
    monkeypatch.setattr(uploader, "_BATCH_SIZE", 2)
    turn_on(wire.url)
    entry = builds.publish_plan(plan.pk)
    assert progress == sorted(progress)
    assert len(progress) > 2
    assert progress[-1] == entry.files_uploaded


def test_an_upload_that_is_tried_again_is_a_failure_that_goes_on(built):
    refuse()
    found = dashboard.load()
    (failure,) = found.failures
    assert failure.is_upload
    assert failure.error == "The bucket is away."
    assert shown() == (PlanState.RETRYING, CdnState.RETRYING)
    assert headlines()[-1] == "1 plan failed and will be retried."


def test_an_upload_that_failed_for_good_waits_for_somebody_however_long(
    built, settings
):
    entry = refuse_for_good(settings)
    entry.finished_at -= timedelta(days=3)
    entry.save()
    found = dashboard.load()
    (failure,) = found.failed_uploads
    assert (failure.entry, failure.can_retry) == (entry.pk, True)
    assert found.failures == ()
    assert shown() == (PlanState.UPLOAD_FAILED, CdnState.FAILED)
    assert headlines()[-1] == (
        "1 upload failed permanently: the CDN has an older release."
    )


def test_a_failed_upload_is_over_when_the_cdn_has_the_release(built, settings):
    refuse_for_good(settings)
    upload_log.close_stale(lambda: {Publication.objects.get().pk})
    assert len(dashboard.load().failed_uploads) == 1
    upload_log.close_stale(lambda: set())
    assert dashboard.load().failed_uploads == ()
    assert shown() == (PlanState.UP_TO_DATE, CdnState.UP_TO_DATE)


def test_a_failed_upload_is_over_when_the_cdn_is_turned_off(built, settings):
    entry = refuse_for_good(settings)
    upload_log.close_stale(lambda: None)
    entry.refresh_from_db()
    assert entry.status == SyncStatus.LOCAL_ONLY
    assert upload_log.failures() == []


def test_a_build_that_fails_hides_no_failed_upload(built, settings):
    entry = refuse_for_good(settings)
    LessonStage.objects.filter(public_id="STG-MATH-0-0").update(title="")
    builds.build_plan(built.pk)
    found = dashboard.load()
    assert [failure.entry for failure in found.failed_uploads] == [entry.pk]
    assert [failure.is_upload for failure in found.failures] == [False]


def test_what_was_uploaded_in_a_day_is_counted(built):
    assert dashboard.load().uploaded == Uploaded(0, 0, 0)
    refuse()
    end(begin())
    assert dashboard.load().uploaded == Uploaded(6, 1400, 3.0)
    tomorrow = timezone.now() + timedelta(hours=25)
    assert dashboard.load(tomorrow).uploaded == Uploaded(0, 0, 0)


def test_without_a_cdn_no_plan_has_a_state_there(plan):
    builds.build_plan(plan.pk)
    assert dashboard.load().uploaded is None
    assert shown() == (PlanState.UP_TO_DATE, None)


def test_the_log_s_pages_tell_what_an_upload_took(built, admin_client):
    end(begin())
    page = admin_client.get(reverse("admin:publishing_synclog_changelist"))
    assert "3 uploaded" in page.content.decode()
    entry = SyncLog.objects.get()
    page = admin_client.get(reverse("admin:publishing_synclog_change", args=[entry.pk]))
    words = html.unescape(page.content.decode())
    assert "3 uploaded (700\xa0bytes in 1.5 s)" in words


def test_the_log_tells_an_upload_that_waits_from_a_build(built, admin_client):
    page = admin_client.get(reverse("admin:publishing_synclog_changelist"))
    assert "Queued · Upload" in page.content.decode()


def test_the_plan_s_page_knows_the_release_that_waits_for_its_upload(built):
    state = plan_views.state_of(built)
    assert state.build_seconds == SyncLog.objects.get().build_seconds
    edit("Second")
    assert plan_views.state_of(built).edits == 1


# --- The command and the metrics ------------------------------------------------------


def test_the_command_names_failed_uploads_and_exits_with_1(built, settings):
    refuse_for_good(settings)
    out = StringIO()
    with pytest.raises(CommandError, match="failed uploads") as refused:
        call_command("queue_status", stdout=out)
    assert refused.value.returncode == 1
    assert "Failed uploads: 1" in out.getvalue()
    assert "The bucket is away." in out.getvalue()


def test_the_command_tells_a_waiting_upload_from_a_failed_one(built):
    out = StringIO()
    call_command("queue_status", "--json", stdout=out)
    answer = json.loads(out.getvalue())
    assert [run["step"] for run in answer["waiting_uploads"]] == ["upload"]
    assert answer["retries"] == answer["uploading"] == []


def test_the_metrics_tell_how_plans_stand_on_the_cdn(client, built, settings):
    found = scrape(client)
    assert found[("memora_cdn_enabled",)] == 1
    assert found[("memora_cdn_plans", "waiting")] == 1
    assert found[("memora_publishing_retrying_plans",)] == 0
    refuse_for_good(settings)
    found = scrape(client)
    assert found[("memora_cdn_plans", "failed")] == 1
    assert found[("memora_publishing_retrying_plans",)] == 0
    assert found[("memora_cdn_uploaded_files_last_day",)] == 3 * 8


def test_the_metrics_without_a_cdn_say_so(client, plan):
    found = scrape(client)
    assert found[("memora_cdn_enabled",)] == 0
    assert ("memora_cdn_plans", "failed") not in found


def test_publishing_succeeds_while_a_worker_is_at_the_uploads(plan):
    turn_on("https://s3.example.org")
    for command in (["publish", "PLAN-A"], ["process_pending"]):
        edit(f"For {command[0]}")
        out = StringIO()
        with queue.distribution_lock():
            call_command(*command, "--json", stdout=out)
        (found,) = json.loads(out.getvalue())["plans"]
        assert found["ok"], found


# --- A build while an upload is pending -----------------------------------------------


def test_each_of_two_builds_before_an_upload_keeps_its_run(built):
    edit("Second")
    builds.build_plan(built.pk)
    second, first = SyncLog.objects.all()
    assert (first.generation, first.status) == (1, SyncStatus.SUPERSEDED)
    assert first.files_written > second.files_written > 0
    assert (second.generation, second.step) == (2, SyncStep.UPLOAD)
    assert [kept.log for kept in rollback.kept_releases("PLAN-A")] == [second, first]
    assert dashboard.load().hours[-1].published == 2


def test_a_distributor_at_work_keeps_its_run_when_a_build_begins(built):
    uploading = begin()
    edit("Second")
    builds.build_plan(built.pk)
    end(uploading)
    second, first = SyncLog.objects.all()
    assert (first.generation, first.status) == (1, SyncStatus.SUCCESS)
    assert (second.generation, second.status) == (2, SyncStatus.QUEUED)
    assert begin() == second


def test_a_release_made_without_a_cdn_closes_the_upload_that_waited(built):
    current = PublishingSettings.get_solo()
    current.cdn_enabled = False
    current.save()
    edit("Second")
    builds.build_plan(built.pk)
    assert [entry.status for entry in SyncLog.objects.all()] == [
        SyncStatus.LOCAL_ONLY,
        SyncStatus.SUPERSEDED,
    ]
