"""The admin's pages of statistics: of a lesson, of the lessons of a node, of a class."""

import csv
import re
from datetime import timedelta

import pytest
import time_machine
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from content.models import Node
from plans.models import AcademicPlan
from plans.services import add_subject
from players import roles, wallet_sync
from players.models import Entitlement, PlayerProfile, StudyGroup, User
from players.services import groups
from progress.models import LessonStatistics
from progress.services import (
    completion,
    lesson_counting,
    lesson_statistics,
    snapshots,
)
from tests.factories.content import plant
from tests.factories.progress import make_interaction
from tests.progress.conftest import (
    MONDAY,
    PASSWORD,
    enrolled,
    make_subject,
    publish,
)
from tests.progress.services.test_lesson_counting import answer

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clock():
    with time_machine.travel(MONDAY, tick=False) as traveller:
        yield traveller


@pytest.fixture
def browser_of(db):
    """Return a function that signs a member of staff with a role in."""

    def sign_in(role: str) -> Client:
        user = User.objects.create_user(
            f"{role.split()[0]}@example.com", PASSWORD, is_staff=True
        )
        user.groups.add(Group.objects.get(name=role))
        client = Client()
        client.force_login(user, "django.contrib.auth.backends.ModelBackend")
        return client

    return sign_in


@pytest.fixture
def support(browser_of) -> Client:
    return browser_of(roles.SUPPORT)


@pytest.fixture
def other(plan) -> PlayerProfile:
    return enrolled(plan, "badr@example.com")


@pytest.fixture
def group(plan, student) -> StudyGroup:
    made = StudyGroup.objects.create(name="5 A", plan=plan)
    groups.add_members([(made.pk, student.pk)])
    return made


@pytest.fixture
def played(student, other, finish) -> None:
    """Amal has passed two lessons, Badr has failed the first one."""
    finish("0-0", 4)
    finish("0-1", 2)
    make_interaction(
        other,
        type="lesson_failed",
        reference_id="LES-MATH-0-0",
        subject_id="SUBJ-MATH",
        hearts=0,
        received_at=MONDAY,
    )
    answer(other, "Q1-MATH-0-0", 1, "LES-MATH-0-0")
    lesson_counting.sync_pending()
    snapshots.sync_pending()
    wallet_sync.sync_pending_wallets()


def address(place: str, page: str = "progress_statistics") -> str:
    return reverse(f"admin:{page}", args=[Node.objects.get(public_id=place).pk])


def text_of(browser: Client, url: str) -> str:
    page = browser.get(url)
    assert page.status_code == 200
    content = re.sub("[\u2066-\u2069]", "", page.content.decode())
    content = re.sub(r"<(style|script|svg)\b.*?</\1>", " ", content, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", content.replace("\xa0", " ")))


def lines_of(browser: Client, url: str) -> list[dict[str, str]]:
    answer = browser.get(url)
    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(answer.content.decode("utf-8-sig").splitlines()))


# --- Lessons --------------------------------------------------------------------------


def test_a_unit_lists_its_lessons_with_their_figures(browser_of, played):
    page = text_of(browser_of(roles.CONTENT_EDITORS), address("UNIT-MATH-0"))
    assert "1. Lesson 0.0 2 1 (50%) 2 4.0 100% at once 1 (50%)" in page
    assert "2. Lesson 0.1 1 1 (100%) 1 2.0 100% at once –" in page
    assert "2 students have started the first lesson, 1 the last one." in page
    assert "1 + 1? failed once · 1 student" in page
    assert "Lesson 1.0" not in page


def test_a_lesson_has_its_figures_and_a_chart_of_the_time_to_pass(browser_of, played):
    page = text_of(browser_of(roles.CONTENT_EDITORS), address("LES-MATH-0-0"))
    assert "Started 2 Passed 1 50% Not passed 1 Attempts 2" in page
    assert "Students who passed: 1. With the first attempt: 1." in page


def test_the_page_of_a_lesson_has_its_figures_beside_the_form(browser_of, played):
    lesson = Node.objects.get(public_id="LES-MATH-0-0")
    url = reverse("admin:content_node_change", args=[lesson.pk])
    editor = text_of(browser_of(roles.CONTENT_EDITORS), url)
    assert "Started: 2 · Passed: 1 (50%) · Average hearts: 4.0 Statistics" in editor
    assert "Average hearts" not in text_of(browser_of(roles.PUBLISHERS), url)


def test_figures_are_filtered_by_class_and_by_plan(support, played, group, plan):
    url = address("UNIT-MATH-0")
    first = "1. Lesson 0.0 1 1 (100%) 1 4.0"
    assert first in text_of(support, f"{url}?group={group.pk}")
    assert "1 student selected." in text_of(support, f"{url}?group={group.pk}")
    assert "No review has failed yet." in text_of(support, f"{url}?group={group.pk}")
    assert "1. Lesson 0.0 2 1 (50%)" in text_of(support, f"{url}?plan={plan.pk}")
    empty = AcademicPlan.objects.create(title="Empty")
    assert "1. Lesson 0.0 0 0 0 –" in text_of(support, f"{url}?plan={empty.pk}")
    both = text_of(support, f"{url}?plan={plan.pk}&group={group.pk}")
    assert first in both


