"""The media library: uses, replacement, captions, deletion, and files without a row."""

import io
from io import StringIO

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.urls import reverse
from PIL import Image

from content.media import files, library, usage
from content.media.files import MediaError
from content.media.library import MediaInUseError
from content.models import LessonStage, MediaFile, MediaKind, Node, SubjectState
from players import roles
from publishing.building import builds
from tests.admin_fixtures import messages_of
from tests.factories.content import make_stage

pytestmark = pytest.mark.django_db

MP4 = b"\x00\x00\x00\x18ftypmp42" + bytes(64)
VTT = b"WEBVTT\n\n00:01.000 --> 00:02.000\nHello\n"
CUES = [{"start": 1, "end": 2, "text": "Hello"}]
LIST = reverse("admin:content_mediafile_changelist")


@pytest.fixture(autouse=True)
def _videos(settings, tmp_path):
    settings.VIDEO_ROOT = tmp_path / "videos"


def picture(size: int = 4, name: str = "a.png"):
    buffer = io.BytesIO()
    Image.new("RGB", (size, size)).save(buffer, "PNG")
    return ContentFile(buffer.getvalue(), name=name)


def video(name: str = "a.mp4", rest: bytes = b""):
    return ContentFile(MP4 + rest, name=name)


@pytest.fixture
def leaf():
    return library.add(picture(), kind=MediaKind.PICTURE)


@pytest.fixture
def clip():
    return library.add(video(), kind=MediaKind.VIDEO)


@pytest.fixture
def text(maths, leaf):
    """A stage that shows the leaf twice."""
    body = f'<p><img src="/media/{leaf.path}" alt="leaf"> a <a href="/media/{leaf.path}">b</a></p>'
    return make_stage(
        maths["lesson"], type="Text", config={"format": "html", "body": body}
    )


@pytest.fixture
def film(maths, clip):
    """A stage that shows the clip."""
    return make_stage(maths["lesson"], type="Video", config={"source": clip.path})


def config_of(stage):
    return LessonStage.objects.get(pk=stage.pk).config


def page_of(media, page="change"):
    return reverse(f"admin:content_mediafile_{page}", args=[media.pk])


def sent(data, name):
    return {"file": SimpleUploadedFile(name, data)}


# --- Uses ---------------------------------------------------------------------


def test_uses_are_found_in_stages_and_images_of_nodes(
    maths, leaf, text, film, clip, django_assert_num_queries
):
    Node.objects.filter(pk=maths["unit"].pk).update(image=leaf.path)
    with django_assert_num_queries(2):  # the images, the stages
        found = usage.places()
    assert [(place.node_pk, place.stage_id) for place in found[leaf.path]] == [
        (maths["unit"].pk, ""),
        (maths["lesson"].pk, text.public_id),
    ]
    assert [place.stage_id for place in found[clip.path]] == [film.public_id]


def test_the_list_shows_how_often_a_file_is_used(browser, leaf, clip, text):
    page = browser.get(LIST)
    counts = {row.name: row.count_of_places for row in page.context["cl"].result_list}
    assert counts == {"a.png": 1, "a.mp4": 0}


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"use": "unused"}, ["a.mp4"]),
        ({"use": "used"}, ["a.png"]),
        ({"use": "no_alt"}, ["a.png"]),
        ({"use": "no_captions"}, ["a.mp4"]),
        ({"kind__exact": "video"}, ["a.mp4"]),
        ({"q": "A.PNG"}, ["a.png"]),
        ({"q": "nothing"}, []),
    ],
)
def test_the_list_is_searched_and_filtered(browser, leaf, clip, text, query, names):
    page = browser.get(LIST, query)
    assert [row.name for row in page.context["cl"].result_list] == names


def test_the_list_takes_the_same_queries_for_many_files(
    browser, text, django_assert_max_num_queries
):
    for size in range(5, 25):
        library.add(picture(size), kind=MediaKind.PICTURE)
    with django_assert_max_num_queries(7):
        assert browser.get(LIST).status_code == 200


