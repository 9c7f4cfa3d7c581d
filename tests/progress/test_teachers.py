"""Teachers see their own classes and the progress of these students, and nothing else."""

import re

import pytest
import time_machine
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from players import audit_words, roles
from players.models import PlayerProfile, SecurityEvent, StudyGroup, User
from players.services import groups
from progress.models import InteractionLog
from progress.services import snapshots
from tests.progress.conftest import MONDAY, PASSWORD, enrolled

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clock():
    with time_machine.travel(MONDAY, tick=False):
        yield


@pytest.fixture
def teacher(db) -> User:
    user = User.objects.create_user(
        "t@example.com", PASSWORD, full_name="Tala", is_staff=True
    )
    user.groups.add(Group.objects.get(name=roles.TEACHERS))
    return user


@pytest.fixture
def browser(teacher) -> Client:
    client = Client()
    client.force_login(teacher, "django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def own(teacher, student, finish) -> StudyGroup:
    """The teacher's class, with Amal, who has passed a lesson."""
    finish("0-0", 4)
    snapshots.sync_pending()
    made = StudyGroup.objects.create(name="5 A")
    made.teachers.add(teacher)
    groups.add_members([(made.pk, student.pk)])
    return made


@pytest.fixture
def other(plan) -> PlayerProfile:
    return enrolled(plan, "badr@example.com")


@pytest.fixture
def other_class(other) -> StudyGroup:
    made = StudyGroup.objects.create(name="5 B")
    groups.add_members([(made.pk, other.pk)])
    return made


def addresses(group: StudyGroup, player: PlayerProfile) -> list[str]:
    """Every address that shows the class or one of its students."""
    return [
        reverse("admin:progress_class", args=[group.pk]),
        reverse("admin:progress_class_export", args=[group.pk]),
        reverse("admin:progress_student", args=[player.pk]),
        reverse("admin:progress_student", args=[player.pk]) + "?subject=SUBJ-MATH",
    ]


def text_of(page) -> str:
    assert page.status_code == 200
    text = re.sub("[\u2066-\u2069]", "", page.content.decode())
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text.replace("\xa0", " ")))


def test_a_teacher_sees_the_own_class_and_its_students(browser, own, student):
    for url in addresses(own, student):
        assert browser.get(url).status_code == 200
    page = text_of(browser.get(addresses(own, student)[0]))
    assert "Amal" in page
    tree = text_of(browser.get(addresses(own, student)[2]))
    assert "Progress: Amal" in tree
    assert "Lesson 0.0 ● Passed ♥ 4" in tree


def test_no_page_of_a_teacher_has_an_e_mail_address(browser, own, student):
    for url in [*addresses(own, student), reverse("admin:index")]:
        assert student.user.email not in browser.get(url).content.decode()


def test_a_teacher_sees_no_other_class(browser, own, other, other_class):
    for url in addresses(other_class, other):
        assert browser.get(url).status_code == 404, url
    for pk in (9999, 2**70):
        url = reverse("admin:progress_student", args=[pk])
        assert browser.get(url).status_code == 404
    assert "5 B" not in text_of(browser.get(reverse("admin:index")))


def test_a_student_who_left_the_class_is_not_seen(browser, own, student):
    groups.remove_members(own, {student.pk})
    assert browser.get(addresses(own, student)[2]).status_code == 404


def test_who_has_lost_the_role_or_the_class_sees_nothing(
    browser, teacher, own, student
):
    own.teachers.clear()
    for url in addresses(own, student):
        assert browser.get(url).status_code == 404
    own.teachers.add(teacher)
    teacher.groups.clear()
    for url in addresses(own, student):
        assert browser.get(url).status_code == 403


def test_a_teacher_may_not_grant_reset_or_change(browser, own, student):
    data = {"hearts": "5", "reason": "Because"}
    before = InteractionLog.objects.count()
    for change in ("grant", "reset"):
        url = reverse(f"admin:progress_{change}", args=[student.pk])
        for ask in (browser.get, browser.post):
            assert ask(f"{url}?node=UNIT-MATH-0", data).status_code == 403
    assert InteractionLog.objects.count() == before
    page = browser.get(addresses(own, student)[2]).content.decode()
    assert "/grant/" not in page
    assert "/reset/" not in page


def test_a_teacher_opens_no_list_or_form_of_students(browser, own, student):
    for name, arguments in (
        ("players_playerprofile_changelist", []),
        ("players_playerprofile_change", [student.pk]),
        ("players_studygroup_changelist", []),
        ("players_studygroup_change", [own.pk]),
        ("players_user_changelist", []),
        ("progress_structureprogress_changelist", []),
        ("progress_interactionlog_changelist", []),
        ("progress_statistics", [student.active_plan.subjects.get().pk]),
        ("players_dashboard", []),
    ):
        url = reverse(f"admin:{name}", args=arguments)
        assert browser.get(url).status_code == 403, name


def test_the_home_page_of_a_teacher_lists_the_own_classes(browser, own, other_class):
    page = text_of(browser.get(reverse("admin:index")))
    assert "My classes 5 A" in page
    assert "All pages" not in page
    own.teachers.clear()
    assert "No class is assigned to you yet." in text_of(
        browser.get(reverse("admin:index"))
    )


def test_teachers_of_a_class_are_told_in_the_audit_trail(teacher, own):
    own.teachers.clear()
    teacher.taught_groups.set([own])
    teacher.taught_groups.clear()
    events = SecurityEvent.objects.filter(type="rights_changed", user=teacher)
    names = audit_words.names_of(events)
    told = [audit_words.facts(event, names) for event in events.order_by("pk")]
    assert told[-4:] == [
        [("classes", "+ 5 A")],
        [("classes", "− 5 A")],
        [("classes", "+ 5 A")],
        [("classes", "− 5 A")],
    ]


def test_the_student_s_page_costs_the_same_for_any_class(
    browser, own, student, django_assert_num_queries
):
    browser.get(addresses(own, student)[2])  # what Django keeps
    # The session and its user; the permissions, of the user and of the groups; the
    # student. The report: eight. The classes.
    with django_assert_num_queries(14):
        browser.get(addresses(own, student)[2])
