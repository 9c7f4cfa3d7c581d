"""Drafts of forms: stored, shown again, deleted, and private to their editor."""

import json
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from content.drafts import presence, storage
from content.models import FormDraft, Node
from plans.models import AcademicPlan
from tests.content.admin.test_forms import change_url, stages

pytestmark = pytest.mark.django_db

NODE_DRAFT = reverse("admin:content_node_draft")
PLAN_DRAFT = reverse("admin:plans_academicplan_draft")


def send(browser, page, url=NODE_DRAFT, **values):
    body = json.dumps({"page": str(page), **values})
    return browser.post(url, body, content_type="application/json")


def fields(**values):
    return [[name, str(value)] for name, value in values.items()]


def of_lesson(lesson, stage, **values):
    """The fields of a lesson's page with one stage."""
    rows = [{"id": stage.pk, "lesson": lesson.pk, "title": stage.title, "position": 1}]
    posted = {"title": lesson.title, "base_xp": 10, **stages(rows, initial=1), **values}
    return fields(**posted)


def test_a_draft_is_shown_again_with_a_notice(browser, maths, stage):
    lesson = maths["lesson"]
    values = {"title": "Written", "stages-0-title": "Half a ti"}
    assert send(browser, lesson.pk, fields=of_lesson(lesson, stage, **values)).json()
    page = browser.get(change_url(lesson)).content.decode()
    assert "Your unsaved changes of" in page
    assert 'value="Written"' in page
    assert 'value="Half a ti"' in page


def test_a_draft_changes_nothing_that_is_published(browser, maths, stage):
    lesson = maths["lesson"]
    before = Node.objects.get(pk=lesson.pk).updated_at
    send(browser, lesson.pk, fields=of_lesson(lesson, stage, title="Written"))
    browser.get(change_url(lesson))
    assert Node.objects.get(pk=lesson.pk).title == lesson.title
    assert Node.objects.get(pk=lesson.pk).updated_at == before


def test_an_incomplete_draft_is_shown_with_what_is_wrong(browser, maths, stage):
    lesson = maths["lesson"]
    values = {"stages-0-title": ""}
    send(browser, lesson.pk, fields=of_lesson(lesson, stage, **values))
    assert 'href="#stages-0"' in browser.get(change_url(lesson)).content.decode()


def test_saving_deletes_the_draft(browser, maths, stage):
    lesson = maths["lesson"]
    draft = of_lesson(lesson, stage, title="Written")
    send(browser, lesson.pk, fields=draft)
    browser.post(change_url(lesson), dict(draft))
    assert Node.objects.get(pk=lesson.pk).title == "Written"
    assert not FormDraft.objects.exists()


def test_a_refused_form_keeps_the_draft(browser, maths, stage):
    lesson = maths["lesson"]
    draft = of_lesson(lesson, stage, title="")
    send(browser, lesson.pk, fields=draft)
    browser.post(change_url(lesson), dict(draft))
    assert FormDraft.objects.count() == 1


def test_a_draft_is_discarded(browser, maths, stage):
    lesson = maths["lesson"]
    send(browser, lesson.pk, fields=of_lesson(lesson, stage, title="Written"))
    send(browser, lesson.pk, discard=True)
    assert "Written" not in browser.get(change_url(lesson)).content.decode()


def test_a_new_entrys_draft_belongs_to_its_place(browser, maths):
    topic, unit = maths["topic"], maths["unit"]
    draft = fields(title="New here", base_xp=10, **stages())
    send(browser, f"new/{topic.pk}", fields=draft)
    add = reverse("admin:content_node_add")
    assert "New here" in browser.get(f"{add}?parent={topic.pk}").content.decode()
    assert "New here" not in browser.get(f"{add}?parent={unit.pk}").content.decode()
    browser.post(f"{add}?parent={topic.pk}", dict(draft))
    assert Node.objects.filter(title="New here").exists()
    assert not FormDraft.objects.exists()


def test_another_editor_sees_that_there_is_a_draft_and_not_what_is_in_it(
    browser, client_of, editor, maths, stage
):
    lesson = maths["lesson"]
    send(browser, lesson.pk, fields=of_lesson(lesson, stage, title="Written"))
    other = client_of(editor)
    page = other.get(change_url(lesson)).content.decode()
    assert "has unsaved changes on this page" in page
    assert "Written" not in page


def test_a_user_who_may_not_change_the_page_stores_nothing(client_of, publisher, maths):
    refused = send(client_of(publisher), maths["lesson"].pk, fields=fields(title="X"))
    assert refused.status_code == 403
    assert not FormDraft.objects.exists()


