"""The plan's page: its state, its content with access and reasons, what will change."""

import re
import time
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, models
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from content import products, services, tree_rows
from content.kinds import Kind
from content.models import LessonStage, Node, SubjectState, UnfinishedLesson
from plans import services as plan_services, tree_views
from plans.models import AcademicPlan, PlanOverride
from publishing import queue
from publishing.admin_views import plan_views
from publishing.building import builds, release_diff, rollback
from publishing.models import Publication, SyncLog
from publishing.monitoring import schedule
from tests.admin_fixtures import TEXT, messages_of
from tests.factories.content import make_branch, make_stage, trash_node

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def change_url(plan):
    return reverse("admin:plans_academicplan_change", args=[plan.pk])


def content_url(plan):
    return reverse("admin:plans_content", args=[plan.pk])


def override_url(plan, node):
    return reverse("admin:plans_override", args=[plan.pk, node.pk])


def upcoming_url(plan):
    return reverse("admin:publishing_upcoming", args=[plan.pk])


def text_of(response):
    """The page's text without markup."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


def rows(plan, *opened):
    found = tree_views.tree(plan, {node.pk: tree_rows.PAGE for node in opened})
    return {row.pk: row for row in found.rows}


def say(browser, plan, node, action, value="", **extra):
    posted = {"action": action, f"value_{action}": value, **extra}
    return browser.post(override_url(plan, node), posted, follow=True)


def take_back(browser, plan, node, aspect, **extra):
    posted = {"remove": aspect, **extra}
    return browser.post(override_url(plan, node), posted, follow=True)


@pytest.fixture
def branch(maths):
    """The nodes from the subject to the topic: expanded, they show the lessons."""
    return [maths[kind] for kind in ("subject", "track", "unit", "topic")]


# --- The tree ---------------------------------------------------------------


def test_a_branch_shows_once_it_is_opened(plan, maths, branch):
    assert set(rows(plan)) == {maths["subject"].pk}
    assert set(rows(plan, *branch[:2])) == {node.pk for node in branch[:3]}
    assert maths["lesson"].pk in rows(plan, *branch)


def test_each_node_says_who_may_open_it_and_why(plan, maths, branch):
    Node.objects.filter(pk=maths["subject"].pk).update(required_item="MATH-12")
    plan_services.set_override(plan=plan, target=maths["lesson"], action="set_free")
    found = rows(plan, *branch)
    subject, unit, lesson = (
        found[maths[kind].pk] for kind in ("subject", "unit", "lesson")
    )
    assert ("MATH-12" in subject.access, subject.why) == (
        True,
        "has its own product code, in every plan",
    )
    assert ("MATH-12" in unit.access, unit.why) == (
        True,
        "inherited from “Mathematics”",
    )
    assert ("Free preview" in lesson.access, lesson.why) == (
        True,
        "override on this plan",
    )


def test_what_an_override_passes_on_is_said_below_it(plan, maths, branch):
    plan_services.set_override(plan=plan, target=maths["unit"], action="set_free")
    assert rows(plan, *branch)[maths["topic"].pk].why == (
        "inherited from “Mathematics's unit”, which this plan overrides"
    )


def test_what_is_hidden_stays_in_sight_with_all_inside_it(plan, maths, branch):
    plan_services.set_override(plan=plan, target=maths["unit"], action="hide")
    found = rows(plan, *branch)
    assert "Hidden in this plan" in found[maths["unit"].pk].absence
    assert "Hidden by a parent" in found[maths["lesson"].pk].absence
    assert found[maths["lesson"].pk].why == "because of “Mathematics's unit”"
    assert str(found[maths["subject"].pk].lessons) == "0 of 2 lessons"


def test_drafts_and_empty_branches_say_so(plan, maths, branch):
    empty = services.create_node(
        kind=Kind.UNIT, parent=maths["track"], title="Later", is_published=True
    )
    Node.objects.filter(pk=maths["lessons"][1].pk).update(is_published=False)
    found = rows(plan, *branch)
    assert "Draft" in found[maths["lessons"][1].pk].absence
    assert "Empty, not shown" in found[empty.pk].absence


def test_a_lesson_that_is_not_finished_is_marked(plan, maths, branch):
    UnfinishedLesson.objects.create(
        lesson=maths["lesson"], data=[], saved_at=timezone.now()
    )
    found = rows(plan, *branch)
    assert "Not finished" in found[maths["lesson"].pk].unfinished
    assert found[maths["lessons"][1].pk].unfinished is None


def test_what_is_in_the_trash_is_not_shown(plan, maths, branch):
    trash_node(node=maths["lesson"])
    assert maths["lesson"].pk not in rows(plan, *branch)


def test_a_closed_branch_counts_the_overrides_inside(plan, maths, branch):
    plan_services.set_override(plan=plan, target=maths["lesson"], action="hide")
    assert rows(plan, *branch[:2])[maths["unit"].pk].inside == 1


def test_the_list_of_overrides_leads_to_their_rows(browser, plan, maths):
    plan_services.set_override(
        plan=plan, target=maths["lesson"], action="rename", value="Start"
    )
    page = browser.get(content_url(plan)).content.decode()
    assert "Renamed “Start”" in page
    assert row_of(page, maths["lesson"]) is None
    led = browser.get(content_url(plan), {"at": maths["lesson"].pk}).content.decode()
    assert f'href="?at={maths["lesson"].pk}#' in page
    assert row_of(led, maths["lesson"])


def test_an_override_of_what_is_in_the_trash_can_still_be_taken_back(
    browser, plan, maths
):
    plan_services.set_override(plan=plan, target=maths["lesson"], action="hide")
    trash_node(node=maths["unit"])
    page = browser.get(content_url(plan)).content.decode()
    assert "In the trash" in page
    assert "override inside" not in page
    url = override_url(plan, maths["lesson"])
    assert f'href="{url}"' in page
    assert "In the trash" in text_of(browser.get(url))
    browser.post(url, {"remove": "access"})
    assert not plan.overrides.exists()


def test_subjects_stand_in_the_plans_order(plan, maths, physics):
    plan_services.add_subject(plan=plan, subject=physics["subject"])
    first, second = plan.plan_subjects.all()
    type(first).objects.filter(pk=first.pk).update(position=second.position + 1)
    assert list(rows(plan)) == [physics["subject"].pk, maths["subject"].pk]


# --- Any number of lessons --------------------------------------------------


def row_of(page, node):
    return re.search(rf'<tr id="node-{node.pk}"', page)


def fill(topic, lessons):
    """Add lessons in bulk, without the services; the first lesson exists already."""
    first = topic.get_children()[0]
    columns = [field.attname for field in Node._meta.concrete_fields]
    Node.objects.filter(tree_id=topic.tree_id, rght__gt=topic.lft + 2).exclude(
        parent=topic
    ).update(rght=F("rght") + 2 * lessons)
    last = topic.get_children().last().rght
    made = []
    for number in range(lessons):
        values = {name: getattr(first, name) for name in columns if name != "id"}
        values |= {
            "title": f"Lesson {number}",
            "public_id": f"LES-MANY-{number}",
            "bit_index": 1000 + number,
            "lft": last + 1 + 2 * number,
            "rght": last + 2 + 2 * number,
        }
        made.append(Node(**values))
    models.QuerySet(Node).bulk_create(made, batch_size=500)


@pytest.fixture(params=[100, 10_000])
def many(request, maths):
    """Fill the topic with this many lessons; its first lesson stays first."""
    fill(Node.objects.get(pk=maths["topic"].pk), request.param)
    return request.param


@pytest.mark.parametrize(
    "what", ["open", "closed", "page", "override", "say", "take back"]
)
def test_the_plan_page_reads_the_same_queries_at_a_hundred_and_at_ten_thousand_lessons(
    browser, plan, maths, branch, many, what, django_assert_num_queries
):
    assert Node.objects.filter(kind="lesson").count() == many + 2
    for node in (maths["unit"], maths["lesson"]):
        plan_services.set_override(plan=plan, target=node, action="set_free")
    opened = {"open": ",".join(str(node.pk) for node in branch)}
    url = override_url(plan, maths["unit"])
    urls = iter([override_url(plan, maths["lesson"]), url])
    visits = {
        # Session, user; the plan; its subjects; the rows (1), the lessons below them
        # (2), which nodes have children, stages; overrides; how many lessons they
        # affect; the lessons that students see (2); what is scheduled.
        "open": (14, lambda: browser.get(content_url(plan), opened)),
        "closed": (14, lambda: browser.get(content_url(plan))),
        # And the form with its subjects, choices and drafts (2), the header, the last
        # runs; the subjects again, whose quality reports are linked.
        "page": (29, lambda: browser.get(change_url(plan), opened)),
        # One node and one row; products.
        "override": (14, lambda: browser.get(url)),
        # And the writes, under the lock, with their history.
        "say": (27, lambda: browser.post(url, {"action": "hide"})),
        # Like "say", with other writes; and the remaining overrides.
        "take back": (20, lambda: browser.post(next(urls), {"remove": "access"})),
    }
    queries, visit = visits[what]
    visit()
    with django_assert_num_queries(queries):
        answer = visit()
    assert answer.status_code in (200, 302)


def test_a_long_branch_shows_a_page_and_more_when_asked(browser, plan, maths, branch):
    fill(Node.objects.get(pk=maths["topic"].pk), 250)
    opened = ",".join(str(node.pk) for node in branch)
    page = browser.get(content_url(plan), {"open": opened}).content.decode()
    assert len(re.findall(r'<tr id="node-', page)) == 4 + tree_rows.PAGE
    assert "Show 152 more" in page
    [more] = re.findall(r'class="more" href="\?([^"#]*)#', page)
    page = browser.get(f"{content_url(plan)}?{more}").content.decode()
    assert len(re.findall(r'<tr id="node-', page)) == 4 + 2 * tree_rows.PAGE
    assert "Show 52 more" in page


def test_being_led_to_a_row_far_down_shows_it(browser, plan, maths):
    fill(Node.objects.get(pk=maths["topic"].pk), 250)
    far = Node.objects.get(title="Lesson 200")
    page = browser.get(content_url(plan), {"at": far.pk}).content.decode()
    assert row_of(page, far)


def test_the_page_of_a_plan_reads_the_same_queries_however_much_it_has(
    browser, plan, maths
):
    builds.publish_plan(plan.pk)
    Node.objects.filter(pk=maths["lesson"].pk).update(title="Edited")
    browser.get(change_url(plan))
    with CaptureQueriesContext(connection) as few:
        browser.get(change_url(plan))
    for number in range(5):
        more = make_branch(f"Subject {number}", lessons=3)
        plan_services.add_subject(plan=plan, subject=more.subject)
        plan_services.set_override(plan=plan, target=more.unit, action="hide")
    browser.get(change_url(plan))
    with CaptureQueriesContext(connection) as many:
        browser.get(change_url(plan))
    assert len(many) == len(few)


# --- Setting overrides ------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "value", "message"),
    [
        ("hide", "", "is hidden: 2 lessons will leave this plan at the next publish."),
        ("set_free", "", "is now: Free preview."),
        ("set_sold_separately", "MATH-12", "is now: Paid · MATH-12."),
        ("set_access_level", "public", "is now: Public."),
        ("set_linear", "true", "now open one after another."),
        ("set_linear", "false", "now open in any order."),
        ("rename", "Chapter", "students now see “Chapter”"),
    ],
)
def test_each_action_is_saved_and_its_effect_said(
    browser, plan, maths, action, value, message
):
    products.ensure(["MATH-12"])
    page = say(browser, plan, maths["unit"], action, value)
    assert message in messages_of(page)[0]
    override = PlanOverride.objects.get(plan=plan, target=maths["unit"])
    assert (override.action, override.value) == (action, value)


def test_a_second_word_on_the_same_replaces_the_first(browser, plan, maths):
    for action in ("hide", "set_free"):
        say(browser, plan, maths["unit"], action)
    assert plan.overrides.get().action == "set_free"


def test_different_aspects_go_together(browser, plan, maths):
    say(browser, plan, maths["unit"], "set_free")
    say(browser, plan, maths["unit"], "set_linear", "true")
    say(browser, plan, maths["unit"], "rename", "Chapter")
    assert plan.overrides.count() == 3


@pytest.mark.parametrize(
    ("action", "value", "aspect", "message"),
    [
        (
            "hide",
            "",
            "access",
            "Override removed: Hidden. “{title}” is now: Signed in.",
        ),
        (
            "set_linear",
            "true",
            "linear",
            "Override removed: In order. The entries inside “{title}” now open in any "
            "order.",
        ),
        (
            "rename",
            "Chapter",
            "title",
            "Override removed: Renamed “Chapter”. This plan's students see “{title}” "
            "again.",
        ),
    ],
)
def test_an_override_is_taken_back_and_what_that_comes_to_is_said(
    browser, plan, maths, action, value, aspect, message
):
    say(browser, plan, maths["unit"], action, value)
    page = take_back(browser, plan, maths["unit"], aspect)
    assert messages_of(page) == [message.format(title=maths["unit"].title)]
    assert not plan.overrides.exists()


def test_what_the_plan_still_says_is_said_when_one_thing_is_taken_back(
    browser, plan, maths
):
    say(browser, plan, maths["unit"], "set_free")
    say(browser, plan, maths["unit"], "set_linear", "true")
    say(browser, plan, maths["unit"], "rename", "Chapter")
    page = take_back(browser, plan, maths["unit"], "title")
    assert messages_of(page)[0].endswith(
        "see “Mathematics's unit” again. This plan still has these overrides of it: "
        "Made free, In order."
    )


def test_what_is_taken_back_may_still_be_so_because_of_what_is_above(
    browser, plan, maths
):
    products.ensure(["MATH-12"])
    say(browser, plan, maths["unit"], "set_free")
    say(browser, plan, maths["lesson"], "set_sold_separately", "MATH-12")
    page = take_back(browser, plan, maths["lesson"], "access")
    assert "is now: Free preview." in messages_of(page)[0]


def test_taking_back_what_the_plan_does_not_say_changes_nothing_and_says_so(
    browser, plan, maths
):
    say(browser, plan, maths["unit"], "hide")
    page = take_back(browser, plan, maths["unit"], "title")
    assert messages_of(page) == ["Nothing to change."]
    page = take_back(browser, plan, maths["unit"], "price")
    assert page.status_code == 400
    assert "Choose an override." in text_of(page)
    assert plan.overrides.get().action == "hide"


def shown(browser, plan, node):
    """Return the form's ``seen`` token, which identifies the state it shows."""
    form = browser.get(override_url(plan, node)).content.decode()
    [seen] = set(re.findall(r'name="seen" value="([^"]+)"', form))
    return seen


