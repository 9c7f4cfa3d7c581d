"""From a local release to the same bytes on the CDN: order, checks, deletions."""

import gzip
import hashlib
import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib import import_module

import pytest
from django.apps.registry import Apps
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from content.kinds import Kind
from content.models import LessonStage, Node
from core import secrets
from plans.models import AcademicPlan, OverrideAction
from plans.services import add_subject, set_override
from publishing import content_urls, staleness, tasks
from publishing.building import builds, rollback
from publishing.cdn import desired_state, purging, sync, uploader, verification
from publishing.content_urls import get_content_url
from publishing.format import locations
from publishing.models import (
    Alert,
    Publication,
    PublishedDocument,
    PublishingSettings,
    SyncLog,
    SyncStatus,
    SyncStep,
    UploadedDocument,
)
from publishing.signing import lessons
from publishing.storage import file_store, open_lessons
from tests.factories.content import trash_node
from tests.publishing import release
from tests.publishing.conftest import node
from tests.publishing.fake_s3 import BASE_URL, PRIVATE, PUBLIC, turn_on

pytestmark = pytest.mark.django_db

SEARCH = "plans/PLAN-A/search_index.json"
MANIFEST = "plans/PLAN-A/manifest.json"
TOPIC = "plans/PLAN-A/TOP-MATH-0.json"
LESSON = "lessons/LES-MATH-0-0.json"
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def open_math(math):
    """All of mathematics is a free preview."""
    math.is_public = True
    math.save()
    return math


@pytest.fixture
def on(wire):
    """The CDN is on."""
    return turn_on(wire.url)


def publish(plan) -> SyncLog:
    entry = builds.publish_plan(plan.pk, trigger="test")
    assert entry is not None, "nothing to publish"
    return entry


def publish_linked(plan) -> None:
    """Publish twice: the second release links to the CDN, which has the first."""
    publish(plan)
    publish(plan)


def edit(title: str = "Edited") -> None:
    LessonStage.objects.filter(lesson__public_id="LES-MATH-0-0").update(title=title)


def apps_after(migration: str) -> Apps:
    """Return the models as they were after a migration of publishing."""
    state = MigrationLoader(connection).project_state(("publishing", migration))
    return state.apps


def local() -> dict[str, bytes]:
    return release.everything()


# --- A release on the CDN -------------------------------------------------------------


def test_a_release_is_uploaded_byte_for_byte(s3, on, plan, open_math):
    entry = publish(plan)
    assert entry.status == SyncStatus.SUCCESS, entry.error
    assert s3.objects() == local()
    assert entry.files_uploaded == len(local())
    assert entry.bytes_uploaded == sum(map(len, local().values()))


def test_each_object_says_what_it_is(s3, on, plan, open_math):
    publish(plan)
    for path, data in local().items():
        found = s3.get(path)
        assert found["ContentType"] == "application/json; charset=utf-8"
        assert found["CacheControl"] == "public, max-age=300"
        assert found["Metadata"] == {"sha256": hashlib.sha256(data).hexdigest()}
        assert "ContentEncoding" not in found


def test_leaves_go_first_and_the_manifest_last(wire, on, plan, open_math):
    publish(plan)
    layers = [desired_state.layer_of(path) for path in wire.paths("PUT")]
    assert layers == sorted(layers)
    assert wire.paths("PUT")[-1] == MANIFEST
    assert wire.paths("PUT")[0].startswith("lessons/")


def test_what_has_not_changed_is_not_sent_again(wire, on, plan, open_math):
    publish_linked(plan)
    wire.reset()
    AcademicPlan.mark_changed([plan.pk])
    entry = publish(plan)
    assert entry.status == SyncStatus.SUCCESS
    assert wire.counts() == {}


def test_an_edit_of_a_stage_sends_one_lesson_and_what_names_it(
    s3, wire, on, plan, open_math
):
    publish_linked(plan)
    wire.reset()
    edit()
    publish(plan)
    lesson, topic, *middle, manifest = wire.paths("PUT")
    assert (lesson, topic, manifest) == (LESSON, TOPIC, MANIFEST)
    assert set(middle) == {"plans/PLAN-A/SUBJ-MATH_h.json", SEARCH}
    assert s3.objects() == local()


