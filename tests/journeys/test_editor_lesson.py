"""An editor's lesson in a real browser: every stage type written, saved, played."""

import json
import re

import pytest
from django.urls import reverse

from content.models import LessonStage, Node
from content.stage_types import SCHEMAS
from plans.models import AcademicPlan
from plans.services import add_subject
from publishing.cdn.backends.base import DistributionError
from publishing.signing import videos
from tests.factories.content import make_branch, make_stage
from tests.journeys.conftest import hold_first, put_caret, sign_in, write
from tests.publishing.admin_views.test_preview_views import (
    EVIL,
    completed,
    harmless_addresses,
    picture,
    poisoned,
)

playwright = pytest.importorskip(
    "playwright.sync_api", reason="needs playwright (requirements/dev.txt)"
)
VIDEO = b"\x00\x00\x00\x18ftypmp42" + bytes(64)


@pytest.fixture(autouse=True)
def _videos(settings, tmp_path):
    settings.VIDEO_ROOT = tmp_path / "videos"


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
    if "is-open" not in (card.get_attribute("class") or ""):  # saving keeps it open
        card.locator(".stage-toggle").click()
    card.locator(".je-ready").wait_for()
    return card


def add_stage(page, kind: str, title: str):
    number = page.locator(".stage-card").count()
    page.click(".add-stage-open")
    page.click(f".stage-type[data-type={kind}]")
    card = page.locator(f"#stages-{number}")
    card.locator(".je-ready").wait_for()
    card.locator("[name$=-title]").fill(title)
    return card


def save(page, button="_continue"):
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

    card = add_stage(page, "FillIn", "Fill in")
    write(card.locator(".rich-text"), "___ is a place to learn, and 1/2 is ___.")
    card.locator(".token-entry input").fill("مدرسة|بناء")
    card.locator(".token-entry input").press("Enter")
    card.locator(".row-add").first.click()
    card.locator(".token-entry input").nth(1).fill("٠٫٥")
    card.locator(".token-entry input").nth(1).press("Enter")
    card.locator(".field-add[data-key=tolerance]").nth(1).click()
    card.locator(".field-number input").fill("0")

    card = add_stage(page, "OpenAnswer", "Explain")
    write(card.locator(".rich-text"), "Why is the sky blue?")
    card.locator(".field-add[data-key=model_answer]").click()
    write(card.locator(".rich-text").nth(1), "Air scatters blue light.")
    card.locator(".field-add[data-key=rubric]").click()
    card.locator(".row-add").first.click()
    card.locator(".list-plain .list-plain .field-line textarea").fill("Names the air")

    card = add_stage(page, "Interactive", "Play")
    card.locator(".field-add[data-key=html]").click()
    card.locator(".field-code textarea").fill("<p>Hello there</p>")

    card = add_stage(page, "Video", "Watch")
    choose_film(card)
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
    assert saved["FillIn"]["questions"][0]["gaps"] == [
        {"answers": ["مدرسة", "بناء"]},
        {"answers": ["٠٫٥"], "tolerance": 0},
    ]
    assert saved["OpenAnswer"]["questions"][0]["rubric"] == ["Names the air"]
    assert saved["Interactive"] == {"height": 480, "html": "<p>Hello there</p>"}
    assert saved["Video"]["poster"].startswith("/media/images/stages/")
    assert "Some words" in saved["Text"]["body"]

    screen = page.locator(".preview-screen")
    playwright.expect(screen).to_have_attribute("data-size", "phone")
    play(page.frame_locator(".preview-frame"))