def test_what_somebody_else_said_meanwhile_is_not_replaced_unseen(browser, plan, maths):
    products.ensure(["MATH-12"])
    seen = shown(browser, plan, maths["unit"])
    say(browser, plan, maths["unit"], "hide")
    page = say(
        browser, plan, maths["unit"], "set_sold_separately", "MATH-12", seen=seen
    )
    assert page.status_code == 400
    assert "Another user changed" in text_of(page)
    assert plan.overrides.get().action == "hide"
    # The page shows the other editor's value and keeps the typed one; posting it again
    # saves it.
    assert "Hidden" in text_of(page)
    assert 'value="MATH-12"' in page.content.decode()
    [seen] = set(re.findall(r'name="seen" value="([^"]+)"', page.content.decode()))
    say(browser, plan, maths["unit"], "set_sold_separately", "MATH-12", seen=seen)
    assert plan.overrides.get().action == "set_sold_separately"


def test_what_somebody_else_said_meanwhile_is_not_taken_back_unseen(
    browser, plan, maths
):
    say(browser, plan, maths["unit"], "set_free")
    seen = shown(browser, plan, maths["unit"])
    say(browser, plan, maths["unit"], "hide")
    page = take_back(browser, plan, maths["unit"], "access", seen=seen)
    assert page.status_code == 400
    assert plan.overrides.get().action == "hide"


