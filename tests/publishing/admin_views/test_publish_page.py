"""What the page says after "Publish now", and the filter of the sync log."""

import re

import pytest
from django.urls import reverse

from content.models import LessonStage
from plans.models import AcademicPlan
from publishing import tasks
from publishing.admin_views.labels import TRIGGERS
from publishing.building import builds
from publishing.models import Publication, SyncLog, SyncStatus
from tests.admin_fixtures import *  # noqa: F403 - pytest finds fixtures by their names
from tests.admin_fixtures import messages_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def queued(monkeypatch, worker_runs) -> list[tuple]:
    """Return the builds that were sent to a worker; the test does its work itself."""
    sent: list[tuple] = []
    monkeypatch.setattr(tasks.publish_plan, "delay", lambda *args: sent.append(args))
    return sent


def publish(browser, plan, **sent):
    url = reverse("admin:publishing_publish_plan", args=[plan.pk])
    return browser.post(url, sent, follow=True)


def result(page) -> tuple[str, str]:
    """Return the text of the live region, and whether the script goes on asking."""
    html = page.content.decode()
    text = re.search(r'<p role="status"[^>]*>(.*?)</p>', html, re.DOTALL)[1]
    running = re.search(r'data-running="(\w+)"', html)[1]
    return re.sub(r"<[^>]+>", "", text).strip(), running


def ask_again(browser, page):
    """Request the head again, as the script does."""
    html = page.content.decode()
    url = re.search(r'data-url="([^"]+)"', html)[1].replace("&amp;", "&")
    return result(browser.get(url))


def test_the_page_follows_a_publish_until_it_is_done(browser, plan, queued):
    page = publish(browser, plan)
    assert result(page) == ("Publishing starts soon…", "true")
    SyncLog.objects.update(status=SyncStatus.PROCESSING)
    assert ask_again(browser, page) == ("Publishing now…", "true")
    SyncLog.objects.update(status=SyncStatus.QUEUED)
    tasks.publish_plan(*queued[0])
    text, running = ask_again(browser, page)
    assert re.fullmatch(r"Done: generation 1, \d+ files changed\.", text)
    assert running == "false"


def test_a_failed_publish_says_why(browser, plan, stage, queued):
    LessonStage.objects.filter(pk=stage.pk).update(title="")
    page = publish(browser, plan)
    tasks.publish_plan(*queued[0])
    text, running = ask_again(browser, page)
    assert text.startswith("Publishing failed: lessons/")
    assert "title" in text
    assert running == "false"


def test_a_publish_that_changes_no_file_says_so(browser, plan, queued):
    builds.publish_plan(plan.pk)
    plan.save()  # raises the revision, and changes nothing that is published
    page = publish(browser, plan)
    tasks.publish_plan(*queued[0])
    assert ask_again(browser, page) == (
        "Done. Nothing has changed: the release was up to date.",
        "false",
    )


def test_what_another_build_has_published_is_said(browser, plan, queued):
    page = publish(browser, plan)
    SyncLog.objects.update(status=SyncStatus.SUPERSEDED)
    assert ask_again(browser, page)[0].startswith("Done. Nothing has changed")


def test_an_upload_is_followed_too(browser, plan, queued):
    page = publish(browser, plan)
    SyncLog.objects.update(step="upload")
    assert ask_again(browser, page) == (
        "Published on this server. The upload to the CDN goes on.",
        "true",
    )
    SyncLog.objects.update(status=SyncStatus.QUEUED, error="The bucket is missing.")
    text, running = ask_again(browser, page)
    assert text.endswith("the upload failed: The bucket is missing.")
    assert running == "false"


def test_a_run_of_another_plan_is_not_shown(browser, plan, queued):
    other = AcademicPlan.objects.create(title="Other", is_published=True)
    publish(browser, other)
    run = SyncLog.objects.get(plan=other)
    url = reverse("admin:publishing_plan_head", args=[plan.pk])
    assert result(browser.get(url, {"run": run.pk}))[0] == ""


def test_the_publish_stays_on_its_tab(browser, plan, queued):
    page = publish(browser, plan, tab="upcoming")
    path, _query = page.redirect_chain[-1][0].split("?")
    assert path == reverse("admin:publishing_upcoming", args=[plan.pk])


def test_a_draft_is_published_where_its_changes_are_shown(browser, plan, queued):
    AcademicPlan.objects.filter(pk=plan.pk).update(is_published=False)
    upcoming = reverse("admin:publishing_upcoming", args=[plan.pk])
    page = browser.get(upcoming).content.decode()
    assert "Publishing it adds these files" in page
    assert "Publish this plan" in page
    answer = publish(browser, plan, tab="upcoming", offer="1")
    assert result(answer)[1] == "true"
    tasks.publish_plan(*queued[0])
    assert Publication.objects.get().generation == 1


def test_a_withdrawn_draft_is_kept_published_there(browser, plan, queued):
    builds.publish_plan(plan.pk)
    AcademicPlan.objects.filter(pk=plan.pk).update(is_published=False)
    upcoming = reverse("admin:publishing_upcoming", args=[plan.pk])
    assert "Keep this plan published" in browser.get(upcoming).content.decode()
    publish(browser, plan, offer="1")
    assert AcademicPlan.objects.get(pk=plan.pk).is_published


def test_who_may_not_publish_gets_no_button(client_of, editor, plan):
    AcademicPlan.objects.filter(pk=plan.pk).update(is_published=False)
    upcoming = reverse("admin:publishing_upcoming", args=[plan.pk])
    browser = client_of(editor)
    assert "Publish this plan" not in browser.get(upcoming).content.decode()
    assert publish(browser, plan, offer="1").status_code == 403
    assert not AcademicPlan.objects.get(pk=plan.pk).is_published


def test_a_second_publish_says_that_nothing_waits(browser, plan, queued):
    builds.publish_plan(plan.pk)
    assert "Nothing has changed" in messages_of(publish(browser, plan))[0]
    assert not queued


def test_the_sync_log_is_filtered_in_words(browser, plan):
    builds.publish_plan(plan.pk, trigger="admin")
    url = reverse("admin:publishing_synclog_changelist")
    page = browser.get(url).content.decode()
    for words in TRIGGERS.values():
        assert str(words) in page
    for trigger, count in (("admin", 1), ("rollback", 0)):
        found = browser.get(url, {"trigger": trigger}).context["cl"]
        assert found.result_count == count
