"""What lessons may contain, in the browser: the preview, the formatted editor, pasting."""

import base64
import io
import re

import pytest
from django.core.files.storage import default_storage
from PIL import Image

from content import html_policy, rich_text
from content.models import LessonStage
from tests.content.test_rich_text import KEPT
from tests.factories.content import make_stage
from tests.journeys.conftest import put_caret
from tests.journeys.test_editor_lesson import (
    branch,  # noqa: F401 - a fixture
    open_lesson,
    open_stage,
    save,
    write,
)

playwright = pytest.importorskip(
    "playwright.sync_api", reason="needs playwright (requirements/dev.txt)"
)

PASTE = """(place, html) => {
  const clipboardData = new DataTransfer();
  clipboardData.setData("text/html", html);
  const set = { clipboardData, bubbles: true, cancelable: true };
  place.dispatchEvent(new ClipboardEvent("paste", set));
}"""
SAFE = """html => {
  const box = document.createElement("div");
  box.append(Memora.safeHtml(html));
  return box.innerHTML;
}"""


def with_text(branch, body):  # noqa: F811
    return make_stage(branch.lessons[0], config={"format": "html", "body": body})


def body_of(stage):
    return LessonStage.objects.get(pk=stage.pk).config["body"]


def every_element() -> list[str]:
    """Each element of HTML that texts may have, with each of its attributes."""
    texts = []
    foreign = html_policy.DRAWINGS | html_policy.MATHML
    for element in sorted(html_policy.TEXT["tags"] - foreign):
        own = html_policy.TEXT["attributes"].get(element, set())
        written = "".join(
            f' {name}="/1"' if name in ("cite", "href", "src") else f' {name}="1"'
            for name in sorted({*own, "dir", "id"} - {"class", "controls"})
        )
        texts.append(f"<{element}{written}></{element}>")
    return texts


def test_the_browser_keeps_what_the_server_keeps(open_page, branch):  # noqa: F811
    with_text(branch, "<p>a</p>")
    page = open_page()
    open_lesson(page, branch.lessons[0])
    names = """html => [...document.createRange().createContextualFragment(html)
      .querySelectorAll("*")].map((part) =>
        [part.localName, ...part.getAttributeNames().sort()].join(" "))"""
    for text in [*KEPT, *every_element()]:
        kept = rich_text.sanitise(text)
        shown = page.evaluate(SAFE, text)
        assert page.evaluate(names, shown) == page.evaluate(names, kept), text


def test_a_preview_draws_what_is_kept_and_follows_links_inside(
    open_page,
    branch,  # noqa: F811
):
    with_text(branch, "".join(KEPT))
    page = open_page()
    open_lesson(page, branch.lessons[0])
    shown = page.frame_locator(".live-frame").locator(".html")
    playwright.expect(shown.locator("math mfrac")).to_be_visible()
    playwright.expect(shown.locator("svg path")).to_have_count(1)
    playwright.expect(shown.locator("audio")).to_be_visible()
    heading = shown.locator("h2").first
    target = shown.locator("a").first.get_attribute("href")
    assert target == f"#{heading.get_attribute('id')}"
    assert target != "#one"
    gradient = shown.locator("linearGradient").get_attribute("id")
    assert shown.locator("svg path").get_attribute("fill") == f"url(#{gradient})"


EDITED = [
    '<h2 id="stages">One</h2><p><a href="#stages" rel="noopener noreferrer">1</a></p>',
    '<ol type="a" start="3"><li value="5"><p>One</p></li></ol>',
    '<pre><code class="language-python">One</code></pre>',
    '<p><kbd>Ctrl</kbd> <code class="language-c">x</code> <sub>2</sub>One</p>',
    '<table><tbody><tr><th scope="col" align="right"><p>One</p></th></tr></tbody></table>',
]


@pytest.mark.parametrize("body", EDITED)
def test_typing_a_letter_loses_nothing_of_a_formatted_text(
    open_page,
    branch,  # noqa: F811
    body,
):
    stage = with_text(branch, f"{body}<p>end</p>")
    page = open_page()
    open_lesson(page, branch.lessons[0])
    write(open_stage(page).locator(".rich-text"), "x")
    save(page)
    assert sorted(body_of(stage)) == sorted(f"{body}<p>endx</p>")


