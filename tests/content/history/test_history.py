"""Who changed which field and when; and restoring an earlier version."""

import json
import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from content import services
from content.curriculum import export_curriculum, import_curriculum
from content.history import changes as history_changes, revert as history_revert
from content.kinds import Kind
from content.models import LessonStage, Node
from plans import services as plan_services
from plans.models import AcademicPlan, PlanOverride
from publishing import staleness
from publishing.building import builds
from tests.admin_fixtures import TEXT, messages_of
from tests.factories.content import (
    make_branch,
    make_stage,
    move_node,
    quiz,
    trash_node,
)

pytestmark = pytest.mark.django_db


def history_url(node):
    return reverse("admin:content_node_history", args=[node.pk])


def edits(node):
    return history_changes.node_edits(Node.objects.get(pk=node.pk))


def told(node):
    """Return each edit as its rows, newest first: kind, title, and changed fields."""
    return [
        [
            (
                row.what,
                row.title,
                row.how,
                [(f.label, f.old, f.new) for f in row.fields],
            )
            for row in edit.rows
        ]
        for edit in edits(node)
    ]


def rename(node, title):
    current = Node.objects.get(pk=node.pk)
    current.title = title
    current.save()


def unpublish(browser, *nodes):
    chosen = {"do": "unpublish", "nodes": [node.pk for node in nodes]}
    assert browser.post(reverse("admin:content_node_do"), chosen).status_code == 200


def revert(browser, node, edit):
    url = reverse("admin:content_node_revert", args=[node.pk, edit.id])
    return browser.post(url, follow=True)


# --- What is recorded -------------------------------------------------------


def test_an_edit_says_which_field_was_and_is_what(maths):
    rename(maths["lesson"], "Fractions")
    old = maths["lesson"].title
    assert told(maths["lesson"])[0] == [
        ("lesson", "Fractions", "~", [("Title", old, "Fractions")])
    ]


def test_a_stale_instance_records_what_is_stored_not_what_it_remembers(maths):
    stale = Node.objects.get(pk=maths["lesson"].pk)
    rename(maths["lesson"], "Fractions")
    stale.is_published = False
    stale.save(update_fields=["is_published"])
    assert told(maths["lesson"])[0][0][3] == [("Published", "yes", "no")]


def test_an_update_of_many_is_recorded_for_each(maths):
    lessons = Node.objects.filter(kind=Kind.LESSON)
    lessons.update(is_free_preview=True)
    for lesson in lessons:
        [row] = edits(lesson)[0].rows
        assert [field.label for field in row.fields] == ["Free preview"]


def test_a_save_that_changes_nothing_is_not_told(maths):
    Node.objects.get(pk=maths["lesson"].pk).save()
    assert len(edits(maths["lesson"])) == 1


def test_moving_to_another_parent_is_told_and_reordering_is_not(maths):
    topic = services.create_node(kind=Kind.TOPIC, parent=maths["unit"], title="Other")
    first, second = maths["lessons"]
    move_node(node=second, target=first, position="left")
    assert len(edits(second)) == 1
    move_node(node=second, target=topic, position="last-child")
    assert told(second)[0] == [
        (
            "lesson",
            second.title,
            "~",
            [("Parent", maths["topic"].title, "Other")],
        )
    ]


def test_stages_belong_to_their_lessons_history(stage, maths):
    stage.config = {**TEXT, "body": "Read it twice."}
    stage.save()
    stage.delete()
    removed, changed, added, _created = edits(maths["lesson"])
    assert removed.rows[0].how == "-"
    [field] = changed.rows[0].fields
    assert [(d.place, d.old, d.new) for d in field.inside] == [
        ("Text", "Read this.", "Read it twice.")
    ]
    assert added.rows[0].how == "+"


def test_deleting_a_branch_records_each_of_it_once(maths, stage):
    services.delete_node(node=maths["subject"])
    deleted_rows = Node.history.filter(history_type="-")
    assert deleted_rows.count() == deleted_rows.values("id").distinct().count() == 6
    assert LessonStage.history.filter(history_type="-").count() == 1


def test_an_import_is_one_edit_of_every_lesson(maths, stage):
    file = json.loads(export_curriculum(maths["subject"].public_id))
    lesson = file["subject"]["tracks"][0]["units"][0]["topics"][0]["lessons"][0]
    lesson["title"] = "Imported"
    lesson["stages"][0]["title"] = "Imported, too"
    import_curriculum(json.dumps(file).encode())
    newest = edits(maths["lesson"])[0]
    assert newest.reason == "imported"
    assert {row.what for row in newest.rows} == {"lesson", "stage"}


def test_what_is_rolled_back_leaves_no_history(maths):
    before = Node.history.count()
    import_curriculum(export_curriculum(maths["subject"].public_id), dry_run=True)
    assert Node.history.count() == before


