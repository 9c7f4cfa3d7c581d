"""From an empty database to a lesson that students play, by clicking and dragging."""

import pytest
from django.urls import reverse
from django.utils import translation

from content.admin.tree_labels import KIND_TEXTS, MENU_TEXTS
from content.kinds import Kind
from content.models import LessonStage, Node
from plans.models import AcademicPlan
from publishing.models import Publication
from tests.factories.content import titles
from tests.journeys.conftest import sign_in, write

playwright = pytest.importorskip(
    "playwright.sync_api", reason="needs playwright (requirements/dev.txt)"
)

TREE = reverse("admin:content_node_changelist")
WRITTEN = {
    "ar": {
        Kind.SUBJECT: "الفيزياء",
        Kind.TRACK: "الميكانيكا",
        Kind.UNIT: "الحركة",
        Kind.TOPIC: "السرعة",
        "lessons": ["السرعة المتوسطة", "ما الحركة؟"],
        "stage": "اقرأ",
        "text": "الجسم المتحرك يغيّر موضعه.",
        "plan": "الصف العاشر",
    },
    "en": {
        Kind.SUBJECT: "Physics",
        Kind.TRACK: "Mechanics",
        Kind.UNIT: "Motion",
        Kind.TOPIC: "Speed",
        "lessons": ["Average speed", "What is motion?"],
        "stage": "Read",
        "text": "A moving body changes its place.",
        "plan": "Grade 10",
    },
}


def row(page, title):
    titled = page.locator(f"a bdi:text-is('{title}')")
    return page.locator("#tree .row").filter(has=titled)


def choose(page, title, words):
    """Choose an entry in the menu of the row with this title."""
    row(page, title).locator(".menu-button").click()
    page.locator(".row-menu").get_by_role("menuitem", name=words, exact=True).click()


def add_inside(page, parent, kind, *names):
    choose(page, parent, str(KIND_TEXTS[kind]["inside"]))
    write_titles(page, *names)


def write_titles(page, *names):
    """Type titles into the title field; leave it with a click elsewhere."""
    for name in names:
        page.locator(".adding input").fill(name)
        page.keyboard.press("Enter")
        row(page, name).wait_for()
    page.locator("h1").click()
    playwright.expect(page.locator(".adding")).to_have_count(0)


def drag_above(page, title, other):
    grip = row(page, title).locator(".grip").bounding_box()
    place = row(page, other).bounding_box()
    page.mouse.move(grip["x"] + grip["width"] / 2, grip["y"] + grip["height"] / 2)
    page.mouse.down()
    page.mouse.move(place["x"] + 200, place["y"] + place["height"] * 0.2, steps=8)
    page.mouse.up()


@pytest.mark.parametrize("language", ["ar", "en"])
def test_from_nothing_to_a_lesson_students_play(open_page, language):
    written = WRITTEN[language]
    lessons = written["lessons"]
    page = open_page(language)
    page.context.clear_cookies(name="sessionid")
    page.goto(reverse("admin:login"))
    sign_in(page)
    refused = []
    page.on("response", lambda got: got.status >= 400 and refused.append(got.url))

    with translation.override(language):
        page.locator("#content a.button").first.click()
        direction = {"ar": "rtl", "en": "ltr"}[language]
        playwright.expect(page.locator("html")).to_have_attribute("dir", direction)
        playwright.expect(page.locator(".first-steps")).to_be_visible()
        page.wait_for_load_state()  # the button works only after the script has loaded
        page.click("#add-root")
        write_titles(page, written[Kind.SUBJECT])
        add_inside(page, written[Kind.SUBJECT], Kind.TRACK, written[Kind.TRACK])
        add_inside(page, written[Kind.TRACK], Kind.UNIT, written[Kind.UNIT])
        add_inside(page, written[Kind.UNIT], Kind.TOPIC, written[Kind.TOPIC])
        add_inside(page, written[Kind.TOPIC], Kind.LESSON, *lessons)
        topic = Node.objects.get(kind=Kind.TOPIC)
        assert titles(topic) == lessons

        drag_above(page, lessons[1], lessons[0])
        page.locator(".toast .undo").wait_for()
        assert titles(topic) == [lessons[1], lessons[0]]

        write_a_stage(page, lessons[1], written)
        assert written["text"] in LessonStage.objects.get().config["body"]

        choose(page, written[Kind.SUBJECT], str(MENU_TEXTS["publish_inside"]))
        page.click("dialog[open] button[value=yes]")
        page.locator("#tree .badge-quiet").first.wait_for(state="detached")
        assert not Node.objects.exclude(is_published=True).exists()

    make_the_plan(page, written)
    publish_it(page)
    plan = AcademicPlan.objects.get()
    assert Publication.objects.get(plan=plan).generation is not None
    look_at_it(page, written)
    assert refused == []


def write_a_stage(page, lesson, written):
    """Open the lesson, write its one stage, save, and return to the tree."""
    row(page, lesson).locator("a").click()
    page.click(".add-stage-open")
    page.click(".stage-type[data-type=Text]")
    card = page.locator(".stage-card")
    card.locator("[name$=-title]").fill(written["stage"])
    write(card.locator(".rich-text"), written["text"])
    phone = page.frame_locator(".live-frame")
    playwright.expect(phone.locator(".stage")).to_contain_text(written["text"])
    page.click("[name=_continue]")
    page.locator(".messagelist .success").wait_for()
    page.locator(f".breadcrumbs a[href^='{TREE}']").last.click()
    row(page, lesson).wait_for()


def make_the_plan(page, written):
    """From the page list in the sidebar to a saved plan with the subject in it."""
    page.locator("#site-name a").click()
    page.locator(f"a[href='{reverse('admin:plans_academicplan_add')}']").first.click()
    page.fill("[name=title]", written["plan"])
    page.check("[name=is_published]")
    page.locator("#plan_subjects-group .add-row a").click()
    page.locator("#plan_subjects-0 .select2-selection").click()
    page.locator(".select2-search__field").fill(written[Kind.SUBJECT])
    found = page.locator(".select2-results__option", has_text=written[Kind.SUBJECT])
    found.first.click()
    page.click("[name=_save]")
    page.locator(".plan-tree").wait_for()


def publish_it(page):
    """View the pending changes, publish, and check that publishing succeeded."""
    page.locator(".plan-tabs a[href$='/upcoming/']").click()
    playwright.expect(page.locator(".totals .badge-done")).to_be_visible()
    playwright.expect(page.locator(".files .file").nth(3)).to_be_visible()
    playwright.expect(page.locator(".plan-head .badge-waiting")).to_be_visible()
    page.locator(".plan-head button").click()
    playwright.expect(page.locator(".plan-head .badge-done")).to_be_visible()


def look_at_it(page, written):
    """View the published content as a student: from the plan to the stage."""
    page.locator(".plan-head a.quiet-button").click()
    page.check("[name=state][value=published]")
    page.locator(".preview-choices button").click()
    app = page.frame_locator(".preview-frame")
    playwright.expect(app.locator("h1")).to_have_text(written["plan"])
    app.get_by_role("link").filter(has_text=written[Kind.TOPIC]).click()
    first, second = reversed(written["lessons"])
    playwright.expect(app.locator(".entries b")).to_have_text([first, second])
    app.get_by_role("link").filter(has_text=first).click()
    playwright.expect(app.locator(".stage")).to_contain_text(written["text"])
    app.locator(".onward").click()
    playwright.expect(app.locator(".the-end")).to_be_visible()
