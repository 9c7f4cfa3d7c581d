"""A plan in a real browser: create, change, undo; in both text directions."""

import re

import pytest
from django.urls import reverse

from content import products
from content.models import Node
from plans.models import AcademicPlan, PlanOverride
from plans.services import add_subject, set_override
from players.models import User
from publishing.building import builds
from publishing.models import Publication
from tests.factories.content import make_branch, make_stage
from tests.journeys.conftest import EDITOR, sign_in

playwright = pytest.importorskip(
    "playwright.sync_api", reason="needs playwright (requirements/dev.txt)"
)


@pytest.fixture
def branch(transactional_db):
    branch = make_branch("Physics", lessons=2)
    for lesson in branch.lessons:
        make_stage(lesson)
    return branch


@pytest.fixture
def plan(branch):
    plan = AcademicPlan.objects.create(title="Grade 12", is_published=True)
    add_subject(plan=plan, subject=branch.subject)
    return plan


def change_url(plan):
    return reverse("admin:plans_academicplan_change", args=[plan.pk])


def row(page, node):
    return page.locator(f"#node-{node.pk}")


def open_down_to(page, *nodes):
    for node in nodes:
        row(page, node).locator("a.expander").click()
        page.locator(f"#node-{node.pk}[aria-expanded=true]").wait_for()


def test_a_plan_from_nothing_to_published(open_page, branch):
    page = open_page()
    page.goto(reverse("admin:plans_academicplan_add"))
    page.fill("[name=title]", "Grade 11")
    page.check("[name=is_published]")
    page.get_by_text("Add another Subject").click()
    page.locator("#plan_subjects-0 .select2-selection").click()
    page.locator(".select2-search__field").fill("Physics")
    page.locator(".select2-results__option", has_text="Physics").first.click()
    page.locator("[name=_save]").click()
    page.get_by_text("Content for this plan's students").wait_for()
    plan = AcademicPlan.objects.get(title="Grade 11")
    row(page, branch.subject).wait_for()
    page.get_by_role("link", name="Upcoming changes").click()
    page.get_by_text(re.compile(r"\d+ files added")).wait_for()
    page.get_by_role("button", name="Publish now").click()
    page.locator(".badge", has_text="Up to date").wait_for()
    assert Publication.objects.get(plan=plan).generation is not None


def expect_named(control, subject):
    """Wait until the control's accessible name contains the subject."""
    playwright.expect(control).to_have_attribute("aria-label", re.compile(subject))


def subjects_of(plan):
    rows = AcademicPlan.objects.get(pk=plan.pk).plan_subjects.all()
    return [found.subject.title for found in rows]


@pytest.mark.parametrize("language", ["en", "ar"])
def test_a_plans_subjects_are_put_in_order_with_the_keyboard(open_page, plan, language):
    for title in ("Chemistry", "Biology"):
        add_subject(plan=plan, subject=make_branch(title).subject)
    page = open_page(language)
    page.goto(change_url(plan))
    page.wait_for_load_state("load")
    group = page.locator("#plan_subjects-group")
    # Tab alone leads from the field before the subjects to the first handle.
    page.focus("[name=is_published]")
    page.keyboard.press("Tab")
    handle = page.locator(".subject-grip:focus")
    expect_named(handle, "Physics")
    page.keyboard.press("ArrowDown")
    playwright.expect(group.locator("[role=status]")).to_contain_text("2")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")  # it is last already
    expect_named(handle, "Physics")
    page.focus("tr:has-text('Biology') .move-begin")
    page.keyboard.press("Enter")
    expect_named(page.locator(".move-begin:focus"), "Biology")
    page.click("[name=_continue]")
    page.locator(".messagelist .success").wait_for()
    assert subjects_of(plan) == ["Biology", "Chemistry", "Physics"]


def test_a_plans_subjects_are_put_in_order_with_the_mouse(open_page, plan):
    add_subject(plan=plan, subject=make_branch("Chemistry").subject)
    page = open_page()
    page.goto(change_url(plan))
    page.wait_for_load_state("load")
    first, second = page.locator(".subject-grip").all()
    second.hover()
    page.mouse.down()
    box = first.bounding_box()
    for up in (0, 6):
        page.mouse.move(box["x"] + 3, box["y"] - up, steps=6)
    page.mouse.up()
    page.click("[name=_continue]")
    page.locator(".messagelist .success").wait_for()
    assert subjects_of(plan) == ["Chemistry", "Physics"]


def test_all_that_is_done_to_a_subject_has_a_name(open_page, plan):
    page = open_page("ar")
    page.goto(change_url(plan))
    page.wait_for_load_state("load")
    box = page.locator("#plan_subjects-group [type=checkbox]").first
    expect_named(box, "Physics")
    unnamed = page.evaluate(
        """[...document.querySelectorAll(
             '#plan_subjects-group :is([role=button], [type=checkbox])'
           )].filter(one => one.checkVisibility()
             && !(one.ariaLabel || one.textContent)).length"""
    )
    assert unnamed == 0