def test_links_lead_to_the_cdn(s3, on, plan, open_math):
    publish_linked(plan)
    assert s3.objects() == local()
    manifest = release.read(MANIFEST)
    assert manifest["search_index_url"].startswith(f"{BASE_URL}/plans/PLAN-A/")
    topic = release.read(TOPIC)
    assert topic["lessons"][0]["lesson_url"] == f"{BASE_URL}/{LESSON}"
    assert get_content_url(MANIFEST) == f"{BASE_URL}/{MANIFEST}"


def leads_to_the_cdn(lesson: str = "") -> bool:
    """Whether a reader of the plan, or of a lesson's path, is sent to the CDN."""
    current = PublishingSettings.get_solo()
    there, here = f"{BASE_URL}/", content_urls.local_base_url(current)
    url = content_urls.plan_base_url("PLAN-A", current)
    if lesson:
        lesson_id = locations.lesson_id_of(lesson)
        [found] = lessons.lesson_urls(
            [lesson_id],
            gated=open_lessons.gated_among([lesson_id]),
            expires=2,
            now=1,
            player_id=42,
            current=current,
        )
        url = found.url
    assert url.startswith((there, here))
    return url.startswith(there)


def test_nobody_is_sent_to_the_cdn_before_it_has_the_plan(wire, plan, open_math):
    current = turn_on(wire.url)
    wire.fault = lambda method, path: (
        "500" if method == "PUT" and path.endswith("manifest.json") else None
    )
    publish(plan)
    assert not leads_to_the_cdn()
    assert leads_to_the_cdn(LESSON), "each file counts for itself"
    wire.reset()
    sync.distribute(ignore_backoff=True)
    assert leads_to_the_cdn()
    edit()
    wire.fault = lambda _method, _path: "500"
    publish(plan)
    assert leads_to_the_cdn(), "it has a release, though an older one"
    current.cdn_bucket = "another"
    current.save()
    assert not leads_to_the_cdn(), "that one is empty"


def test_a_plan_that_leaves_the_cdn_is_not_looked_for_there(on, wire, plan, open_math):
    publish(plan)
    assert leads_to_the_cdn(LESSON)
    trash_node(node=node("LES-MATH-0-0"))
    wire.fault = lambda method, _path: "500" if method == "POST" else None
    publish(plan)
    assert not leads_to_the_cdn(LESSON)


def test_without_a_cdn_the_release_stays_here(s3, wire, plan):
    entry = publish(plan)
    assert entry.status == SyncStatus.LOCAL_ONLY
    assert wire.counts() == {}


def linked_to_the_cdn() -> set[str]:
    """The published files that contain a link to the CDN."""
    return {path for path, data in local().items() if BASE_URL.encode() in data}


def test_a_cdn_that_is_turned_on_is_filled_before_any_file_names_it(
    s3, wire, plan, open_math
):
    publish(plan)
    before = local()
    turn_on(wire.url)
    assert staleness.pending() == {}, "nothing is built for a CDN that is empty"
    sync.distribute()
    assert s3.objects() == local() == before
    assert set(staleness.pending()) == {plan.pk}
    assert publish(plan).status == SyncStatus.SUCCESS
    assert s3.objects() == local()
    assert MANIFEST in linked_to_the_cdn()
    assert staleness.pending() == {}


def test_no_file_names_a_cdn_that_takes_nothing(wire, plan, open_math):
    turn_on(wire.url)
    wire.fault = lambda _method, _path: "500"
    publish(plan)
    edit()
    publish(plan)
    assert linked_to_the_cdn() == set()


def test_a_cdn_that_lacks_one_file_is_named_by_none(wire, plan, open_math):
    turn_on(wire.url)
    wire.fault = lambda method, path: (
        "500" if method == "PUT" and path.endswith("manifest.json") else None
    )
    publish(plan)
    assert staleness.pending() == {}
    wire.reset()
    sync.distribute(ignore_backoff=True)
    assert set(staleness.pending()) == {plan.pk}


def test_another_bucket_is_named_by_no_file_before_it_has_all(
    s3, wire, on, plan, open_math
):
    publish_linked(plan)
    wire.fault = lambda method, _path: "500" if method == "PUT" else None
    on.cdn_bucket, on.cdn_private_bucket = PRIVATE, ""
    on.save()
    publish(plan)
    assert linked_to_the_cdn() == set()
    wire.reset()
    sync.distribute(ignore_backoff=True)
    publish(plan)
    assert MANIFEST in linked_to_the_cdn()
    assert s3.objects(PRIVATE) == local()