def test_pasting_asks_before_a_part_is_lost(open_page, branch):  # noqa: F811
    with_text(branch, "<p>a</p>")
    page = open_page()
    open_lesson(page, branch.lessons[0])
    card = open_stage(page)
    text = card.locator(".rich-text")
    put_caret(text)
    page.evaluate("""() => {
      window.asked = [];
      window.confirm = (question) => window.asked.push(question) > 1;
    }""")
    pasted = '<p>b<video></video><img src="data:image/bmp;base64,AA"></p>'
    text.evaluate(PASTE, pasted)
    playwright.expect(text).to_have_text("a")
    text.evaluate(PASTE, pasted)
    playwright.expect(text).to_have_text("ab")
    asked = page.evaluate("window.asked")
    assert len(asked) == 2
    assert asked[0].endswith('<video>, <img src="data:…">')
    note = card.locator(".rich-note")
    playwright.expect(note).to_have_text('Not pasted: <video>, <img src="data:…">')


WORD = """(place, [html, rtf]) => {
  const clipboardData = new DataTransfer();
  clipboardData.setData("text/html", html);
  clipboardData.setData("text/rtf", rtf);
  place.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }));
}"""


def picture(color: str) -> bytes:
    kept = io.BytesIO()
    Image.new("RGB", (3, 2), color).save(kept, "PNG")
    return kept.getvalue()


@pytest.mark.parametrize("language", ["en", "ar"])
def test_pictures_of_a_pasted_word_document_are_uploaded(
    open_page,
    branch,  # noqa: F811
    language,
):
    stage = with_text(branch, "<p>a</p>")
    page = open_page(language)
    open_lesson(page, branch.lessons[0])
    card = open_stage(page)
    text = card.locator(".rich-text")
    put_caret(text)
    red, blue = picture("red"), picture("blue")
    html = (
        '<p class="MsoNormal">b<img width=3 height=2 src="file:///C:/1.png" v:shapes="x">'
        f'<img alt="blue" src="data:image/png;base64,{base64.b64encode(blue).decode()}"></p>'
    )
    rtf = (
        r"{\rtf1{\*\shppict{\pict{\*\picprop\shplid1}\picw3\pich2\pngblip\bliptag-12"
        r"{\*\blipuid 00ff}" + f"\n{red[:9].hex()}\n{red[9:].hex()}}}}}"
        r"{\nonshppict{\pict\wmetafile8 0100}}}"
    )
    text.evaluate(WORD, [html, rtf])
    playwright.expect(text.locator("img[src]")).to_have_count(2)
    save(page)
    addresses = re.findall('<img[^>]* src="/media/([^"]+)"', body_of(stage))
    colors = []
    for address in addresses:
        with default_storage.open(address) as file, Image.open(file) as shown:
            colors.append(shown.getpixel((0, 0)))
    assert colors == [(255, 0, 0), (0, 0, 255)]
    assert 'alt="blue"' in body_of(stage)


def test_a_paste_with_a_picture_that_is_refused_pastes_nothing(
    open_page,
    branch,  # noqa: F811
):
    with_text(branch, "<p>a</p>")
    page = open_page()
    open_lesson(page, branch.lessons[0])
    card = open_stage(page)
    text = card.locator(".rich-text")
    put_caret(text)
    text.evaluate(PASTE, '<p>b<img src="data:image/png;base64,AAAA"></p>')
    playwright.expect(card.locator(".rich-uploads .media-state")).not_to_be_empty()
    playwright.expect(text).to_have_text("a")


def test_pasted_style_is_named_without_a_question(open_page, branch):  # noqa: F811
    with_text(branch, "<p>a</p>")
    page = open_page()
    open_lesson(page, branch.lessons[0])
    card = open_stage(page)
    put_caret(card.locator(".rich-text"))
    card.locator(".rich-text").evaluate(
        PASTE, '<p class="Mso" style="color: red">b<o:p></o:p></p><p style="x">c</p>'
    )
    playwright.expect(card.locator(".rich-note")).to_have_text(
        "Not pasted: <p style> × 2"
    )