def test_a_save_writes_one_row_more_and_reads_nothing(
    maths, django_assert_max_num_queries
):
    lesson = Node.objects.get(pk=maths["lesson"].pk)
    lesson.title = "Fractions"
    # Savepoint; the subject's row; the plans to wake; the lesson; its history; its
    # ancestors; release of the savepoint.
    with django_assert_max_num_queries(14):
        lesson.save()


def test_publishing_reads_no_history(plan, stage):
    with CaptureQueriesContext(
        connection,
    ) as queries:
        builds.publish_plan(plan.pk)
    assert queries.captured_queries
    assert not [q for q in queries.captured_queries if "historical" in q["sql"]]


# --- The page ---------------------------------------------------------------


def test_the_page_says_who_changed_what(browser, superuser, maths):
    unpublish(browser, maths["lesson"])
    page = browser.get(history_url(maths["lesson"])).content.decode()
    assert superuser.email in page
    assert "Published" in page
    assert "<del" in page


def test_one_request_is_one_edit(browser, maths):
    make_stage(maths["lesson"])
    subject = maths["subject"]
    unpublish(browser, *maths["lessons"])
    found = {edits(lesson)[0].id for lesson in maths["lessons"]}
    assert len(found) == 1
    assert edits(subject)[0].id not in found


def test_the_page_needs_the_right_to_see_content(client_of, support, maths):
    assert client_of(support).get(history_url(maths["lesson"])).status_code == 403


def test_the_page_reads_the_same_queries_however_long_the_history(
    browser, maths, django_assert_num_queries
):
    make_stage(maths["lesson"])
    browser.get(history_url(maths["lesson"]))
    # Session, user; the node; its history, that of its stages; titles of its parents;
    # ancestors; what was scheduled.
    with django_assert_num_queries(8):
        browser.get(history_url(maths["lesson"]))
    for number in range(30):
        rename(maths["lesson"], f"Title {number}")
    with django_assert_num_queries(8):
        page = browser.get(history_url(maths["lesson"]))
    assert "?page=2" in page.content.decode()


def test_each_earlier_version_of_a_lesson_can_be_previewed(browser, maths):
    lesson = maths["lesson"]
    rename(lesson, "Second")
    rename(lesson, "Third")
    page = browser.get(history_url(lesson)).content.decode()
    links = re.findall(r'href="([^"]*state=earlier-[^"]*)"', page)
    assert len(links) == len(edits(lesson)) - 1
    inner = links[0].replace("/?state", "/app/?state")
    assert ">Second<" in browser.get(inner).content.decode()


def test_other_content_has_no_versions_to_preview(browser, maths):
    rename(maths["unit"], "Second")
    page = browser.get(history_url(maths["unit"])).content.decode()
    assert "Preview this version" not in page


# --- Restoring --------------------------------------------------------------


def test_a_lesson_goes_back_with_its_stages(browser, maths, stage):
    lesson = maths["lesson"]
    kept = stage.public_id
    good = edits(lesson)[0]
    stage.config = {**TEXT, "body": "Spoilt."}
    stage.save()
    rename(lesson, "Spoilt")
    make_stage(lesson, title="Added since")
    page = revert(browser, lesson, good)
    assert "were restored to their state" in messages_of(page)[0]
    lesson.refresh_from_db()
    assert lesson.title == "Mathematics's lesson 1"
    [stage] = LessonStage.objects.filter(lesson=lesson)
    assert (stage.public_id, stage.config["body"]) == (kept, "Read this.")
    assert edits(lesson)[0].reason == "reverted"


def test_a_deleted_stage_comes_back_with_its_id(maths, stage):
    edit = edits(maths["lesson"])[0]
    pk, public_id = stage.pk, stage.public_id
    stage.delete()
    assert history_revert.revert_lesson(lesson=maths["lesson"], moment=edit.at)
    back = LessonStage.objects.get(lesson=maths["lesson"])
    assert (back.pk, back.public_id, back.config) == (pk, public_id, TEXT)


def test_going_back_touches_no_place_id_or_bit(maths):
    lesson = maths["lesson"]
    then = edits(lesson)[0]
    topic = services.create_node(kind=Kind.TOPIC, parent=maths["unit"], title="Other")
    move_node(node=lesson, target=topic, position="last-child")
    rename(lesson, "Renamed")
    before = Node.objects.get(pk=lesson.pk)
    history_revert.revert_lesson(lesson=lesson, moment=then.at)
    after = Node.objects.get(pk=lesson.pk)
    assert after.title == lesson.title
    for name in ("parent_id", "lft", "rght", "public_id", "bit_index", "trashed_at"):
        assert getattr(after, name) == getattr(before, name), name


def test_going_back_counts_as_an_edit(maths, plan):
    then = edits(maths["lesson"])[0]
    rename(maths["lesson"], "Renamed")
    builds.publish_plan(plan.pk)
    assert not staleness.pending([plan.pk])
    history_revert.revert_lesson(lesson=maths["lesson"], moment=then.at)
    assert staleness.pending([plan.pk])


