"""Signed URLs of the private bucket, read over HTTP; and when this server serves."""

import time
from urllib.parse import parse_qs, urlsplit
from urllib.request import ProxyHandler, build_opener

import orjson
import pytest
from django.core.files.base import ContentFile
from django.core.management import CommandError, call_command
from django.utils import timezone

from content.models import LessonStage
from publishing import builds, distribution, resigning, signing, staging, videos
from publishing.models import PublishedDocument, PublishingSettings
from publishing.targets import DistributionError
from tests.publishing.cdn_world import PRIVATE, PUBLIC, turn_on
from tests.publishing.conftest import node

pytestmark = pytest.mark.django_db
MP4 = b"\x00\x00\x00\x18ftypmp42" + bytes(range(256))
LESSON = "LES-MATH-0-0"
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
    return signing.private_lesson_url(
        LESSON,
        expires=now + 900,
        now=now,
        player_id=42,
        current=PublishingSettings.get_solo(),
    )


def is_here(url: str) -> bool:
    return url.startswith("http://127.0.0.1:8000/files/")


def video() -> ContentFile:
    return ContentFile(MP4, name="a.mp4")


def test_a_gated_lesson_is_read_from_the_private_bucket(s3, on, plan):
    builds.publish_plan(plan.pk)
    url = link()
    assert urlsplit(url).path == f"/{PRIVATE}/{PATH}"
    assert parse_qs(urlsplit(url).query)["X-Amz-Expires"] == ["900"]
    assert read(url)[0] == staging.read(PATH)
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


def test_a_video_goes_to_the_private_bucket_and_plays_from_there(s3, on, settings):
    source = videos.store_video(video(), now=timezone.now())
    assert s3.objects(PRIVATE) == {f"videos/{source}": MP4}
    assert s3.objects(PUBLIC) == {}
    assert not settings.VIDEO_ROOT.exists()
    url = signing.video_signer().sign(source, int(time.time()) + 60)
    assert read(url) == (MP4, "video/mp4")


def test_a_video_the_bucket_refuses_is_not_kept(s3, on, wire):
    wire.fault = lambda method, _path: "500" if method == "PUT" else None
    with pytest.raises(DistributionError, match=PRIVATE):
        videos.store_video(video(), now=timezone.now())
    assert s3.objects(PRIVATE) == {}


def test_videos_that_lie_here_play_from_here_until_they_are_moved(
    s3, wire, plan, settings, tmp_path, capsys
):
    settings.VIDEO_ROOT = tmp_path / "videos"
    source = videos.store_video(video(), now=timezone.now())
    LessonStage.objects.create(
        public_id="STG-v",
        lesson=node(LESSON),
        type="Video",
        title="Watch",
        config={"source": source},
    )
    turn_on(wire.url)
    builds.publish_plan(plan.pk)
    version = orjson.loads(staging.read(PATH))["version"]
    assert is_here(published_url())

    call_command("move_videos")
    assert "1 video moved." in capsys.readouterr().out
    assert not list(settings.VIDEO_ROOT.rglob("*.mp4"))
    assert read(published_url()) == (MP4, "video/mp4")
    assert orjson.loads(staging.read(PATH))["version"] == version
    call_command("move_videos")
    assert "0 videos moved." in capsys.readouterr().out


def published_url() -> str:
    stages = orjson.loads(staging.read(PATH))["stages"]
    return next(s["config"]["signed_url"] for s in stages if s["type"] == "Video")


def test_what_is_signed_again_is_uploaded_again(s3, on, plan):
    source = videos.store_video(video(), now=timezone.now())
    LessonStage.objects.create(
        public_id="STG-v",
        lesson=node(LESSON),
        type="Video",
        title="Watch",
        config={"source": source},
    )
    builds.publish_plan(plan.pk)
    resigning.forget_signatures()
    assert resigning.renew_signatures(int(time.time()) + 3600) == 1
    assert s3.objects(PRIVATE)[PATH] != staging.read(PATH)
    distribution.distribute()
    assert s3.objects(PRIVATE)[PATH] == staging.read(PATH)


def test_without_a_bucket_nothing_is_moved(db):
    with pytest.raises(CommandError, match="Turn the CDN on"):
        call_command("move_videos")