def test_a_class_tells_who_fails_a_question_again_and_again(
    support, student, other, group, finish, settings
):
    settings.REVIEW_LEECH_FAILURES = 2
    finish("0-0", 4)
    answer(student, "Q1-MATH-0-0", 1, "LES-MATH-0-0")
    lesson_counting.sync_pending()
    url = f"{address('LES-MATH-0-0')}?group={group.pk}"
    assert "again and again" not in text_of(support, url)
    answer(student, "Q1-MATH-0-0", 1, "LES-MATH-0-0")
    lesson_counting.sync_pending()
    page = text_of(support, url)
    assert "failed 2 times · 1 student · 1 student fails it again and again" in page
    assert "again and again" not in text_of(support, address("LES-MATH-0-0"))


def test_editors_cannot_choose_a_class_nor_see_a_student(browser_of, played, group):
    editor = browser_of(roles.CONTENT_EDITORS)
    page = text_of(editor, f"{address('UNIT-MATH-0')}?group={group.pk}")
    assert "1. Lesson 0.0 2 1 (50%)" in page
    assert "5 A" not in page
    assert "Amal" not in page


def test_all_lessons_are_exported(support, played):
    url = address("SUBJ-MATH", "progress_statistics_export")
    first, second, third, last = lines_of(support, url)
    assert first == {
        "Lesson id": "LES-MATH-0-0",
        "Unit": "Unit 0",
        "Topic": "Topic 0",
        "Lesson": "Lesson 0.0",
        "Started": "2",
        "Passed": "1",
        "Not passed": "1",
        "Attempts": "2",
        "Average hearts": "4.0",
        "Passed at once": "1",
        "Passed within an hour": "0",
        "Passed within a day": "0",
        "Passed within a week": "0",
        "Passed later": "0",
        "Did not start the next lesson": "1",
    }
    assert (second["Started"], third["Started"], last["Started"]) == ("1", "0", "0")


def test_a_class_that_is_too_large_is_told_to_choose_a_unit(
    support, played, group, monkeypatch
):
    monkeypatch.setattr(lesson_statistics, "MOST_ROWS", 1)
    page = support.get(f"{address('SUBJ-MATH')}?group={group.pk}")
    assert "Choose a unit or a topic" in page.content.decode()
    export = address("SUBJ-MATH", "progress_statistics_export")
    refused = support.get(f"{export}?group={group.pk}")
    assert refused.status_code == 400
    assert "Choose a unit or a topic" in refused.content.decode()


def test_many_lessons_are_shown_in_pages(support, played, monkeypatch):
    monkeypatch.setattr(lesson_statistics, "PAGE", 2)
    first = text_of(support, address("SUBJ-MATH"))
    assert "2. Lesson 0.1" in first
    assert "3. Lesson 1.0" not in first
    second = text_of(support, f"{address('SUBJ-MATH')}?p=1")
    assert "3. Lesson 1.0" in second
    assert "Next ›" in first
    assert "Next ›" not in second
    assert "There are no lessons here." in text_of(
        support, f"{address('SUBJ-MATH')}?p=7"
    )


@pytest.mark.parametrize("values", ["plan=x&group=-1&p=y", "plan=9" * 30, "p=999999"])
def test_wrong_filters_are_ignored(support, played, values):
    assert support.get(f"{address('UNIT-MATH-0')}?{values}").status_code == 200


def test_a_node_that_is_missing_is_not_found(support, plan):
    url = reverse("admin:progress_statistics", args=[10**17])
    assert support.get(url).status_code == 404


def queries_of(browser: Client, url: str) -> int:
    browser.get(url)  # fills the caches
    with CaptureQueriesContext(connection) as captured:
        assert browser.get(url).status_code == 200
    return len(captured)