def test_a_cdn_that_was_off_is_caught_up_before_it_is_named(wire, on, plan, open_math):
    publish_linked(plan)
    on.cdn_enabled = False
    on.save()
    edit()
    publish(plan)
    on.cdn_enabled = True
    on.save()
    assert (staleness.pending(), leads_to_the_cdn()) == ({}, False)
    sync.distribute()
    assert leads_to_the_cdn()
    assert set(staleness.pending()) == {plan.pk}


def test_keys_that_fail_later_leave_links_where_the_plan_is(wire, on, plan, open_math):
    publish_linked(plan)
    wire.fault = lambda _method, _path: "500"
    on.cdn_secret_key = secrets.encrypt("another")
    on.save()
    edit()
    publish(plan)
    assert MANIFEST in linked_to_the_cdn()
    assert leads_to_the_cdn(), "it has the release before"


def test_a_plan_that_was_rolled_back_stays_so_when_the_cdn_has_it(
    wire, plan, open_math
):
    publish(plan)
    edit()
    publish(plan)
    turn_on(wire.url)
    rollback.make_current("PLAN-A", 1)
    sync.distribute()
    assert staleness.pending() == {}
    assert not leads_to_the_cdn()
    rollback.release(plan.pk)
    publish(plan)
    sync.distribute()
    publish(plan)
    assert leads_to_the_cdn()


@pytest.mark.django_db(transaction=True)
def test_a_worker_is_woken_once_the_cdn_has_a_plan(
    worker_starts, wire, plan, open_math
):
    turn_on(wire.url)
    builds.build_plan(plan.pk)
    worker_starts.clear()
    sync.distribute()
    assert len(worker_starts) == 1
    builds.build_plan(plan.pk)
    sync.distribute()
    assert len(worker_starts) == 1


def test_an_upgrade_keeps_the_links_of_plans_the_cdn_has(on, plan, other, open_math):
    publish_linked(plan)
    Publication.objects.update(cdn_place="")
    assert set(staleness.pending()) == {plan.pk, other.pk}
    name = "0010_cdn_place_and_silence"
    import_module(f"publishing.migrations.{name}").note_plans_on_cdn(
        apps_after(name), None
    )
    assert set(staleness.pending()) == {other.pk}


def test_fallback_mode_leads_links_here_and_keeps_the_cdn_up_to_date(
    s3, on, plan, open_math
):
    on.local_fallback_mode = True
    on.save()
    entry = publish(plan)
    assert release.read(TOPIC)["lessons"][0]["lesson_url"].startswith("http://127.0")
    assert entry.status == SyncStatus.SUCCESS
    assert s3.objects() == local()


def test_another_bucket_starts_empty_and_gets_everything(s3, on, plan, open_math):
    publish(plan)
    on.cdn_bucket, on.cdn_private_bucket = PRIVATE, ""
    on.save()
    sync.distribute()
    assert s3.objects(PRIVATE) == local()


def test_compressed_objects_hold_the_same_content(s3, on, plan, open_math):
    on.cdn_gzip = True
    on.save()
    entry = publish(plan)
    assert entry.status == SyncStatus.SUCCESS, entry.error
    assert {path: gzip.decompress(d) for path, d in s3.objects().items()} == local()
    assert s3.get(MANIFEST)["ContentEncoding"] == "gzip"


@pytest.mark.parametrize("compresses", [True, False])
def test_storing_compressed_or_not_any_more_stores_all_anew(
    s3, wire, on, plan, open_math, compresses
):
    on.cdn_gzip = not compresses
    on.save()
    publish(plan)
    on.cdn_gzip = compresses
    on.save()
    wire.reset()
    tasks.distribute()
    assert sorted(wire.paths("PUT")) == sorted(local())
    unpack = gzip.decompress if compresses else bytes
    assert {path: unpack(d) for path, d in s3.objects().items()} == local()
    assert verification.verify().ok
    wire.reset()
    tasks.distribute()
    assert wire.counts() == {}


@pytest.mark.parametrize("compresses", [True, False])
def test_what_was_uploaded_before_is_known_to_be_as_the_settings_say(
    wire, plan, open_math, compresses
):
    turn_on(wire.url, cdn_gzip=compresses)
    publish(plan)
    UploadedDocument.objects.update(gzipped=False)
    name = "0009_uploads_packed_and_failing"
    import_module(f"publishing.migrations.{name}").say_what_is_packed(
        apps_after(name), None
    )
    wire.reset()
    tasks.distribute()
    assert wire.counts() == {}


