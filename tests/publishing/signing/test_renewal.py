"""Renewing signatures: in time, only those that are due, and nothing else."""

from datetime import UTC, datetime

import orjson
import pytest
import structlog
import time_machine

from content.models import LessonStage
from publishing.building import builds
from publishing.format import encoding, signatures
from publishing.models import PublishedDocument, PublishingSettings
from publishing.monitoring import health
from publishing.signing import links, renewal
from publishing.storage import activation, file_store, recovery
from tests.publishing import release as reading
from tests.publishing.conftest import node

pytestmark = pytest.mark.django_db
NOON = 1_800_014_400
HOUR = 3600
PATH = "lessons/LES-MATH-0-0.json"
OTHER = "lessons/LES-MATH-0-1.json"


def at(unix_time: int) -> time_machine.travel:
    return time_machine.travel(datetime.fromtimestamp(unix_time, UTC), tick=False)


def add_video(lesson_id: str, source: str, stage_id: str = "") -> LessonStage:
    return LessonStage.objects.create(
        public_id=stage_id or f"STG-{source.partition('.')[0]}",
        lesson=node(lesson_id),
        type="Video",
        title="Watch",
        config={"source": source},
    )


@pytest.fixture
def published(plan):
    """Two videos in one lesson, published at noon."""
    add_video("LES-MATH-0-0", "b.mp4")
    add_video("LES-MATH-0-0", "درس.mp4", "STG-arabic")
    with at(NOON):
        builds.publish_plan(plan.pk)
    return plan


def config(source: str) -> dict:
    stages = orjson.loads(file_store.read(PATH))["stages"]
    return next(s["config"] for s in stages if s["config"].get("source") == source)


def record(path: str = PATH) -> PublishedDocument:
    return PublishedDocument.objects.get(path=path)


def test_nothing_is_signed_again_early(published):
    before = reading.everything()
    assert renewal.renew_signatures(NOON + HOUR) == 0
    assert reading.everything() == before


def test_what_is_due_is_signed_before_half_its_life_has_passed(published):
    before, old = reading.everything(), record()
    now = NOON + 2 * HOUR - 300
    assert renewal.renew_signatures(now) == 1
    for source in ("b.mp4", "درس.mp4"):
        assert config(source)["expires_at"] == encoding.iso_instant(now + 4 * HOUR)
        url = config(source)["signed_url"].removeprefix("http://127.0.0.1:8000")
        assert links.seconds_left(url, now=now) == 4 * HOUR
    after, new = reading.everything(), record()
    assert {path for path in before if before[path] != after[path]} == {PATH}
    assert before.keys() == after.keys()
    assert signatures.remove(after[PATH]) == signatures.remove(before[PATH])
    assert (new.version, new.fingerprint) == (old.version, old.fingerprint)
    assert new.sha256 == encoding.sha256(after[PATH])
    assert (new.size, new.signed_until) == (len(after[PATH]), now + 4 * HOUR)


def test_the_previous_content_is_kept_not_the_previous_signature(published):
    stage = LessonStage.objects.get(public_id="STG-b")
    stage.title = "Watch this"
    stage.save()
    with at(NOON + 60):
        builds.publish_plan(published.pk)
    previous = file_store.root() / f"{PATH}.prev"
    kept = previous.read_bytes()
    assert renewal.renew_signatures(NOON + 3 * HOUR) == 1
    assert previous.read_bytes() == kept


def test_a_second_call_has_nothing_to_do(published):
    assert renewal.renew_signatures(NOON + 3 * HOUR) == 1
    assert renewal.renew_signatures(NOON + 3 * HOUR) == 0


def test_a_rebuild_keeps_the_new_signature_and_the_bytes(published):
    now = NOON + 3 * HOUR
    renewal.renew_signatures(now)
    before = reading.everything()
    published.mark_changed([published.pk])
    with at(now + 60):
        entry = builds.publish_plan(published.pk)
    assert entry.files_written == 0
    assert reading.everything() == before
    reading.walk("PLAN-A")


def test_the_health_check_finds_nothing_wrong(published):
    renewal.renew_signatures(NOON + 3 * HOUR)
    with at(NOON + 3 * HOUR):
        found = health.check(full=True, repair=False).counts
    # No worker runs here, and the videos' files are only names.
    assert found == {"silent": 1, "missing_media": 2}


