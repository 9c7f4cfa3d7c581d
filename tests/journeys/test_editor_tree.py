"""An editor's tree in a real browser: build a subject by keyboard and by mouse."""

import re

import pytest
from django.urls import reverse

from content import services
from content.kinds import Kind
from content.models import Node, Product
from tests.factories.content import make_branch, move_node, titles, trash_node
from tests.journeys.conftest import hold_first, sign_in

playwright = pytest.importorskip(
    "playwright.sync_api", reason="needs playwright (requirements/dev.txt)"
)
TREE = reverse("admin:content_node_changelist")
IN = {"en": "ArrowRight", "ar": "ArrowLeft"}
OUT = {"en": "ArrowLeft", "ar": "ArrowRight"}
LANGUAGES = ["en", "ar"]


@pytest.fixture
def open_tree(open_page):
    """Return a function that signs the editor in and opens the tree."""

    def opened(language="en", **options):
        page = open_page(language, **options)
        page.goto(TREE)
        page.wait_for_selector("#tree[data-ready]")
        return page

    return opened


def item(page, node):
    return page.locator(f"#n{node.pk}")


def open_all(page, *nodes):
    for node in nodes:
        item(page, node).locator("> .row .expander").click()
        item(page, node).locator("> [role=group]").wait_for()


def drag(page, node, onto, part=0.5, until_open=False):
    """Drag a row's handle with a real mouse to a relative height within another row.

    With ``until_open``, hold it there until that row's branch has expanded.
    """
    grip = item(page, node).locator("> .row .grip").bounding_box()
    row = item(page, onto).locator("> .row").bounding_box()
    page.mouse.move(grip["x"] + grip["width"] / 2, grip["y"] + grip["height"] / 2)
    page.mouse.down()
    page.mouse.move(grip["x"] + 30, grip["y"] + 30, steps=3)
    page.mouse.move(
        row["x"] + row["width"] / 2, row["y"] + row["height"] * part, steps=6
    )
    if until_open:
        item(page, onto).locator("> [role=group]").wait_for()
    page.mouse.up()


def rows(page):
    return page.locator("#tree [role=treeitem]:visible a bdi").all_inner_texts()