@pytest.mark.parametrize(
    "body",
    ["", "[]", "{}", '{"page": "1", "fields": 5}', '{"page": [], "fields": [1]}'],
)
def test_a_body_that_the_page_never_sends_is_refused(browser, body):
    refused = browser.post(NODE_DRAFT, body, content_type="application/json")
    assert refused.status_code in (400, 404)


def test_a_draft_of_no_row_is_refused(browser):
    assert send(browser, 10**12, fields=fields(title="X")).status_code == 404


def test_a_draft_that_is_too_large_is_refused_with_the_reason(
    browser, maths, monkeypatch
):
    monkeypatch.setattr(storage, "MAX_BYTES", 1000)
    refused = send(browser, maths["lesson"].pk, fields=fields(title="ب" * 500))
    assert refused.status_code == 409
    assert "too large" in refused.json()["error"]


def test_an_editor_has_a_limited_number_of_drafts(editor, monkeypatch):
    monkeypatch.setattr(storage, "MAX_PER_USER", 2)
    now = timezone.now()
    for minute in range(3):
        storage.save(
            user_pk=editor.pk,
            page=f"content.node/{minute}",
            fields=[],
            now=now + timedelta(minutes=minute),
        )
    kept = FormDraft.objects.order_by("page").values_list("page", flat=True)
    assert list(kept) == ["content.node/1", "content.node/2"]


def test_old_drafts_are_deleted(editor, settings):
    settings.DRAFT_DAYS = 30
    now = timezone.now()
    for days in (29, 31):
        storage.save(
            user_pk=editor.pk,
            page=f"content.node/{days}",
            fields=[],
            now=now - timedelta(days=days),
        )
    assert storage.delete_expired(now) == 1
    assert FormDraft.objects.get().page == "content.node/29"


def test_drafts_are_deleted_with_the_account(editor):
    storage.save(
        user_pk=editor.pk, page="content.node/1", fields=[], now=timezone.now()
    )
    editor.delete()
    assert not FormDraft.objects.exists()


# --- Plans ---------------------------------------------------------------------------


def of_plan(plan, **values):
    management = {
        f"{prefix}-{name}_FORMS": count
        for prefix in ("plan_subjects", "sync_logs")
        for name, count in [
            ("TOTAL", 0),
            ("INITIAL", 0),
            ("MIN_NUM", 0),
            ("MAX_NUM", 1000),
        ]
    }
    return fields(title=plan.title, **management, **values)


def test_a_plans_draft_with_a_new_subject_is_shown_again(browser, maths, db):
    plan = AcademicPlan.objects.create(title="Grade 12")
    url = reverse("admin:plans_academicplan_change", args=[plan.pk])
    draft = dict(of_plan(plan))
    draft |= {
        "title": "Grade 13",
        "plan_subjects-TOTAL_FORMS": "1",
        "plan_subjects-0-subject": str(maths["subject"].pk),
        "plan_subjects-0-plan": str(plan.pk),
    }
    send(browser, plan.pk, PLAN_DRAFT, fields=list(draft.items()))
    page = browser.get(url).content.decode()
    assert 'value="Grade 13"' in page
    assert f'<option value="{maths["subject"].pk}" selected>' in page
    assert not plan.plan_subjects.exists()


def test_a_plan_saved_by_another_editor_is_said_to_be_newer_than_the_draft(browser, db):
    plan = AcademicPlan.objects.create(title="Grade 12")
    url = reverse("admin:plans_academicplan_change", args=[plan.pk])
    draft = dict(of_plan(plan, seen="an older version"))
    send(browser, plan.pk, PLAN_DRAFT, fields=list({**draft, "title": "Mine"}.items()))
    page = browser.get(url)
    assert "Another user has saved this page" in page.content.decode()
    seen = page.context["adminform"].form["seen"].value()
    browser.post(url, {**draft, "title": "Mine", "seen": seen})
    plan.refresh_from_db()
    assert plan.title == "Mine"


# --- Who else has the page open --------------------------------------------------------


def test_two_editors_of_a_page_see_each_other(
    browser, superuser, client_of, editor, maths
):
    page = maths["lesson"].pk
    assert send(browser, page).json()["others"] == []
    second = client_of(editor)
    assert send(second, page).json()["others"] == [str(superuser)]


def test_an_editor_whose_browser_is_silent_is_not_named(editor):
    now = timezone.now()
    presence.sign(page="content.node/1", user_pk=1, now=now)
    later = now + timedelta(minutes=2)
    assert presence.sign(page="content.node/1", user_pk=2, now=later) == []


def test_without_redis_drafts_are_stored_and_nobody_is_named(browser, maths, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1"
    answer = send(browser, maths["lesson"].pk, fields=fields(title="X"))
    assert answer.json()["others"] == []
    assert FormDraft.objects.count() == 1
