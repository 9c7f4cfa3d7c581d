"""Editors' videos: which files are accepted, and where they are stored."""

import re
import unicodedata
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages

from content.stage_types import SCHEMAS
from publishing.signing import links, videos

pytestmark = pytest.mark.django_db
NOW = datetime(2027, 1, 15, 12, tzinfo=UTC)
MP4 = b"\x00\x00\x00\x18ftypmp42" + bytes(100)
WEBM = b"\x1a\x45\xdf\xa3\x9fB\x86\x81\x01B\xf7\x81\x01B\xf2\x81\x04B\xf3\x81\x08B\x82\x84webm"


@pytest.fixture(autouse=True)
def video_root(settings, tmp_path) -> Path:
    settings.VIDEO_ROOT = tmp_path / "videos"
    return settings.VIDEO_ROOT


@pytest.mark.parametrize(
    ("name", "data", "kept"),
    [
        ("Lesson One.mp4", MP4, r"2027/01/lesson-one-\w{12}\.mp4"),
        ("درس الكسور.MP4", MP4, r"2027/01/درس-الكسور-\w{12}\.mp4"),
        ("a.webm", WEBM, r"2027/01/a-\w{12}\.webm"),
        ("../../evil.m4v", MP4, r"2027/01/evil-\w{12}\.mp4"),
        ("….mp4", MP4, r"2027/01/video-\w{12}\.mp4"),
    ],
)
def test_a_video_is_kept_in_the_private_folder(name, data, kept, video_root):
    file = ContentFile(data)
    file.name = name
    source = videos.store_video(file, now=NOW)
    assert re.fullmatch(kept, source)
    assert (video_root / source).read_bytes() == data
    pattern = SCHEMAS["Video"]["properties"]["source"]["pattern"]
    assert re.search(pattern, source)


def test_others_of_the_machine_cannot_read_it(video_root):
    source = videos.store_video(ContentFile(MP4, name="a.mp4"), now=NOW)
    assert (video_root / source).stat().st_mode & 0o007 == 0


@pytest.mark.parametrize("kept", ["NFC", "NFD"])
@pytest.mark.parametrize("written", ["NFC", "NFD"])
def test_a_video_is_found_in_either_unicode_form_of_its_name(video_root, kept, written):
    stored_name, source = (
        unicodedata.normalize(form, "مؤلف/آلة.mp4") for form in (kept, written)
    )
    (video_root / stored_name).parent.mkdir(parents=True)
    (video_root / stored_name).write_bytes(MP4)
    url = links.video_signer().sign(source, int(NOW.timestamp()))
    assert quote(stored_name) in url


def test_a_video_that_is_nowhere_keeps_its_name(video_root):
    assert links.name_here("nowhere.mp4") is None


def test_two_of_one_name_are_two(video_root):
    first, second = (
        videos.store_video(ContentFile(MP4, name="a.mp4"), now=NOW) for _ in range(2)
    )
    assert first != second


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.mp4", b"<html><script>"),
        ("a.html", MP4),
        ("a.webm", MP4),
        ("a.mp4", b""),
        ("a", MP4),
    ],
)
def test_what_is_no_video_is_refused(name, data, video_root):
    with pytest.raises(videos.InvalidVideoError, match="not an MP4 or WebM"):
        videos.store_video(ContentFile(data, name=name), now=NOW)
    assert not video_root.exists()


def test_what_is_too_large_is_refused(settings, video_root):
    settings.VIDEO_MAX_BYTES = 100
    with pytest.raises(videos.InvalidVideoError, match="the maximum is 100"):
        videos.store_video(ContentFile(MP4, name="a.mp4"), now=NOW)
    assert not video_root.exists()


def test_the_storage_gives_no_urls():
    with pytest.raises(ValueError, match="no URL"):
        storages["videos"].url("a.mp4")
