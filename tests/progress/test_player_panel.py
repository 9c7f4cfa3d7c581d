"""What support sees of a student's progress, in the admin."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.db.models import QuerySet
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from content.models import Node
from core import statement_guard
from plans.models import AcademicPlan, Season
from plans.services import add_subject, set_override
from players import audit, roles
from players.models import (
    Enrollment,
    Entitlement,
    PlayerProfile,
    SecurityEvent,
    SecurityEventType,
    User,
)
from players.services import accounts, wallet
from progress.errors import NoHeartsError
from progress.models import InteractionLog
from progress.services import reviews, season_opening, timeline
from tests.factories.content import plant
from tests.factories.progress import make_card
from tests.progress.conftest import MONDAY, PASSWORD, make_subject, publish

pytestmark = pytest.mark.django_db


@pytest.fixture
def support(db) -> User:
    user = User.objects.create_user(
        "s@example.com", PASSWORD, full_name="Sami", is_staff=True
    )
    user.groups.add(Group.objects.get(name=roles.SUPPORT))
    return user


@pytest.fixture
def browser(support) -> Client:
    client = Client()
    client.force_login(support, "django.contrib.auth.backends.ModelBackend")
    return client


def text_of(browser: Client, player, query: str = "") -> str:
    url = reverse("admin:players_playerprofile_change", args=[player.pk])
    page = browser.get(f"{url}{query}").content.decode()
    page = re.sub("[\u2066\u2069]", "", page)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.replace("\xa0", " ")))


def test_the_tree_tells_states_hearts_and_dates(browser, student, finish):
    finish("0-0", 3)
    finish("0-0", 5, day=1)
    page = text_of(browser, student)
    assert "1 of 4" in page
    assert "Lesson 0.0 ● Passed ♥ 5 03/02/2026 · completed 2 times" in page
    assert "Lesson 0.1 ▸ Next lesson" in page
    assert "Lesson 1.0 ⊘ Locked" in page


def test_the_tree_tells_how_often_a_lesson_was_failed(browser, student, finish):
    for place in ("0-0", "0-0", "0-1"):
        with pytest.raises(NoHeartsError):
            finish(place, 0)
        if place == "0-0":
            finish(place, 3)
    page = text_of(browser, student)
    assert "Lesson 0.0 ● Passed ♥ 3 03/02/2026" in page
    assert "completed 2 times failed 2 times" in page
    assert "Lesson 0.1 ▸ Next lesson failed once" in page
    assert "1 of 4" in page


def test_a_lesson_that_is_sold_says_that_it_needs_a_product(browser, student, plan):
    subject = plan.subjects.get()
    lesson = subject.get_descendants().get(public_id="LES-MATH-1-1")
    set_override(plan=plan, target=lesson, action="set_sold_separately", value="MATH")
    publish(plan)
    assert "Lesson 1.1 ★ Needs a product" in text_of(browser, student)
    Entitlement.objects.create(player=student, item="MATH")
    assert "Needs a product" not in text_of(browser, student)


def test_a_renamed_unit_has_the_title_that_students_see(browser, student, plan):
    unit = plan.subjects.get().get_descendants().get(public_id="UNIT-MATH-0")
    set_override(plan=plan, target=unit, action="rename", value="الوحدة الأولى")
    publish(plan)
    assert "الوحدة الأولى" in text_of(browser, student)


def test_another_subject_is_opened_by_its_link(browser, student, plan, finish):
    add_subject(plan=plan, subject=make_subject("PHYS"))
    publish(plan)
    finish("0-0")
    url = reverse("admin:players_playerprofile_change", args=[student.pk])
    shown = browser.get(url).content.decode()
    assert '<a href="?subject=SUBJ-PHYS#progress"' in shown
    assert 'href="?subject=SUBJ-MATH#progress" aria-current="true"' in re.sub(
        r"\s+", " ", shown
    )
    other = re.sub(
        r"\s+", " ", browser.get(f"{url}?subject=SUBJ-PHYS").content.decode()
    )
    assert 'href="?subject=SUBJ-PHYS#progress" aria-current="true"' in other
    nothing = browser.get(f"{url}?subject=NOT-THERE")
    assert nothing.status_code == 200


def test_progress_outside_the_plan_is_named(browser, student, plan, finish):
    finish("0-0")
    other = AcademicPlan.objects.create(title="Other", is_published=True)
    Enrollment.objects.create(player=student, plan=other)
    student.active_plan = other
    student.save(update_fields=["active_plan"])
    page = text_of(browser, student)
    assert "no active plan that is published" in page
    assert "( not in the plan ) 1" in page.replace(
        "(not in the plan)", "( not in the plan )"
    )


def test_the_ledger_is_told_in_words_and_in_pages(browser, student, support, finish):
    finish("0-0", 3)
    wallet.correct(
        player_id=student.pk,
        xp=7,
        reason="Olympiad",
        actor_id=support.pk,
        now=MONDAY + timedelta(days=1),
    )
    page = text_of(browser, student)
    assert "Lesson completed: Lesson 0.0 · 3 hearts" in page
    assert "XP corrected · Olympiad by Sami" in page
    assert "+7 XP" in page
    assert "Older entries" not in page
    add_rows(student, range(3, 41))
    newest = text_of(browser, student)
    assert "Older entries" in newest
    assert "XP corrected · Olympiad" not in newest
    oldest = text_of(browser, student, "?ledger=11")
    assert "XP corrected · Olympiad" in oldest
    assert "Newest entries" in oldest
    assert "Older entries" not in oldest


def test_the_beginning_of_a_season_is_told(browser, student, finish, settings):
    settings.SEASON_CARRIES = ["xp"]
    PlayerProfile.objects.update(created_at=MONDAY)
    finish("0-0", 5)
    season_opening.open_season(Season.objects.create(title="2026-2027"))
    page = text_of(browser, student)
    assert "Season opened: 2026-2027" in page
    title = Node.objects.get(public_id="SUBJ-MATH").title
    assert f"Subject begun anew in a season: {title}" in page
    assert "0 of 4" in page


def visit(player, kind: SecurityEventType, **after: float) -> SecurityEvent:
    event = SecurityEvent.objects.create(type=kind, user=player.user)
    rows = SecurityEvent.objects.filter(pk=event.pk)
    with statement_guard.rewriting():
        QuerySet.update(rows, created_at=MONDAY + timedelta(**after))
    return event


def timeline_of(browser: Client, player, query: str = "") -> str:
    page = text_of(browser, player, query)
    return page[page.index("Activity: the last entries") :]


def in_order(page: str, *texts: str) -> bool:
    places = [page.index(text) for text in texts]
    return places == sorted(places)


def test_sign_ins_and_sign_outs_are_told_among_what_the_student_did(
    browser, student, finish
):
    visit(student, SecurityEventType.LOGIN, hours=-1)
    finish("0-0", 3)
    visit(student, SecurityEventType.LOGOUT, hours=1)
    visit(student, SecurityEventType.DEVICE_ADDED, hours=2)
    page = timeline_of(browser, student)
    assert in_order(page, "Signed out", "Lesson completed: Lesson 0.0", "Signed in")
    assert "Device added" not in page


def test_the_pages_of_the_timeline_leave_nothing_out(browser, student):
    add_rows(student, range(1, 21))
    for hours in range(-10, 11):
        visit(student, SecurityEventType.LOGIN, hours=hours)
    seen, query = 0, ""
    for _page in range(9):
        url = reverse("admin:players_playerprofile_change", args=[student.pk])
        html = browser.get(f"{url}{query}").content.decode()
        part = html[html.index('id="ledger-title"') :]
        seen += part.count("Lesson completed") + part.count("Signed in")
        older = re.search(r'href="(\?[^"]*)#ledger">Older', part)
        if older is None:
            break
        query = older[1].replace("&amp;", "&")
    assert seen == 41


def test_staff_without_the_audit_trail_see_no_sign_ins(student, support):
    visit(student, SecurityEventType.LOGIN)
    entries, _older = timeline.page(
        player_id=student.pk, user_id=None, before=timeline.NEWEST
    )
    assert entries == []
    entries, _older = timeline.page(
        player_id=student.pk, user_id=student.user_id, before=timeline.NEWEST
    )
    assert [entry.type for entry in entries] == ["login"]


def test_reviews_that_are_due_are_counted(browser, student, finish):
    past = timezone.now() - timedelta(days=1)
    for number in range(3):
        make_card(
            student,
            f"Q{number}",
            lesson_id="LES-MATH-0-0",
            subject_id="SUBJ-MATH",
            is_active=True,
            due_at=past + timedelta(days=2 * (number == 2)),
        )
    assert "no reviews" in text_of(browser, student)
    finish("0-0")
    reviews.overview(player_id=student.pk, now=timezone.now())
    assert re.search(r"\d due of \d", text_of(browser, student))


def test_staff_without_the_rights_see_no_progress(browser, support, student, finish):
    finish("0-0")
    group = support.groups.get()
    group.permissions.remove(group.permissions.get(codename="view_interactionlog"))
    page = text_of(browser, student)
    assert "Progress and reviews" not in page
    assert "Devices (two slots)" in page


def add_rows(player, positions, *, subject="SUBJ-OLD") -> None:
    InteractionLog.objects.bulk_create(
        InteractionLog(
            player=player,
            seq=seq,
            event_id=f"event-{seq}",
            type="lesson_completed",
            reference_id=f"LES-OLD-{seq}",
            subject_id=subject,
            bit_index=seq,
            hearts=4,
            xp=23,
            best_hearts=4,
            first_of=f"LES-OLD-{seq}",
            day=MONDAY.date(),
            occurred_at=MONDAY,
            received_at=MONDAY,
        )
        for seq in positions
    )


def queries_of(browser: Client, player) -> int:
    url = reverse("admin:players_playerprofile_change", args=[player.pk])
    browser.get(url)  # fills the caches of Redis, and of Django's content types
    with CaptureQueriesContext(connection) as captured:
        assert browser.get(url).status_code == 200
    return len(captured)


def test_the_page_takes_the_same_queries_whatever_the_student_has(
    browser, student, plan, finish
):
    finish("0-0")
    Entitlement.objects.create(player=student, item="ONE")
    few = queries_of(browser, student)

    plant("HUGE", lessons=1_000)  # in each of two topics
    add_subject(plan=plan, subject=Node.objects.get(public_id="SUBJ-HUGE"))
    publish(plan)
    add_rows(student, range(2, 2_502), subject="SUBJ-HUGE")
    for number in range(10):
        more = AcademicPlan.objects.create(title=f"Plan {number}")
        Enrollment.objects.create(player=student, plan=more)
        Entitlement.objects.create(player=student, item=f"ITEM-{number}")
        audit.record(SecurityEventType.LOGIN, user_id=student.user_id)
        accounts.create_player(f"other{number}@example.com", PASSWORD, plan=more)
    many = queries_of(browser, student)
    # Session and user, permissions (2), the student, plans and products (2), the
    # choices (6), sold content (3), product codes, devices, session, refusals, events
    # with their plans (5), timeline, archive and progress (11).
    assert (few, many) == (35, 35)
