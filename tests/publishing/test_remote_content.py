"""A web host without the content root reads releases from the bucket."""

import os
import subprocess
import sys

import pytest
from cryptography.fernet import Fernet

from memora_site import health
from plans.models import OverrideAction
from plans.services import add_subject, set_override
from publishing import api, remote_content
from publishing.building import builds
from publishing.cdn import sync
from publishing.published_content import NotPublishedError
from publishing.remote_content import ContentAwayError
from tests.factories.content import make_subject
from tests.publishing.conftest import node
from tests.publishing.fake_s3 import BASE_URL, PRIVATE, PUBLIC, turn_on

pytestmark = pytest.mark.django_db(transaction=True)
MANIFEST = "plans/PLAN-A/manifest.json"


@pytest.fixture
def on(wire):
    return turn_on(wire.url)


@pytest.fixture
def remote(settings, tmp_path):
    """Return a function after which this process has no content root."""

    def without_disk() -> None:
        settings.CONTENT_SOURCE = "bucket"
        settings.CONTENT_ROOT = tmp_path / "nothing"

    remote_content.forget()
    yield without_disk
    remote_content.forget()


@pytest.fixture
def at_once(monkeypatch):
    """Each request checks the manifest, and waits for it as long as it takes."""
    monkeypatch.setattr(remote_content, "WAIT_SECONDS", 60)
    monkeypatch.setattr(remote_content, "PAUSE_SECONDS", 0)


def publish(plan) -> None:
    entry = builds.publish_plan(plan.pk)
    assert entry is None or entry.error == ""  # None: the edit's task has built it
    assert sync.distribute()


def reread(plan_id: str = "PLAN-A") -> None:
    """Let the manifest be checked now, and wait until it is."""
    copy = remote_content._copies[plan_id]
    copy.checked_at = -remote_content.FRESH_SECONDS
    reading = remote_content._refresh(plan_id, copy)
    assert reading is not None
    reading.result(60)


def test_the_structure_is_that_of_the_disk(on, plan, remote, at_once):
    publish(plan)
    here = api.load_plan("PLAN-A")
    remote()
    there = api.load_plan("PLAN-A")
    assert there.lessons == here.lessons
    assert there.manifest_hash == here.manifest_hash
    assert {one.root for one in there.subjects.values()} == {
        one.root for one in here.subjects.values()
    }
    assert there.title == "Grade 5"
    assert api.is_published("PLAN-A")


def test_a_release_is_read_once_and_a_new_one_is_followed(
    on, s3, plan, remote, at_once, settings
):
    disk = settings.CONTENT_ROOT
    publish(plan)
    remote()
    first = api.load_plan("PLAN-A")
    assert api.load_plan("PLAN-A") is first
    reread()
    assert api.load_plan("PLAN-A") is first
    settings.CONTENT_SOURCE, settings.CONTENT_ROOT = "disk", disk
    add_subject(plan=plan, subject=make_subject("PHYS"))
    publish(plan)
    remote()
    reread()
    assert list(api.load_plan("PLAN-A").subjects) == ["SUBJ-MATH", "SUBJ-PHYS"]


def test_a_half_uploaded_release_is_not_read(on, s3, plan, remote, at_once):
    publish(plan)
    bitmap = "plans/PLAN-A/SUBJ-MATH_b.json"
    whole = s3.client.get_object(Bucket=PUBLIC, Key=bitmap)["Body"].read()
    remote()
    s3.client.put_object(Bucket=PUBLIC, Key=bitmap, Body=b"{}")
    with pytest.raises(ContentAwayError):
        api.load_plan("PLAN-A")
    s3.client.put_object(Bucket=PUBLIC, Key=bitmap, Body=whole)
    held = api.load_plan("PLAN-A")
    manifest = s3.client.get_object(Bucket=PUBLIC, Key=MANIFEST)["Body"].read()
    changed = manifest.replace(b"Grade 5", b"Grade 6")
    s3.client.put_object(Bucket=PUBLIC, Key=bitmap, Body=b"{}")
    s3.client.put_object(Bucket=PUBLIC, Key=MANIFEST, Body=changed)
    reread()
    assert api.load_plan("PLAN-A") is held
    s3.client.put_object(Bucket=PUBLIC, Key=bitmap, Body=whole)
    reread()
    assert api.load_plan("PLAN-A").title == "Grade 6"


