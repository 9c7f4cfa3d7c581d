"""Signed URLs of the private bucket, read over HTTP; fallback to this server."""

import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from urllib.request import ProxyHandler, build_opener

import orjson
import pytest
from django.core.files.base import ContentFile
from django.core.management import CommandError, call_command
from django.utils import timezone

from content.models import LessonStage
from publishing.building import builds
from publishing.cdn import sync
from publishing.cdn.backends.base import DistributionError
from publishing.models import (
    PublishedDocument,
    PublishingSettings,
    SyncStatus,
    SyncStep,
)
from publishing.signing import lessons, links, renewal, videos
from publishing.storage import file_store
from tests.publishing.conftest import node
from tests.publishing.fake_s3 import PRIVATE, PUBLIC, turn_on

pytestmark = pytest.mark.django_db
MP4 = b"\x00\x00\x00\x18ftypmp42" + bytes(range(256))
LESSON = "LES-MATH-0-0"
OTHER = "LES-MATH-0-1"
PATH = f"lessons/{LESSON}.json"
_opener = build_opener(ProxyHandler({}))


@pytest.fixture
def on(wire, settings, tmp_path) -> PublishingSettings:
    """The CDN is on, with a private bucket."""
    settings.VIDEO_ROOT = tmp_path / "videos"
    return turn_on(wire.url)


def read(url: str) -> tuple[bytes, str]:
    with _opener.open(url) as answer:
        return answer.read(), answer.headers["Content-Type"]


def link() -> str:
    now = int(time.time())
    [found] = lessons.lesson_urls(
        [LESSON],
        gated={LESSON},
        expires=now + 900,
        now=now,
        player_id=42,
        current=PublishingSettings.get_solo(),
    )
    assert found.expires_at == now + 900
    return found.url


def is_here(url: str) -> bool:
    return url.startswith("http://127.0.0.1:8000/files/")


def video() -> ContentFile:
    return ContentFile(MP4, name="a.mp4")


def test_a_gated_lesson_is_read_from_the_private_bucket(s3, on, plan):
    builds.publish_plan(plan.pk)
    url = link()
    assert urlsplit(url).path == f"/{PRIVATE}/{PATH}"
    assert parse_qs(urlsplit(url).query)["X-Amz-Expires"] == ["900"]
    assert read(url)[0] == file_store.read(PATH)
    assert PATH not in s3.objects(PUBLIC)


def test_until_the_bucket_has_it_this_server_serves_it(s3, on, plan, wire):
    builds.publish_plan(plan.pk)
    PublishedDocument.objects.filter(path=PATH).update(sha256="0" * 64)
    assert is_here(link())


@pytest.mark.parametrize(
    "without",
    [
        {"cdn_enabled": False},
        {"local_fallback_mode": True},
        {"cdn_private_bucket": ""},
        {"cdn_secret_key": "unreadable"},
    ],
)
def test_without_a_usable_private_bucket_this_server_serves_it(s3, on, plan, without):
    builds.publish_plan(plan.pk)
    PublishingSettings.objects.update(**without)
    assert is_here(link())


def watch(source: str, lesson_id: str = LESSON) -> None:
    """Add a stage with this video to a lesson."""
    LessonStage.objects.create(
        public_id=f"STG-v-{lesson_id}",
        lesson=node(lesson_id),
        type="Video",
        title="Watch",
        config={"source": source},
    )


UNUSABLE = [
    {"cdn_secret_key": "unreadable"},
    {"cdn_endpoint": "no address"},
    {"cdn_private_bucket": "No Bucket"},
]


@pytest.mark.parametrize("broken", UNUSABLE)
def test_a_bucket_nobody_can_use_stops_no_build(s3, on, plan, broken):
    watch(videos.store_video(video(), now=timezone.now()))
    PublishingSettings.objects.update(**broken)
    entry = builds.publish_plan(plan.pk)
    assert (entry.status, entry.step) == (SyncStatus.QUEUED, SyncStep.UPLOAD)
    assert is_here(published_url()), "nobody can sign it there"


def test_while_the_bucket_cannot_be_used_its_videos_keep_their_signatures(
    s3, on, plan, settings
):
    watch(videos.store_video(video(), now=timezone.now()))
    on.cdn_enabled = False
    on.save()
    watch(videos.store_video(video(), now=timezone.now()), OTHER)
    builds.publish_plan(plan.pk)
    before, other = published_url(), published_url(OTHER)
    PublishingSettings.objects.update(cdn_secret_key="unreadable")
    assert renewal.renew_signatures(int(time.time()) + 3 * 3600) == 1
    assert published_url() == before
    assert published_url(OTHER) != other, "what lies here is signed as ever"


@pytest.mark.parametrize(
    "without", [{"cdn_enabled": False}, {"local_fallback_mode": True}]
)
def test_a_video_in_the_bucket_plays_though_students_read_from_here(
    s3, on, plan, without
):
    source = videos.store_video(video(), now=timezone.now())
    watch(source)
    builds.publish_plan(plan.pk)
    PublishingSettings.objects.update(**without)
    renewal.renew_signatures(int(time.time()))
    assert read(published_url()) == (MP4, "video/mp4")
    assert read(play_time_url(source)) == (MP4, "video/mp4")


def play_time_url(source: str) -> str:
    """The URL that the API returns before a student plays the video."""
    return links.video_signer().sign(source, int(time.time()) + 60)


