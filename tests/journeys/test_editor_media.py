"""Media in a real browser: a ZIP is imported; the library describes, replaces, reuses."""

import io
import json
import zipfile

import pytest
from django.core.files.base import ContentFile
from django.urls import reverse

from content.media import library
from content.models import LessonStage, MediaFile, MediaKind, Node
from tests.factories.content import make_branch, make_stage
from tests.journeys.test_editor_lesson import add_stage, open_lesson, open_stage, save
from tests.publishing.admin_views.test_preview_views import picture

playwright = pytest.importorskip(
    "playwright.sync_api", reason="needs playwright (requirements/dev.txt)"
)
MP4 = b"\x00\x00\x00\x18ftypmp42" + bytes(64)
VTT = b"WEBVTT\n\n00:01.000 --> 00:02.000\nHello\n"


@pytest.fixture(autouse=True)
def _videos(settings, tmp_path):
    settings.VIDEO_ROOT = tmp_path / "videos"


@pytest.fixture
def lesson(transactional_db):
    return make_branch("Physics", lessons=1).lessons[0]


def stored(data: bytes, name: str, kind: MediaKind, **fields) -> MediaFile:
    media = library.add(ContentFile(data, name=name), kind=kind)
    MediaFile.objects.filter(pk=media.pk).update(**fields)
    return media


def book() -> bytes:
    body = '<p>A leaf <img src="img/leaf.png" alt="A leaf"></p>'
    stage = {
        "type": "Text",
        "title": "Read",
        "config": {"format": "html", "body": body},
    }
    topic = {"title": "T", "lessons": [{"title": "Leaves", "stages": [stage]}]}
    track = {"title": "T", "units": [{"title": "U", "topics": [topic]}]}
    made = {
        "format": "memora-curriculum/1",
        "subject": {"title": "Plants", "tracks": [track]},
    }
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as opened:
        opened.writestr("book.json", json.dumps(made))
        opened.writestr("img/leaf.png", picture(size=300))
        opened.writestr("img/unused.png", picture(size=200))
    return data.getvalue()


@pytest.mark.parametrize("language", ["en", "ar"])
def test_a_zip_is_tried_out_and_imported_and_its_picture_is_in_the_lesson(
    open_page, language
):
    page = open_page(language)
    page.goto(reverse("admin:exchange"))
    file = {"name": "book.zip", "mimeType": "application/zip", "buffer": book()}
    page.locator("input[accept*=zip]").set_input_files(file)
    page.locator("form:has(input[accept*=zip]) [type=submit]").click()
    playwright.expect(page.get_by_text("img/unused.png")).to_be_visible()
    page.locator(".confirmation [type=submit]").click()
    playwright.expect(page.locator(".messagelist .success")).to_contain_text("Plants")
    open_lesson(page, Node.objects.get(title="Leaves"))
    card = open_stage(page)
    shown = card.locator(".rich-text img[src]")
    playwright.expect(shown).to_have_attribute("alt", "A leaf")
    assert shown.evaluate("(image) => image.decode().then(() => image.naturalWidth)")


@pytest.mark.parametrize("language", ["en", "ar"])
def test_a_picture_is_found_described_and_replaced(open_page, lesson, language):
    leaf = stored(picture(size=300), "leaf.png", MediaKind.PICTURE)
    stored(picture(size=200), "root.png", MediaKind.PICTURE)
    body = f'<p>A leaf <img src="/media/{leaf.path}" alt="A leaf"></p>'
    stage = make_stage(lesson, config={"format": "html", "body": body})
    page = open_page(language)
    page.goto(reverse("admin:content_mediafile_changelist"))
    page.fill("#searchbar", "LEAF")
    page.press("#searchbar", "Enter")
    page.get_by_role("link", name="leaf.png").click()
    page.fill("[name=alt]", "A green leaf")
    with page.expect_navigation():
        page.click("[name=_continue]")
    new = {"name": "b.png", "mimeType": "image/png", "buffer": picture(size=310)}
    page.locator("input[name=file]").set_input_files(new)
    page.locator("form:has(input[name=file]) [type=submit]").click()
    playwright.expect(page.locator(".messagelist .success")).to_be_visible()
    page.get_by_role("link", name=lesson.title).click()
    page.wait_for_selector(".stages.is-scripted")
    # The link opens the card.
    shown = page.locator(".stage-card .rich-text img[src]")
    replaced = MediaFile.objects.get(name="b.png")
    playwright.expect(shown).to_have_attribute("src", f"/media/{replaced.path}")
    assert replaced.alt == "A green leaf"
    assert leaf.path not in LessonStage.objects.get(pk=stage.pk).config["body"]


def test_a_chosen_picture_brings_its_description(open_page, lesson):
    stored(picture(size=300), "leaf.png", MediaKind.PICTURE, alt="A leaf")
    stored(picture(size=200), "root.png", MediaKind.PICTURE)
    page = open_page()
    open_lesson(page, lesson)
    card = add_stage(page, "Text", "Read")
    card.locator(".tool-picture").click()
    dialog = page.locator(".picture-dialog")
    playwright.expect(dialog.locator(".picture-grid button")).to_have_count(2)
    dialog.locator("[type=search]").fill("leaf")
    playwright.expect(dialog.locator(".picture-grid button")).to_have_count(1)
    dialog.locator(".picture-grid button").click()
    shown = card.locator(".rich-text img[src]")
    playwright.expect(shown).to_have_attribute("alt", "A leaf")


def test_a_stored_video_is_chosen_with_its_captions(open_page, lesson):
    clip = stored(MP4, "clip.mp4", MediaKind.VIDEO)
    page = open_page()
    page.goto(reverse("admin:content_mediafile_change", args=[clip.pk]))
    page.fill(".captions-form [name=language]", "en")
    file = {"name": "en.vtt", "mimeType": "text/vtt", "buffer": VTT}
    page.locator(".captions-form input[type=file]").set_input_files(file)
    page.get_by_role("button", name="Add captions").click()
    playwright.expect(page.get_by_text("1 caption", exact=False).first).to_be_visible()
    open_lesson(page, lesson)
    card = add_stage(page, "Video", "Watch")
    card.locator(".media-video .media-recent").click()
    page.locator(".picture-dialog .picture-grid button").click()
    playwright.expect(card.locator("textarea.cues")).to_have_value(
        "00:01.000 --> 00:02.000\nHello"
    )
    save(page)
    cues = [{"start": 1, "end": 2, "text": "Hello"}]
    assert LessonStage.objects.get(title="Watch").config == {
        "source": clip.path,
        "captions": [{"language": "en", "cues": cues}],
    }


def test_a_caption_file_is_read_into_a_stage(open_page, lesson):
    captions = [{"language": "en", "cues": [{"start": 5, "end": 6, "text": "Old"}]}]
    make_stage(
        lesson,
        type="Video",
        config={"source": "https://videos.example/a.mp4", "captions": captions},
    )
    page = open_page()
    open_lesson(page, lesson)
    card = open_stage(page)
    file = {"name": "en.vtt", "mimeType": "text/vtt", "buffer": VTT}
    card.locator(".cues-file input").set_input_files(file)
    save(page)
    (track,) = LessonStage.objects.get().config["captions"]
    assert track["cues"] == [{"start": 1, "end": 2, "text": "Hello"}]
