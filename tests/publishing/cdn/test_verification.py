"""Comparing the CDN with the published files, and repairing it."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from publishing import queue
from publishing.building import builds
from publishing.cdn import verification
from publishing.cdn.backends import s3 as buckets
from publishing.cdn.verification import Difference
from publishing.models import (
    Alert,
    AlertKind,
    FaultKind,
    SyncLog,
    SyncStatus,
    SyncStep,
)
from publishing.monitoring import health
from tests.publishing import release
from tests.publishing.conftest import node
from tests.publishing.fake_s3 import PRIVATE, PUBLIC, turn_on

pytestmark = pytest.mark.django_db

MANIFEST = "plans/PLAN-A/manifest.json"
TOPIC = "plans/PLAN-A/TOP-MATH-0.json"
LESSON = "lessons/LES-MATH-0-0.json"


@pytest.fixture
def on(wire, plan, math):
    """A CDN that has the release; one lesson is open, the others gated."""
    lesson = node("LES-MATH-0-0")
    lesson.is_free_preview = True
    lesson.save()
    current = turn_on(wire.url)
    entry = builds.publish_plan(plan.pk, trigger="test")
    assert entry is not None
    assert entry.status == SyncStatus.SUCCESS, entry.error
    return current


def damage(s3) -> set[tuple[str, str, str]]:
    """Cause every kind of fault; return the expected findings."""
    s3.client.delete_object(Bucket=PUBLIC, Key=TOPIC)
    s3.put(MANIFEST, b"{}")
    size = len(s3.objects()[LESSON])
    s3.put(LESSON, b" " * size)
    s3.put("lessons/LES-GONE.json", b"{}")
    s3.put("plans/PLAN-X/manifest.json", b"{}")
    s3.put("lessons/LES-MATH-0-1.json", b"{}")
    s3.put("lessons/" + "x" * 400 + ".json", b"{}", PRIVATE)
    s3.put("somebody/elses.txt", b"not ours")
    return {
        (Difference.MISSING, "public", TOPIC),
        (Difference.DIFFERENT, "public", MANIFEST),
        (Difference.DIFFERENT, "public", LESSON),
        (Difference.EXTRA, "public", "lessons/LES-GONE.json"),
        (Difference.EXTRA, "public", "plans/PLAN-X/manifest.json"),
        (Difference.EXPOSED, "public", "lessons/LES-MATH-0-1.json"),
        (Difference.EXTRA, "private", "lessons/" + "x" * 400 + ".json"),
    }


def found(report) -> set[tuple[str, str, str]]:
    return {(item.kind, item.place, item.path) for item in report.findings}


def test_a_sound_cdn_is_sound(on, wire):
    wire.reset()
    report = verification.verify()
    assert report.ok
    assert report.checked == len(release.everything())
    assert wire.counts() == {"LIST": 4}, "two folders in each of two buckets"


def test_every_difference_is_found_in_both_directions(s3, on):
    expected = damage(s3)
    report = verification.verify()
    assert found(report) == expected
    assert verification.verify().findings == report.findings, "nothing was changed"


def test_repair_mends_all_of_it_and_touches_nothing_else(s3, on):
    expected = damage(s3)
    report = verification.verify(repair=True)
    assert report.ok
    assert report.repaired == len(expected)
    objects = s3.objects()
    assert objects.pop("somebody/elses.txt") == b"not ours"
    assert objects | s3.objects(PRIVATE) == release.everything()
    assert "lessons/LES-MATH-0-1.json" not in objects


def test_repair_goes_on_after_an_upload_that_waits_for_retry(s3, wire, on, plan):
    SyncLog.objects.update(status=SyncStatus.FAILED)
    s3.client.delete_object(Bucket=PUBLIC, Key=TOPIC)
    assert verification.verify(repair=True).ok


def test_the_command_prints_findings_and_fails(s3, on):
    damage(s3)
    out = StringIO()
    with pytest.raises(CommandError) as failed:
        call_command("verify_cdn", "--json", stdout=out)
    assert failed.value.returncode == 1
    body = json.loads(out.getvalue())
    assert (body["ok"], body["repaired"], len(body["findings"])) == (False, 0, 7)
    out = StringIO()
    call_command("verify_cdn", "--repair", stdout=out)
    assert "7 differences repaired." in out.getvalue()


def test_the_command_says_when_the_cdn_is_off_or_away(on, wire):
    wire.fault = lambda _method, _path: "500"
    out = StringIO()
    with pytest.raises(CommandError) as failed:
        call_command("verify_cdn", "--json", stdout=out)
    assert failed.value.returncode == 1
    assert json.loads(out.getvalue())["ok"] is False
    on.cdn_enabled = False
    on.save()
    with pytest.raises(CommandError) as failed:
        call_command("verify_cdn", stdout=StringIO())
    assert failed.value.returncode == 2


@pytest.fixture
def without_md5(monkeypatch):
    """Without MD5 ETags, as in buckets encrypted with a customer's key."""
    listed = buckets.Bucket.list

    def names_only(self, prefix):
        return {
            path: type(held)(size=held.size, etag="not-an-md5")
            for path, held in listed(self, prefix).items()
        }

    monkeypatch.setattr(buckets.Bucket, "list", names_only)