def test_a_rollback_reaches_the_cdn(s3, on, plan, open_math):
    publish(plan)
    edit()
    publish(plan)
    entry = rollback.make_current("PLAN-A", 1)
    assert entry.status == SyncStatus.QUEUED
    sync.distribute()
    entry.refresh_from_db()
    assert entry.status == SyncStatus.SUCCESS
    assert s3.objects() == local()


# --- Deletions ------------------------------------------------------------------------


def test_a_trashed_lesson_leaves_the_cdn(s3, on, plan, open_math):
    publish(plan)
    trash_node(node=node("LES-MATH-0-0"))
    publish(plan)
    assert LESSON not in s3.objects()
    assert s3.objects() == local()
    assert not UploadedDocument.objects.filter(path=LESSON).exists()


def test_a_withdrawn_plan_leaves_the_cdn_whole(s3, wire, on, plan, open_math):
    publish(plan)
    wire.reset()
    plan.delete()
    tasks.process_pending()
    assert s3.objects() == {}
    assert wire.counts() == {"DELETE": 1}
    assert not UploadedDocument.objects.exists()


def test_a_lesson_stays_while_an_older_release_out_there_names_it(
    s3, wire, on, plan, open_math
):
    other = AcademicPlan.objects.create(
        public_id="PLAN-B", title="Other", is_published=True
    )
    add_subject(plan=other, subject=open_math)
    publish(plan)
    publish(other)
    trash_node(node=node("LES-MATH-0-0"))
    wire.fault = lambda method, path: (
        "500" if method == "PUT" and "PLAN-B" in path else None
    )
    publish(plan)
    publish(other)
    assert LESSON in s3.objects(), "PLAN-B's topic on the CDN still names it"
    wire.reset()
    SyncLog.objects.filter(status=SyncStatus.QUEUED).update(next_attempt_at=LONG_AGO)
    sync.distribute()
    assert LESSON not in s3.objects()
    assert s3.objects() == local()


def test_a_topic_that_left_is_deleted_after_the_manifest_went_up(
    wire, on, plan, open_math
):
    publish(plan)
    wire.reset()
    trash_node(node=node("UNIT-MATH-0"))
    publish(plan)
    verbs = [method for method, _path in wire.requests if method in ("PUT", "POST")]
    assert verbs == ["PUT"] * (len(verbs) - 1) + ["POST"]


# --- Gated lessons --------------------------------------------------------------------


def test_gated_lessons_go_to_the_private_bucket(s3, on, plan):
    publish(plan)
    lessons = {path for path in local() if path.startswith("lessons/")}
    assert lessons
    assert s3.objects(PRIVATE).keys() == lessons
    assert s3.objects(PUBLIC).keys() == local().keys() - lessons
    assert s3.get(LESSON, PRIVATE)["CacheControl"] == "private, no-store"


def test_without_a_private_bucket_gated_lessons_go_nowhere(s3, on, plan):
    on.cdn_private_bucket = ""
    on.save()
    entry = publish(plan)
    assert entry.status == SyncStatus.SUCCESS
    assert not [path for path in s3.objects() if path.startswith("lessons/")]
    assert s3.objects(PRIVATE) == {}


def test_a_lesson_that_becomes_gated_moves_at_once(s3, purges, wire, plan, open_math):
    current = turn_on(wire.url, **purges.fields())
    publish(plan)
    assert LESSON in s3.objects(PUBLIC)
    open_math.is_public = False
    open_math.save()
    wire.reset()
    publish(plan)
    assert LESSON not in s3.objects(PUBLIC)
    assert s3.objects(PRIVATE)[LESSON] == local()[LESSON]
    assert f"{BASE_URL}/{LESSON}" in purges.urls()
    assert current.cdn_private_bucket == PRIVATE
    open_math.refresh_from_db()
    open_math.is_public = True
    open_math.save()
    publish(plan)
    assert s3.objects(PRIVATE) == {}
    assert s3.objects(PUBLIC) == local()


def test_a_lesson_that_becomes_gated_leaves_even_if_uploads_fail(
    s3, wire, on, plan, open_math
):
    publish(plan)
    open_math.is_public = False
    open_math.save()
    wire.fault = lambda method, _path: "500" if method == "PUT" else None
    entry = publish(plan)
    assert entry.status == SyncStatus.QUEUED
    assert not [path for path in s3.objects(PUBLIC) if path.startswith("lessons/")]