def test_a_video_goes_to_the_private_bucket_and_plays_from_there(s3, on, settings):
    source = videos.store_video(video(), now=timezone.now())
    assert s3.objects(PRIVATE) == {f"videos/{source}": MP4}
    assert s3.objects(PUBLIC) == {}
    assert not settings.VIDEO_ROOT.exists()
    assert read(play_time_url(source)) == (MP4, "video/mp4")


@pytest.mark.parametrize("fault", ["500", "lie"])
def test_a_video_the_bucket_does_not_take_is_an_error(s3, on, wire, fault):
    wire.fault = lambda method, _path: fault if method == "PUT" else None
    with pytest.raises(DistributionError, match=PRIVATE):
        videos.store_video(video(), now=timezone.now())
    assert s3.objects(PRIVATE) == {}


def test_videos_that_lie_here_play_from_here_until_they_are_moved(
    s3, wire, plan, settings, tmp_path, capsys
):
    settings.VIDEO_ROOT = tmp_path / "videos"
    source = videos.store_video(video(), now=timezone.now())
    watch(source)
    turn_on(wire.url)
    builds.publish_plan(plan.pk)
    version = orjson.loads(file_store.read(PATH))["version"]
    assert is_here(published_url())

    call_command("upload_videos")
    assert "1 video moved." in capsys.readouterr().out
    assert not list(settings.VIDEO_ROOT.rglob("*.mp4"))
    assert read(published_url()) == (MP4, "video/mp4")
    assert orjson.loads(file_store.read(PATH))["version"] == version
    call_command("upload_videos")
    assert "0 videos moved." in capsys.readouterr().out


@pytest.fixture
def two_here(wire, plan, settings, tmp_path) -> list[str]:
    """Two published videos on this server, and a new private bucket."""
    settings.VIDEO_ROOT = tmp_path / "videos"
    sources = [videos.store_video(video(), now=timezone.now()) for _ in range(2)]
    for source, lesson_id in zip(sorted(sources), (LESSON, OTHER), strict=True):
        watch(source, lesson_id)
    turn_on(wire.url)
    builds.publish_plan(plan.pk)
    return sorted(sources)


def plays(url: str, settings) -> bool:
    if not is_here(url):
        return read(url)[0] == MP4
    name = urlsplit(url).path.removeprefix("/files/videos/")
    return (settings.VIDEO_ROOT / name).read_bytes() == MP4


@pytest.mark.parametrize("fault", ["500", "lie"])
def test_a_move_that_fails_half_way_deletes_nothing_and_is_continued(
    s3, wire, settings, two_here, fault
):
    wire.fault = lambda method, path: (
        fault if method == "PUT" and two_here[1] in path else None
    )
    with pytest.raises(CommandError, match=PRIVATE):
        call_command("upload_videos")
    for lesson_id in (LESSON, OTHER):
        assert plays(published_url(lesson_id), settings)
    assert {path.name for path in settings.VIDEO_ROOT.rglob("[!.]*.mp4")} == {
        source.rpartition("/")[2] for source in two_here
    }
    wire.reset()
    call_command("upload_videos")
    assert [path for path in wire.paths("PUT") if "videos" in path] == [
        f"videos/{two_here[1]}"
    ]
    for lesson_id in (LESSON, OTHER):
        assert read(published_url(lesson_id))[0] == MP4
    assert not [path for path in settings.VIDEO_ROOT.rglob("*") if path.is_file()]


def test_a_move_begun_for_another_bucket_loses_nothing(s3, wire, settings, two_here):
    wire.fault = lambda method, path: (
        "500" if method == "PUT" and two_here[1] in path else None
    )
    with pytest.raises(CommandError):
        call_command("upload_videos")
    wire.reset()
    turn_on(wire.url, cdn_private_bucket=PUBLIC, cdn_bucket=PRIVATE)
    call_command("upload_videos")
    stored = {path for path in s3.objects(PUBLIC) if path.startswith("videos/")}
    assert stored == {f"videos/{source}" for source in two_here}


def test_links_play_at_every_moment_of_a_move(
    s3, wire, settings, two_here, monkeypatch
):
    unlink = Path.unlink
    seen = []

    def look(path: Path, *args: object, **kwargs: object) -> None:
        if path.suffix == ".mp4":
            seen.extend(published_url(lesson_id) for lesson_id in (LESSON, OTHER))
        unlink(path, *args, **kwargs)

    monkeypatch.setattr(Path, "unlink", look)
    call_command("upload_videos")
    assert len(seen) == 4
    assert all(read(url)[0] == MP4 for url in seen)


def published_url(lesson_id: str = LESSON) -> str:
    stages = orjson.loads(file_store.read(f"lessons/{lesson_id}.json"))["stages"]
    return next(s["config"]["signed_url"] for s in stages if s["type"] == "Video")


def test_what_is_signed_again_is_uploaded_again(s3, on, plan):
    source = videos.store_video(video(), now=timezone.now())
    watch(source)
    builds.publish_plan(plan.pk)
    renewal.expire_signatures()
    assert renewal.renew_signatures(int(time.time()) + 3600) == 1
    assert s3.objects(PRIVATE)[PATH] != file_store.read(PATH)
    sync.distribute()
    assert s3.objects(PRIVATE)[PATH] == file_store.read(PATH)


def test_without_a_bucket_nothing_is_moved(db):
    with pytest.raises(CommandError, match="Turn the CDN on"):
        call_command("upload_videos")
