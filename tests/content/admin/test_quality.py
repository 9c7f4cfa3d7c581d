"""The quality report of a subject: its page, its command, and the links to it."""

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from content.curriculum import import_curriculum
from content.models import LessonStage, Node
from content.quality import report
from content.quality.findings import Problem
from publishing.building import builds
from tests.factories.content import make_stage, trash_node

pytestmark = pytest.mark.django_db

REAL = Path(__file__).parents[4] / "shared/data/python-programming.curriculum.json"


def page_of(subject):
    return reverse("admin:content_node_quality", args=[subject.pk])


def fill(lesson, count):
    """Add stages with a finding of most kinds each."""
    body = (
        '<p id="a">x <a href="#b">y</a> <a href="/x/LES-GONE">z</a><img src="/a"></p>'
    )
    for number in range(count):
        config = {"format": "html", "body": f"{body}<p>{number % 2}</p>"}
        make_stage(lesson, type="Text", title=f"Text {number}", config=config)


@pytest.fixture
def editors_browser(client_of, editor):
    return client_of(editor)


@pytest.fixture
def lesson(maths):
    return maths["lesson"]


def test_a_finding_opens_the_card_of_its_stage(editors_browser, maths, lesson):
    stage = make_stage(lesson, title="Reading <b>one</b>")
    page = editors_browser.get(page_of(maths["subject"])).content.decode()
    change = reverse("admin:content_node_change", args=[lesson.pk])
    assert f'href="{change}#{stage.public_id}"' in page
    assert "<bdi>Reading one</bdi>" in page


def test_a_finding_of_a_lesson_opens_its_page(editors_browser, maths, lesson):
    LessonStage.objects.filter(lesson=lesson).delete()
    page = editors_browser.get(page_of(maths["subject"]), {"kind": "empty_lesson"})
    change = reverse("admin:content_node_change", args=[lesson.pk])
    assert f'href="{change}"' in page.content.decode()


def test_findings_are_grouped_counted_filtered_and_paged(
    editors_browser, maths, lesson
):
    fill(lesson, 60)
    browser, address = editors_browser, page_of(maths["subject"])
    everything = browser.get(address).context
    assert dict(everything["counts"])[Problem.NO_ALT] == 60
    assert sum(len(lines) for _p, _c, lines in everything["groups"]) == 50
    last = browser.get(address, {"kind": "no_alt", "p": "1"}).context
    [(problem, count, lines)] = last["groups"]
    assert (problem, count, len(lines)) == (Problem.NO_ALT, 60, 10)
    assert last["next"] == ""


def test_a_kind_or_page_that_does_not_exist_is_ignored(editors_browser, maths, lesson):
    make_stage(lesson)
    page = editors_browser.get(page_of(maths["subject"]), {"kind": "x", "p": "9x"})
    assert page.context["kind"] == ""
    assert page.context["groups"]


def test_the_page_costs_the_same_queries_for_any_number(
    editors_browser, maths, lesson, django_assert_num_queries
):
    address = page_of(maths["subject"])
    editors_browser.get(address)
    for count in (3, 30):
        fill(lesson, count)
        # Session, user, two for permissions; the subject; its row, the nodes below it
        # and their stages; the nodes that links name; breadcrumbs.
        with django_assert_num_queries(10):
            editors_browser.get(address)


def test_what_is_in_the_trash_is_not_reported(maths, lesson):
    fill(lesson, 2)
    trash_node(node=lesson.parent)
    found = report.of_subject(maths["subject"].pk)
    assert not [one for one in found.findings if one.node.pk == lesson.pk]


def test_a_link_to_a_lesson_in_the_trash_is_broken(maths, lesson, physics):
    target = physics["lesson"]
    body = f'<p><a href="/x/{target.public_id}/">x</a></p>'
    make_stage(lesson, type="Text", config={"format": "html", "body": body})

    def reasons():
        found = report.of_subject(maths["subject"].pk).findings
        return [one.detail for one in found if one.problem == Problem.BROKEN_LINK]

    assert "has no such page" in reasons()[0]
    trash_node(node=target)
    assert f"there is no content with the id {target.public_id}" in reasons()[0]


def test_support_and_publishers_of_content_see_what_their_role_allows(
    client_of, support, publisher, maths
):
    address = page_of(maths["subject"])
    assert client_of(support).get(address).status_code == 403
    assert client_of(publisher).get(address).status_code == 200


def test_only_subjects_outside_of_the_trash_have_a_report(editors_browser, maths):
    assert editors_browser.get(page_of(maths["unit"])).status_code == 404
    trash_node(node=maths["subject"])
    assert editors_browser.get(page_of(maths["subject"])).status_code == 404


# --- Links to the page ---


def test_the_page_of_a_subject_links_to_its_report(editors_browser, maths):
    def links_of(node):
        change = reverse("admin:content_node_change", args=[node.pk])
        return editors_browser.get(change).content.decode()

    link = f'href="{page_of(maths["subject"])}"'
    assert link in links_of(maths["subject"])
    assert link not in links_of(maths["unit"])


def test_a_plan_links_to_the_reports_until_its_first_publish(
    client_of, publisher, plan, maths, worker_runs
):
    browser = client_of(publisher)
    change = reverse("admin:plans_academicplan_change", args=[plan.pk])
    link = f'href="{page_of(maths["subject"])}"'
    assert link in browser.get(change).content.decode()
    builds.publish_plan(plan.pk)
    assert link not in browser.get(change).content.decode()


# --- The command ---


def run(*arguments):
    out = StringIO()
    call_command("content_quality", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_prints_each_finding_with_its_ids(maths, lesson):
    stage = make_stage(lesson, title="Reading")
    printed = run(maths["subject"].public_id)
    assert f"{lesson.public_id} {lesson.title} › {stage.public_id} Reading" in printed


def test_the_command_prints_json_with_counts_and_places(maths, lesson):
    fill(lesson, 1)
    answer = json.loads(run(maths["subject"].public_id, "--json"))
    assert answer["counts"]["no_alt"] == 1
    [found] = [one for one in answer["findings"] if one["kind"] == "no_alt"]
    assert (found["node"], found["path"]) == (lesson.public_id, "body")


def test_the_command_names_a_subject_that_does_not_exist():
    with pytest.raises(CommandError, match="There is no subject “SUBJ-NONE”"):
        run("SUBJ-NONE")


@pytest.mark.shared
@pytest.mark.skipif(not REAL.exists(), reason="the reference material is missing")
def test_a_real_subject_costs_three_queries(django_assert_num_queries):
    import_curriculum(REAL.read_bytes())
    subject = Node.objects.subjects().get()
    with django_assert_num_queries(3):
        found = report.of_subject(subject.pk)
    assert found.lessons == 383
