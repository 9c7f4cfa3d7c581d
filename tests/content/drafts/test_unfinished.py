"""Lessons that are saved before they are complete."""

import pytest
from django.urls import reverse

from content import services
from content.models import FormDraft, LessonStage, Node, UnfinishedLesson
from tests.admin_fixtures import messages_of
from tests.content.admin.test_forms import change_url, stages
from tests.content.drafts.test_drafts import send
from tests.content.drafts.test_merging import added, body, opened, save, titles

pytestmark = pytest.mark.django_db

UNFINISHED = {"stages-1-config": "{}"}
TREE = reverse("admin:content_node_changelist")


@pytest.fixture
def lesson(maths):
    lesson = maths["lesson"]
    for place, title in enumerate(["One", "Two"], start=1):
        config = {"format": "markdown", "body": f"text of {title}"}
        LessonStage.objects.create(
            lesson=lesson, position=place, type="Text", title=title, config=config
        )
    return lesson


def test_an_unfinished_lesson_is_saved_and_students_keep_the_complete_one(
    browser, lesson
):
    before = list(lesson.stages.values())
    data = opened(browser, lesson)
    answer = save(browser, lesson, data, title="New title", **UNFINISHED)
    assert answer.status_code == 302
    assert UnfinishedLesson.objects.get().lesson == lesson
    assert list(lesson.stages.values()) == before
    assert Node.objects.get(pk=lesson.pk).title == lesson.title


def test_its_page_says_what_is_missing_with_a_link_to_the_card(browser, lesson):
    save(browser, lesson, opened(browser, lesson), title="New title", **UNFINISHED)
    page = browser.get(change_url(lesson)).content.decode()
    assert "This lesson is not finished" in page
    assert 'href="#stages-1"' in page
    assert 'value="New title"' in page


def test_every_editor_of_the_lesson_sees_it(browser, client_of, editor, lesson):
    save(browser, lesson, opened(browser, lesson), title="New title", **UNFINISHED)
    page = client_of(editor).get(change_url(lesson)).content.decode()
    assert 'value="New title"' in page


def test_the_tree_says_that_it_is_not_finished(browser, lesson, maths):
    save(browser, lesson, opened(browser, lesson), **UNFINISHED)
    url = reverse("admin:content_node_branch", args=[maths["topic"].pk])
    assert browser.get(url).content.decode().count("Not finished") == 1


def test_completing_it_publishes_all_of_it(browser, lesson):
    data = opened(browser, lesson)
    changes = {**added(data, "Three", 3), "stages-2-config": "{}", "title": "New title"}
    save(browser, lesson, data, **changes)
    data = opened(browser, lesson)
    assert (
        save(browser, lesson, data, **{"stages-2-config": body("c")}).status_code == 302
    )
    assert titles(lesson) == ["One", "Two", "Three"]
    assert Node.objects.get(pk=lesson.pk).title == "New title"
    assert not UnfinishedLesson.objects.exists()


def test_a_stage_to_delete_is_deleted_when_the_lesson_is_complete(browser, lesson):
    data = opened(browser, lesson)
    save(browser, lesson, data, **{"stages-0-DELETE": "on"}, **UNFINISHED)
    assert titles(lesson) == ["One", "Two"]
    data = opened(browser, lesson)
    save(browser, lesson, data, **{"stages-1-config": body("complete")})
    assert titles(lesson) == ["Two"]


def test_a_new_lesson_is_created_as_a_draft(browser, maths):
    add = f"{reverse('admin:content_node_add')}?parent={maths['topic'].pk}"
    rows = [{"title": "Half", "config": "{}", "position": 1}]
    data = {"title": "New", "base_xp": 10, "is_published": "on"}
    answer = browser.post(add, {**data, **stages(rows)}, follow=True)
    lesson = Node.objects.get(title="New")
    assert answer.redirect_chain[-1][0] == change_url(lesson)
    assert not lesson.is_published
    assert "not finished" in messages_of(answer)[0]
    filled = {"stages-0-config": body("complete")}
    save(browser, lesson, opened(browser, lesson), **filled)
    lesson.refresh_from_db()
    assert lesson.is_published
    assert titles(lesson) == ["Half"]


def test_it_is_discarded_for_the_complete_version(browser, lesson):
    save(browser, lesson, opened(browser, lesson), title="New title", **UNFINISHED)
    send(browser, lesson.pk, discard_unfinished=True)
    page = browser.get(change_url(lesson)).content.decode()
    assert "New title" not in page
    assert not UnfinishedLesson.objects.exists()


def test_saving_it_deletes_the_editors_own_draft(browser, lesson):
    data = opened(browser, lesson)
    send(browser, lesson.pk, fields=list({**data, **UNFINISHED}.items()))
    save(browser, lesson, data, **UNFINISHED)
    assert not FormDraft.objects.exists()


def test_two_editors_of_an_unfinished_lesson_are_merged(browser, lesson):
    data = opened(browser, lesson)
    new = {**added(data, "Three", 3), "stages-2-config": "{}"}
    save(browser, lesson, data, **new)
    mine, theirs = opened(browser, lesson), opened(browser, lesson)
    save(browser, lesson, theirs, **{"stages-0-title": "Theirs"})
    save(browser, lesson, mine, **{"stages-2-config": body("c")})
    assert titles(lesson) == ["Theirs", "Two", "Three"]


def test_the_same_new_stage_written_by_both_is_chosen(browser, lesson):
    data = opened(browser, lesson)
    new = {**added(data, "Three", 3), "stages-2-config": "{}"}
    save(browser, lesson, data, **new)
    mine, theirs = opened(browser, lesson), opened(browser, lesson)
    save(browser, lesson, theirs, **{"stages-2-title": "Theirs"})
    refused = save(browser, lesson, mine, **{"stages-2-config": body("mine")})
    [conflict] = refused.context["conflicts"]
    assert conflict.title == "Three"


def test_a_lesson_without_a_title_is_refused(browser, lesson):
    data = opened(browser, lesson)
    assert save(browser, lesson, data, title="", **UNFINISHED).status_code == 200
    assert not UnfinishedLesson.objects.exists()


def test_it_is_deleted_with_the_lesson(browser, lesson):
    save(browser, lesson, opened(browser, lesson), **UNFINISHED)
    services.delete_node(node=lesson)
    assert not UnfinishedLesson.objects.exists()


def test_it_stays_without_a_name_when_the_account_is_deleted(
    browser, superuser, client_of, editor, lesson
):
    writer = client_of(editor)
    save(writer, lesson, opened(writer, lesson), **UNFINISHED)
    editor.delete()
    assert UnfinishedLesson.objects.get().saved_by is None
    assert (
        "This lesson is not finished"
        in browser.get(change_url(lesson)).content.decode()
    )
