"""An editor's lesson in a real browser: every type of stage written, saved, played."""

import json
import os
import shutil

import pytest
from django.urls import reverse

from content.models import LessonStage, Node
from content.stage_types import SCHEMAS
from plans.models import AcademicPlan
from plans.services import add_subject
from players.models import User
from tests.factories.content import make_branch, make_stage
from tests.publishing.test_preview_pages import (
    EVIL,
    completed,
    harmless_addresses,
    picture,
    poisoned,
)

playwright = pytest.importorskip(
    "playwright.sync_api", reason="needs playwright (requirements/dev.txt)"
)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium on this machine"),
    pytest.mark.django_db(transaction=True),
]

EMAIL, PASSWORD = "editor@example.org", "a-long-enough-phrase"
VIDEO = b"\x00\x00\x00\x18ftypmp42" + bytes(64)


@pytest.fixture(scope="module")
def chromium():
    # Playwright keeps an event loop running; Django must not mistake it for its own.
    before = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"]
        )
        yield browser
        browser.close()
    if before is None:
        del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def open_page(chromium, live_server, settings, tmp_path):
    """Signs the editor in; gives a page that fails the test on any script error."""
    settings.SITE_URL = live_server.url
    settings.VIDEO_ROOT = tmp_path / "videos"
    User.objects.create_superuser(EMAIL, PASSWORD)
    contexts, errors = [], []

    def sign_in(language: str = "en", width: int = 1400):
        context = chromium.new_context(
            base_url=live_server.url, viewport={"width": width, "height": 1000}
        )
        contexts.append(context)
        cookie = {"name": "django_language", "value": language, "url": live_server.url}
        context.add_cookies([cookie])
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("dialog", lambda dialog: (errors.append("dialog"), dialog.accept()))
        page.goto(reverse("admin:login"))
        page.fill("[name=username]", EMAIL)
        page.fill("[name=password]", PASSWORD)
        page.press("[name=password]", "Enter")
        page.wait_for_url("**/admin/")
        return page

    yield sign_in
    for context in contexts:
        context.close()
    assert errors == []


@pytest.fixture
def branch(transactional_db):
    branch = make_branch("Physics", lessons=1)
    plan = AcademicPlan.objects.create(title="Grade 12", is_published=True)
    add_subject(plan=plan, subject=branch.subject)
    return branch


def open_lesson(page, lesson):
    page.goto(reverse("admin:content_node_change", args=[lesson.pk]))
    page.wait_for_selector(".stages.is-scripted")


def open_stage(page, place=0):
    card = page.locator(".stage-card:not(.is-removed)").nth(place)
    card.locator(".stage-toggle").click()
    card.locator(".je-ready").wait_for()
    return card


def add_stage(page, kind: str, title: str):
    page.click(".add-stage-open")
    page.click(f".stage-type[data-type={kind}]")
    card = page.locator(f"#stages-{page.locator('.stage-card').count() - 1}")
    card.locator(".je-ready").wait_for()
    card.locator("[name$=-title]").fill(title)
    return card


def write(field, text):
    field.click()
    field.press_sequentially(text)


def save(page, button="_continue"):
    # Forms tell the page of a change with the next frame.
    page.evaluate("() => new Promise((done) => setTimeout(done, 150))")
    with page.expect_navigation():
        page.click(f"[name={button}]")


def write_every_type(page):
    card = add_stage(page, "Text", "Read")
    write(card.locator(".rich-text"), "Some words")

    card = add_stage(page, "Quiz", "Choose")
    write(card.locator(".rich-text").first, "2 + 2?")
    for place, text in enumerate(["four", "five"]):
        card.locator(".list-options .field-line textarea").nth(place).fill(text)
    card.locator(".mark").first.click()
    card.locator(".list-options .row-add").click()
    card.locator(".list-options .field-line textarea").nth(2).fill("six")

    card = add_stage(page, "Matching", "Match")
    for place, text in enumerate(["cat", "meow", "dog", "woof"]):
        card.locator(".list-pairs .field-line textarea").nth(place).fill(text)

    card = add_stage(page, "Reveal", "Turn")
    write(card.locator(".rich-text").nth(0), "Capital?")
    write(card.locator(".rich-text").nth(1), "Amman")

    card = add_stage(page, "SentenceBuilder", "Build")
    for word in ("I", "like", "books"):
        card.locator(".token-entry input").fill(word)
        card.locator(".token-entry input").press("Enter")
    for _word in range(3):
        card.locator(".order .bank .chip").first.click()

    card = add_stage(page, "Interactive", "Play")
    card.locator(".field-add[data-key=html]").click()
    card.locator(".field-code textarea").fill("<p>Hello there</p>")

    card = add_stage(page, "Video", "Watch")
    video = {"name": "intro.mp4", "mimeType": "video/mp4", "buffer": VIDEO}
    card.locator(".media-video input[type=file]").set_input_files(video)
    card.locator(".media-video video").wait_for()
    card.locator(".field-add[data-key=poster]").click()
    poster = {"name": "poster.png", "mimeType": "image/png", "buffer": picture()}
    card.locator(".media-image input[type=file]").set_input_files(poster)
    card.locator(".media-image img").wait_for()