def play(app):
    """Play every stage, first with a wrong answer where one is possible."""
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
    for number, typed in enumerate(["منزل", "0.5"]):
        app.locator("input.gap").nth(number).fill(typed)
    app.locator(".check").click()
    playwright.expect(app.locator("input.gap.is-wrong")).to_have_count(1)
    app.locator("input.gap").first.fill("مدرسه")
    app.locator("input.gap").first.press("Enter")
    playwright.expect(app.locator(".completed")).not_to_be_empty()
    onward.click()
    app.locator(".own-answer").fill("Because of the air")
    playwright.expect(app.get_by_text("Air scatters")).to_be_hidden()
    app.locator(".check").click()
    playwright.expect(app.get_by_text("Air scatters")).to_be_visible()
    app.get_by_label("Names the air").check()
    app.locator(".judgement").first.click()
    playwright.expect(app.locator(".completed")).not_to_be_empty()
    onward.click()
    playwright.expect(app.locator(".interactive")).to_contain_text("Hello there")
    onward.click()
    film = playwright.expect(app.locator("video"))
    film.to_have_attribute("poster", re.compile("/media/images/stages/"))
    film.to_have_attribute("src", re.compile("token="))
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
    playwright.expect(page.locator(".stages-status")).to_contain_text("Three")
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


def test_a_stage_is_copied_below_itself_with_items_of_its_own(open_page, branch):
    lesson = branch.lessons[0]
    cards = [{"front": "<p>a</p>", "back": "<p>b</p>"}]
    stage = make_stage(
        lesson, type="Reveal", title="Turn", config={"cards": cards}, position=1
    )
    make_stage(lesson, title="Last", position=2)
    page = open_page()
    open_lesson(page, lesson)
    write(open_stage(page).locator(".rich-text").first, " is new")
    page.locator(".stage-copy").first.click()
    made = page.locator(".stage-card").nth(1)
    made.locator(".je-ready").wait_for()
    made.locator("[name$=-title]").fill("Turn again")
    save(page)
    first, second, last = lesson.stages.all()
    assert [first.pk, first.title] == [stage.pk, "Turn"]
    assert [second.title, last.title] == ["Turn again", "Last"]
    [before], [copied] = first.config["cards"], second.config["cards"]
    assert before["front"] == copied["front"] == "<p>a is new</p>"
    assert before["id"] != copied["id"]


def test_a_stage_is_dragged_to_where_nobody_sees_yet(open_page, branch):
    lesson = branch.lessons[0]
    for place in range(1, 31):
        make_stage(lesson, title=f"Stage {place}", position=place)
    page = open_page()
    open_lesson(page, lesson)
    grip = page.locator(".stage-grip").first
    grip.scroll_into_view_if_needed()
    start = grip.bounding_box()
    last = page.locator(".stage-card").last
    playwright.expect(last).not_to_be_in_viewport()
    page.mouse.move(start["x"] + 5, start["y"] + 5)
    page.mouse.down()
    page.mouse.move(start["x"] + 5, 990, steps=4)
    playwright.expect(last).to_be_in_viewport()
    page.mouse.up()
    assert page.evaluate("getSelection().toString()") == ""
    save(page)
    assert lesson.stages.first().title == "Stage 2"


def test_what_is_wrong_stands_at_its_field_and_the_card_turns_amber(open_page, branch):
    page = open_page()
    open_lesson(page, branch.lessons[0])
    card = add_stage(page, "Quiz", "Unfinished")
    # Fields that the editor has not visited yet show no faults.
    playwright.expect(card.locator(".stage-faults")).to_be_visible()
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


def test_after_saving_by_keys_the_page_is_scrolled_and_opened_as_before(
    open_page, branch
):
    lesson = branch.lessons[0]
    for place in range(1, 13):
        make_stage(lesson, title=f"Stage {place}", position=place)
    page = open_page()
    open_lesson(page, lesson)
    open_stage(page, 3)
    card = open_stage(page, 9)
    card.locator("[name$=-title]").fill("Renamed")
    before = card.bounding_box()["y"]
    with page.expect_navigation():
        page.keyboard.press("Control+s")
    card = page.locator(".stage-card.is-open").nth(1)
    card.locator(".je-ready").wait_for()
    playwright.expect(page.locator(".stage-card.is-open")).to_have_count(2)
    playwright.expect(page.locator(".lesson-status")).not_to_be_empty()
    playwright.expect(card.locator("[name$=-title]")).to_have_value("Renamed")
    page.wait_for_function(
        "([card, y]) => Math.abs(card.getBoundingClientRect().top - y) < 3",
        arg=[card.element_handle(), before],
    )