@pytest.mark.parametrize("language", ["en", "ar"])
def test_an_override_is_set_and_taken_back_in_place(open_page, plan, branch, language):
    builds.publish_plan(plan.pk)
    page = open_page(language)
    page.goto(change_url(plan))
    direction = {"ar": "rtl", "en": "ltr"}[language]
    playwright.expect(page.locator("html")).to_have_attribute("dir", direction)
    open_down_to(page, branch.subject, branch.track)
    row(page, branch.unit).locator(".override-link").click()
    page.locator("dialog[open] button[value=hide]").click()
    page.locator(".plan-flash.shown").wait_for()
    page.locator(f"#node-{branch.unit.pk}.is-absent").wait_for()
    assert PlanOverride.objects.get(plan=plan).action == "hide"
    # Expanded rows stay expanded, and the focused row keeps the focus.
    playwright.expect(row(page, branch.unit)).to_be_focused()
    row(page, branch.unit).locator(".override-link").click()
    page.locator("dialog[open] button[name=remove]").click()
    page.locator(f"#node-{branch.unit.pk}:not(.is-absent)").wait_for()
    assert not PlanOverride.objects.exists()


def test_enter_in_a_value_means_that_value_and_refusals_stay_in_the_dialog(
    open_page, plan, branch
):
    products.ensure(["PHYS-12"])
    page = open_page()
    page.goto(change_url(plan))
    row(page, branch.subject).locator(".override-link").click()
    page.fill("#value_set_sold_separately", "a b")
    page.press("#value_set_sold_separately", "Enter")
    page.locator("dialog[open] .errornote").wait_for()
    playwright.expect(page.locator("#value_set_sold_separately")).to_have_value("a b")
    page.fill("#value_set_sold_separately", "PHYS-12")
    page.press("#value_set_sold_separately", "Enter")
    row(page, branch.subject).get_by_text("Paid · PHYS-12").wait_for()
    override = PlanOverride.objects.get(plan=plan)
    assert (override.action, override.value) == ("set_sold_separately", "PHYS-12")


def renaming(page, plan, node, title):
    """Open the dialog of ``node`` and type another title without sending it."""
    page.goto(change_url(plan))
    row(page, node).locator(".override-link").click()
    page.fill("dialog[open] #value_rename", title)


def rename_now(page, plan, title):
    """Send it again from the same dialog."""
    field = page.locator("dialog[open] #value_rename")
    playwright.expect(field).to_have_value(title)
    page.click("dialog[open] button[value=rename]")
    page.locator(".plan-flash.shown:not(.is-failed)", has_text=title).wait_for()
    assert PlanOverride.objects.get(plan=plan).value == title


def offline(route):
    route.abort()


def broken(route):
    route.fulfill(status=502, body="Bad Gateway", content_type="text/html")


@pytest.mark.parametrize("happens", [offline, broken])
def test_what_is_typed_outlives_a_server_that_does_not_answer(
    open_page, plan, branch, happens
):
    page = open_page()
    renaming(page, plan, branch.subject, "Motion")
    page.route("**/content/*/", happens)
    page.press("#value_rename", "Enter")
    page.locator("dialog[open] .errornote", has_text="does not answer").wait_for()
    assert not PlanOverride.objects.exists()
    page.unroute("**/content/*/")
    rename_now(page, plan, "Motion")


@pytest.mark.parametrize("happens", [offline, broken])
def test_a_branch_or_a_dialog_that_does_not_come_is_said(
    open_page, plan, branch, happens
):
    page = open_page()
    page.goto(change_url(plan))
    page.fill("[name=title]", "Not saved yet")
    page.route("**/content/**", happens)
    for link in (".override-link", "a.expander"):
        row(page, branch.subject).locator(link).click()
        page.locator(".plan-flash.is-failed", has_text="does not answer").wait_for()
    playwright.expect(page.locator("[name=title]")).to_have_value("Not saved yet")


def sign_out_elsewhere(page):
    other = page.context.new_page()
    other.goto(reverse("admin:index"))
    other.click("#logout-form button")
    other.wait_for_load_state()
    return other


def test_signed_in_again_elsewhere_the_plan_page_goes_on(open_page, plan, branch):
    page = open_page()
    renaming(page, plan, branch.subject, "Motion")
    other = sign_out_elsewhere(page)
    page.click("dialog[open] button[value=rename]")
    page.locator("dialog[open] .errornote", has_text="You are signed out").wait_for()
    other.goto(reverse("admin:login"))
    sign_in(other)
    rename_now(page, plan, "Motion")
    # The plan's own form is saved too, although its CSRF token is an old one.
    page.fill("[name=title]", "Grade 12, new")
    page.click("[name=_continue]")
    page.locator(".messagelist .success").wait_for()
    plan.refresh_from_db()
    assert plan.title == "Grade 12, new"