@pytest.mark.parametrize("language", ["ar", "en"])
def test_a_lesson_of_every_type_is_written_saved_previewed_and_played(
    open_page, branch, language
):
    page = open_page(language)
    page.goto(f"{reverse('admin:content_node_add')}?parent={branch.topic.pk}")
    page.fill("[name=title]", "Everything")
    page.check("[name=is_published]")
    write_every_type(page)
    save(page, "_preview")

    lesson = Node.objects.get(title="Everything")
    saved = dict(lesson.stages.values_list("type", "config"))
    assert saved.keys() == SCHEMAS.keys()
    options = saved["Quiz"]["questions"][0]["options"]
    assert options == [
        {"correct": True, "text": "four"},
        {"text": "five"},
        {"text": "six"},
    ]
    assert saved["SentenceBuilder"]["sentences"][0]["answer"] == ["I", "like", "books"]
    assert saved["Interactive"] == {"height": 480, "html": "<p>Hello there</p>"}
    assert saved["Video"]["poster"].startswith("/media/images/stages/")
    assert "Some words" in saved["Text"]["body"]

    assert page.locator(".preview-screen").get_attribute("data-size") == "phone"
    play(page.frame_locator(".preview-frame"))


def play(app):
    """Every stage, wrong first where one can be wrong."""
    onward = app.locator(".onward")
    playwright.expect(app.locator(".stage")).to_contain_text("Some words")
    onward.click()
    app.get_by_role("button", name="five").click()
    playwright.expect(app.locator(".feedback.is-wrong")).to_be_visible()
    app.get_by_role("button", name="four").click()
    playwright.expect(app.locator(".feedback.is-right")).to_be_visible()
    onward.click()
    for name in ("cat", "woof"):
        app.get_by_role("button", name=name).click()
    playwright.expect(app.locator(".feedback.is-wrong")).to_be_visible()
    for name in ("cat", "meow", "dog", "woof"):
        app.get_by_role("button", name=name).click()
    playwright.expect(app.locator(".completed")).not_to_be_empty()
    onward.click()
    playwright.expect(app.get_by_text("Amman")).to_be_hidden()
    app.locator(".turn").click()
    playwright.expect(app.get_by_text("Amman")).to_be_visible()
    onward.click()
    for name in ("I", "like", "books"):
        app.locator(".bank").get_by_role("button", name=name, exact=True).click()
    app.locator(".check").click()
    playwright.expect(app.locator(".feedback.is-right")).to_be_visible()
    onward.click()
    embedded = app.frame_locator(".interactive iframe")
    playwright.expect(embedded.get_by_text("Hello there")).to_be_visible()
    onward.click()
    assert "/media/images/stages/" in app.locator("video").get_attribute("poster")
    assert "token=" in app.locator("video").get_attribute("src")
    onward.click()
    playwright.expect(app.locator(".the-end")).to_be_visible()


def test_opening_a_stage_changes_nothing_of_it(open_page, branch):
    lesson = branch.lessons[0]
    config = {
        "questions": [
            {
                "prompt": "?",
                "options": [
                    {"text": "a", "correct": True},
                    {"text": "b", "correct": False},
                ],
            }
        ]
    }
    stage = make_stage(lesson, type="Quiz", config=config)
    before = Node.objects.get(pk=lesson.pk).stages_revision
    page = open_page()
    open_lesson(page, lesson)
    open_stage(page)
    save(page)
    stage.refresh_from_db()
    assert stage.config["questions"][0]["options"][1] == {"correct": False, "text": "b"}
    assert Node.objects.get(pk=lesson.pk).stages_revision == before