def test_the_page_of_a_file_links_to_the_cards_that_use_it(browser, leaf, text, maths):
    page = browser.get(page_of(leaf)).content.decode()
    card = reverse("admin:content_node_change", args=[maths["lesson"].pk])
    assert f'href="{card}#{text.public_id}"' in page


# --- Replacement --------------------------------------------------------------


def test_a_picture_is_replaced_everywhere(browser, maths, leaf, text):
    Node.objects.filter(pk=maths["unit"].pk).update(image=leaf.path)
    MediaFile.objects.filter(pk=leaf.pk).update(alt="A leaf")
    revision = SubjectState.objects.get(pk=maths["subject"].pk).revision
    data = sent(picture(9).read(), "b.png")
    page = browser.post(page_of(leaf, "replace"), data, follow=True)
    assert "in 2 places" in messages_of(page)[0]
    new = MediaFile.objects.get(name="b.png")
    assert config_of(text)["body"].count(new.path) == 2
    assert leaf.path not in config_of(text)["body"]
    assert Node.objects.get(pk=maths["unit"].pk).image == new.path
    assert new.alt == "A leaf"
    assert SubjectState.objects.get(pk=maths["subject"].pk).revision > revision
    assert default_storage.exists(leaf.path)  # published lessons show it


def test_a_replacement_is_in_the_history_of_the_lesson(maths, leaf, text):
    before = LessonStage.history.filter(id=text.pk).count()
    library.replace(media=leaf, file=picture(9))
    assert LessonStage.history.filter(id=text.pk).count() == before + 1


def test_a_video_is_replaced_with_its_captions_kept(clip, film):
    library.set_captions(
        media=clip, language="en", label="", file=ContentFile(VTT, name="en.vtt")
    )
    clip.refresh_from_db()
    new, count = library.replace(media=clip, file=video("b.mp4", b"other"))
    assert count == 1
    assert new.captions == [{"language": "en", "cues": CUES}]
    assert config_of(film) == {
        "source": new.path,
        "captions": [{"language": "en", "cues": CUES}],
    }


@pytest.mark.parametrize(
    ("file", "words"), [(picture(), "same file"), (video(), "JPEG, PNG")]
)
def test_a_replacement_that_is_none_is_refused(leaf, text, file, words):
    before = config_of(text)
    with pytest.raises(MediaError, match=words):
        library.replace(media=leaf, file=file)
    assert config_of(text) == before
    assert MediaFile.objects.count() == 1


# --- Captions -----------------------------------------------------------------


def test_captions_are_written_into_every_stage_with_the_video(browser, clip, film):
    data = {"language": "ar", "label": "العربية", **sent(VTT, "ar.vtt")}
    page = browser.post(page_of(clip, "captions"), data, follow=True)
    assert "in 1 stage" in messages_of(page)[0]
    track = {"language": "ar", "label": "العربية", "cues": CUES}
    assert config_of(film)["captions"] == [track]
    clip.refresh_from_db()
    assert clip.captions == [track]
    page = browser.post(page_of(clip, "captions"), {"remove": "ar"}, follow=True)
    assert config_of(film) == {"source": clip.path}
    assert "This video has no captions" in page.content.decode()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"language": "ar", **sent(b"1\nno", "ar.vtt")}, "Line 1"),
        ({"language": "../ar", **sent(VTT, "ar.vtt")}, "Language"),
        ({"language": "ar"}, "WebVTT file"),
    ],
)
def test_wrong_captions_are_refused(browser, clip, film, data, words):
    page = browser.post(page_of(clip, "captions"), data, follow=True)
    assert words in messages_of(page)[0]
    assert "captions" not in config_of(film)


# --- Deletion -----------------------------------------------------------------