def test_a_new_stage_has_the_focus_in_its_first_field(open_page, branch):
    page = open_page()
    open_lesson(page, branch.lessons[0])
    page.click(".add-stage-open")
    page.click(".stage-type[data-type=Quiz]")
    page.locator("#stages-0 .je-ready").wait_for()
    playwright.expect(page.locator("#id_stages-0-title")).to_be_focused()


def test_a_pasted_sentence_is_split_into_tokens(open_page, branch):
    page = open_page("ar")
    open_lesson(page, branch.lessons[0])
    card = add_stage(page, "SentenceBuilder", "Build")
    entry = card.locator(".token-entry input")
    paste = """(place, text) => {
      const clipboardData = new DataTransfer();
      clipboardData.setData("text/plain", text);
      place.dispatchEvent(new ClipboardEvent("paste", { clipboardData, cancelable: true }));
    }"""
    entry.evaluate(paste, "قرأ الطالب  الكتاب\n")
    tokens = card.locator(".tokens .chips .chip")
    playwright.expect(tokens).to_have_count(3)
    entry.evaluate(paste, "in the end|at last")
    playwright.expect(tokens).to_have_count(5)


def choose_film(card):
    video = {"name": "intro.mp4", "mimeType": "video/mp4", "buffer": VIDEO}
    card.locator(".media-video input[type=file]").set_input_files(video)


def test_a_message_at_the_field_that_is_left_moves_no_button_from_under_the_pointer(
    open_page, branch
):
    page = open_page("ar")
    open_lesson(page, branch.lessons[0])
    card = add_stage(page, "Text", "Read")
    card.locator(".stage-faults:not([hidden])").wait_for()
    card.locator(".rich-text").click()
    opener = page.locator(".add-stage-open")
    opener.scroll_into_view_if_needed()
    box = opener.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 2)
    page.mouse.down()
    assert opener.bounding_box() == box
    page.mouse.up()
    card.locator(".stage-form .fault").first.wait_for()
    playwright.expect(page.locator(".stage-types")).to_be_visible()


def test_an_upload_after_signing_out_takes_nothing_away(open_page, branch):
    make_stage(branch.lessons[0], type="Video", config={"source": "grade-5/a.mp4"})
    page = open_page()
    open_lesson(page, branch.lessons[0])
    card = open_stage(page)
    page.context.clear_cookies(name="sessionid")
    choose_film(card)
    playwright.expect(card.locator(".media-state a")).to_have_text("Sign in")
    address = card.locator(".media-choose input[dir=ltr]")
    playwright.expect(address).to_have_value("grade-5/a.mp4")
    # The phone preview notices the sign-out at its next update.
    card.locator("[name$=-title]").fill("Typed while signed out")
    playwright.expect(page.locator(".live-state a")).to_be_visible()
    page.click("[name=_continue]")
    playwright.expect(page.locator(".stages-status a")).to_be_focused()
    with page.expect_popup() as opened:
        page.click(".stages-status a")
    sign_in(opened.value)
    page.bring_to_front()
    page.evaluate("window.dispatchEvent(new Event('focus'))")
    playwright.expect(page.locator(".live-state")).to_be_empty()
    save(page)
    assert LessonStage.objects.get().title == "Typed while signed out"


def test_saving_waits_for_an_upload(open_page, branch):
    make_stage(branch.lessons[0], type="Video", config={"source": "grade-5/a.mp4"})
    page = open_page()
    open_lesson(page, branch.lessons[0])
    card = open_stage(page)
    release = hold_first(page, "**/upload/video/")
    choose_film(card)
    playwright.expect(card.locator(".media-cancel")).to_be_visible()
    page.click("[name=_continue]")
    playwright.expect(card.locator(".media-state")).to_contain_text(
        "The upload is still running"
    )
    playwright.expect(card.locator(".media-cancel")).to_be_focused()
    release()
    playwright.expect(card.locator(".media-cancel")).to_be_hidden()
    save(page)
    assert LessonStage.objects.get().config["source"] != "grade-5/a.mp4"