@pytest.fixture
def in_twos(monkeypatch):
    """Upload two files and purge one URL at a time: a small plan takes several."""
    monkeypatch.setattr(uploader, "_BATCH_SIZE", 2)
    monkeypatch.setattr(purging.CloudflarePurger, "batch_size", 1)


def test_lessons_that_become_gated_leave_whatever_the_cache_says(
    s3, purges, wire, plan, open_math, in_twos
):
    turn_on(wire.url, **purges.fields())
    publish(plan)
    open_math.is_public = False
    open_math.save()
    purges.fail_with = 403
    publish(plan)
    assert lessons_in(PUBLIC, s3) == set()
    assert lessons_in(PRIVATE, s3) == lesson_paths(local())
    purges.fail_with = 0
    sync.distribute()
    assert {f"{BASE_URL}/{path}" for path in lesson_paths(local())} <= {*purges.urls()}
    assert not UploadedDocument.objects.filter(obsolete_since__isnull=False).exists()


def test_what_was_purged_before_the_cache_refused_is_not_purged_again(
    s3, purges, wire, plan, open_math, in_twos
):
    turn_on(wire.url, **purges.fields())
    publish(plan)
    lessons = {f"{BASE_URL}/{path}" for path in lesson_paths(local())}
    open_math.is_public = False
    open_math.save()
    builds.build_plan(plan.pk)

    def refuse_the_third(urls: list[str]) -> None:
        purges.fail_with = 403 if len(purges.urls()) == 1 else 0

    purges.before = refuse_the_third
    sync.distribute()
    assert len(purges.urls()) == 2
    purges.before, purges.fail_with = lambda _urls: None, 0
    sync.distribute()
    purged = [url for url in purges.urls() if url in lessons]
    assert sorted(purged) == sorted(lessons)


def test_what_became_gated_leaves_before_anything_is_uploaded(
    s3, wire, on, plan, open_math
):
    publish(plan)
    wire.reset()
    open_math.is_public = False
    open_math.save()
    publish(plan)
    verbs = [method for method, _path in wire.requests if method in ("PUT", "POST")]
    assert verbs[0] == "POST"
    assert "PUT" in verbs


@pytest.mark.django_db(transaction=True)
def test_what_becomes_gated_during_a_long_upload_does_not_wait_for_its_end(
    wire, plan, open_math, in_twos
):
    turn_on(wire.url)
    sync.distribute()
    for lesson in Node.objects.filter(kind=Kind.LESSON):
        lesson.title = f"New {lesson.title}"
        lesson.save()
    builds.build_plan(plan.pk)
    wire.reset()
    done = threading.Event()

    def gate_it(method: str, _path: str) -> None:
        if method == "PUT" and not done.is_set():
            done.set()
            open_math.is_public = False
            open_math.save()
            builds.build_plan(plan.pk)
            connection.close()

    wire.before = gate_it
    sync.distribute()
    verbs = [method for method, _path in wire.requests if method in ("PUT", "POST")]
    assert verbs.index("POST") <= 4, "two parts at most"
    assert done.is_set()


def lesson_paths(found: Iterable[str]) -> set[str]:
    return {path for path in found if path.startswith("lessons/")}


def lessons_in(bucket: str, s3) -> set[str]:
    return lesson_paths(s3.objects(bucket))


def test_withdrawing_the_plan_that_opened_a_lesson_shuts_it_there(
    s3, on, plan, open_math
):
    free = AcademicPlan.objects.create(
        public_id="PLAN-F", title="Free", is_published=True
    )
    add_subject(plan=free, subject=open_math)
    open_math.is_public = False
    open_math.save()
    set_override(plan=free, target=open_math, action=OverrideAction.SET_FREE)
    publish(plan)
    publish(free)
    publish(plan)
    assert LESSON in s3.objects(PUBLIC)
    free.delete()
    tasks.process_pending()
    assert LESSON not in s3.objects(PUBLIC)
    assert LESSON in s3.objects(PRIVATE)


# --- Purging --------------------------------------------------------------------------


def test_only_what_changed_is_purged(purges, wire, plan, open_math):
    turn_on(wire.url, **purges.fields())
    publish(plan)
    assert purges.urls() == [], "nothing was there that a cache could have"
    publish(plan)  # with links to the CDN
    purges.purged.clear()
    edit()
    publish(plan)
    assert purges.urls() == [
        f"{BASE_URL}/{path}"
        for path in (LESSON, TOPIC, "plans/PLAN-A/SUBJ-MATH_h.json", SEARCH, MANIFEST)
    ]