def test_two_uploads_of_one_picture_at_once_share_its_row(db):
    with files.removed_on_error() as new:
        mine = files.add(picture(), kind=MediaKind.PICTURE, new=new)
        theirs = library.add(picture(), kind=MediaKind.PICTURE)
        new.save()
    assert mine == theirs
    assert MediaFile.objects.count() == 1
    assert default_storage.exists(theirs.path)


def test_an_image_is_indexed_once(db):
    path = default_storage.save("images/a.png", picture())
    library.index_image(path)
    library.index_image(path)
    assert MediaFile.objects.get().path == path


def test_an_unused_file_is_deleted_with_its_row(browser, leaf, clip, settings):
    for media in (leaf, clip):
        assert (
            browser.post(page_of(media, "delete"), {"post": "yes"}).status_code == 302
        )
    assert not MediaFile.objects.exists()
    assert not default_storage.exists(leaf.path)
    assert not (settings.VIDEO_ROOT / clip.path).exists()


def test_a_used_file_is_not_deleted(browser, leaf, text):
    page = browser.get(page_of(leaf, "delete")).content.decode()
    assert f"#{text.public_id}" in page
    browser.post(page_of(leaf, "delete"), {"post": "yes"})
    with pytest.raises(MediaInUseError, match="is used in"):
        library.delete(media=leaf)
    assert default_storage.exists(leaf.path)


def test_a_file_of_a_published_lesson_is_deleted_only_after_the_next_build(
    plan, maths, leaf
):
    lesson = maths["lesson"]
    body = f'<p>a <img src="/media/{leaf.path}" alt=""></p>'
    stage = make_stage(lesson, type="Text", config={"format": "html", "body": body})
    builds.publish_plan(plan.pk)
    stage.delete()
    with pytest.raises(MediaInUseError, match="Publish first"):
        library.delete(media=leaf)
    builds.publish_plan(plan.pk)
    library.delete(media=leaf)
    assert not default_storage.exists(leaf.path)


def test_used_files_of_a_selection_keep_all_of_it(browser, leaf, clip, text):
    data = {
        "action": "delete_selected",
        "_selected_action": [leaf.pk, clip.pk],
        "post": "yes",
    }
    browser.post(LIST, data)
    assert MediaFile.objects.count() == 2


# --- Upload, and files without a row ------------------------------------------


def test_a_file_is_uploaded_to_the_library(browser):
    add = reverse("admin:content_mediafile_add")
    data = {"alt": "A leaf", **sent(picture().read(), "leaf.png")}
    assert browser.post(add, data).status_code == 302
    media = MediaFile.objects.get()
    assert (media.name, media.alt, media.kind) == ("leaf.png", "A leaf", "picture")


@pytest.mark.parametrize("name", ["a.exe", "a.png", "a.mp4"])
def test_a_wrong_upload_is_refused_at_its_field(browser, name):
    page = browser.post(reverse("admin:content_mediafile_add"), sent(b"<html>", name))
    assert "file" in page.context["adminform"].form.errors
    assert not MediaFile.objects.exists()


def test_publishers_see_the_library_and_change_nothing(client_of, staff, clip):
    browser = client_of(staff(roles.PUBLISHERS))
    assert browser.get(page_of(clip)).status_code == 200
    for page in ("replace", "captions", "delete"):
        assert browser.post(page_of(clip, page)).status_code == 403


def test_files_that_are_here_are_added_once(settings, film, clip):
    clip.delete()
    folder = settings.MEDIA_ROOT / "images" / "old"
    folder.mkdir(parents=True)
    (folder / "خلية.png").write_bytes(picture().read())
    (folder / "notes.txt").write_bytes(b"no media")
    out = StringIO()
    call_command("index_media", stdout=out)
    assert out.getvalue().splitlines()[-1] == "2 files were added to the media library."
    paths = set(MediaFile.objects.values_list("path", flat=True))
    assert paths == {"images/old/خلية.png", clip.path}
    call_command("index_media", stdout=out)
    assert out.getvalue().splitlines()[-1].startswith("0 files")