def test_why_the_bucket_takes_no_video_is_said(open_page, branch, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise DistributionError("The bucket school-videos: it refuses the keys.")

    monkeypatch.setattr(videos, "store_video", refuse)
    make_stage(branch.lessons[0], type="Video", config={"source": "grade-5/a.mp4"})
    page = open_page()
    open_lesson(page, branch.lessons[0])
    card = open_stage(page)
    choose_film(card)
    playwright.expect(card.locator(".media-state")).to_have_text(
        "The bucket school-videos: it refuses the keys."
    )


def test_a_web_server_that_asks_before_a_video_finds_nobody_signed_in(
    open_page, branch
):
    make_stage(branch.lessons[0], type="Video", config={"source": "grade-5/a.mp4"})
    page = open_page()
    open_lesson(page, branch.lessons[0])
    card = open_stage(page)
    page.route("**/upload/video/", lambda route: route.fulfill(status=401, body="<p>"))
    choose_film(card)
    playwright.expect(card.locator(".media-state a")).to_have_text("Sign in")


def test_what_is_removed_within_a_stage_comes_back_as_it_was(open_page, branch):
    questions = [
        {
            "prompt": f"<p>{prompt}</p>",
            "explanation": "<p>Because.</p>",
            "options": [{"text": "a", "correct": True}, {"text": "b"}],
        }
        for prompt in ("One", "Two")
    ]
    stage = make_stage(branch.lessons[0], type="Quiz", config={"questions": questions})
    before = stage.config
    page = open_page()
    open_lesson(page, branch.lessons[0])
    card = open_stage(page)
    texts = card.locator(".rich-text:visible")
    card.locator(".json-editor-btntype-delete:visible").first.click()
    playwright.expect(texts).to_have_count(2)
    card.locator(".row-removed button").click()
    playwright.expect(texts).to_have_text(["One", "Because.", "Two", "Because."])
    card.locator(".field-rich .field-remove").first.click()
    playwright.expect(texts).to_have_text(["One", "Two", "Because."])
    card.locator(".row-removed button").click()
    save(page)
    stage.refresh_from_db()
    assert stage.config == before


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


def body_of(stage) -> str:
    stage.refresh_from_db()
    return stage.config["body"]


@pytest.mark.parametrize("language", ["ar", "en"])
def test_text_is_formatted_with_tools_and_keys_and_taken_back(
    open_page, branch, language
):
    stage = make_stage(
        branch.lessons[0],
        config={"format": "html", "body": '<p dir="rtl">س</p><p>one</p><p>two</p>'},
    )
    page = open_page(language)
    open_lesson(page, branch.lessons[0])
    card = open_stage(page)
    text = card.locator(".rich-text")
    put_caret(text.locator("p", has_text="one"), select=True)
    card.locator(".tool-bold").click()
    playwright.expect(card.locator(".tool-bold")).to_have_attribute(
        "aria-pressed", "true"
    )
    put_caret(text.locator("p", has_text="two"))
    card.locator(".tool-bullets").click()
    playwright.expect(text.locator("li")).to_have_text("two")
    page.keyboard.press("Control+z")
    playwright.expect(text.locator("li")).to_have_count(0)
    card.locator(".tool-quote").click()
    save(page)
    assert body_of(stage) == (
        '<p dir="rtl">س</p><p><strong>one</strong></p>'
        "<blockquote><p>two</p></blockquote>"
    )


def test_a_picture_in_text_is_uploaded_or_chosen_again(open_page, branch):
    stage = make_stage(
        branch.lessons[0], config={"format": "html", "body": "<p>Look:</p>"}
    )
    make_stage(
        branch.lessons[0],
        type="Reveal",
        config={"cards": [{"front": "a", "back": "b"}]},
        position=2,
    )
    page = open_page("ar")
    open_lesson(page, branch.lessons[0])
    card = open_stage(page)
    put_caret(card.locator(".rich-text"))
    card.locator(".tool-picture").click()
    dialog = page.locator(".picture-dialog")
    dialog.locator("#picture-alt").fill("A half")
    file = {"name": "half.png", "mimeType": "image/png", "buffer": picture()}
    dialog.locator("input[type=file]").set_input_files(file)
    playwright.expect(dialog).to_have_count(0)
    shown = card.locator(".rich-text img:not(.ProseMirror-separator)")
    playwright.expect(shown).to_have_attribute("alt", "A half")
    src = shown.get_attribute("src")

    other = open_stage(page, 1)
    other.locator(".field-add[data-key=image]").click()
    other.locator(".media-recent").click()
    dialog.locator(f".picture-grid button:has(img[src='{src}'])").click()
    playwright.expect(other.locator(".media-look img")).to_have_attribute("src", src)
    save(page)
    assert body_of(stage) == f'<p>Look:<img src="{src}" alt="A half"></p>'
    assert LessonStage.objects.get(type="Reveal").config["cards"][0]["image"] == src


def test_the_tools_of_a_text_wait_for_its_editor(open_page, branch):
    make_stage(branch.lessons[0], config={"format": "html", "body": "<p>a</p>"})
    page = open_page()
    release = hold_first(page, "**/django_prose_editor/editor*.js")
    open_lesson(page, branch.lessons[0])
    page.locator(".stage-toggle").first.click()
    tools = [page.locator(".tool-source").first, page.locator(".tool-bold").first]
    for tool in tools:
        playwright.expect(tool).to_be_disabled()
    release()
    for tool in tools:
        playwright.expect(tool).to_be_enabled()


def test_html_the_editor_does_not_know_is_changed_as_html_alone(open_page, branch):
    body = '<dl><dt lang="la">pax</dt><dd>peace</dd></dl>'
    stage = make_stage(branch.lessons[0], config={"format": "html", "body": body})
    page = open_page()
    open_lesson(page, branch.lessons[0])
    card = open_stage(page)
    source = card.locator(".rich-source")
    playwright.expect(source).to_have_value(body)
    playwright.expect(card.locator(".rich-note")).to_contain_text("Edit it as HTML")
    card.locator(".tool-source").click()
    playwright.expect(card.locator(".rich-text")).to_be_hidden()
    source.fill(body.replace("peace", "peace, rest"))
    save(page)
    assert body_of(stage) == body.replace("peace", "peace, rest")
    card.locator(".je-ready").wait_for()  # saving leaves it open
    card.locator(".rich-source").fill('<p>plain <sub lang="la">now</sub></p>')
    card.locator(".tool-source").click()
    playwright.expect(card.locator(".rich-text")).to_have_text("plain now")


ONLY_IN_HTML = [
    "<details><summary>Solution</summary><p>42</p></details>",
    "<p><ruby>漢<rt>kan</rt></ruby></p>",
    "<aside>note</aside>",
    "<p><math><mfrac><mn>1</mn><mn>2</mn></mfrac></math></p>",
    '<p><svg viewBox="0 0 9 9"><path d="M0 0"></path></svg></p>',
]


@pytest.mark.parametrize("body", ONLY_IN_HTML)
def test_opening_a_text_loses_nothing_the_server_keeps(open_page, branch, body):
    stage = make_stage(branch.lessons[0], config={"format": "html", "body": body})
    page = open_page()
    open_lesson(page, branch.lessons[0])
    card = open_stage(page)
    playwright.expect(card.locator(".rich-note")).to_contain_text("Edit it as HTML")
    source = card.locator(".rich-source")
    source.press("End")
    source.press_sequentially("<p>more</p>")
    save(page)
    assert sorted(body_of(stage)) == sorted(f"{body}<p>more</p>")


def test_a_table_is_edited_without_widths_that_nobody_set(open_page, branch):
    body = "<table><tbody><tr><td><p>one</p></td></tr></tbody></table>"
    stage = make_stage(branch.lessons[0], config={"format": "html", "body": body})
    page = open_page()
    open_lesson(page, branch.lessons[0])
    card = open_stage(page)
    write(card.locator(".rich-text td p"), " two")
    save(page)
    assert body_of(stage) == body.replace("one", "one two")


@pytest.mark.parametrize("language", ["ar", "en"])
def test_a_loss_is_said_at_its_field_and_saved_after_a_confirmation(
    open_page, branch, language
):
    stage = make_stage(branch.lessons[0], config={"format": "html", "body": "<p>a</p>"})
    page = open_page(language)
    open_lesson(page, branch.lessons[0])
    card = open_stage(page)
    card.locator(".tool-source").click()
    card.locator(".rich-source").fill("<p>x<y <video>2</video></p>")
    loss = card.locator(".loss")
    playwright.expect(loss).to_contain_text("<video>")
    playwright.expect(card).not_to_have_class("has-faults")
    page.locator(".lesson-save [name=_continue]").click()
    asked = page.locator(".stages-losses")
    playwright.expect(asked).to_contain_text("<video>")
    assert body_of(stage) == "<p>a</p>"
    asked.locator("input").check()
    save(page)
    assert body_of(stage) == "<p>x&lt;y 2</p>"


def test_a_lesson_that_is_too_large_is_said_to_be_so_before_it_is_saved(
    open_page, branch
):
    config = {"format": "markdown", "body": "a" * 199_000}
    for place in range(6):
        stage = make_stage(branch.lessons[0], config=config, position=place)
    LessonStage.objects.filter(pk=stage.pk).update(
        config={"format": "markdown", "body": "a"}
    )
    page = open_page()
    open_lesson(page, branch.lessons[0])
    open_stage(page, 5).locator("textarea.markdown").fill("a" * 50_000)
    message = page.locator(".live-state")
    playwright.expect(message).to_contain_text("at most 1000 KB")
    save(page)
    playwright.expect(page.locator("#stages .errorlist").first).to_contain_text(
        "at most 1000 KB"
    )


PLAYER = "https://www.youtube-nocookie.com/embed/dQw4w9WgXcQ"


def test_a_video_s_page_is_played_in_a_frame_that_tells_who_asks(open_page, branch):
    lesson = branch.lessons[0]
    watch = "https://www.youtube.com/watch?v=dQw4w9WgXcQ"
    make_stage(lesson, type="Video", config={"source": watch}, position=1)
    html = f'<p>Look</p><iframe src="{watch}"></iframe>'
    make_stage(
        lesson, type="Interactive", config={"html": html, "height": 300}, position=2
    )
    url = {"url": watch, "height": 300}
    make_stage(lesson, type="Interactive", config=url, position=3)
    asked = []

    def answer(route):
        asked.append((route.request.url, route.request.headers.get("referer")))
        route.fulfill(content_type="text/html", body="<script>origin</script>played")

    page = open_page()
    page.route("https://www.youtube-nocookie.com/**", answer)
    page.goto(reverse("admin:preview_lesson", args=[lesson.public_id]))
    app = page.frame_locator(".preview-frame")
    for _stage in range(3):
        frame = app.locator(".stage iframe")
        playwright.expect(frame).to_have_attribute("src", PLAYER)
        shown = app.frame_locator(".stage iframe").locator("body")
        playwright.expect(shown).to_contain_text("played")
        assert shown.evaluate("() => origin") == "https://www.youtube-nocookie.com"
        app.locator(".onward").click()
    origin = f"{page.url.split('/admin')[0]}/"
    assert asked == [(PLAYER, origin)] * 3


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


def test_the_phone_turns_light_or_dark_with_the_admins_switch(open_page, branch):
    make_stage(branch.lessons[0], config={"format": "html", "body": "<p>a</p>"})
    page = open_page(scheme="light")
    open_lesson(page, branch.lessons[0])
    phone = page.frame_locator(".live-frame")
    playwright.expect(phone.locator(".stage")).to_be_visible()

    root = phone.locator("html")
    playwright.expect(root).to_have_css("background-color", "rgb(255, 253, 249)")
    dark = "rgb(23, 22, 19)"
    page.evaluate("localStorage.setItem('theme', 'dark')")  # as the theme switch does
    playwright.expect(root).to_have_css("background-color", dark)
    page.goto(reverse("admin:preview_lesson", args=[branch.lessons[0].public_id]))
    frame = page.frame_locator(".preview-frame").locator("html")
    playwright.expect(frame).to_have_css("background-color", dark)


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
        app.locator(".onward").wait_for()
        for turn in app.locator(".turn").all():
            turn.click()
        assert app.locator("script:not([src]):not([type])").count() == 0
        assert app.locator("[onerror], [onclick], a[href^=javascript]").count() == 0
        app.locator(".onward").click()
    playwright.expect(app.locator(".the-end")).to_be_visible()