def test_it_costs_the_same_queries_for_one_lesson_as_for_many(
    published, plan, django_assert_num_queries
):
    for number, lesson in enumerate(["LES-MATH-0-1", "LES-MATH-1-0", "LES-MATH-1-1"]):
        add_video(lesson, f"v{number}.mp4")
    with at(NOON + 60):
        builds.publish_plan(plan.pk)
    # Settings; due documents; a savepoint; the switch lock's row, then locked; the
    # current rows; the number of switches; one update; the savepoint's release.
    with django_assert_num_queries(9):
        assert renewal.renew_signatures(NOON + 3 * HOUR) == 4


def test_what_a_build_replaced_meanwhile_is_left_alone(published, monkeypatch):
    prepare = file_store.prepare_lessons

    def built_in_between(files, token):
        prepare(files, token)
        monkeypatch.undo()
        LessonStage.objects.filter(public_id="STG-b").update(title="New")
        with at(NOON + 3 * HOUR):
            builds.publish_plan(published.pk)

    monkeypatch.setattr(file_store, "prepare_lessons", built_in_between)
    assert renewal.renew_signatures(NOON + 3 * HOUR) == 0
    assert record().sha256 == reading.sha256(PATH)
    assert "New" in {stage["title"] for stage in reading.read(PATH)["stages"]}
    assert not list((file_store.root() / "lessons").glob(".*"))


def test_a_death_between_disk_and_tables_is_mended_and_stays_signed(
    published, monkeypatch
):
    now, old = NOON + 3 * HOUR, record()
    monkeypatch.setattr(
        activation.PublishedDocument.objects,
        "bulk_update",
        lambda *_args, **_kwargs: (_ for _ in ()).throw(SystemExit),
    )
    with pytest.raises(SystemExit):
        renewal.renew_signatures(now)
    monkeypatch.undo()
    assert record().sha256 == old.sha256 != reading.sha256(PATH)
    assert renewal.renew_signatures(now) == 0  # an incomplete switch: recovery is first
    recovery.recover_if_incomplete()
    mended = record()
    assert mended.sha256 == reading.sha256(PATH)
    assert (mended.version, mended.fingerprint) == (old.version, old.fingerprint)
    assert mended.signed_until == now + 4 * HOUR
    assert renewal.renew_signatures(now) == 0


def test_a_damaged_file_is_left_to_the_health_check(published):
    (file_store.root() / PATH).write_bytes(b"{}")
    with structlog.testing.capture_logs() as logs:
        assert renewal.renew_signatures(NOON + 3 * HOUR) == 0
    assert logs[-1]["event"] == "signatures_renewed"
    assert (logs[-1]["due"], logs[-1]["left"]) == (1, 1)


def test_without_embedded_signatures_there_is_nothing_to_do(published):
    PublishingSettings.objects.update(embed_signed_urls=False)
    assert renewal.renew_signatures(NOON + 3 * HOUR) == 0


def test_a_changed_domain_is_in_every_signature_with_the_next_build(published):
    current = PublishingSettings.get_solo()
    current.local_domain = "https://learn.example"
    current.save()
    with at(NOON + 60):
        builds.publish_plan(published.pk)
    assert config("b.mp4")["signed_url"].startswith("https://learn.example/files/")
    assert record().version == NOON


def test_a_shorter_life_is_in_every_signature_soon_without_a_build(published):
    current = PublishingSettings.get_solo()
    current.signed_url_hours = 1
    current.save()
    assert builds.publish_plan(published.pk) is None
    assert renewal.renew_signatures(NOON + 60) == 1
    assert record().signed_until == NOON + 60 + HOUR


def test_text_that_looks_like_a_signature_is_no_signature(plan):
    LessonStage.objects.filter(lesson=node("LES-MATH-0-0")).update(
        config={"format": "markdown", "body": '","signed_url":"x","expires_at":"y"'}
    )
    add_video("LES-MATH-0-0", "b.mp4")
    with at(NOON):
        builds.publish_plan(plan.pk)
    body = orjson.loads(file_store.read(PATH))["stages"][0]["config"]["body"]
    assert renewal.renew_signatures(NOON + 3 * HOUR) == 1
    assert orjson.loads(file_store.read(PATH))["stages"][0]["config"]["body"] == body


def test_a_file_that_is_no_lesson_has_no_signatures():
    for data in (b"", b"[]", b"{}", b'{"stages":[{"type":"Video"}]}'):
        assert signatures.remove(data) == data
        assert signatures.signed_until(data) is None