def test_stages_are_sorted_by_keys_and_by_hand_and_removed_with_a_way_back(
    open_page, branch
):
    lesson = branch.lessons[0]
    for place, title in enumerate(["One", "Two", "Three"], start=1):
        make_stage(lesson, title=title, position=place)
    page = open_page("ar")
    open_lesson(page, lesson)
    grips = page.locator(".stage-grip")
    grips.nth(2).focus()
    grips.nth(2).press("ArrowUp")
    playwright.expect(page.locator(".stages-said")).to_contain_text("Three")
    page.keyboard.press("ArrowUp")  # the focus stays with the stage

    page.locator(".stages").evaluate("stages => stages.scrollIntoView()")
    start, end = grips.nth(1).bounding_box(), grips.nth(2).bounding_box()
    page.mouse.move(start["x"] + 5, start["y"] + 5)
    page.mouse.down()
    page.mouse.move(end["x"] + 5, end["y"] + end["height"] + 8, steps=8)
    page.mouse.up()
    removed = page.locator(".stage-card").nth(0)
    removed.locator(".stage-remove").click()
    removed.locator(".stage-removed button").click()
    page.locator(".stage-card").nth(1).locator(".stage-remove").click()
    save(page)

    titles = list(lesson.stages.values_list("title", flat=True))
    assert titles == ["Three", "One"]


def test_what_is_wrong_stands_at_its_field_and_the_card_turns_amber(open_page, branch):
    page = open_page()
    open_lesson(page, branch.lessons[0])
    card = add_stage(page, "Quiz", "Unfinished")
    # Nobody is told off for what they have not come to yet.
    playwright.expect(card.locator(".stage-mend")).to_be_visible()
    playwright.expect(card.locator(".fault")).to_have_count(0)

    save(page)

    card = page.locator(".stage-card.has-faults")
    card.locator(".je-ready").wait_for()
    playwright.expect(card.locator(".field-rich .fault").first).to_have_text(
        "is missing"
    )
    write(card.locator(".rich-text").first, "Why?")
    playwright.expect(card.locator(".field-rich .fault")).to_have_count(0)
    assert not LessonStage.objects.exists()


def test_experts_write_json_and_come_back_to_the_form(open_page, branch):
    stage = make_stage(branch.lessons[0], config={"format": "html", "body": "<p>a</p>"})
    page = open_page()
    open_lesson(page, branch.lessons[0])
    card = open_stage(page)
    card.locator(".stage-json").click()
    source = card.locator("textarea[name$=-config]")
    source.fill("{")
    card.locator(".stage-json").click()
    playwright.expect(source).to_be_visible()
    source.fill(json.dumps({"format": "html", "body": "<p>written</p>"}))
    card.locator(".stage-json").click()
    playwright.expect(card.locator(".rich-text")).to_have_text("written")
    save(page)
    stage.refresh_from_db()
    assert stage.config["body"] == "<p>written</p>"


def test_the_phone_follows_what_is_typed(open_page, branch):
    make_stage(branch.lessons[0], config={"format": "html", "body": "<p>before</p>"})
    page = open_page()
    open_lesson(page, branch.lessons[0])
    phone = page.frame_locator(".live-frame")
    playwright.expect(phone.locator(".stage")).to_contain_text("before")
    page.fill("[name=title]", "Another title")
    playwright.expect(phone.locator(".lesson-title")).to_have_text("Another title")
    write(open_stage(page).locator(".rich-text"), "after ")
    playwright.expect(phone.locator(".stage")).to_contain_text("after")
    save(page)


def test_no_attack_runs_in_the_form_or_the_preview(open_page, branch):
    lesson = branch.lessons[0]
    Node.objects.filter(pk=lesson.pk).update(title=EVIL, description=EVIL)
    for place, name in enumerate(SCHEMAS):
        config = completed(name, harmless_addresses(poisoned(SCHEMAS[name])))
        config.pop("url", None)
        if name == "Text":
            config = {
                "format": "markdown",
                "body": f"# {EVIL}\n[x](javascript:alert(1))",
            }
        make_stage(lesson, type=name, title=EVIL, config=config, position=place)
    page = open_page()
    page.route("https://example.org/**", lambda route: route.abort())
    open_lesson(page, lesson)
    for place in range(len(SCHEMAS)):
        open_stage(page, place)
    page.goto(reverse("admin:preview_lesson", args=[lesson.public_id]))
    app = page.frame_locator(".preview-frame")
    for _stage in SCHEMAS:
        for turn in app.locator(".turn").all():
            turn.click()
        assert app.locator("script:not([src]):not([type])").count() == 0
        assert app.locator("[onerror], [onclick], a[href^=javascript]").count() == 0
        app.locator(".onward").click()
    playwright.expect(app.locator(".the-end")).to_be_visible()
