"""The admin's pages on which staff grant and reset lessons of a student."""

import re

import pytest
import time_machine
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from plans.services import set_override
from players import roles
from players.models import User
from players.services import wallet
from progress.models import InteractionLog
from progress.services import grants, progress
from tests.progress.conftest import MONDAY, PASSWORD, publish

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clock():
    with time_machine.travel(MONDAY, tick=False):
        yield


def signed_in(role: str) -> Client:
    user = User.objects.create_user(
        f"{role.split()[0]}@example.com", PASSWORD, full_name="Sami", is_staff=True
    )
    user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def browser(db) -> Client:
    return signed_in(roles.SUPPORT)


def address(student, change: str, node: str) -> str:
    return reverse(f"admin:progress_{change}", args=[student.pk]) + f"?node={node}"


def text_of(page) -> str:
    text = re.sub("[\u2066\u2069]", "", page.content.decode())
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text.replace("\xa0", " ")))


def passed(student) -> int:
    found = progress.of_subject(
        player_id=student.pk, subject_id="SUBJ-MATH", now=MONDAY.timestamp()
    )
    return int(re.search(rb'"passed_lessons":(\d+)', found.body)[1])


def test_the_page_lists_what_a_grant_will_do(browser, student, finish):
    finish("0-0")
    page = text_of(browser.get(address(student, "grant", "UNIT-MATH-0")))
    assert "Grant progress: Unit 0" in page
    assert "1 lesson will count as passed: Lesson 0.1" in page
    assert "1 lesson is passed already and stays as it is." in page
    assert InteractionLog.objects.count() == 1


def test_a_confirmed_grant_adds_rows_and_goes_back(
    browser, student, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        done = browser.post(
            address(student, "grant", "UNIT-MATH-0"),
            {"hearts": "3", "reason": "From another school"},
            follow=True,
        )
    page = text_of(done)
    assert "2 lessons were granted." in page
    assert "Lesson 0.0 ● Passed ♥ 3 granted 03/02/2026" in page
    assert "Lesson granted: Lesson 0.1 · 3 hearts · From another school by Sami" in page
    assert passed(student) == 2


def test_a_confirmed_reset_adds_rows_and_goes_back(
    browser, student, finish, django_capture_on_commit_callbacks
):
    finish("0-0")
    with django_capture_on_commit_callbacks(execute=True):
        done = browser.post(
            address(student, "reset", "SUBJ-MATH"), {"reason": "Again"}, follow=True
        )
    page = text_of(done)
    assert "1 lesson was reset." in page
    assert "Lesson 0.0 ▸ Next lesson 03/02/2026 reset 03/02/2026" in page
    assert "0 of 4" in page
    assert passed(student) == 0
    assert wallet.get(student.pk).total_xp > 0


def test_without_a_reason_nothing_is_done(browser, student):
    page = browser.post(address(student, "grant", "UNIT-MATH-0"), {"hearts": "3"})
    assert "This field is required." in text_of(page)
    assert not InteractionLog.objects.exists()


def test_a_page_with_nothing_to_do_has_no_form(browser, student):
    page = browser.get(address(student, "reset", "UNIT-MATH-0"))
    assert "No lesson here is passed." in text_of(page)
    assert b'name="reason"' not in page.content


def test_a_part_that_is_too_large_is_refused(browser, student, monkeypatch):
    monkeypatch.setattr(grants, "MAX_LESSONS", 3)
    page = text_of(browser.get(address(student, "grant", "SUBJ-MATH")))
    assert "4 lessons are too many at a time: choose a part of at most 3." in page


def test_lessons_that_need_a_product_are_not_granted(browser, student, plan):
    lesson = plan.subjects.get().get_descendants().get(public_id="LES-MATH-0-1")
    set_override(plan=plan, target=lesson, action="set_sold_separately", value="MATH")
    publish(plan)
    page = text_of(browser.get(address(student, "grant", "UNIT-MATH-0")))
    assert "1 lesson will count as passed: Lesson 0.0" in page
    assert "1 lesson needs a product that the student does not have" in page


@pytest.mark.parametrize("node", ["", "NOT-THERE", "PLAN-A", "%00"])
def test_a_node_outside_the_plan_is_explained(browser, student, node):
    page = browser.get(address(student, "grant", node), follow=True)
    assert "This node is not in the student" in text_of(page)


def test_a_student_who_does_not_exist_is_not_found(browser):
    for pk in (9999, 2**70):
        url = reverse("admin:progress_grant", args=[pk])
        assert browser.get(f"{url}?node=UNIT-MATH-0").status_code == 404


@pytest.mark.parametrize("change", ["grant", "reset"])
@pytest.mark.parametrize("role", [roles.CONTENT_EDITORS, roles.PUBLISHERS])
def test_only_staff_who_help_students_may_correct(student, role, change):
    browser = signed_in(role)
    url = address(student, change, "UNIT-MATH-0")
    assert browser.get(url).status_code == 403
    assert browser.post(url, {"hearts": "3", "reason": "Because"}).status_code == 403


def test_the_tree_links_to_what_can_be_done(browser, student, finish):
    finish("0-0")
    page = browser.get(
        reverse("admin:players_playerprofile_change", args=[student.pk])
    ).content.decode()
    found = re.findall(r"students/\d+/(\w+)/\?node=([\w-]+)", page)
    assert ("reset", "LES-MATH-0-0") in found
    assert ("grant", "LES-MATH-0-0") not in found
    assert ("grant", "LES-MATH-0-1") in found
    assert ("reset", "LES-MATH-0-1") not in found
    assert {("grant", "UNIT-MATH-0"), ("reset", "UNIT-MATH-0")} <= set(found)
    assert {("grant", "SUBJ-MATH"), ("reset", "SUBJ-MATH")} <= set(found)