def test_a_page_takes_the_same_queries_however_much_there_is(
    support, student, played, group, plan
):
    urls = [
        address("SUBJ-MATH"),
        f"{address('SUBJ-MATH')}?group={group.pk}",
        address("LES-MATH-0-0"),
        address("SUBJ-MATH", "progress_statistics_export"),
        reverse("admin:progress_class", args=[group.pk]),
        reverse("admin:progress_class_export", args=[group.pk]),
    ]
    few = [queries_of(support, url) for url in urls]
    plant("HUGE", lessons=300)
    add_subject(plan=plan, subject=Node.objects.get(public_id="SUBJ-HUGE"))
    publish(plan)
    LessonStatistics.objects.bulk_create(
        LessonStatistics(lesson_id=lesson, plan_number=number, started=9, attempts=9)
        for lesson in Node.objects.filter(kind="lesson").values_list(
            "public_id", flat=True
        )
        for number in range(90, 95)
    )
    for number in range(8):
        more = enrolled(plan, f"more{number}@example.com")
        groups.add_members([(group.pk, more.pk)])
        Entitlement.objects.create(player=more, item=f"ITEM-{number}")
        completion.complete(
            player_id=more.pk,
            lesson_id="LES-MATH-0-0",
            hearts=3,
            idempotency_key=None,
            now=MONDAY,
        )
        answer(more, "Q1-MATH-0-0", 1, "LES-MATH-0-0")
        StudyGroup.objects.create(name=f"Group {number}")
        AcademicPlan.objects.create(title=f"Plan {number}")
    lesson_counting.sync_pending()
    snapshots.sync_pending()
    assert [queries_of(support, url) for url in urls] == few
    # Session, user, permissions (2), and: the node; lessons, sums, questions, their
    # texts, number of lessons, the last run; plans and groups; sums alone for the file.
    # The class: the group; members, players, enrolments, products, progress, titles.
    assert few == [13, 14, 13, 7, 11, 11]


# --- A class --------------------------------------------------------------------------


def test_a_class_shows_where_each_student_is(support, played, group, other):
    groups.add_members([(group.pk, other.pk)])
    page = text_of(support, reverse("admin:progress_class", args=[group.pk]))
    assert "2 students. 1 student was not seen for a week." in page
    assert re.search(r"Amal .* 1 \d+ .*: 2 of 4 Lesson 1\.0", page)


def test_who_was_not_seen_for_a_week_is_listed(browser_of, played, group, other, clock):
    groups.add_members([(group.pk, other.pk)])
    PlayerProfile.objects.filter(pk=other.pk).update(school_number="S-7")
    User.objects.filter(pk=other.user_id).update(full_name="Badr")
    clock.shift(timedelta(days=7, minutes=1))
    completion.complete(
        player_id=other.pk,
        lesson_id="LES-MATH-0-0",
        hearts=3,
        idempotency_key=None,
        now=MONDAY + timedelta(days=7, minutes=1),
    )
    wallet_sync.sync_pending_wallets()
    support = browser_of(roles.SUPPORT)
    url = reverse("admin:progress_class", args=[group.pk])
    page = text_of(support, url)
    assert "1 student was not seen for a week." in page
    assert re.search(r"Amal ! Not for a week", page)
    absent = text_of(support, f"{url}?absent=1")
    assert "Amal" in absent
    assert "Badr" not in absent


def test_a_student_without_a_published_plan_is_listed(support, group, student):
    PlayerProfile.objects.filter(pk=student.pk).update(active_plan=None)
    page = text_of(support, reverse("admin:progress_class", args=[group.pk]))
    assert "Amal ! Never 0 0 no active plan that is published" in page


def test_products_that_have_ended_do_not_count(support, plan, group, student, played):
    add_subject(plan=plan, subject=make_subject("PHYS"))
    Node.objects.filter(public_id="SUBJ-PHYS").update(required_item="PHYS")
    Node.objects.get(public_id="SUBJ-PHYS").save()
    publish(plan)
    url = reverse("admin:progress_class_export", args=[group.pk])
    held = Entitlement.objects.create(
        player=student, item="PHYS", valid_until=MONDAY + timedelta(hours=1)
    )
    assert [line["Next lesson"] for line in lines_of(support, url)][1] == "Lesson 0.0"
    held.valid_until = MONDAY - timedelta(hours=1)
    held.save()
    assert [line["Next lesson"] for line in lines_of(support, url)][1] == ""


def test_a_class_is_exported_with_a_line_for_each_subject(support, played, group):
    (line,) = lines_of(support, reverse("admin:progress_class_export", args=[group.pk]))
    assert line.pop("XP").isdecimal()
    assert line == {
        "Student": "Amal",
        "School number": "",
        "Plan": "Grade 5",
        "Last seen (UTC)": "2026-03-02T12:00:00Z",
        "Not seen for a week": "",
        "Streak (days)": "1",
        "Subject": line["Subject"],
        "Lessons passed": "2",
        "Lessons": "4",
        "Next lesson": "Lesson 1.0",
    }


def test_a_group_s_page_leads_to_its_class_view(support, group):
    url = reverse("admin:players_studygroup_change", args=[group.pk])
    assert reverse("admin:progress_class", args=[group.pk]) in (
        support.get(url).content.decode()
    )


def test_editors_do_not_see_a_class(browser_of, group):
    editor = browser_of(roles.CONTENT_EDITORS)
    for name in ("progress_class", "progress_class_export"):
        url = reverse(f"admin:{name}", args=[group.pk])
        assert editor.get(url).status_code == 403