def test_without_the_right_any_more_the_dialog_says_so(open_page, plan, branch):
    page = open_page()
    renaming(page, plan, branch.subject, "Motion")
    editor = User.objects.get(email=EDITOR)
    User.objects.filter(pk=editor.pk).update(is_superuser=False)
    page.press("#value_rename", "Enter")
    page.locator(
        "dialog[open] .errornote", has_text="You do not have permission"
    ).wait_for()
    assert not PlanOverride.objects.exists()


@pytest.mark.parametrize("language", ["en", "ar"])
def test_the_second_of_two_publishers_reads_what_the_first_said(
    open_page, plan, branch, language
):
    page = open_page(language)
    renaming(page, plan, branch.subject, "Motion")
    set_override(plan=plan, target=branch.subject, action="hide")
    page.press("#value_rename", "Enter")
    page.locator("dialog[open] .errornote").wait_for()
    overrides = page.locator("dialog[open] .override-list li")
    playwright.expect(overrides).to_have_count(1)
    playwright.expect(page.locator("#value_rename")).to_be_focused()
    assert PlanOverride.objects.get(plan=plan).action == "hide"
    page.press("#value_rename", "Enter")
    page.locator(".plan-flash.shown", has_text="Motion").wait_for()
    assert PlanOverride.objects.filter(plan=plan).count() == 2


@pytest.mark.parametrize("language", ["en", "ar"])
def test_the_tree_is_walked_with_the_keyboard(open_page, plan, branch, language):
    inwards, outwards = {
        "en": ("ArrowRight", "ArrowLeft"),
        "ar": ("ArrowLeft", "ArrowRight"),
    }[language]
    page = open_page(language)
    page.goto(change_url(plan))
    row(page, branch.subject).focus()
    for node in (branch.track, branch.unit):
        page.keyboard.press(inwards)
        row(page, node).wait_for()
        page.keyboard.press("ArrowDown")
        playwright.expect(row(page, node)).to_be_focused()
    page.keyboard.press(outwards)
    playwright.expect(row(page, branch.track)).to_be_focused()
    page.keyboard.press("Enter")
    page.locator("dialog[open]").wait_for()
    page.keyboard.press("Escape")
    playwright.expect(page.locator("dialog[open]")).to_have_count(0)


def test_what_was_open_is_open_again_on_return(open_page, plan, branch):
    page = open_page()
    page.goto(change_url(plan))
    open_down_to(page, branch.subject, branch.track)
    page.goto(reverse("admin:index"))
    page.goto(change_url(plan))
    row(page, branch.unit).wait_for()


def test_all_of_it_works_without_a_script(open_page, plan, branch):
    page = open_page(scripts=False)
    page.goto(change_url(plan))
    for node in (branch.subject, branch.track):
        row(page, node).locator("a.expander").click()
    row(page, branch.unit).locator(".override-link").click()
    page.locator("button[value=hide]").click()
    page.get_by_text("is hidden: 2 lessons will leave this plan").wait_for()
    row(page, branch.unit).wait_for()
    assert PlanOverride.objects.get(plan=plan).target_id == branch.unit.pk


def test_enter_means_its_own_field_without_a_script_too(open_page, plan, branch):
    page = open_page(scripts=False)
    page.goto(reverse("admin:plans_override", args=[plan.pk, branch.unit.pk]))
    page.fill("#value_rename", "Motion")
    page.press("#value_rename", "Enter")
    page.get_by_text("This plan's students now see “Motion”").wait_for()
    override = PlanOverride.objects.get(plan=plan)
    assert (override.action, override.value) == ("rename", "Motion")


def test_a_lesson_is_brought_back_with_one_click(open_page, plan, branch):
    lesson = Node.objects.get(pk=branch.lessons[0].pk)
    lesson.title = "Spoilt"
    lesson.save()
    page = open_page("ar", width=390)
    page.goto(reverse("admin:content_node_history", args=[lesson.pk]))
    # Edit 1 added the lesson, edit 2 its stage, edit 3 the wrong title.
    page.locator(".edits > li").nth(1).locator("button").click()
    page.locator(".messagelist .success").wait_for()
    lesson.refresh_from_db()
    assert lesson.title == "Lesson 1"
    assert lesson.stages.count() == 1


@pytest.mark.parametrize("language", ["en", "ar"])
def test_no_page_is_wider_than_a_phone(open_page, plan, branch, language):
    builds.publish_plan(plan.pk)
    page = open_page(language, width=390)
    args = [plan.pk]
    for url in (
        f"{change_url(plan)}?open={branch.subject.pk},{branch.track.pk}",
        reverse("admin:publishing_upcoming", args=args),
        reverse("admin:publishing_generations", args=args),
        reverse("admin:plans_academicplan_history", args=args),
        reverse("admin:content_node_history", args=[branch.lessons[0].pk]),
        reverse("admin:exchange"),
    ):
        page.goto(url)
        wider = page.evaluate(
            "document.documentElement.scrollWidth"
            " - document.documentElement.clientWidth"
        )
        assert wider <= 0, url
