"""Creating players."""

import pytest
from django.core.exceptions import ValidationError

from plans.models import AcademicPlan
from players.models import PlayerProfile, PlayerWallet, User
from players.services import accounts
from tests.players.app import PASSWORD

pytestmark = pytest.mark.django_db


def test_a_player_comes_with_a_wallet_and_a_plan(plan):
    player = accounts.create_player(" Lina@School.Example", PASSWORD, plan=plan)
    assert player.user.email == "lina@school.example"
    assert player.user.check_password(PASSWORD)
    assert player.wallet.total_xp == 0
    assert player.active_plan == plan
    assert list(player.enrollments.values_list("plan", flat=True)) == [plan.pk]


@pytest.mark.parametrize(
    ("email", "password", "field"),
    [
        ("no address", PASSWORD, "email"),
        ("", PASSWORD, "email"),
        ("lina@school.example", "123", "password"),
        ("lina@school.example", "lina@school.example", "password"),
    ],
)
def test_a_wrong_account_is_refused_and_leaves_nothing(db, email, password, field):
    with pytest.raises(ValidationError) as refused:
        accounts.create_player(email, password)
    assert field in refused.value.message_dict
    assert not User.objects.exists()


def test_a_taken_address_is_refused_whatever_its_case(student):
    with pytest.raises(ValidationError) as refused:
        accounts.create_player("LINA@school.example", PASSWORD)
    assert "email" in refused.value.message_dict
    assert PlayerProfile.objects.count() == PlayerWallet.objects.count() == 1


def test_the_first_plan_becomes_active_and_a_second_one_does_not(student, plan):
    other = AcademicPlan.objects.create(title="Grade 6")
    accounts.enroll(student, other)
    student.refresh_from_db()
    assert student.active_plan == plan


def test_the_app_reads_its_player(signed_in, student, django_assert_num_queries):
    signed_in.get("auth/session/")
    with django_assert_num_queries(1):  # the profile with all related labels
        body = signed_in.get("me/").json()
    assert body == {
        "id": student.pk,
        "name": "Lina",
        "email": "lina@school.example",
        "grade": None,
        "stream": None,
        "season": None,
        "photo_url": None,
        "locale": "",
        "time_zone": "",
        "plan": {"id": "PLAN-5", "title": "Grade 5"},
    }


def test_numbers_have_one_form_whatever_the_digits_are(db):
    player = accounts.create_player(
        "lina@school.example",
        PASSWORD,
        school_number=" ٢٠٤١ ",
        phone="٠٧٧٠ (123) 4567",
    )
    player.refresh_from_db()
    assert (player.school_number, player.phone) == ("2041", "07701234567")


@pytest.mark.parametrize(
    ("numbers", "field"),
    [
        ({"school_number": "٢٠٤١"}, "school_number"),
        ({"phone": "call me"}, "phone"),
        ({"phone": "+1234567890123456"}, "phone"),
    ],
)
def test_a_wrong_or_taken_number_is_refused_and_leaves_nothing(db, numbers, field):
    accounts.create_player("a@school.example", PASSWORD, school_number="2041")
    with pytest.raises(ValidationError) as refused:
        accounts.create_player("b@school.example", PASSWORD, **numbers)
    assert list(refused.value.message_dict) == [field]
    assert User.objects.count() == 1


def test_school_numbers_compare_exactly_and_may_be_missing(db):
    for email, number in [("a@s.example", "a1"), ("b@s.example", "A1")]:
        accounts.create_player(email, PASSWORD, school_number=number)
    for email in ("c@s.example", "d@s.example"):
        assert accounts.create_player(email, PASSWORD, school_number="")
    assert PlayerProfile.objects.filter(school_number=None).count() == 2