def test_a_cache_is_emptied_before_the_manifest_goes_up(
    s3, purges, wire, plan, open_math
):
    turn_on(wire.url, **purges.fields())
    publish(plan)
    old = s3.objects()[MANIFEST]
    seen = {}
    purges.before = lambda urls: seen.update(
        {url: s3.objects()[MANIFEST] for url in urls}
    )
    edit()
    publish(plan)
    assert seen[f"{BASE_URL}/{TOPIC}"] == old
    assert seen[f"{BASE_URL}/{MANIFEST}"] != old


def test_a_purge_that_fails_is_tried_again_and_holds_up_nothing(
    s3, purges, wire, plan, open_math, settings
):
    turn_on(wire.url, **purges.fields())
    publish_linked(plan)
    purges.purged.clear()
    edit()
    purges.fail_with = 403
    entry = publish(plan)
    assert s3.objects() == local()
    assert entry.status == SyncStatus.QUEUED
    assert "Cache Purge" in entry.error
    purges.fail_with = 0
    wire.reset()
    SyncLog.objects.update(next_attempt_at=LONG_AGO)
    sync.distribute()
    entry.refresh_from_db()
    assert entry.status == SyncStatus.SUCCESS
    assert wire.counts() == {}
    assert len(purges.urls()) == 5


@pytest.fixture
def other(open_math):
    """Another plan of the same subject."""
    other = AcademicPlan.objects.create(
        public_id="PLAN-B", title="Other", is_published=True
    )
    add_subject(plan=other, subject=open_math)
    return other


def test_a_cache_that_refuses_holds_up_no_other_plan(s3, purges, wire, plan, other):
    turn_on(wire.url, **purges.fields())
    publish(plan)
    publish(other)
    edit()
    purges.fail_with = 403
    builds.build_plan(plan.pk)
    builds.build_plan(other.pk)
    sync.distribute()
    assert s3.objects() == local()
    late = SyncLog.objects.filter(status=SyncStatus.QUEUED)
    assert {entry.plan_public_id for entry in late} == {"PLAN-A", "PLAN-B"}


def test_a_token_nobody_can_read_holds_up_no_upload(s3, purges, wire, plan, open_math):
    turn_on(wire.url, **purges.fields())
    publish(plan)
    edit()
    PublishingSettings.objects.update(cloudflare_token="unreadable")
    entry = publish(plan)
    assert s3.objects() == local()
    assert entry.status == SyncStatus.QUEUED
    assert "MEMORA_SECRETS_KEYS" in entry.error


def test_a_file_damaged_here_holds_up_no_other_plan(s3, on, plan, other, monkeypatch):
    read = file_store.read
    monkeypatch.setattr(
        file_store,
        "read",
        lambda path: (
            b"{}" if "PLAN-A" in path and path.endswith("_h.json") else read(path)
        ),
    )
    builds.build_plan(plan.pk)
    builds.build_plan(other.pk)
    sync.distribute()
    assert MANIFEST not in s3.objects()
    assert MANIFEST.replace("PLAN-A", "PLAN-B") in s3.objects()


def test_a_bucket_that_fails_is_not_asked_for_every_plan(wire, on, plan, other):
    builds.build_plan(plan.pk)
    builds.build_plan(other.pk)
    wire.fault = lambda _method, _path: "500"
    sync.distribute()
    assert {path.split("/")[0] for path in wire.paths("PUT")} == {"lessons"}
    tried = SyncLog.objects.filter(attempts__gt=0, step=SyncStep.UPLOAD, error__gt="")
    assert [entry.plan_public_id for entry in tried] == ["PLAN-A"]


# --- Where uploads must not run -------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_nothing_is_sent_inside_a_transaction(wire, plan, open_math):
    turn_on(wire.url)
    inside = []
    wire.before = lambda _method, _path: inside.append(connection.in_atomic_block)
    assert sync.distribute()
    assert inside
    assert not any(inside)


def test_the_database_and_the_cdn_agree(s3, on, plan, open_math):
    publish(plan)
    edit()
    publish(plan)
    known = dict(UploadedDocument.objects.values_list("path", "sha256"))
    assert known == dict(PublishedDocument.objects.values_list("path", "sha256"))
    assert not UploadedDocument.objects.exclude(claim="", purge=False).exists()
    assert not Alert.objects.exists()
