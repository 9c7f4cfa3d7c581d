"""Groups of students in the admin: members, and the access of all members."""

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse

from content import products
from core import statement_guard
from plans.models import AcademicPlan
from players.models import (
    Enrollment,
    Entitlement,
    GroupMember,
    SecurityEvent,
    StudyGroup,
    User,
)
from players.services import accounts, groups
from tests.admin_fixtures import messages_of

pytestmark = pytest.mark.django_db

ADD = reverse("admin:players_studygroup_add")
GROUPS = reverse("admin:players_studygroup_changelist")


@pytest.fixture
def badr(db):
    return accounts.create_player(
        "badr@school.example", "student-password-1", "Badr", school_number="S-7"
    )


@pytest.fixture
def group(plan, player, badr):
    made = StudyGroup.objects.create(name="5 A", plan=plan)
    groups.add_members([(made.pk, player.pk), (made.pk, badr.pk)])
    return made


def run(browser, *chosen, **given):
    data = {
        "action": "change_access",
        "_selected_action": [group.pk for group in chosen],
        "confirmed": "yes",
        **given,
    }
    return browser.post(GROUPS, data, follow=True)


def test_members_are_added_by_search_and_by_a_list(browser, player, badr):
    browser.post(
        ADD, {"name": "5 A", "added": [player.pk], "listed": "S-7\nBADR@school.example"}
    )
    group = StudyGroup.objects.get()
    assert groups.members_of([group]) == sorted([player.pk, badr.pk])
    page = browser.get(reverse("admin:players_studygroup_change", args=[group.pk]))
    assert "2 students" in page.content.decode()
    found = browser.get(
        reverse("admin:players_playerprofile_changelist"),
        {"memberships__group__id__exact": group.pk},
    )
    assert found.context["cl"].result_count == 2


def test_support_makes_a_group_with_a_plan_without_seeing_the_plans_of_the_admin(
    client_of, support, plan, player
):
    browser = client_of(support)
    assert not support.has_perm("plans.view_academicplan")
    assert f'<option value="{plan.pk}">' in browser.get(ADD).content.decode()
    browser.post(ADD, {"name": "5 A", "plan": plan.pk, "added": [player.pk]})
    group = StudyGroup.objects.get()
    assert group.plan == plan
    assert groups.members_of([group]) == [player.pk]


def test_an_unknown_number_in_the_list_is_told_and_nothing_is_saved(browser, badr):
    page = browser.post(ADD, {"name": "5 A", "listed": "S-7\nS-8\nS-9"})
    (error,) = page.context["adminform"].form.errors["listed"]
    assert "S-8, S-9" in error
    assert not StudyGroup.objects.exists()


def test_a_removed_member_keeps_their_plans(browser, group, badr, plan):
    groups.enroll([group], None)
    browser.post(
        reverse("admin:players_studygroup_change", args=[group.pk]),
        {"name": "5 A", "plan": plan.pk, "listed": "", "removed": [badr.pk]},
    )
    assert badr.pk not in groups.members_of([group])
    assert Enrollment.objects.filter(player=badr, plan=plan).exists()


def test_two_spellings_of_a_name_are_one_group(browser, group):
    page = browser.post(ADD, {"name": "5 a"})
    assert page.context["adminform"].form.errors["name"]


def test_all_members_are_enrolled_in_the_group_s_plan_in_one_step(
    browser, superuser, group, badr, plan
):
    with statement_guard.rewriting():
        SecurityEvent.objects.all()._raw_delete("default")
    page = run(browser, group, operation="enroll")
    # The other member was enrolled before.
    assert messages_of(page) == ["1 student was enrolled."]
    assert Enrollment.objects.filter(player=badr, plan=plan).exists()
    event = SecurityEvent.objects.get(type="enrollment_added")
    assert (event.user_id, event.actor_id) == (badr.user_id, superuser.pk)


def test_a_group_is_moved_to_another_plan(browser, group, plan, player, badr):
    groups.enroll([group], None)
    other = AcademicPlan.objects.create(title="Grade 6", public_id="PLAN-6")
    page = run(browser, group, operation="move", plan=other.pk)
    assert messages_of(page) == ["2 students were moved."]
    assert set(Enrollment.objects.values_list("plan_id")) == {(other.pk,)}
    group.refresh_from_db()
    player.refresh_from_db()
    assert group.plan == player.active_plan == other