def expect_rows(page, expected):
    page.wait_for_function(
        """wanted => {
          const rows = [...document.querySelectorAll('#tree [role=treeitem]')];
          const shown = rows.filter(row => row.checkVisibility());
          const titles = shown.map(row => row.querySelector('a bdi').textContent);
          return JSON.stringify(titles) === JSON.stringify(wanted);
        }""",
        arg=expected,
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_subject_grows_from_nothing_by_keys_alone(open_tree, language):
    page = open_tree(language)
    page.keyboard.press("n")
    for title in ("الرياضيات", "المسار", "الوحدة", "الموضوع"):
        page.keyboard.type(title)
        page.keyboard.press("Enter")
        page.wait_for_selector(f"#tree a bdi:text-is('{title}')")
        page.keyboard.press("Escape")
        page.wait_for_selector(f"[role=treeitem]:focus a bdi:text-is('{title}')")
        page.keyboard.press("n")
        page.wait_for_selector(".adding input")
    for title in ("الأول", "الثاني", "الثالث"):
        page.keyboard.type(title)
        page.keyboard.press("Enter")
        page.wait_for_selector(f"#tree a bdi:text-is('{title}')")
    page.keyboard.press("Escape")
    topic = Node.objects.get(kind="topic")
    assert titles(topic) == ["الأول", "الثاني", "الثالث"]
    page.keyboard.press("Alt+ArrowUp")
    expect_rows(page, [*rows(page)[:4], "الأول", "الثالث", "الثاني"])
    assert titles(topic) == ["الأول", "الثالث", "الثاني"]


def test_typing_goes_on_past_the_rows_that_are_shown(open_tree):
    branch = make_branch("M", lessons=100)
    page = open_tree()
    open_all(page, branch.subject, branch.track, branch.unit, branch.topic)
    item(page, branch.topic).focus()
    page.keyboard.press("n")
    for title in ("One", "Two", "Three"):
        page.keyboard.type(title)
        page.keyboard.press("Enter")
    page.wait_for_selector("#tree a bdi:text-is('Three')")
    assert titles(branch.topic)[100:] == ["One", "Two", "Three"]
    assert Node.objects.filter(kind="subject").count() == 1
    # The title field moves directly below the new row.
    line = page.locator(f"#n{branch.topic.pk} > [role=group] > li").last
    playwright.expect(line).to_have_class("adding")
    # The same when the end of a long branch is not shown.
    page.keyboard.press("Escape")
    make_more(branch.topic, 60)
    page.reload()
    page.wait_for_selector("#tree[data-ready]")
    item(page, branch.topic).focus()
    page.keyboard.press("n")
    for title in ("Four", "Five"):
        page.keyboard.type(title)
        page.keyboard.press("Enter")
        page.wait_for_selector(f".toast:has-text('{title}')")
        # The page scrolls to the new row, with the title field below it.
        page.wait_for_selector(f"li:has(a bdi:text-is('{title}')) + .adding")
    assert titles(branch.topic)[-2:] == ["Four", "Five"]
    assert Node.objects.filter(kind="subject").count() == 1
    page.keyboard.press("Escape")
    expect_focused(page, "Five")


def expect_focused(page, title):
    """Wait until the row with this title has the focus and is in view."""
    row = page.locator("[role=treeitem]:focus > .row")
    playwright.expect(row.locator("a bdi")).to_have_text(title)
    playwright.expect(row).to_be_in_viewport()


def long_and_short(open_tree, language):
    """A page with a topic of 130 lessons, 100 of them shown, and one of two lessons."""
    long = make_branch("Long", lessons=130)
    short = make_branch("Short", lessons=2)
    page = open_tree(language)
    for branch in (short, long):
        open_all(page, branch.subject, branch.track, branch.unit, branch.topic)
    return page, long, short


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_row_goes_on_past_the_last_that_is_shown(open_tree, language):
    page, long, _short = long_and_short(open_tree, language)
    hundredth = long.lessons[99]
    item(page, hundredth).focus()
    page.keyboard.press("Alt+ArrowDown")
    page.wait_for_selector(".toast .undo")
    assert titles(long.topic)[99:101] == ["Lesson 101", "Lesson 100"]
    expect_focused(page, "Lesson 100")
    page.keyboard.press("Delete")
    page.wait_for_selector(f"#n{hundredth.pk}", state="detached")
    expect_focused(page, "Lesson 102")


@pytest.mark.parametrize("name", ["move_to", "copy_to"])
def test_what_goes_to_a_long_branch_is_seen_where_it_is(open_tree, name):
    page, long, short = long_and_short(open_tree, "en")
    item(page, short.lessons[0]).focus()
    # The page scrolls first: scrolling away from the row closes its menu.
    page.locator("#tree-path button", has_text="Long topic").wait_for()
    page.keyboard.press("Shift+F10")
    page.click(f".row-menu [data-name={name}]")
    page.fill("dialog input[type=search]", "Long topic")
    page.click(f"dialog .places button[value='{long.topic.pk}']")
    if name == "move_to":
        page.click("dialog button[value=yes]")
    last = page.locator(f"#n{long.topic.pk} [role=treeitem]:nth-of-type(131)")
    playwright.expect(last).to_be_focused()
    expect_focused(page, "Lesson 1")


def test_what_is_dropped_on_a_long_branch_is_seen_where_it_is(open_tree):
    page, long, short = long_and_short(open_tree, "en")
    item(page, long.topic).locator("> .row .expander").click()
    drag(page, short.lessons[1], long.topic)
    page.click("dialog button[value=yes]")
    page.locator(f"#n{long.topic.pk} [role=treeitem]:nth-of-type(131)").wait_for()
    expect_focused(page, "Lesson 2")


def make_more(topic, count):
    for number in range(count):
        services.create_node(kind=Kind.LESSON, parent=topic, title=f"More {number}")


def test_enter_held_down_or_pressed_again_adds_once(open_tree):
    branch = make_branch("M")
    page = open_tree()
    release = hold_first(page, "**/quick-add/")
    open_all(page, branch.subject, branch.track, branch.unit, branch.topic)
    item(page, branch.topic).focus()
    page.keyboard.press("n")
    page.keyboard.type("One")
    page.keyboard.down("Enter")
    page.keyboard.down("Enter")  # as a key that is held
    page.keyboard.up("Enter")
    page.keyboard.press("Enter")
    page.keyboard.type("Two")  # while the first request is pending
    release()
    page.wait_for_selector("#tree a bdi:text-is('One')")
    assert titles(branch.topic) == ["One"]
    playwright.expect(page.locator(".adding input")).to_have_value("Two")
    page.keyboard.press("Enter")
    page.wait_for_selector("#tree a bdi:text-is('Two')")
    assert titles(branch.topic) == ["One", "Two"]


def test_a_title_that_is_refused_comes_back_into_the_line(open_tree):
    branch = make_branch("M")
    page = open_tree()
    open_all(page, branch.subject, branch.track, branch.unit, branch.topic)
    item(page, branch.topic).focus()
    page.keyboard.press("n")
    trash_node(node=branch.topic)
    page.keyboard.type("One")
    page.keyboard.press("Enter")
    page.wait_for_selector(".toast.is-failed")
    playwright.expect(page.locator(".adding input")).to_have_value("One")


def test_changes_asked_for_at_once_are_done_one_after_another(open_tree):
    branch = make_branch("M", lessons=3)
    page = open_tree()
    open_all(page, branch.subject, branch.track, branch.unit, branch.topic)
    release = hold_first(page, "**/move/")
    item(page, branch.lessons[2]).focus()
    page.keyboard.press("Alt+ArrowUp")
    page.keyboard.press("Alt+ArrowUp")  # while the first request is pending
    release()
    above = ["M", "M track", "M unit", "M topic"]
    expect_rows(page, [*above, "Lesson 3", "Lesson 1", "Lesson 2"])
    assert titles(branch.topic) == ["Lesson 3", "Lesson 1", "Lesson 2"]


def test_what_is_being_written_outlives_a_change(open_tree):
    branch = make_branch("M", lessons=2)
    page = open_tree()
    open_all(page, branch.subject, branch.track, branch.unit, branch.topic)
    item(page, branch.lessons[1]).focus()
    page.keyboard.press("Alt+ArrowUp")
    page.wait_for_selector(".toast .undo")
    page.keyboard.press("n")
    page.keyboard.type("Half a ti")
    page.click(".toast .undo")
    expect_rows(page, ["M", "M track", "M unit", "M topic", "Lesson 1", "Lesson 2"])
    playwright.expect(page.locator(".adding input")).to_have_value("Half a ti")
    page.locator(".adding input").press("End")
    page.keyboard.type("tle")
    page.keyboard.press("Enter")
    page.wait_for_selector("#tree a bdi:text-is('Half a title')")


@pytest.mark.parametrize("language", LANGUAGES)
def test_dragging_moves_is_undone_and_is_refused_with_the_reason(open_tree, language):
    branch = make_branch("M", lessons=3)
    page = open_tree(language)
    open_all(page, branch.subject, branch.track, branch.unit, branch.topic)
    drag(page, branch.lessons[2], branch.lessons[0], part=0.2)
    page.wait_for_selector(".toast .undo")
    assert titles(branch.topic) == ["Lesson 3", "Lesson 1", "Lesson 2"]
    page.click(".toast .undo")
    above = ["M", "M track", "M unit", "M topic"]
    expect_rows(page, [*above, "Lesson 1", "Lesson 2", "Lesson 3"])
    drag(page, branch.lessons[0], branch.unit)
    page.wait_for_selector(".toast.is-failed")
    assert titles(branch.topic) == ["Lesson 1", "Lesson 2", "Lesson 3"]


def test_a_closed_branch_opens_under_what_is_held_over_it(open_tree):
    one, two = make_branch("A", lessons=2), make_branch("B", lessons=1)
    page = open_tree()
    open_all(page, one.subject, one.track, one.unit, one.topic)
    open_all(page, two.subject, two.track, two.unit)
    drag(page, one.lessons[0], two.topic, until_open=True)
    page.click("dialog button[value=yes]")
    page.wait_for_selector(f"#n{two.topic.pk} #n{one.lessons[0].pk}")
    assert titles(two.topic) == ["Lesson 1", "Lesson 1"]
    assert Node.objects.get(pk=one.lessons[0].pk).subject_id == two.subject.pk


def test_leaving_it_where_it_is_moves_nothing(open_tree):
    one, two = make_branch("A", lessons=1), make_branch("B")
    page = open_tree()
    open_all(page, one.subject, one.track, one.unit, one.topic)
    item(page, one.lessons[0]).focus()
    page.keyboard.press("m")
    page.fill("dialog input[type=search]", "B topic")
    page.click(f"dialog .places button[value='{two.topic.pk}']")
    page.click("dialog .cancel")
    page.wait_for_selector("dialog", state="detached")
    assert titles(one.topic) == ["Lesson 1"]


def test_what_was_open_is_open_again_on_return(open_tree):
    branch = make_branch("M", lessons=2)
    page = open_tree()
    open_all(page, branch.subject, branch.track, branch.unit, branch.topic)
    item(page, branch.lessons[1]).focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/{branch.lessons[1].pk}/change/")
    page.goto(TREE)
    page.wait_for_selector("#tree[data-ready]")
    shown = ["M", "M track", "M unit", "M topic", "Lesson 1", "Lesson 2"]
    expect_rows(page, shown)
    playwright.expect(item(page, branch.lessons[1])).to_be_focused()
    item(page, branch.subject).focus()
    page.keyboard.press(OUT["en"])
    expect_rows(page, ["M"])
    page.keyboard.press(IN["en"])
    expect_rows(page, shown)


def test_many_are_chosen_and_go_to_the_trash_and_back(open_tree):
    branch = make_branch("M", lessons=3)
    page = open_tree()
    open_all(page, branch.subject, branch.track, branch.unit, branch.topic)
    item(page, branch.lessons[0]).focus()
    page.keyboard.press("Space")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    page.click("#selection-bar [data-do=trash]")
    above = ["M", "M track", "M unit", "M topic"]
    expect_rows(page, [*above, "Lesson 3"])
    page.click(".toast .undo")
    expect_rows(page, [*above, "Lesson 1", "Lesson 2", "Lesson 3"])
    assert not Node.objects.exclude(trashed_at=None).exists()


def test_changes_are_taken_back_by_keys_the_last_one_first(open_tree):
    branch = make_branch("M", lessons=3)
    page = open_tree()
    open_all(page, branch.subject, branch.track, branch.unit, branch.topic)
    above = ["M", "M track", "M unit", "M topic"]
    item(page, branch.lessons[2]).focus()
    page.keyboard.press("Alt+ArrowUp")
    expect_rows(page, [*above, "Lesson 1", "Lesson 3", "Lesson 2"])
    page.keyboard.press("Delete")
    expect_rows(page, [*above, "Lesson 1", "Lesson 2"])
    page.keyboard.press("Control+z")
    expect_rows(page, [*above, "Lesson 1", "Lesson 3", "Lesson 2"])
    page.keyboard.press("Control+z")
    expect_rows(page, [*above, "Lesson 1", "Lesson 2", "Lesson 3"])


def test_what_was_undone_is_redone_by_button_and_keys(open_tree):
    branch = make_branch("M", lessons=3)
    page = open_tree()
    open_all(page, branch.subject, branch.track, branch.unit, branch.topic)
    above = ["M", "M track", "M unit", "M topic"]
    before = [*above, "Lesson 1", "Lesson 2", "Lesson 3"]
    after = [*above, "Lesson 1", "Lesson 3", "Lesson 2"]
    item(page, branch.lessons[2]).focus()
    page.keyboard.press("Alt+ArrowUp")
    expect_rows(page, after)
    page.keyboard.press("Control+z")
    expect_rows(page, before)
    page.click(".toast .redo")
    expect_rows(page, after)
    page.keyboard.press("Control+z")
    expect_rows(page, before)
    page.keyboard.press("Control+Shift+z")
    expect_rows(page, after)


@pytest.mark.parametrize("language", LANGUAGES)
def test_f2_renames_the_row_with_the_focus(open_tree, language):
    branch = make_branch("M", lessons=1)
    page = open_tree(language)
    open_all(page, branch.subject)
    item(page, branch.track).focus()
    page.keyboard.press("F2")
    playwright.expect(page.locator("dialog input")).to_have_value("M track")
    page.keyboard.type("Numbers")
    page.keyboard.press("Enter")
    expect_rows(page, ["M", "Numbers"])
    playwright.expect(item(page, branch.track)).to_be_focused()


def test_a_toast_covers_neither_the_new_row_nor_the_line_for_the_next(open_tree):
    branch = make_branch("M", lessons=40)
    page = open_tree()
    open_all(page, branch.subject, branch.track, branch.unit, branch.topic)
    item(page, branch.lessons[39]).focus()
    page.keyboard.press("n")
    for title in ("One", "Two", "Three"):
        page.keyboard.type(title)
        page.keyboard.press("Enter")
        page.wait_for_selector(f"#tree a bdi:text-is('{title}')")
    page.wait_for_selector(".toast:nth-child(3)")
    line = page.locator(".adding").bounding_box()
    toasts = page.locator("#toasts").bounding_box()
    assert line["y"] + line["height"] <= toasts["y"]


def test_a_toast_stays_while_the_focus_is_in_it(open_tree):
    branch = make_branch("M", lessons=2)
    page = open_tree()
    page.clock.install()
    open_all(page, branch.subject, branch.track, branch.unit, branch.topic)
    item(page, branch.lessons[1]).focus()
    page.keyboard.press("Alt+ArrowUp")
    page.wait_for_selector(".toast .undo")
    page.focus(".toast .undo")
    page.clock.run_for(60_000)
    page.keyboard.press("Enter")
    expect_rows(page, ["M", "M track", "M unit", "M topic", "Lesson 1", "Lesson 2"])
    # The focus is not lost with the toast.
    playwright.expect(page.locator("[role=treeitem]:focus")).to_have_count(1)


def test_a_found_row_leads_to_its_place_in_the_tree(open_tree):
    branch = make_branch("M", lessons=130)
    page = open_tree()
    page.goto(f"{TREE}?q=lesson+128")
    page.wait_for_selector("#tree[data-ready]")
    item(page, branch.lessons[127]).locator(".menu-button").click()
    page.click(".row-menu [data-name=show]")
    page.wait_for_selector("#tree[data-ready]:not(.is-flat)")
    row = item(page, branch.lessons[127])
    playwright.expect(row).to_be_focused()
    playwright.expect(row).to_be_in_viewport()
    playwright.expect(item(page, branch.lessons[126])).to_be_visible()
    playwright.expect(page).not_to_have_url(re.compile("at="))


@pytest.mark.parametrize(
    ("language", "wanted"),
    [
        ("en", ["1 selected", "2 selected", "3 selected"]),
        ("ar", ["عنصر واحد مختار", "عنصران مختاران", "3 عناصر مختارة"]),
    ],
)
def test_the_chosen_are_counted_as_the_language_counts(open_tree, language, wanted):
    branch = make_branch("M", lessons=3)
    page = open_tree(language)
    open_all(page, branch.subject, branch.track, branch.unit, branch.topic)
    for lesson, words in zip(branch.lessons, wanted, strict=True):
        item(page, lesson).locator(".pick").click()
        playwright.expect(page.locator("#selection-count")).to_have_text(words)


def test_a_move_undone_too_late_says_so(open_tree):
    branch = make_branch("M", lessons=3)
    page = open_tree()
    open_all(page, branch.subject, branch.track, branch.unit, branch.topic)
    drag(page, branch.lessons[2], branch.lessons[0], part=0.2)
    page.wait_for_selector(".toast .undo")
    move_node(
        node=Node.objects.get(pk=branch.lessons[2].pk),
        target=Node.objects.get(pk=branch.lessons[1].pk),
        position="right",
    )
    page.click(".toast .undo")
    page.wait_for_selector(".toast.is-failed")
    assert titles(branch.topic) == ["Lesson 1", "Lesson 2", "Lesson 3"]


def test_slash_searches_and_the_menu_is_reached_by_keys(open_tree):
    branch = make_branch("M", lessons=3)
    page = open_tree()
    page.keyboard.press("/")
    page.keyboard.type("lesson 2")
    page.keyboard.press("Enter")
    page.wait_for_selector(".tree.is-flat[data-ready] [role=treeitem]")
    expect_rows(page, ["Lesson 2"])
    item(page, branch.lessons[1]).focus()
    page.keyboard.press("Shift+F10")
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    page.wait_for_selector(".toast")
    assert Node.objects.get(pk=branch.lessons[1].pk).trashed_at is not None


def test_the_path_stays_in_view_while_one_scrolls(open_tree):
    branch = make_branch("M", lessons=60)
    page = open_tree()
    open_all(page, branch.subject, branch.track, branch.unit, branch.topic)
    page.mouse.wheel(0, 1500)
    page.wait_for_function(
        "path => document.getElementById('tree-path').textContent === path",
        arg="M › M track › M unit › M topic",
    )
    playwright.expect(page.locator("#tree-path")).to_be_in_viewport(ratio=1)


def test_a_drag_to_the_edge_scrolls_on(open_tree):
    branch = make_branch("M", lessons=60)
    page = open_tree()
    open_all(page, branch.subject, branch.track, branch.unit, branch.topic)
    grip = item(page, branch.lessons[0]).locator("> .row .grip").bounding_box()
    page.mouse.move(grip["x"] + 8, grip["y"] + 8)
    page.mouse.down()
    page.mouse.move(600, 700, steps=4)
    page.mouse.move(600, 892, steps=4)
    last = item(page, branch.lessons[59])
    last.locator("> .row").wait_for()
    page.wait_for_function(
        "() => scrollY + innerHeight >= document.documentElement.scrollHeight - 1"
    )
    row = last.locator("> .row").bounding_box()
    page.mouse.move(600, row["y"] + row["height"] * 0.8, steps=3)
    page.mouse.up()
    page.wait_for_selector(".toast .undo")
    assert titles(branch.topic)[-1] == "Lesson 1"


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_is_cut_off_on_a_phone(open_tree, language):
    branch = make_branch("M", lessons=2)
    page = open_tree(language, width=390)
    open_all(page, branch.subject, branch.track, branch.unit, branch.topic)
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0
    item(page, branch.lessons[1]).locator(".menu-button").click()
    menu = page.locator(".row-menu").bounding_box()
    assert menu["x"] >= 0
    assert menu["x"] + menu["width"] <= 390


def to_the_trash(page, node):
    item(page, node).focus()
    page.keyboard.press("Delete")


def test_who_signs_in_again_in_another_tab_goes_on_in_the_first(open_tree):
    branch = make_branch("M", lessons=2)
    page = open_tree()
    open_all(page, branch.subject, branch.track, branch.unit, branch.topic)
    other = page.context.new_page()
    other.goto(reverse("admin:index"))
    other.click("#logout-form button")
    other.goto(reverse("admin:login"))
    sign_in(other)
    page.bring_to_front()
    to_the_trash(page, branch.lessons[0])
    page.wait_for_selector(".toast .undo")
    assert Node.objects.get(pk=branch.lessons[0].pk).trashed_at is not None


def test_a_page_that_may_not_send_any_more_is_no_missing_permission(open_tree):
    branch = make_branch("M", lessons=1)
    page = open_tree()
    open_all(page, branch.subject, branch.track, branch.unit, branch.topic)
    page.context.clear_cookies(name="csrftoken")
    to_the_trash(page, branch.lessons[0])
    message = page.locator(".toast.is-failed").text_content()
    assert "does not send cookies" in message
    assert "System Manager" not in message


def test_more_rows_than_may_be_chosen_are_refused_in_words(open_tree):
    branch = make_branch("M", lessons=1)
    page = open_tree()
    open_all(page, branch.subject, branch.track, branch.unit, branch.topic)
    errors = page.evaluate(
        """async (path) => {
          const { post } = await import(path);
          const nodes = Array.from({ length: 1100 }, (_, place) => place + 1);
          const most = await post("do", { do: "publish", nodes });
          const more = await post("do", { do: "publish", nodes: Array(6100).fill(1) });
          return [most.error, more.error];
        }""",
        page.evaluate(
            """() => performance.getEntriesByType("resource")
              .map(({ name }) => name).find((name) => name.includes("tree-api"))"""
        ),
    )
    assert errors[0] == "Select at most 500 entries at a time."
    assert errors[1].startswith("The request is too large.")


def test_the_dialog_for_a_product_code_offers_the_products(open_tree):
    Product.objects.create(code="MATH-12", title="Maths, grade 12")
    subject = make_branch("Maths").subject
    page = open_tree()
    item(page, subject).locator(".menu-button").click()
    page.click(".row-menu [data-name=item]")
    field = page.locator("dialog input[type=text]")
    offered = field.evaluate("(input) => [...input.list.options].map((o) => o.label)")
    assert offered == ["Maths, grade 12"]
    field.fill("MATH-12")
    page.click("dialog button[value=yes]")
    page.locator(f"#n{subject.pk}[data-item='MATH-12']").wait_for()