def test_an_etag_that_is_no_md5_makes_it_read_the_bytes(s3, on, without_md5):
    assert verification.verify().ok
    s3.put(MANIFEST, b"x" * len(s3.objects()[MANIFEST]))
    assert found(verification.verify()) == {(Difference.DIFFERENT, "public", MANIFEST)}


# --- While an upload runs -------------------------------------------------------------


def edit() -> None:
    topic = node("TOP-MATH-0")
    topic.title = "Edited"
    topic.save()


@pytest.fixture
def uploading(s3, on, plan):
    """Another worker runs a long upload that has not reached the last edit yet."""
    node("LES-MATH-1-0").delete()
    edit()
    with queue.distribution_lock() as held:
        assert held
        assert builds.publish_plan(plan.pk).status == SyncStatus.QUEUED
        yield


@pytest.mark.parametrize("repair", [False, True])
def test_what_an_upload_has_yet_to_bring_is_no_difference(uploading, repair):
    report = verification.verify(repair=repair)
    assert report.ok
    assert report.under_way == 7, "six files that changed, and a lesson that left"


def test_what_is_wrong_besides_is_found_while_an_upload_runs(s3, uploading):
    s3.put(LESSON, b"{}")
    s3.put("lessons/LES-GONE.json", b"{}")
    expected = {
        (Difference.DIFFERENT, "public", LESSON),
        (Difference.EXTRA, "public", "lessons/LES-GONE.json"),
    }
    assert found(verification.verify()) == expected
    report = verification.verify(repair=True)
    assert (found(report), report.repaired) == (expected, 0), "the other one will"


def test_what_waits_for_a_plan_s_next_attempt_is_no_difference(s3, wire, on, plan):
    edit()
    wire.fault = lambda method, _path: "500" if method == "PUT" else None
    builds.publish_plan(plan.pk)
    assert verification.verify().ok
    SyncLog.objects.filter(status=SyncStatus.QUEUED).update(status=SyncStatus.FAILED)
    assert len(verification.verify().findings) == 4, "nobody will try any more"


def test_a_failed_plan_is_no_other_plan_s_upload(s3, wire, on, plan):
    edit()
    wire.fault = lambda method, _path: "500" if method == "PUT" else None
    builds.publish_plan(plan.pk)
    SyncLog.objects.filter(status=SyncStatus.QUEUED).update(status=SyncStatus.FAILED)
    SyncLog.objects.create(
        plan_public_id="PLAN-B",
        status=SyncStatus.PROCESSING,
        step=SyncStep.UPLOAD,
        trigger="test",
        created_at=timezone.now(),
    )
    assert len(verification.verify().findings) == 4


def test_what_is_published_and_uploaded_meanwhile_is_no_difference(
    s3, on, plan, without_md5, monkeypatch
):
    look = verification._suspects

    def slowly(*args):
        edit()
        assert builds.publish_plan(plan.pk).status == SyncStatus.SUCCESS
        return look(*args)

    monkeypatch.setattr(verification, "_suspects", slowly)
    assert verification.verify().ok


def test_the_command_says_what_is_under_way(uploading):
    out = StringIO()
    call_command("verify_cdn", stdout=out)
    assert "7 files are still waiting to be uploaded or deleted." in out.getvalue()
    assert "match the published files" not in out.getvalue()
    out = StringIO()
    call_command("verify_cdn", "--json", stdout=out)
    answer = json.loads(out.getvalue())
    assert (answer["ok"], answer["under_way"]) == (True, 7)


def test_the_nightly_check_alerts_nobody_because_of_an_upload(uploading):
    report = health.check(full=True, repair=True)
    assert kinds(report) == set()
    assert not Alert.objects.filter(key="cdn").exists()


# --- In the health check --------------------------------------------------------------


def kinds(report) -> set[str]:
    return set(report.counts) & {FaultKind.CDN_DIFFERS, FaultKind.CDN_SILENT}


def test_the_nightly_check_compares_the_cdn_and_mends_it(s3, on):
    damage(s3)
    found = health.check(full=True)
    assert found.counts[FaultKind.CDN_DIFFERS] == 7
    alert = Alert.objects.get(kind=AlertKind.HEALTH_FAULT, key="cdn")
    assert "verify_cdn --repair" in alert.message
    mended = health.check(full=True, repair=True)
    assert mended.counts[FaultKind.CDN_DIFFERS] == mended.repaired == 7
    assert kinds(health.check(full=True)) == set()
    alert.refresh_from_db()
    assert not alert.is_open


def test_the_hourly_check_asks_whether_the_cdn_answers(s3, wire, on):
    wire.reset()
    assert kinds(health.check(full=False)) == set()
    assert wire.counts() == {"GET": 2}
    wire.fault = lambda _method, _path: "reset"
    assert kinds(health.check(full=False)) == {FaultKind.CDN_SILENT}
    assert kinds(health.check(full=True)) == {FaultKind.CDN_SILENT}


def test_a_cdn_that_is_off_is_not_asked(wire, plan):
    health.check(full=True)
    assert wire.counts() == {}