def test_a_product_is_given_until_the_end_of_a_day_and_taken_away(
    browser, group, settings
):
    settings.TIME_ZONE = "UTC"
    products.ensure(["MATHS-5"])
    page = run(browser, group, operation="grant", item="MATHS-5", until="2027-06-30")
    assert messages_of(page) == ["2 students were given the product."]
    ends = {row.valid_until.isoformat() for row in Entitlement.objects.all()}
    assert ends == {"2027-07-01T00:00:00+00:00"}
    page = run(browser, group, operation="revoke", item="MATHS-5")
    assert messages_of(page) == ["The product was taken from 2 students."]
    assert not Entitlement.objects.exists()


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"operation": "move"}, "plan"),
        ({"operation": "grant"}, "item"),
        ({"operation": "grant", "item": "no spaces"}, "item"),
        ({"operation": "grant", "item": "UNKNOWN"}, "item"),
        ({"operation": "grant", "item": "A", "until": "31.12."}, "until"),
        ({"operation": "expel"}, "operation"),
    ],
)
def test_an_incomplete_form_is_shown_again(browser, group, given, field):
    page = run(browser, group, **given)
    assert page.context["form"].errors[field]
    assert not Entitlement.objects.exists()


def test_a_role_sees_only_the_operations_that_it_may_do(client_of, group):
    clerk = User.objects.create_user("clerk@example.com", "staff-password-1")
    clerk.is_staff = True
    clerk.save()
    names = ("view_studygroup", "change_studygroup", "delete_session")
    clerk.user_permissions.set(Permission.objects.filter(codename__in=names))
    browser = client_of(clerk)
    page = run(browser, group, operation="revoke", item="MATHS-5")
    choices = page.context["form"].fields["operation"].choices
    assert [name for name, _label in choices] == ["end_sessions"]
    assert page.context["form"].errors["operation"]


def test_a_deleted_group_leaves_its_students(browser, group, player):
    browser.post(
        reverse("admin:players_studygroup_delete", args=[group.pk]), {"post": "yes"}
    )
    assert not StudyGroup.objects.exists()
    assert not GroupMember.objects.exists()
    player.refresh_from_db()


# --- Sign-in slips -------------------------------------------------------------


def print_slips(browser, group, **given):
    data = {"action": "print_slips", "_selected_action": group.pk, **given}
    return browser.post(GROUPS, data)


def test_slips_are_printed_only_after_a_page_that_says_what_happens(
    client_of, support, group, badr
):
    browser = client_of(support)
    page = print_slips(browser, group)
    assert "old passwords stop working" in page.content.decode()
    badr.user.refresh_from_db()
    assert badr.user.check_password("student-password-1")
    answer = print_slips(browser, group, confirmed="yes", part=0, language="ar")
    assert answer.headers["Content-Type"] == "application/pdf"
    assert "no-store" in answer.headers["Cache-Control"]
    assert answer.headers["Content-Disposition"].startswith("attachment; ")
    assert answer.content.startswith(b"%PDF")
    badr.user.refresh_from_db()
    assert not badr.user.check_password("student-password-1")
    events = SecurityEvent.objects.filter(type="slip_printed", actor=support)
    assert events.count() == 2


def test_a_part_that_is_not_there_is_asked_for_again(browser, group, badr):
    page = print_slips(browser, group, confirmed="yes", part=1, language="ar")
    assert page.context["form"].errors["part"]
    badr.user.refresh_from_db()
    assert badr.user.check_password("student-password-1")


def test_who_may_not_reset_passwords_prints_no_slips(client_of, group, badr):
    clerk = User.objects.create_user("clerk@example.com", "staff-password-1")
    clerk.is_staff = True
    clerk.save()
    names = ("view_studygroup", "change_studygroup")
    clerk.user_permissions.set(Permission.objects.filter(codename__in=names))
    print_slips(client_of(clerk), group, confirmed="yes", part=0, language="ar")
    badr.user.refresh_from_db()
    assert badr.user.check_password("student-password-1")