def test_going_back_to_what_is_changes_nothing(browser, maths):
    rows = Node.history.count()
    page = revert(browser, maths["lesson"], edits(maths["lesson"])[0])
    assert "Nothing was restored" in messages_of(page)[0]
    assert Node.history.count() == rows


def test_what_lies_in_the_trash_does_not_go_back(browser, maths):
    then = edits(maths["lesson"])[0]
    rename(maths["lesson"], "Renamed")
    trash_node(node=maths["lesson"])
    page = revert(browser, maths["lesson"], then)
    assert "is in the trash. Restore it first." in messages_of(page)[0]


def test_a_stage_that_is_elsewhere_today_is_named(browser, maths, stage):
    then = edits(maths["lesson"])[0]
    stage.lesson = maths["lessons"][1]
    stage.save()
    page = revert(browser, maths["lesson"], then)
    assert (
        "The stage “Intro” is now in the lesson “Mathematics's lesson 2”"
        in (messages_of(page)[0])
    )
    stage.refresh_from_db()
    assert stage.lesson_id == maths["lessons"][1].pk


def test_a_stage_no_longer_valid_is_named(browser, maths, stage):
    LessonStage.history.filter(id=stage.pk).update(config={"format": "markdown"})
    then = edits(maths["lesson"])[0]
    stage.delete()
    page = revert(browser, maths["lesson"], then)
    assert (
        "The earlier version of the stage “Intro” is not valid" in messages_of(page)[0]
    )
    assert not LessonStage.objects.filter(lesson=maths["lesson"]).exists()


def test_items_that_two_stages_would_share_are_named(browser, maths):
    lesson = maths["lesson"]
    make_stage(lesson, type="Quiz", title="First", config=quiz("A"))
    second = make_stage(lesson, type="Quiz", title="Second", config=quiz("B"))
    then = edits(lesson)[0]
    # As it was possible before it was refused.
    LessonStage.history.filter(id=second.pk).update(config=quiz("A"))
    page = revert(browser, lesson, then)
    assert "is in two stages of the lesson" in messages_of(page)[0]


def test_items_that_changed_places_go_back(maths):
    lesson = maths["lesson"]
    first = make_stage(lesson, type="Quiz", config=quiz("A"))
    second = make_stage(lesson, type="Quiz", config=quiz("B"))
    then = edits(lesson)[0]
    for stage, item in ((first, "C"), (second, "A"), (first, "B")):
        stage.config = quiz(item)
        stage.save()
    assert history_revert.revert_lesson(lesson=lesson, moment=then.at)
    second.refresh_from_db()
    assert second.config == quiz("B")


@pytest.mark.parametrize("role", ["Publishers", "Support"])
def test_only_who_may_edit_brings_back(client_of, staff, maths, role):
    rename(maths["lesson"], "Renamed")
    _newest, oldest = edits(maths["lesson"])
    browser = client_of(staff(role))
    url = reverse("admin:content_node_revert", args=[maths["lesson"].pk, oldest.id])
    assert browser.post(url).status_code == 403
    maths["lesson"].refresh_from_db()
    assert maths["lesson"].title == "Renamed"


def test_looking_at_the_way_back_changes_nothing(browser, maths):
    rename(maths["lesson"], "Renamed")
    oldest = edits(maths["lesson"])[-1]
    url = reverse("admin:content_node_revert", args=[maths["lesson"].pk, oldest.id])
    assert browser.get(url).status_code == 405


def test_containers_have_a_history_but_no_way_back(browser, maths):
    rename(maths["unit"], "Renamed")
    page = browser.get(history_url(maths["unit"])).content.decode()
    assert "Renamed" in page
    assert "Restore this version" not in page
    revert(browser, maths["unit"], edits(maths["unit"])[-1])
    maths["unit"].refresh_from_db()
    assert maths["unit"].title == "Renamed"


# --- Plans ------------------------------------------------------------------


def test_a_plans_history_has_its_subjects_and_overrides(browser, plan, maths):
    plan_services.set_override(plan=plan, target=maths["unit"], action="hide")
    AcademicPlan.objects.filter(pk=plan.pk).update(title="Renamed")
    page = browser.get(
        reverse("admin:plans_academicplan_history", args=[plan.pk])
    ).content.decode()
    assert "Mathematics&#x27;s unit" in page
    assert "Renamed" in page
    PlanOverride.objects.all().delete()
    assert PlanOverride.history.filter(history_type="-").count() == 1


def test_many_lessons_are_recorded_in_few_statements(django_assert_max_num_queries):
    branch = make_branch(lessons=30)
    # The keys, the subject's revision, the plans to wake, the update, all history rows
    # in one statement; and savepoints.
    with django_assert_max_num_queries(12):
        Node.objects.filter(subject=branch.subject).update(is_published=False)