def test_the_release_is_kept_while_the_bucket_is_away(on, plan, remote, at_once):
    publish(plan)
    remote()
    held = api.load_plan("PLAN-A")
    turn_on("http://127.0.0.1:9")
    reread()
    assert api.load_plan("PLAN-A") is held


def test_without_a_copy_an_absent_bucket_is_a_503(on, plan, remote, at_once):
    publish(plan)
    remote()
    turn_on("http://127.0.0.1:9")
    with pytest.raises(ContentAwayError) as caught:
        api.load_plan("PLAN-A")
    assert caught.value.code == "SERVICE_UNAVAILABLE"
    assert caught.value.headers == {"Retry-After": "5"}


def test_a_bucket_that_does_not_answer_is_not_asked_by_each_request(
    on, wire, plan, remote, monkeypatch
):
    monkeypatch.setattr(remote_content, "WAIT_SECONDS", 60)
    monkeypatch.setattr(remote_content, "PAUSE_SECONDS", 600)
    turn_on("http://127.0.0.1:9")
    remote()
    asked = []
    monkeypatch.setattr(
        remote_content, "targets_of", lambda *_args, **_options: asked.append(1) or 1
    )
    for _request in range(3):
        with pytest.raises(ContentAwayError):
            api.load_plan("PLAN-A")
    assert asked == [1]


def test_a_plan_without_a_release_is_refused(on, plan, remote, at_once):
    remote()
    with pytest.raises(NotPublishedError):
        api.load_plan("PLAN-A")
    assert not api.is_published("PLAN-A")


def test_links_need_no_disk(on, plan, remote, at_once):
    """One open and one gated lesson, each where its file is on the CDN."""
    set_override(
        plan=plan,
        target=node("LES-MATH-0-0"),
        action=OverrideAction.SET_ACCESS_LEVEL,
        value="free_preview",
    )
    publish(plan)
    ids = ["LES-MATH-0-0", "LES-MATH-0-1"]
    here = api.lesson_links(ids, player_id=1, now=1_800_000_000, seconds=900)
    remote()
    there = api.lesson_links(ids, player_id=1, now=1_800_000_000, seconds=900)
    assert [one.version for one in there] == [one.version for one in here]
    assert [one.expires_at for one in there] == [None, 1_800_000_900]
    assert there[0].url == f"{BASE_URL}/lessons/LES-MATH-0-0.json"
    assert f"/{PRIVATE}/lessons/LES-MATH-0-1.json" in there[1].url


def test_an_unreadable_lesson_has_a_link_without_a_version(
    on, s3, plan, remote, at_once
):
    publish(plan)
    remote()
    s3.client.delete_object(Bucket=PRIVATE, Key="lessons/LES-MATH-0-0.json")
    [found] = api.lesson_links(
        ["LES-MATH-0-0"], player_id=1, now=1_800_000_000, seconds=900
    )
    assert found.version is None
    assert found.url


def test_keys_that_cannot_be_decrypted_are_no_failure_of_the_links(
    on, plan, remote, at_once, settings
):
    publish(plan)
    remote()
    settings.SECRETS_KEYS = [Fernet.generate_key().decode()]
    [found] = api.lesson_links(
        ["LES-MATH-0-0"], player_id=1, now=1_800_000_000, seconds=900
    )
    assert found.version is None
    assert found.url


def test_the_host_is_ready_without_a_content_root(remote):
    remote()
    health.check_disk()
    health.check_publishing()


def test_a_worker_does_not_start_without_the_content_root():
    done = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "memora_site", "worker", "--pool=solo"],
        env=os.environ | {"MEMORA_CONTENT_SOURCE": "bucket"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    assert "A worker needs the content root" in done.stderr