def test_what_is_said_of_other_content_makes_a_form_no_older(browser, plan, maths):
    say(browser, plan, maths["unit"], "set_free")
    seen = shown(browser, plan, maths["unit"])
    say(browser, plan, maths["topic"], "hide")
    page = take_back(browser, plan, maths["unit"], "access", seen=seen)
    assert page.status_code == 200
    assert plan.overrides.get().action == "hide"


@pytest.mark.parametrize(
    ("action", "value", "why"),
    [
        ("set_access_level", "gold", "Enter public, authenticated"),
        ("set_linear", "maybe", "Enter true or false"),
        ("rename", " ", "Enter the title"),
        ("rename", r"Area \(\foo\)", "there is no command"),
        ("set_sold_separately", "", "Enter a product code"),
        ("set_sold_separately", "a b", "A product code can contain"),
        ("explode", "", "Choose an override"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_in_words(
    browser, plan, maths, action, value, why
):
    page = say(browser, plan, maths["unit"], action, value)
    assert page.status_code == 400
    assert why in text_of(page)
    assert not plan.overrides.exists()


def test_content_of_other_plans_is_not_there(browser, plan, physics):
    assert say(browser, plan, physics["unit"], "hide").status_code == 404
    assert not plan.overrides.exists()


def test_the_script_gets_the_form_alone_and_an_answer_to_read(browser, plan, maths):
    headers = {"X-Requested-With": "fetch"}
    url = override_url(plan, maths["unit"])
    part = browser.get(url, headers=headers).content.decode()
    assert "<html" not in part
    assert "<html" in browser.get(url).content.decode()
    answer = browser.post(url, {"action": "hide"}, headers=headers)
    assert "is hidden" in answer.json()["message"]


def test_who_may_not_change_plans_reads_the_tree_only(client_of, editor, plan, maths):
    browser = client_of(editor)
    page = browser.get(change_url(plan)).content.decode()
    assert "plan-tree" in page
    assert override_url(plan, maths["subject"]) not in page
    assert browser.get(content_url(plan)).status_code == 200
    assert browser.get(override_url(plan, maths["unit"])).status_code == 403
    assert say(browser, plan, maths["unit"], "hide").status_code == 403
    assert not plan.overrides.exists()


def test_who_may_not_see_plans_sees_nothing(client_of, support, plan):
    browser = client_of(support)
    for url in (change_url(plan), content_url(plan), upcoming_url(plan)):
        assert browser.get(url).status_code == 403


def test_an_empty_plan_says_what_to_do_first(browser):
    plan = AcademicPlan.objects.create(title="New")
    assert "This plan has no subjects yet." in text_of(browser.get(change_url(plan)))


def test_a_subject_without_lessons_is_named(browser, plan):
    empty = services.create_node(kind=Kind.SUBJECT, title="Art", is_published=True)
    plan_services.add_subject(plan=plan, subject=empty)
    assert "“Art” has no lessons yet" in text_of(browser.get(change_url(plan)))


# --- The state line ---------------------------------------------------------


def test_the_state_line_counts_what_waits_and_names_where(
    browser, plan, maths, worker_runs
):
    assert "Never published." in text_of(browser.get(change_url(plan)))
    builds.publish_plan(plan.pk)
    assert "Up to date" in text_of(browser.get(change_url(plan)))
    for title in ("Once", "Twice"):
        lesson = Node.objects.get(pk=maths["lesson"].pk)
        lesson.title = title
        lesson.save()
    plan_services.set_override(plan=plan, target=maths["unit"], action="set_free")
    state = plan_views.state_of(plan)
    assert state.sources == ["Mathematics", "this plan"]
    assert state.edits == 3
    page = text_of(browser.get(change_url(plan)))
    assert "3 changes waiting" in page
    assert re.search(r"next run within [1-5] minute", page)


def test_without_a_worker_the_page_promises_no_run(browser, plan):
    page = text_of(browser.get(change_url(plan)))
    assert (
        "No worker is running: waiting plans are published when a worker starts."
        in page
    )
    assert "next run" not in page


def test_without_beat_the_page_names_publish_now(browser, plan):
    queue.record_worker_heartbeat(time.time())
    page = text_of(browser.get(change_url(plan)))
    assert "Beat is not running" in page
    assert "next run" not in page


def test_without_redis_the_page_promises_no_run(browser, plan, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    page = text_of(browser.get(change_url(plan)))
    assert "Redis does not answer: nothing is started." in page
    assert "next run" not in page


def test_without_a_worker_publish_now_says_that_the_plan_is_queued(
    browser, plan, monkeypatch
):
    monkeypatch.setattr("publishing.tasks.publish_plan.delay", lambda *_args: None)
    url = reverse("admin:publishing_publish_plan", args=[plan.pk])
    assert messages_of(browser.post(url, follow=True)) == [
        "1 plan is queued. No worker is running: it will be published when a worker "
        "starts."
    ]


def test_the_last_build_and_the_last_runs_say_how_long_they_took(browser, plan):
    builds.publish_plan(plan.pk)
    SyncLog.objects.update(build_seconds=3.12)
    page = text_of(browser.get(change_url(plan)))
    assert page.count("3.12 s") == 2
    assert "built in 3.12 s" in page
    # After a rollback the current generation is not the last build's.
    Publication.objects.update(generation=F("generation") - 1)
    assert "built in" not in text_of(browser.get(change_url(plan)))


def test_the_next_run_is_when_beat_is_due():
    assert schedule.next_run(NOW.replace(minute=1)) == NOW.replace(minute=5)
    assert schedule.next_run(NOW.replace(minute=55)) == NOW + timedelta(hours=1)


def test_publish_now_on_the_page_publishes(browser, plan, worker_runs):
    url = reverse("admin:publishing_publish_plan", args=[plan.pk])
    page = browser.post(url, follow=True)
    assert "Publishing 1 plan" in messages_of(page)[0]
    assert Publication.objects.get(plan=plan).generation is not None
    page = browser.post(url, follow=True)
    assert "Nothing has changed" in messages_of(page)[0]


@pytest.fixture
def rolled_back(plan, maths):
    """Generation 1 is current again; generation 2 hid a unit by mistake."""
    builds.publish_plan(plan.pk)
    plan_services.set_override(plan=plan, target=maths["unit"], action="hide")
    builds.publish_plan(plan.pk)
    rollback.make_current(plan.public_id, 1)
    return plan


def test_after_a_rollback_page_and_list_say_so(browser, rolled_back):
    for url in (
        change_url(rolled_back),
        reverse("admin:plans_academicplan_changelist"),
    ):
        page = text_of(browser.get(url))
        assert "Held after a rollback" in page
        assert "Up to date" not in page


def test_a_held_plan_is_released_on_its_page(browser, rolled_back, worker_runs):
    url = reverse("admin:publishing_release_plan", args=[rolled_back.pk])
    page = browser.get(change_url(rolled_back)).content.decode()
    assert url in page
    assert "Publish now" not in page
    answer = browser.post(url, follow=True)
    assert "Publishing 1 plan" in messages_of(answer)[0]
    assert Publication.objects.get(plan=rolled_back).rolled_back_at is None
    assert Publication.objects.get(plan=rolled_back).generation > 2
    run = SyncLog.objects.first()
    assert (run.trigger, run.started_by) == ("release", answer.context["user"])
    again = browser.post(url, follow=True)
    assert "not held any more" in messages_of(again)[0]


def test_a_held_plan_shows_the_changes_that_it_keeps(browser, rolled_back):
    rolled_back.title = "Renamed"
    rolled_back.save()
    page = text_of(browser.get(change_url(rolled_back)))
    assert "1 change waiting" in page
    assert "next run within" not in page


def test_publish_now_in_the_list_leaves_a_held_plan_alone(browser, rolled_back):
    answer = browser.post(
        reverse("admin:plans_academicplan_changelist"),
        {"action": "publish_now", "_selected_action": [rolled_back.pk]},
        follow=True,
    )
    assert "is held after a rollback" in messages_of(answer)[0]
    assert Publication.objects.get(plan=rolled_back).generation == 1


def test_only_publishers_release_a_held_plan(client_of, editor, rolled_back):
    url = reverse("admin:publishing_release_plan", args=[rolled_back.pk])
    assert client_of(editor).post(url).status_code == 403
    assert rollback.is_held(rolled_back.pk)


def test_publish_now_is_not_for_everybody_nor_for_drafts(
    browser, client_of, editor, plan
):
    url = reverse("admin:publishing_publish_plan", args=[plan.pk])
    assert client_of(editor).post(url).status_code == 403
    AcademicPlan.objects.update(is_published=False)
    page = browser.post(url, follow=True)
    assert "is a draft" in messages_of(page)[0]
    assert not Publication.objects.exists()


# --- Upcoming changes -------------------------------------------------------


def told(plan):
    found = release_diff.of_plan(plan)
    return {
        (file.kind, difference.place): (difference.old, difference.new)
        for file in found.changed
        for difference in file.found
    }


def test_before_the_first_publish_every_file_is_added(browser, plan, stage):
    found = release_diff.of_plan(plan)
    assert not found.changed
    assert {file.kind for file in found.added} >= {"Lesson", "Topic", "Manifest"}
    assert "files added" in text_of(browser.get(upcoming_url(plan)))


def test_no_change_is_said_plainly(browser, plan, stage):
    builds.publish_plan(plan.pk)
    assert "No change." in text_of(browser.get(upcoming_url(plan)))


def test_an_edit_shows_as_what_it_changes_in_each_file(browser, plan, stage):
    builds.publish_plan(plan.pk)
    stage.config = {**TEXT, "body": "Read it twice."}
    stage.save()
    assert told(plan) == {
        ("Lesson", "stages › “Intro” › config › Text"): (
            "Read this.",
            "Read it twice.",
        )
    }
    page = text_of(browser.get(upcoming_url(plan)))
    assert "Read it twice." in page
    assert "files only links change" in page
    builds.publish_plan(plan.pk)
    assert not told(plan)


def test_what_keeps_the_next_publish_from_being_made_is_said(browser, plan, maths):
    SubjectState.objects.filter(pk=maths["subject"].pk).delete()
    page = text_of(browser.get(upcoming_url(plan)))
    assert "The next publish would fail" in page
    assert "The state row of the subject “Mathematics” is missing" in page


def test_looking_writes_nothing(browser, plan, stage, settings):
    browser.get(upcoming_url(plan))
    assert not list(settings.CONTENT_ROOT.rglob("*.json"))
    assert not Publication.objects.exists()


def test_what_the_next_publish_removes_is_listed_before(plan, maths, stage):
    builds.publish_plan(plan.pk)
    removed = maths["lessons"][1]
    plan_services.set_override(plan=plan, target=removed, action="hide")
    [file] = release_diff.of_plan(plan).removed
    assert (file.path, file.title) == (
        f"lessons/{removed.public_id}.json",
        removed.title,
    )


def test_a_publish_that_would_fail_says_so_and_where(browser, plan, stage):
    LessonStage.objects.filter(pk=stage.pk).update(config={"format": "markdown"})
    page = text_of(browser.get(upcoming_url(plan)))
    assert "The next publish would fail" in page
    assert "stages[0]" in page


def test_unpublishing_a_plan_is_shown_as_what_it_takes_away(browser, plan, stage):
    builds.publish_plan(plan.pk)
    AcademicPlan.objects.filter(pk=plan.pk).update(is_published=False)
    plan.refresh_from_db()
    assert len(release_diff.of_plan(plan).removed) > 3
    assert "the next run removes its files" in text_of(browser.get(upcoming_url(plan)))


def test_what_is_shown_is_what_publishing_does(plan, maths, physics, stage):
    plan_services.add_subject(plan=plan, subject=physics["subject"])
    builds.publish_plan(plan.pk)
    make_stage(maths["lessons"][1])
    plan_services.set_override(plan=plan, target=maths["lesson"], action="hide")
    plan.plan_subjects.get(subject=physics["subject"]).delete()
    found = release_diff.of_plan(plan).preview
    entry = builds.publish_plan(plan.pk)
    assert entry is not None
    assert entry.files_written == len(found.added) + len(found.changed)
    # Plans share a lesson's file: it is gated at once, and deleted when unused.
    own = [path for path in found.removed if path.startswith("plans/")]
    assert entry.files_removed == len(own) > 0
